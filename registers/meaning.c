// SPDX-License-Identifier: MIT
/* Titles and classes of values, for programs that show them. */
#include "meaning.h"

#include "rows.h"

#include "bms/count.h"

#include <ctype.h>
#include <string.h>

// clang-format off
static const struct {
    const char *unit, *device_class, *state_class;
} classes[] = {
    {"V",  "voltage",     "measurement"},
    {"mV", "voltage",     "measurement"},
    {"A",  "current",     "measurement"},
    {"W",  "power",       "measurement"},
    {"°C", "temperature", "measurement"},
    {"s",  "duration",    "measurement"},
    {"Wh", "energy",      "total_increasing"},
    {"%",  NULL,          "measurement"},
    {"Ah", NULL,          "measurement"},
};
// clang-format on

const char *meaning_device_class(const char *name, const char *unit)
{
    if (strcmp(name, "soc_percent") == 0)
        return "battery";
    for (size_t i = 0; i < COUNT(classes); i++)
        if (strcmp(classes[i].unit, unit) == 0)
            return classes[i].device_class;
    return NULL;
}

const char *meaning_state_class(const char *unit, bool is_counter)
{
    for (size_t i = 0; i < COUNT(classes); i++)
        if (strcmp(classes[i].unit, unit) == 0)
            return classes[i].state_class;
    return is_counter ? "total_increasing" : NULL;
}

static int decimals_of(const struct map_row *row)
{
    if (row->source == OF_PACK)
        return pack_value_info((enum pack_value) row->id)->decimals;
    return row->type == REG_FLOAT32 ? pack_value_info(TEMP_C)->decimals : 0;
}

static void describe_row(const struct map_row *row, struct meaning *meaning)
{
    snprintf(meaning->title, sizeof meaning->title, "%.*s", (int) strcspn(row->meaning, ","),
             row->meaning);
    meaning->title[0] = (char) toupper((unsigned char) meaning->title[0]);
    meaning->unit = row->unit;
    meaning->decimals = decimals_of(row);
    meaning->device_class = meaning_device_class(row->name, row->unit);
    meaning->state_class = meaning_state_class(row->unit, row->type == REG_U32);
}

bool meaning_find(const char *name, struct meaning *meaning)
{
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        if (strcmp(row->name, name) == 0 && map_row_block(row) == EXTENDED) {
            describe_row(row, meaning);
            return true;
        }
    return false;
}
