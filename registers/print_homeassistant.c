// SPDX-License-Identifier: MIT
/*
 * A configuration for Home Assistant's Modbus integration, of all packs, in three sizes. What is
 * unknown stays unknown there: floats by their NaN, integers by nan_value. Cells and temperatures
 * are one request each, by virtual_count from the average on. Alarms come as binary sensors; the
 * switches do not, since a bit cannot say that the BMS does not report them.
 */
#include "map.h"

#include "meaning.h"
#include "print.h"

#include "bms/count.h"

#include <string.h>

// clang-format off
/* The registers' types as Home Assistant calls them; others are left out. */
static const struct {
    const char *data_type, *nan_value;
} types[] = {
    [REG_U16]     = {"uint16",  "0xFFFF"},
    [REG_S16]     = {"int16",   "0x8000"},
    [REG_U32]     = {"uint32",  "0xFFFFFFFF"},
    [REG_FLOAT32] = {"float32", NULL},
    [REG_STRING]  = {"string",  NULL},
    [REG_BITS64]  = {NULL,      NULL},
};
// clang-format on

enum size { BASIC, CELLS, EVERYTHING };

static const char *const formats[] = {
    [BASIC] = "homeassistant-basic",
    [CELLS] = "homeassistant-cells",
    [EVERYTHING] = "homeassistant",
};

/* What one looks at every day. */
static const char *const basic[] = {
    "connection_state", "voltage_v",   "current_a",   "power_w",       "soc_percent", "charged_wh",
    "discharged_wh",    "cell_max_mv", "cell_min_mv", "cell_delta_mv", "temp_max_c",  "temp_min_c",
};

static bool is_basic(const struct map_row *row)
{
    for (size_t i = 0; i < COUNT(basic); i++)
        if (strcmp(row->name, basic[i]) == 0)
            return true;
    return false;
}

static void print_head(const struct map_settings *settings, enum size size, FILE *out)
{
    const struct map_clients *clients = clients_of(settings);
    bool example = clients_are_example(settings);
    fprintf(out,
            "# Home Assistant, Modbus integration: %s.\n"
            "# Printed by `packgate map --format %s%s`; goes into configuration.yaml.\n"
            "#\n"
            "%s"
            "%smodbus:\n"
            "  - name: packgate\n"
            "    type: tcp\n"
            "    host: %s\n"
            "    port: %u\n"
            "    timeout: 5\n"
            "    sensors:\n",
            example ? "one pack behind packgate" : "the packs and banks behind packgate",
            formats[size], example ? "" : " -c FILE",
            example ? "# Change host and, for another pack, device_address, the names and the "
                      "unique_ids.\n"
                    : "# device_address is the unit of the pack or the bank.\n",
            size == BASIC
                ? ""
                : "# virtual_count: the number of cells and of temperature sensors of the pack.\n",
            clients->host, clients->port);
}

static void print_classes(const struct map_settings *settings, const struct map_row *row, FILE *out)
{
    const char *unit = map_row_unit(settings, row);
    const char *device_class = meaning_device_class(row->name, unit);
    const char *state_class = meaning_state_class(unit, row->type == REG_U32);
    if (*unit)
        fprintf(out, "        unit_of_measurement: \"%s\"\n", unit);
    if (device_class)
        fprintf(out, "        device_class: %s\n", device_class);
    if (state_class)
        fprintf(out, "        state_class: %s\n", state_class);
}

static void print_type(const struct map_settings *settings, const struct map_row *row, FILE *out)
{
    fprintf(out, "        data_type: %s\n", types[row->type].data_type);
    if (row->type == REG_STRING)
        fprintf(out, "        count: %u\n", map_row_size(row));
    else if (map_types[row->type].registers > 1 && !map_row_high_first(settings, row))
        fputs("        swap: word\n", out);
    const enum pack_value id = row->source == OF_PACK ? (enum pack_value) row->id : TEMP_C;
    if (row->type == REG_FLOAT32)
        fprintf(out, "        precision: %d\n", pack_value_info(id)->decimals);
    if (types[row->type].nan_value)
        fprintf(out, "        nan_value: %s\n", types[row->type].nan_value);
}

/* An array is printed with the single row right before it, its average, as the sensor that the
 * numbered ones follow. */
