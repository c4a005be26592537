// SPDX-License-Identifier: MIT
/* The names in a template. */
#include "template_scope.h"

#include "value.h"

#include "bms/count.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define MEANING_SIZE 160

/* A name to look up, without its prefix and dot, and the destination of its value. */
struct wanted {
    const char *name;
    struct template_value *value;
};

/* Whether the name is this one; if so, prints its value. */
static bool __attribute__((format(printf, 3, 4)))
is(const struct wanted *wanted, const char *name, const char *format, ...)
{
    va_list arguments;
    if (strcmp(wanted->name, name) != 0)
        return false;
    va_start(arguments, format);
    vsnprintf(wanted->value->text, sizeof wanted->value->text, format, arguments);
    va_end(arguments);
    return true;
}

static const char *or_nothing(const char *text)
{
    return text ? text : "";
}

/* Whether a loop over numbers stands at one of the row's elements. */
static bool is_element(const struct template_scope *scope)
{
    return scope->row->count > 1 && scope->n > 0;
}

static const char *row_name(const struct template_scope *scope, char out[MEANING_SIZE])
{
    if (!is_element(scope))
        return scope->row->name;
    snprintf(out, MEANING_SIZE, "%s.%u", scope->row->name, scope->n);
    return out;
}

/* Its meaning up to the first comma. */
static const char *row_title(const struct map_row *row, char out[MEANING_SIZE])
{
    snprintf(out, MEANING_SIZE, "%.*s", (int) strcspn(row->meaning, ","), row->meaning);
    return out;
}

/* How many elements the unit has: as many cells and temperature sensors as are known. */
static unsigned known_elements(const struct template_scope *scope)
{
    const struct map_row *row = scope->row;
    if (!scope->unit || row->count == 1 || row->source != OF_PACK)
        return row->count;
    const unsigned known = row->id == CELL_MV ? scope->unit->cells : scope->unit->sensors;
    return known < row->count ? known : row->count;
}

/* The array of which a row is the average: it follows directly, in the same type. */
static const struct map_row *array_behind(const struct map_row *row)
{
    const struct map_row *next = row + 1;
    bool is = next < map_rows + map_row_count && next->count > 1 && next->type == row->type &&
              next->offset == row->offset + map_row_size(row);
    return is ? next : NULL;
}

/* Of an element: "raw alarm word 3, as in the protocol". */
static const char *row_meaning(const struct template_scope *scope, char out[MEANING_SIZE])
{
    const char *meaning = scope->row->meaning;
    const int title = (int) strcspn(meaning, ",");
    if (!is_element(scope))
        return meaning;
    snprintf(out, MEANING_SIZE, "%.*s %u%s", title, meaning, scope->n, meaning + title);
    return out;
}

static const char *word_order(const struct template_scope *scope)
{
    const struct map_row *row = scope->row;
    if (row->type == REG_STRING || map_types[row->type].registers == 1)
        return "";
    return map_row_high_first(scope->settings, row) ? "high first" : "low first";
}

static bool look_up_array(const struct template_scope *scope, const struct wanted *wanted)
{
    const struct map_row *array = array_behind(scope->row);
    char title[MEANING_SIZE] = "";
    unsigned known = 0;
    if (array && scope->unit)
        known = array->id == CELL_MV ? scope->unit->cells : scope->unit->sensors;
    return is(wanted, "array.name", "%s", array ? array->name : "") ||
           is(wanted, "array.title", "%s", array ? row_title(array, title) : "") ||
           is(wanted, "array.known", "%u", known);
}

static const char *row_block(const struct map_row *row)
{
    if (map_row_block(row) == COMPATIBILITY)
        return "compatibility";
    return row->offset < MAP_SETTINGS_OFFSET ? "extended" : "settings";
}

static const char *row_owner(const struct map_row *row)
{
    if (row->source == OF_BANK)
        return "bank";
    return row->source == OF_PACK ? "pack" : "gateway";
}

static int row_decimals(const struct map_row *row)
{
    return pack_value_info(row->source == OF_PACK ? (enum pack_value) row->id : TEMP_C)->decimals;
}

/* The pattern of an unknown integer, as the number that a client reads. */
static int64_t unknown_number(enum map_type type)
{
    const int64_t pattern = (int64_t) map_types[type].unknown;
    return type == REG_S16 ? pattern - 0x10000 : pattern;
}

/* The served unit: °F if the settings ask for it. */
static const char *row_unit(const struct template_scope *scope)
{
    const bool shown = scope->row->source == OF_STATE && scope->row->id == SHOWN_TEMP_AVG;
    return shown && scope->settings->fahrenheit ? "°F" : scope->row->unit;
}

