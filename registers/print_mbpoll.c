// SPDX-License-Identifier: MIT
/*
 * One mbpoll command for each row of the map, an array as one read, and one for the discrete
 * inputs: to be copied into a shell.
 */
#include "map.h"

#include "print.h"

/* The registers' types as mbpoll calls them. What it has no type for comes register by register. */
static const char *const types[] = {
    [REG_U16] = "4",          [REG_S16] = "4",           [REG_U32] = "4:int",
    [REG_U32_HIGH] = "4:int", [REG_FLOAT32] = "4:float", [REG_STRING] = "4:hex",
    [REG_BITS16] = "4:hex",   [REG_BITS32] = "4:hex",    [REG_BITS64] = "4:hex",
};

static bool is_wide(const struct map_row *row)
{
    return row->type == REG_U32 || row->type == REG_U32_HIGH || row->type == REG_FLOAT32;
}

static void print_row(const struct map_settings *settings, const struct map_row *row, FILE *out)
{
    char title[MEANING_SIZE];
    const char *unit = map_row_unit(settings, row);
    fprintf(out, "mbpoll -m tcp -1 -0 -a 1 %s-t %s -r %u -c %u 192.0.2.1  # %s: %s%s%s\n",
            is_wide(row) && map_row_high_first(settings, row) ? "-B " : "", types[row->type],
            (unsigned) settings->base + row->offset, is_wide(row) ? row->count : map_row_size(row),
            row->name, row_title(row, title), *unit ? ", " : "", unit);
}

void print_mbpoll(const struct map_settings *settings, FILE *out)
{
    fputs("# mbpoll: one command for each value behind packgate.\n"
          "# Printed by `packgate map --format mbpoll`. Change the address at the end and, for\n"
          "# another pack, -a. A number in brackets is the same register taken as signed.\n",
          out);
    for (const struct map_group *group = map_groups; group < map_groups + map_group_count;
         group++) {
        fprintf(out, "\n# %s\n", group->title);
        for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
            if (map_group_has(group, row))
                print_row(settings, row, out);
    }
    fprintf(out,
            "\n# Discrete inputs\n"
            "mbpoll -m tcp -1 -0 -a 1 -t 1 -r 0 -c %d 192.0.2.1  # alarms and states\n",
            MAP_INPUTS);
}
