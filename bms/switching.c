// SPDX-License-Identifier: MIT
/* Orders in words. */
#include "switching.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const switch_names[] = {
    [BMS_CHARGE_MOS] = "charge_mos", [BMS_DISCHARGE_MOS] = "discharge_mos"};

const char *switches_format(const struct switches *switches, char out[SWITCHES_TEXT])
{
    if (switches->sets) {
        char name[VALUE_NAME_SIZE], before[32] = "";
        if (!isnan(switches->before))
            snprintf(before, sizeof before, " instead of %g", switches->before);
        snprintf(out, SWITCHES_TEXT, "%s %g%s", pack_value_name(switches->setting, name),
                 switches->value, before);
        return out;
    }
    out[0] = '\0';
    for (unsigned i = 0; i < ORDER_SWITCHES; i++) {
        size_t used = strlen(out);
        if (switches->wanted[i])
            snprintf(out + used, SWITCHES_TEXT - used, "%s%.*s %s", used ? ", " : "",
                     (int) strcspn(switch_names[i], "_"), switch_names[i],
                     switches->on[i] ? "on" : "off");
    }
    return out;
}
