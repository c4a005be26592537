// SPDX-License-Identifier: MIT
/*
 * The map for programs, as JSON and as CSV: one object or line for each value with an address of
 * its own, so array elements are listed one by one.
 */
#include "map.h"

#include "print.h"

#include "bms/count.h"

#include <jansson.h>
#include <string.h>

/* One value with everything that any format prints. */
struct item {
    const char *table, *block;
    unsigned address, offset;
    const char *name, *type;
    unsigned count;
    const char *unit;
    double scale;
    const char *access;
    const char *word_order; /* "low first", "high first"; "" for a single word, or text */
    const char *description;
};
typedef void item_handler(const struct item *item, void *context);

unsigned unit_elements(const struct map_unit *unit, const struct map_row *row)
{
    unsigned known = row->count;
    if (row->count > 1 && row->source == OF_PACK && row->id == CELL_MV)
        known = unit->cells;
    if (row->count > 1 && row->source == OF_PACK && row->id == TEMP_C)
        known = unit->sensors;
    return known < row->count ? known : row->count;
}

const char *element_name(const struct map_row *row, unsigned n, char out[VALUE_NAME_SIZE])
{
    if (row->count > 1)
        snprintf(out, VALUE_NAME_SIZE, "%s.%u", row->name, n + 1);
    else
        snprintf(out, VALUE_NAME_SIZE, "%s", row->name);
    return out;
}

const char *row_title(const struct map_row *row, char out[MEANING_SIZE])
{
    snprintf(out, MEANING_SIZE, "%.*s", (int) strcspn(row->meaning, ","), row->meaning);
    return out;
}

/* The number of an element is inserted into its title: "raw alarm word 3, as in the protocol". */
static const char *element_meaning(const struct map_row *row, unsigned n, char out[MEANING_SIZE])
{
    int title = (int) strcspn(row->meaning, ",");
    if (row->count > 1)
        snprintf(out, MEANING_SIZE, "%.*s %u%s", title, row->meaning, n + 1, row->meaning + title);
    else
        snprintf(out, MEANING_SIZE, "%s", row->meaning);
    return out;
}

const char *bit_meaning(const struct map_bit *bit, char out[MEANING_SIZE])
{
    const char *words = bit->meaning ? bit->meaning : pack_alarm_name((enum pack_alarm) bit->id);
    snprintf(out, MEANING_SIZE, "%s", words);
    if (!bit->meaning)
        for (char *c = out; *c; c++)
            if (*c == '_')
                *c = ' ';
    return out;
}

static const char *word_order(const struct map_settings *settings, const struct map_row *row)
{
    if (row->type == REG_STRING || map_types[row->type].registers == 1)
        return "";
    return map_row_high_first(settings, row) ? "high first" : "low first";
}

const char *map_block_name(const struct map_row *row)
{
    if (map_row_block(row) == COMPATIBILITY)
        return "compatibility";
    return row->offset < MAP_SETTINGS_OFFSET ? "extended" : "settings";
}

static void each_register(const struct map_settings *settings, item_handler *handle, void *context)
{
    char name[VALUE_NAME_SIZE], meaning[MEANING_SIZE];
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++) {
        for (unsigned n = 0; n < row->count; n++) {
            struct item item = {
                .table = "holding",
                .block = map_block_name(row),
                .address = (unsigned) settings->base + map_row_offset(row, n),
                .offset = map_row_offset(row, n),
                .name = element_name(row, n, name),
                .type = map_types[row->type].name,
                .count = map_types[row->type].registers,
                .unit = map_row_unit(settings, row),
                .scale = row->scale,
                .access = map_row_access(settings, row),
                .word_order = word_order(settings, row),
                .description = element_meaning(row, n, meaning),
            };
            handle(&item, context);
        }
    }
}

static void each_bit(const struct map_settings *settings, const char *table,
                     const struct map_bit *bits, unsigned count, item_handler *handle,
                     void *context)
{
    char meaning[MEANING_SIZE];
    for (const struct map_bit *bit = bits; bit < bits + count; bit++) {
        struct item item = {
            .table = table,
            .block = table,
            .address = bit->number,
            .offset = bit->number,
            .name = bit->name,
            .type = "bit",
            .count = 1,
            .unit = "",
            .scale = 1,
            .access = map_access(settings, bit->class),
            .word_order = "",
            .description = bit_meaning(bit, meaning),
        };
        handle(&item, context);
    }
}

static void append_json(const struct item *item, void *context)
{
    json_t *object =
        json_pack("{s:s s:s s:i s:i s:s s:s s:i s:s s:f s:s s:s s:s}", "table", item->table,
                  "block", item->block, "address", (int) item->address, "offset",
                  (int) item->offset, "name", item->name, "type", item->type, "count",
                  (int) item->count, "unit", item->unit, "scale", item->scale, "access",
                  item->access, "word_order", item->word_order, "description", item->description);
    json_array_append_new(context, object);
}

/* Registers only: bits have a separate address space, which a program that reads this as one list
 * would mix up. */
void print_json(const struct map_settings *settings, FILE *out)
{
    json_t *array = json_array();
    each_register(settings, append_json, array);
    json_dumpf(array, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(array);
}

/* Quotes all texts, because descriptions contain commas. */
static void print_csv_line(const struct item *item, void *context)
{
    fprintf(context, "%s,%s,%u,%u,%s,%s,%u,\"%s\",%g,%s,%s,\"%s\"\n", item->table, item->block,
            item->address, item->offset, item->name, item->type, item->count, item->unit,
            item->scale, item->access, item->word_order, item->description);
}

void print_csv(const struct map_settings *settings, FILE *out)
{
    fputs("table,block,address,offset,name,type,count,unit,scale,access,word_order,description\n",
          out);
    each_register(settings, print_csv_line, out);
    each_bit(settings, "discrete", map_inputs, map_input_count, print_csv_line, out);
    each_bit(settings, "coil", map_coils, map_coil_count, print_csv_line, out);
}

const struct map_clients *clients_of(const struct map_settings *settings)
{
    static const struct map_unit unit = {
        .name = "Battery", .title = "Battery", .unit = 1, .cells = 16, .sensors = 4};
    static const struct map_clients example = {
        .host = "192.0.2.1", .port = 502, .units = &unit, .count = 1};
    return settings->clients ? settings->clients : &example;
}

bool clients_are_example(const struct map_settings *settings)
{
    return !settings->clients;
}
