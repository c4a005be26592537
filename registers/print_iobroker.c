// SPDX-License-Identifier: MIT
/*
 * The table of holding registers for ioBroker's Modbus adapter, to be pasted into its import
 * dialog: one line a value, of each pack. Floats tell what is unknown by their NaN, which the
 * adapter skips; integers cannot, so a formula makes null of their pattern.
 */
#include "map.h"

#include "print.h"

#include <inttypes.h>

/* The registers' types as ioBroker calls them, low word first and high word first. */
static const char *const types[MAP_TYPES][2] = {
    [REG_U16] = {"uint16be", "uint16be"}, [REG_S16] = {"int16be", "int16be"},
    [REG_U32] = {"uint32sw", "uint32be"}, [REG_FLOAT32] = {"floatsw", "floatbe"},
    [REG_STRING] = {"string", "string"},
};

/* Names are parts of an object id there: no dots. */
static void print_name(const struct map_unit *unit, const char *name, FILE *out)
{
    fprintf(out, "%s_", unit->name);
    for (const char *c = name; *c; c++)
        fputc(*c == '.' ? '_' : *c, out);
}

static void print_row(const struct map_settings *settings, const struct map_unit *unit,
                      const struct map_row *row, unsigned n, FILE *out)
{
    char name[VALUE_NAME_SIZE], title[MEANING_SIZE];
    fprintf(out, "%u\t%u\t", (unsigned) settings->base + map_row_offset(row, n), unit->unit);
    print_name(unit, element_name(row, n, name), out);
    fprintf(out, "\t%s %s\t%s\t%s\t%u\t1\t0\t", unit->name, row_title(row, title),
            map_row_unit(settings, row), types[row->type][map_row_high_first(settings, row)],
            map_types[row->type].registers);
    if (row->type != REG_FLOAT32 && row->type != REG_STRING)
        fprintf(out, "x === %" PRId64 " ? null : x", map_unknown(row->type));
    fprintf(out, "\t%s\t\ttrue\tfalse\tfalse\tfalse\n", row->type == REG_STRING ? "text" : "value");
}

void print_iobroker(const struct map_settings *settings, FILE *out)
{
    const struct map_clients *clients = clients_of(settings);
    fputs("_address\tdeviceId\tname\tdescription\tunit\ttype\tlen\tfactor\toffset\tformula\trole\t"
          "room\tpoll\twp\tcw\tisScale\n",
          out);
    for (unsigned u = 0; u < clients->count; u++)
        for (const struct map_group *group = map_groups; group < map_groups + map_group_count;
             group++)
            for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
                for (unsigned n = 0; row_is_polled(group, row) && types[row->type][0] &&
                                     n < unit_elements(&clients->units[u], row);
                     n++)
                    print_row(settings, &clients->units[u], row, n, out);
}
