// SPDX-License-Identifier: MIT
#include "learn.h"
#include "note.h"

#include "base/log.h"
#include "bms/checksum.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHRINK_S 600.0 /* of another identity, until what it lacks is taken away */

struct entity_set learn_allowed(const struct mqtt *mqtt, const struct mqtt_pack *pack)
{
    const struct source *source = &pack->pack->source;
    bool switches = mqtt->config->switching && source->writable && !source->members;
    return entity_allowed(mqtt->config->entities, switches);
}

static unsigned identity_of(const struct source *source)
{
    char text[2 * TEXT_SIZE + 32];
    const struct pack *values = source->values;
    int size = snprintf(text, sizeof text, "%s %s %.0f %.0f", values->text[SERIAL],
                        values->text[MODEL], values->value[CELL_COUNT], values->value[TEMP_COUNT]);
    return crc16_modbus((const uint8_t *) text, (size_t) size);
}

static void shrink(struct mqtt *mqtt, struct mqtt_pack *pack, struct entity_set known)
{
    pack->gone = entity_or(pack->gone, entity_without(pack->set, known));
    pack->set = known;
    pack->strange_since = NAN;
    pack->todo |= ANNOUNCE | INFO;
    log_info("%s: %s is another battery now, or another protocol: announced anew", mqtt->name,
             pack->pack->source.name);
}

void learn_values(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    const struct source *source = &pack->pack->source;
    const char *protocol = source->members         ? "bank"
                           : source->status.driver ? source->status.driver
                                                   : "-";
    struct entity_values values;
    entity_gather(source, 0, 0, &values);
    struct entity_set known = entity_and(entity_known(&values), learn_allowed(mqtt, pack));
    struct entity_set before = pack->set;
    unsigned identity = identity_of(source);
    bool strange = pack->protocol[0] && identity != pack->identity;
    if (!strange)
        pack->strange_since = NAN;
    else if (isnan(pack->strange_since))
        pack->strange_since = now;
    bool renewed = pack->protocol[0] && strcmp(pack->protocol, protocol) != 0;
    if (renewed || (strange && now - pack->strange_since >= SHRINK_S)) {
        shrink(mqtt, pack, known);
        strange = false;
    }
    pack->set = entity_or(pack->set, known);
    pack->gone = entity_without(pack->gone, pack->set);
    if (!strange)
        pack->identity = identity;
    snprintf(pack->protocol, sizeof pack->protocol, "%s", protocol);
    if (!pack->was_fresh || !entity_same(before, pack->set)) {
        pack->todo |= ANNOUNCE;
        pack->row = 0;
    }
    pack->was_fresh = true;
    note_pack(mqtt, pack);
}
