// SPDX-License-Identifier: MIT
/*
 * A battery meter for evcc, of each pack: its power and its state of charge. The energy counters are
 * left out, since evcc would take the pattern of an unknown one for a number.
 */
#include "map.h"

#include "print.h"

#include "bms/count.h"

#include <string.h>

// clang-format off
static const struct {
    const char *key, *name, *scale;
} values[] = {
    {"power", "power_w",     "-1"}, /* evcc: a battery that is discharged is positive */
    {"soc",   "soc_percent", NULL},
};
// clang-format on

static void print_value(const struct map_settings *settings, unsigned unit, const char *key,
                        const struct map_row *row, const char *scale, FILE *out)
{
    fprintf(out,
            "    %s:\n"
            "      source: modbus\n"
            "      uri: %s:%u\n"
            "      id: %u\n"
            "      register:\n"
            "        address: %u # %s\n"
            "        type: holding\n"
            "        encoding: float32%s\n",
            key, clients_of(settings)->host, clients_of(settings)->port, unit,
            (unsigned) settings->base + row->offset, row->name,
            map_row_high_first(settings, row) ? "" : "s");
    if (scale)
        fprintf(out, "      scale: %s\n", scale);
}

static void print_meter(const struct map_settings *settings, const struct map_unit *unit, FILE *out)
{
    fprintf(out, "  - name: packgate_%u%s%s\n    type: custom\n", unit->unit,
            clients_are_example(settings) ? "" : " # ",
            clients_are_example(settings) ? "" : unit->name);
    for (size_t i = 0; i < COUNT(values); i++)
        for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
            if (map_row_block(row) == EXTENDED && strcmp(row->name, values[i].name) == 0)
                print_value(settings, unit->unit, values[i].key, row, values[i].scale, out);
}

void print_evcc(const struct map_settings *settings, FILE *out)
{
    const struct map_clients *clients = clients_of(settings);
    fputs(clients_are_example(settings)
              ? "# evcc: one pack behind packgate as a battery meter.\n"
                "# Printed by `packgate map --format evcc`; goes into evcc.yaml, its name into "
                "site.\n"
                "#\n"
                "# Change uri and, for another pack or a bank, id. Older releases want decode in "
                "place of\n"
                "# encoding."
              : "# evcc: the packs and banks behind packgate as battery meters.\n"
                "# Printed by `packgate map --format evcc -c FILE`; goes into evcc.yaml, the names "
                "into site: a\n"
                "# bank, or its packs, but not both. Older releases want decode in place of\n"
                "# encoding.",
          out);
    fputs(" evcc counts discharging as positive, hence the scale; what the BMS does not\n"
          "# report is 0 there.\n"
          "meters:\n",
          out);
    for (unsigned n = 0; n < clients->count; n++)
        print_meter(settings, &clients->units[n], out);
}
