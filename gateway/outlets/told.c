// SPDX-License-Identifier: MIT
/* Alarms that were reported. */
#include "told.h"

#include <stdio.h>

static const char *key_of(const char *pack, char key[PIPE_KEY_SIZE])
{
    snprintf(key, PIPE_KEY_SIZE, "alarms.%s", pack);
    return key;
}

void told_keep(struct outlet *outlet, const char *pack, struct alarms alarms)
{
    char key[PIPE_KEY_SIZE], text[PIPE_NOTE_SIZE];
    snprintf(text, sizeof text, "%x %x", (unsigned) alarms.warning, (unsigned) alarms.protection);
    outlet_keep(outlet, key_of(pack, key), alarms.warning | alarms.protection ? text : NULL);
}

struct alarms told_read(const struct outlet *outlet, const char *pack)
{
    char key[PIPE_KEY_SIZE];
    unsigned warning, protection;
    const char *text = outlet_note(outlet, key_of(pack, key));
    if (!text || sscanf(text, "%x %x", &warning, &protection) != 2)
        return (struct alarms){0};
    return (struct alarms){warning, protection};
}
