// SPDX-License-Identifier: MIT
#include "afar.h"

#include "packs/json.h"
#include "registers/map.h"
#include "registers/rows.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <modbus.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNITS 247
#define DECIMALS 4

enum found { FOUND, NOT_HERE, BROKEN };

struct unit {
    modbus_t *bus;
    unsigned base;
    bool high_first; /* words of wide values */
    uint16_t words[MAP_EXTENDED_SIZE];
    bool known[MAP_EXTENDED_SIZE];
};

/* NaN: unknown, or not read. */
static double number_at(const struct unit *unit, const struct map_row *row, unsigned n)
{
    const unsigned count = map_types[row->type].registers,
                   at = row->offset + n * count - MAP_EXTENDED_OFFSET;
    const bool high = unit->high_first || row->type == REG_U32_HIGH;
    for (unsigned i = 0; i < count; i++)
        if (!unit->known[at + i])
            return NAN;
    return map_number_of(row->type, unit->words + at, high) * row->scale;
}

static double unit_number(const struct unit *unit, const char *name)
{
    const struct map_row *row = map_row_find(name);
    return row ? number_at(unit, row, 0) : NAN;
}

/* Recognizes packgate by constants in its map; their word order gives ours. */
static bool is_packgate(struct unit *unit)
{
    if (unit_number(unit, "check_u16") != 12345)
        return false;
    for (int high = 0; high <= 1; high++) {
        unit->high_first = high;
        if (unit_number(unit, "check_u32") == 0x12345678)
            return true;
    }
    return false;
}

/* Reads the registers that can always be read, or the values of the pack. */
static enum found read_class(struct unit *unit, bool values)
{
    for (unsigned i = 0; i < map_group_count; i++) {
        const struct map_group *group = &map_groups[i];
        const unsigned at = group->offset - MAP_EXTENDED_OFFSET; /* large in front of it */
        if (at >= MAP_EXTENDED_SIZE ||
            (group->offset >= map_row_find("voltage_v")->offset) != values)
            continue;
        if (modbus_read_registers(unit->bus, (int) (unit->base + group->offset), (int) group->size,
                                  unit->words + at) != (int) group->size)
            /* An exception is an answer: the unit or a value does not exist. */
            return errno > MODBUS_ENOBASE && errno < MODBUS_ENOBASE + MODBUS_EXCEPTION_MAX
                       ? NOT_HERE
                       : BROKEN;
        memset(unit->known + at, true, group->size);
    }
    return FOUND;
}

/* The bits of an alarm register; 0: unknown. */
static uint32_t bits_of(const struct unit *unit, const char *name)
{
    const double number = unit_number(unit, name);
    return isnan(number) ? 0 : (uint32_t) number;
}

static json_t *object_of(const struct unit *unit, int id, const char *state)
{
    char name[VALUE_NAME_SIZE], pack[TEXT_SIZE] = "";
    /* Two ASCII characters per register. Replaces control characters: an unknown device must not
     * spoil the terminal. */
    const unsigned at = map_row_find("pack_name")->offset - MAP_EXTENDED_OFFSET;
    for (unsigned i = 0; i < TEXT_SIZE - 1; i++) {
        const int c = unit->words[at + i / 2] >> (i % 2 ? 0 : 8) & 0xFF;
        pack[i] = isgraph(c) && !strchr("'|=\"\\", c) ? (char) c : ' ';
    }
    for (size_t i = TEXT_SIZE - 1; i > 0 && pack[i - 1] == ' '; i--)
        pack[i - 1] = '\0';
    json_t *object = json_pack("{s:s, s:i, s:s}", "pack", pack, "unit", id, "state", state);
    for (unsigned i = 0; i < map_row_count; i++) {
        const struct map_row *row = &map_rows[i];
        if (map_row_block(row) != EXTENDED ||
            row->offset >= MAP_EXTENDED_OFFSET + MAP_EXTENDED_SIZE || row->type == REG_STRING)
            continue;
        for (unsigned n = 0; n < row->count; n++) {
            const double value = number_at(unit, row, n);
            snprintf(name, sizeof name, row->count > 1 ? "%s.%u" : "%s", row->name, n + 1);
            if (!isnan(value))
                json_object_set_new(object, name, json_number(value, DECIMALS));
        }
    }
    json_object_set_new(
        object, "alarms",
        json_alarms(bits_of(unit, "alarms_warning"), bits_of(unit, "alarms_protection")));
    for (int i = 0; i < PACK_ALARM_COUNT && !isnan(unit_number(unit, "alarms_active")); i++)
        if (bits_of(unit, "alarms_known") >> i & 1) {
            snprintf(name, sizeof name, "alarm.%s", pack_alarm_name((enum pack_alarm) i));
            json_object_set_new(object, name,
                                json_integer(bits_of(unit, "alarms_active") >> i & 1));
        }
    return object;
}

