// SPDX-License-Identifier: MIT
/* VE.Direct: from a shunt's numbers to struct pack. */
#include "vedirect_values.h"

#include "vedirect_tables.h"

#include <string.h>

void vedirect_set_text(struct pack *pack, enum pack_text id, const char *text)
{
    pack_set_text(pack, id, text, strlen(text));
}

void vedirect_set_product(struct vedirect_notes *notes, struct pack *pack, unsigned id)
{
    const char *name = vedirect_product_name(id);
    notes->named = name != NULL;
    if (name)
        vedirect_set_text(pack, MODEL, name);
}

/* Both are inverted if the shunt is wired in reverse. */
void vedirect_set_value(const struct bms *bms, struct pack *pack, enum pack_value id, double value)
{
    bool inverted = bms->options.current == BMS_CURRENT_INVERTED;
    if (id == CURRENT_A)
        bms_set_current(bms, pack, value);
    else
        pack_set(pack, id, id == POWER_W && inverted ? -value : value);
    if (id == TEMP_C)
        pack_set(pack, TEMP_COUNT, 1);
}

void vedirect_set_alarms(struct pack *pack, uint16_t word)
{
    pack_clear_alarms(pack);
    pack_raw_alarm(pack, word);
    pack_alarm_bits(pack, vedirect_reasons, VEDIRECT_REASON_BITS, word);
}

void vedirect_set_capacity(const struct bms *bms, struct pack *pack)
{
    const struct vedirect_notes *notes = (const void *) bms->memory.bytes;
    bool given = bms->options.capacity_ah > 0;
    if (!given && !notes->capacity_ah.known)
        return;
    double capacity_ah = given ? bms->options.capacity_ah : notes->capacity_ah.value;
    pack_set(pack, RATED_AH, capacity_ah);
    if (notes->consumed_ah.known)
        pack_set(pack, REMAINING_AH, capacity_ah + notes->consumed_ah.value);
}