/* Names about the position and form in the registers. */
static bool look_up_place(const struct template_scope *scope, const struct wanted *wanted)
{
    const struct map_row *row = scope->row;
    const unsigned offset = map_row_offset(row, is_element(scope) ? scope->n - 1 : 0);
    const bool none = row->type == REG_FLOAT32 || row->type == REG_STRING;
    return (none && is(wanted, "unknown", "%s", "")) || is(wanted, "offset", "%u", offset) ||
           is(wanted, "address", "%u", (unsigned) scope->settings->base + offset) ||
           is(wanted, "count", "%u", row->count) ||
           is(wanted, "known", "%u", known_elements(scope)) ||
           is(wanted, "registers", "%u", map_types[row->type].registers) ||
           is(wanted, "size", "%u", map_row_size(row)) ||
           is(wanted, "type", "%s", map_types[row->type].name) ||
           is(wanted, "high_first", "%d", map_row_high_first(scope->settings, row)) ||
           is(wanted, "word_order", "%s", word_order(scope)) ||
           is(wanted, "scale", "%g", row->scale) ||
           is(wanted, "access", "%s", map_row_access(scope->settings, row)) ||
           is(wanted, "unknown", "%" PRId64, unknown_number(row->type));
}

/* Names about the meaning. */
static bool look_up_row(const struct template_scope *scope, const struct wanted *wanted)
{
    const struct map_row *row = scope->row;
    const char *unit = row_unit(scope);
    char text[MEANING_SIZE];
    return is(wanted, "name", "%s", row_name(scope, text)) ||
           is(wanted, "title", "%s", row_title(row, text)) ||
           is(wanted, "meaning", "%s", row_meaning(scope, text)) ||
           is(wanted, "unit", "%s", unit) || is(wanted, "block", "%s", row_block(row)) ||
           is(wanted, "of", "%s", row_owner(row)) ||
           is(wanted, "decimals", "%d", row_decimals(row)) ||
           is(wanted, "device_class", "%s", or_nothing(meaning_device_class(row->name, unit))) ||
           is(wanted, "state_class", "%s",
              or_nothing(meaning_state_class(unit, row->type == REG_U32))) ||
           look_up_array(scope, wanted) || look_up_place(scope, wanted);
}

static bool look_up_unit(const struct template_scope *scope, const struct wanted *wanted)
{
    const struct map_unit *unit = scope->unit;
    return is(wanted, "name", "%s", unit->name) || is(wanted, "title", "%s", unit->title) ||
           is(wanted, "id", "%u", unit->unit) || is(wanted, "cells", "%u", unit->cells) ||
           is(wanted, "sensors", "%u", unit->sensors);
}

static bool group_has_arrays(const struct map_group *group)
{
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        if (map_group_has(group, row) && row->count > 1)
            return true;
    return false;
}

static bool look_up_group(const struct template_scope *scope, const struct wanted *wanted)
{
    const struct map_group *group = scope->group;
    return is(wanted, "title", "%s", group->title) || is(wanted, "offset", "%u", group->offset) ||
           is(wanted, "text", "%s", group->text) || is(wanted, "poll_s", "%u", group->poll_s) ||
           is(wanted, "has_arrays", "%d", group_has_arrays(group));
}

/* An alarm's is its name: "cell over voltage". */
static const char *bit_meaning(const struct map_bit *bit, char out[MEANING_SIZE])
{
    if (bit->meaning)
        return bit->meaning;
    snprintf(out, MEANING_SIZE, "%s", pack_alarm_name((enum pack_alarm) bit->id));
    for (char *c = out; *c; c++)
        if (*c == '_')
            *c = ' ';
    return out;
}

static bool look_up_bit(const struct template_scope *scope, const struct wanted *wanted)
{
    static const char *const owners[] = {
        [BIT_OF_ALARM] = "alarm", [BIT_OF_PACK] = "pack", [BIT_OF_STATE] = "state"};
    const struct map_bit *bit = scope->bit;
    char text[MEANING_SIZE];
    return is(wanted, "name", "%s", bit->name) || is(wanted, "number", "%u", bit->number) ||
           is(wanted, "of", "%s", owners[bit->source]) ||
           is(wanted, "access", "%s", map_access(scope->settings, bit->class)) ||
           is(wanted, "meaning", "%s", bit_meaning(bit, text));
}

static bool look_up_connection(const struct template_scope *scope, const struct wanted *wanted)
{
    const struct map_mqtt *mqtt = scope->connection;
    return is(wanted, "number", "%u", mqtt->connection + 1) ||
           is(wanted, "name", "%s", mqtt->name) || is(wanted, "host", "%s", mqtt->host) ||
           is(wanted, "port", "%u", mqtt->port) || is(wanted, "tls", "%d", mqtt->tls) ||
           is(wanted, "user", "%s", mqtt->user) ||
           is(wanted, "has_password", "%d", mqtt->password != NULL) ||
           is(wanted, "password", "%s", or_nothing(mqtt->password));
}

static bool look_up_dashboard(const struct template_scope *scope, const struct wanted *wanted)
{
    const struct map_mqtt *mqtt = scope->dashboard;
    return is(wanted, "number", "%u", mqtt->dashboard + 1) ||
           is(wanted, "topic", "%s", mqtt->topic) || is(wanted, "pack", "%s", mqtt->pack) ||
           is(wanted, "cells", "%u", mqtt->cells) || is(wanted, "switching", "%d", mqtt->switching);
}