static enum found read_unit(struct afar *afar, modbus_t *bus, int id, json_t **out)
{
    struct unit unit = {.bus = bus, .base = (unsigned) afar->base};
    modbus_set_slave(bus, id);
    enum found found = read_class(&unit, false);
    if (found != FOUND)
        return found;
    if (!is_packgate(&unit))
        return NOT_HERE;
    double state = unit_number(&unit, "connection_state");
    if (state == MAP_STATE_FRESH && (found = read_class(&unit, true)) != FOUND) {
        /* The values turned stale while they were read. */
        if (found == BROKEN)
            return BROKEN;
        state = MAP_STATE_STALE;
        memset(unit.known + map_row_find("voltage_v")->offset - MAP_EXTENDED_OFFSET, false,
               sizeof unit.known - (map_row_find("voltage_v")->offset - MAP_EXTENDED_OFFSET));
    }
    const bool known = state >= MAP_STATE_NEVER && state <= MAP_STATE_NO_LINE;
    *out =
        object_of(&unit, id, map_state_name(known ? (enum map_state)(int) state : MAP_STATE_NEVER));
    return FOUND;
}

static bool fail(struct afar *afar, const char *why)
{
    snprintf(afar->why, sizeof afar->why, "%s:%s: %s", afar->host, afar->port, why);
    return false;
}

static int unit_in(const char *wanted)
{
    char *end;
    const long unit = strtol(wanted, &end, 10);
    return *wanted && !*end && unit >= 1 && unit <= UNITS ? (int) unit : 0;
}

static bool is_wanted(const json_t *object, const char *wanted)
{
    return strcmp(json_string_value(json_object_get(object, "pack")), wanted) == 0 ||
           unit_in(wanted) == json_integer_value(json_object_get(object, "unit"));
}

/* Unit ids are read directly; names are searched among all units. */
static bool read_units(struct afar *afar, modbus_t *bus, const char *const *wanted, unsigned count,
                       json_t *list)
{
    bool all = count == 0;
    for (unsigned i = 0; i < count; i++)
        all |= unit_in(wanted[i]) == 0;
    for (int id = 1; id <= UNITS; id++) {
        bool asked = all, kept = count == 0;
        for (unsigned i = 0; i < count; i++)
            asked |= unit_in(wanted[i]) == id;
        json_t *object = NULL;
        if (asked && read_unit(afar, bus, id, &object) == BROKEN)
            return fail(afar, modbus_strerror(errno));
        for (unsigned i = 0; object && i < count; i++)
            kept |= is_wanted(object, wanted[i]);
        if (object && kept)
            json_array_append(list, object);
        json_decref(object);
    }
    for (unsigned i = 0; i < count; i++) {
        size_t n = 0;
        while (n < json_array_size(list) && !is_wanted(json_array_get(list, n), wanted[i]))
            n++;
        if (n < json_array_size(list))
            continue;
        snprintf(afar->why, sizeof afar->why, "%s:%s has no pack '%.40s'", afar->host, afar->port,
                 wanted[i]);
        return false;
    }
    return json_array_size(list) > 0 || fail(afar, "no unit answers like packgate");
}

json_t *afar_read(struct afar *afar, const char *const *wanted, unsigned count)
{
    const struct addrinfo stream = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    /* libmodbus reports an unknown name as a refused connection. */
    const int unknown = getaddrinfo(afar->host, afar->port, &stream, &found);
    if (unknown) {
        fail(afar, gai_strerror(unknown));
        return NULL;
    }
    freeaddrinfo(found);
    modbus_t *bus = modbus_new_tcp_pi(afar->host, afar->port);
    json_t *list = json_array();
    if (bus)
        modbus_set_response_timeout(bus, (uint32_t) afar->wait_s,
                                    (uint32_t) (fmod(afar->wait_s, 1) * 1e6));
    const bool connected = bus && list && modbus_connect(bus) == 0;
    const bool good = connected ? read_units(afar, bus, wanted, count, list)
                                : fail(afar, errno ? modbus_strerror(errno) : "cannot connect");
    modbus_close(bus);
    modbus_free(bus);
    if (good)
        return list;
    json_decref(list);
    return NULL;
}
