// SPDX-License-Identifier: MIT
/*
 * A configuration for Telegraf's Modbus input, of each pack, one request a group. Telegraf knows no
 * unknown value: a processor behind the input drops the fields whose registers say so, or 65535 mV
 * would be stored as a measurement.
 */
#include "map.h"

#include "print.h"

#include <inttypes.h>

/* The registers' types as Telegraf calls them; others are left out. */
static const char *const types[] = {
    [REG_U16] = "UINT16",      [REG_S16] = "INT16",   [REG_U32] = "UINT32",
    [REG_FLOAT32] = "FLOAT32", [REG_STRING] = NULL,   [REG_BITS16] = NULL,
    [REG_BITS32] = NULL,       [REG_U32_HIGH] = NULL, [REG_BITS64] = NULL,
};

static bool is_field(const struct map_group *group, const struct map_row *row)
{
    return row_is_polled(group, row) && types[row->type];
}

static void print_head(const struct map_settings *settings, FILE *out)
{
    fputs(clients_are_example(settings)
              ? "# Telegraf, Modbus input: one pack behind packgate.\n"
                "# Printed by `packgate map --format telegraf`; goes into "
                "/etc/telegraf/telegraf.d.\n"
                "#\n"
                "# Change controller and, for another pack, slave_id in each request and the tag "
                "pack.\n"
              : "# Telegraf, Modbus input: the packs and banks behind packgate.\n"
                "# Printed by `packgate map --format telegraf -c FILE`; goes into "
                "/etc/telegraf/telegraf.d.\n",
          out);
}

static void print_input(const struct map_settings *settings, const struct map_unit *unit, FILE *out)
{
    const struct map_clients *clients = clients_of(settings);
    char number[16];
    snprintf(number, sizeof number, "%u", unit->unit);
    fprintf(out,
            "[[inputs.modbus]]\n"
            "  name = \"packgate\"\n"
            "  controller = \"tcp://%s:%u\"\n"
            "  timeout = \"5s\"\n"
            "  configuration_type = \"request\"\n"
            "  tags = {pack = \"%s\"}\n",
            clients->host, clients->port, clients_are_example(settings) ? number : unit->name);
}

static void print_request(unsigned unit, const char *title, const char *byte_order,
                          const char *kind, FILE *out)
{
    fprintf(out,
            "\n"
            "  # %s\n"
            "  [[inputs.modbus.request]]\n"
            "    slave_id = %u\n"
            "    byte_order = \"%s\"\n"
            "    register = \"%s\"\n"
            "    measurement = \"packgate\"\n"
            "    fields = [\n",
            title, unit, byte_order, kind);
}

static void print_field(const struct map_settings *settings, const struct map_unit *unit,
                        const struct map_row *row, FILE *out)
{
    char name[VALUE_NAME_SIZE];
    unsigned count = clients_are_example(settings) ? row->count : unit_elements(unit, row);
    for (unsigned n = 0; n < count; n++)
        fprintf(out, "      {address = %u, name = \"%s\", type = \"%s\"},\n",
                (unsigned) settings->base + map_row_offset(row, n), element_name(row, n, name),
                types[row->type]);
}

static void print_group(const struct map_settings *settings, const struct map_unit *unit,
                        const struct map_group *group, FILE *out)
{
    unsigned fields = 0;
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++) {
        if (!is_field(group, row))
            continue;
        if (fields++ == 0)
            print_request(unit->unit, group->title, settings->big_floats ? "ABCD" : "CDAB",
                          "holding", out);
        print_field(settings, unit, row, out);
    }
    if (fields > 0)
        fputs("    ]\n", out);
}

/* Not the switches: a bit cannot say that the BMS does not report them. */
static void print_inputs(unsigned unit, FILE *out)
{
    print_request(unit, "Alarms and states", "ABCD", "discrete", out);
    for (const struct map_bit *bit = map_inputs; bit < map_inputs + map_input_count; bit++)
        if (bit->source != BIT_OF_PACK)
            fprintf(out, "      {address = %u, name = \"%s\"},\n", bit->number, bit->name);
    fputs("    ]\n", out);
}

static void print_processor(FILE *out)
{
    fputs("\n"
          "# What the BMS does not report is dropped, not stored as a number.\n"
          "[[processors.starlark]]\n"
          "  namepass = [\"packgate\"]\n"
          "  source = '''\n"
          "UNKNOWN = {\n",
          out);
    for (const struct map_group *group = map_groups; group < map_groups + map_group_count; group++)
        for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
            if (is_field(group, row) && row->type != REG_FLOAT32)
                fprintf(out, "    \"%s\": %" PRId64 ",\n", row->name, map_unknown(row->type));
    fputs("}\n"
          "\n"
          "def apply(metric):\n"
          "    for name, value in metric.fields.items():\n"
          "        is_nan = type(value) == \"float\" and str(value).lower() == \"nan\"\n"
          "        if is_nan or value == UNKNOWN.get(name.split(\".\")[0]):\n"
          "            metric.fields.pop(name)\n"
          "    return metric\n"
          "'''\n",
          out);
}

void print_telegraf(const struct map_settings *settings, FILE *out)
{
    const struct map_clients *clients = clients_of(settings);
    print_head(settings, out);
    for (unsigned n = 0; n < clients->count; n++) {
        if (n > 0)
            fputc('\n', out);
        print_input(settings, &clients->units[n], out);
        for (const struct map_group *group = map_groups; group < map_groups + map_group_count;
             group++)
            print_group(settings, &clients->units[n], group, out);
        print_inputs(clients->units[n].unit, out);
    }
    print_processor(out);
}