static void print_sensor(const struct map_settings *settings, const struct map_unit *unit,
                         const struct map_row *row, const struct map_row *array, unsigned scan_s,
                         FILE *out)
{
    unsigned elements = !array ? 0 : array->id == CELL_MV ? unit->cells : unit->sensors;
    const struct map_row *named = elements > 0 ? array : row;
    char title[MEANING_SIZE];
    fprintf(out,
            "      - name: \"%s %s\"\n"
            "        unique_id: packgate_%u_%s\n"
            "        device_address: %u\n"
            "        address: %u\n"
            "        input_type: holding\n"
            "        scan_interval: %u\n",
            unit->name, row_title(named, title), unit->unit, named->name, unit->unit,
            (unsigned) settings->base + row->offset, scan_s);
    print_type(settings, row, out);
    if (elements > 0)
        fprintf(out, "        virtual_count: %u\n", elements);
    print_classes(settings, row, out);
}

static bool is_array_behind(const struct map_row *row, const struct map_row *next)
{
    return next < map_rows + map_row_count && next->count > 1 && next->type == row->type &&
           next->offset == row->offset + map_row_size(row);
}

/* The middle size has everything of the groups with cells and temperature sensors. */
static bool group_has_arrays(const struct map_group *group)
{
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        if (map_group_has(group, row) && row->count > 1)
            return true;
    return false;
}

static bool is_sensor(enum size size, const struct map_group *group, const struct map_row *row)
{
    if (!row_is_polled(group, row) || row->count > 1 || !types[row->type].data_type)
        return false;
    return size == EVERYTHING || is_basic(row) || (size == CELLS && group_has_arrays(group));
}

static void print_group(const struct map_settings *settings, enum size size,
                        const struct map_unit *unit, const struct map_group *group, FILE *out)
{
    unsigned sensors = 0;
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++) {
        if (!is_sensor(size, group, row))
            continue;
        if (sensors++ == 0)
            fprintf(out, "      # %s\n", group->title);
        const struct map_row *array = is_array_behind(row, row + 1) ? row + 1 : NULL;
        print_sensor(settings, unit, row, array, group->poll_s, out);
    }
}

static const char *bit_device_class(const struct map_bit *bit)
{
    if (bit->source == BIT_OF_ALARM)
        return "problem";
    switch (bit->id) {
    case IS_FRESH:
        return "connectivity";
    case IS_CHARGING:
        return "battery_charging";
    case IS_DISCHARGING:
        return "running";
    default:
        return "problem";
    }
}

static void print_binary_sensor(const struct map_unit *unit, const struct map_bit *bit, FILE *out)
{
    char name[MEANING_SIZE];
    snprintf(name, sizeof name, "%s", bit->name);
    for (char *c = name; *c; c++)
        if (*c == '_' || *c == '.')
            *c = ' ';
    fprintf(out,
            "      - name: \"%s %s\"\n"
            "        unique_id: packgate_%u_input_%u\n"
            "        device_address: %u\n"
            "        address: %u\n"
            "        input_type: discrete_input\n"
            "        scan_interval: 10\n"
            "        device_class: %s\n",
            unit->name, name, unit->unit, bit->number, unit->unit, bit->number,
            bit_device_class(bit));
}

/* The smaller sizes have the states and "any alarm", not each alarm. */
static bool is_binary_sensor(enum size size, const struct map_bit *bit)
{
    return bit->source == BIT_OF_STATE || (size == EVERYTHING && bit->source == BIT_OF_ALARM);
}

static void print_size(const struct map_settings *settings, enum size size, FILE *out)
{
    const struct map_clients *clients = clients_of(settings);
    print_head(settings, size, out);
    for (unsigned n = 0; n < clients->count; n++)
        for (const struct map_group *group = map_groups; group < map_groups + map_group_count;
             group++)
            print_group(settings, size, &clients->units[n], group, out);
    fputs("    binary_sensors:\n", out);
    for (unsigned n = 0; n < clients->count; n++)
        for (const struct map_bit *bit = map_inputs; bit < map_inputs + map_input_count; bit++)
            if (is_binary_sensor(size, bit))
                print_binary_sensor(&clients->units[n], bit, out);
}

void print_homeassistant(const struct map_settings *settings, FILE *out)
{
    print_size(settings, EVERYTHING, out);
}

void print_homeassistant_basic(const struct map_settings *settings, FILE *out)
{
    print_size(settings, BASIC, out);
}

void print_homeassistant_cells(const struct map_settings *settings, FILE *out)
{
    print_size(settings, CELLS, out);
}