static bool look_up_gateway(const struct template_scope *scope, const struct wanted *wanted)
{
    return is(wanted, "host", "%s", scope->clients->host) ||
           is(wanted, "port", "%u", scope->clients->port) ||
           is(wanted, "version", "%d", MAP_VERSION) ||
           is(wanted, "base", "%d", scope->settings->base) ||
           (!map_has_copy(scope->settings) && is(wanted, "also_at", "%s", "")) ||
           is(wanted, "also_at", "%d", scope->settings->also_at) ||
           is(wanted, "writable", "%d", scope->settings->writable) ||
           is(wanted, "high_first", "%d", scope->settings->big_floats) ||
           is(wanted, "inputs", "%d", MAP_INPUTS) ||
           is(wanted, "example", "%d", !scope->settings->clients) ||
           is(wanted, "format", "%s", scope->format) || is(wanted, "first", "%d", scope->first) ||
           is(wanted, "last", "%d", scope->last) ||
           (scope->n > 0 && is(wanted, "n", "%u", scope->n));
}

/* A loop over them has the name that their values have before the dot. */
static const struct {
    const char *name;
    bool (*look_up)(const struct template_scope *scope, const struct wanted *wanted);
    size_t at; /* offset of the pointer to the item that a loop is at */
} kinds[] = {
    [LOOP_UNITS] = {"unit", look_up_unit, offsetof(struct template_scope, unit)},
    [LOOP_GROUPS] = {"group", look_up_group, offsetof(struct template_scope, group)},
    [LOOP_ROWS] = {"row", look_up_row, offsetof(struct template_scope, row)},
    [LOOP_INPUTS] = {"input", look_up_bit, offsetof(struct template_scope, bit)},
    [LOOP_COILS] = {"coil", look_up_bit, offsetof(struct template_scope, bit)},
    [LOOP_CONNECTIONS] = {"connection", look_up_connection,
                          offsetof(struct template_scope, connection)},
    [LOOP_DASHBOARDS] = {"dashboard", look_up_dashboard,
                         offsetof(struct template_scope, dashboard)},
    [LOOP_NUMBERS] = {"n", NULL, 0},
};

bool template_look_up(const struct template_scope *scope, const char *name,
                      struct template_value *value)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        const size_t size = strlen(kinds[i].name);
        const void *item;
        if (!kinds[i].look_up || strncmp(name, kinds[i].name, size) != 0 || name[size] != '.')
            continue;
        memcpy(&item, (const char *) scope + kinds[i].at, sizeof item);
        return item && kinds[i].look_up(scope, &(const struct wanted){name + size + 1, value});
    }
    return look_up_gateway(scope, &(const struct wanted){name, value});
}

bool template_loop_find(const char *name, enum template_loop *loop)
{
    unsigned i = 0;
    while (i < COUNT(kinds) && strcmp(name, kinds[i].name) != 0)
        i++;
    *loop = (enum template_loop) i;
    return i < COUNT(kinds);
}

bool template_loop_enter(struct template_scope *scope, enum template_loop loop, unsigned n,
                         bool *over)
{
    const struct map_clients *clients = scope->clients;
    const struct {
        const void *first;
        size_t size;
        unsigned count;
    } items[] = {
        [LOOP_UNITS] = {clients->units, sizeof *clients->units, clients->count},
        [LOOP_GROUPS] = {map_groups, sizeof *map_groups, map_group_count},
        [LOOP_ROWS] = {map_rows, sizeof *map_rows, map_row_count},
        [LOOP_INPUTS] = {map_inputs, sizeof *map_inputs, map_input_count},
        [LOOP_COILS] = {map_coils, sizeof *map_coils, map_coil_count},
        [LOOP_CONNECTIONS] = {clients->mqtts, sizeof *clients->mqtts, clients->mqtt_count},
        [LOOP_DASHBOARDS] = {clients->mqtts, sizeof *clients->mqtts, clients->mqtt_count},
        [LOOP_NUMBERS] = {NULL, 0, (unsigned) -1},
    };
    *over = n >= items[loop].count;
    if (*over)
        return false;
    if (loop == LOOP_NUMBERS) {
        scope->n = n + 1;
        return true;
    }
    const void *item = (const char *) items[loop].first + n * items[loop].size;
    memcpy((char *) scope + kinds[loop].at, &item, sizeof item);
    switch (loop) {
    case LOOP_ROWS:
        return !scope->group || map_group_has(scope->group, scope->row);
    case LOOP_CONNECTIONS: /* sections with the same broker are one: that of the first of them */
        return scope->connection->dashboard == 0;
    case LOOP_DASHBOARDS:
        return !scope->connection || scope->connection->connection == scope->dashboard->connection;
    default:
        return true;
    }
}
