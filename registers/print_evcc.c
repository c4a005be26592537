// SPDX-License-Identifier: MIT
/*
 * A battery meter for evcc, of one pack: its power and its state of charge. The energy counters are
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

static void print_value(const struct map_settings *settings, const char *key,
                        const struct map_row *row, const char *scale, FILE *out)
{
    fprintf(out,
            "    %s:\n"
            "      source: modbus\n"
            "      uri: 192.0.2.1:502\n"
            "      id: 1\n"
            "      register:\n"
            "        address: %u # %s\n"
            "        type: holding\n"
            "        encoding: float32%s\n",
            key, (unsigned) settings->base + row->offset, row->name,
            map_row_high_first(settings, row) ? "" : "s");
    if (scale)
        fprintf(out, "      scale: %s\n", scale);
}

void print_evcc(const struct map_settings *settings, FILE *out)
{
    fputs(
        "# evcc: one pack behind packgate as a battery meter.\n"
        "# Printed by `packgate map --format evcc`; goes into evcc.yaml, its name into site.\n"
        "#\n"
        "# Change uri and, for another pack or a bank, id. Older releases want decode in place of\n"
        "# encoding. evcc counts discharging as positive, hence the scale; what the BMS does not\n"
        "# report is 0 there.\n"
        "meters:\n"
        "  - name: packgate_1\n"
        "    type: custom\n",
        out);
    for (size_t i = 0; i < COUNT(values); i++)
        for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
            if (map_row_block(row) == EXTENDED && strcmp(row->name, values[i].name) == 0)
                print_value(settings, values[i].key, row, values[i].scale, out);
}
