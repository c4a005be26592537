// SPDX-License-Identifier: MIT
#include "mqtt.h"

#include "base/log.h"
#include "bms/checksum.h"
#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHRINK_S 600.0 /* time with another identity after which missing values are removed */

struct entity_set learn_allowed(const struct mqtt *mqtt, const struct mqtt_pack *pack)
{
    const struct source *source = &pack->pack->source;
    bool switches = mqtt->config->switching && source->writable && !source->members;
    return entity_allowed(mqtt->config->entities, switches);
}

/* 16 bits for each property of a battery: serial, model, cells, sensors. 0: unknown. */
#define PART_BITS 16
#define PARTS (64 / PART_BITS)

static uint64_t part_of(const char *text)
{
    const uint16_t sum = crc16_modbus((const uint8_t *) text, strlen(text));
    return !text[0] ? 0 : sum ? sum : 1;
}

static uint64_t identity_of(const struct pack *values)
{
    static const enum pack_value counts[] = {CELL_COUNT, TEMP_COUNT};
    uint64_t identity = part_of(values->text[SERIAL]) << PART_BITS | part_of(values->text[MODEL]);
    for (size_t i = 0; i < COUNT(counts); i++) {
        char text[32] = "";
        if (pack_known(values, counts[i]))
            snprintf(text, sizeof text, "%.0f", values->value[counts[i]]);
        identity = identity << PART_BITS | part_of(text);
    }
    return identity;
}

/* The identity completed by what was known before; `*another`: they differ. A property that is unknown in one of them is
 * not a difference: serial and model are read later than the first values. */
static uint64_t complete(uint64_t before, uint64_t now, bool *another)
{
    *another = false;
    for (int i = 0; i < PARTS; i++) {
        const uint64_t part = (uint64_t) 0xFFFF << i * PART_BITS;
        *another |= before & part && now & part && (before ^ now) & part;
        if (!(now & part))
            now |= before & part;
    }
    return now;
}

void learn_values(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    const struct source *source = &pack->pack->source;
    const char *protocol = source->members         ? "bank"
                           : source->status.driver ? source->status.driver
                                                   : "-";
    struct entity_set known = entity_and(entity_known(source), learn_allowed(mqtt, pack));
    struct entity_set before = pack->set;
    bool strange;
    const uint64_t shown = identity_of(source->values);
    uint64_t identity = complete(pack->identity, shown, &strange);
    strange &= pack->protocol[0] != '\0';
    if (!strange)
        pack->strange_since = NAN;
    else if (isnan(pack->strange_since))
        pack->strange_since = now;
    bool renewed = pack->protocol[0] && strcmp(pack->protocol, protocol) != 0;
    if (renewed || (strange && now - pack->strange_since >= SHRINK_S)) {
        pack->gone = entity_or(pack->gone, entity_without(pack->set, known));
        pack->set = known;
        pack->strange_since = NAN;
        pack->todo |= ANNOUNCE | INFO;
        log_info("%s: %s has another battery or protocol now: announcing it again", mqtt->name,
                 source->name);
        identity = shown;
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
