// SPDX-License-Identifier: MIT
/*
 * A descriptor for Tasmota's smart meter interface over TCP, of one pack. Tasmota sends the blocks
 * in turn, compares the head of each reply with those lines that name the block sent last, and
 * takes a value where the head fits. An exception fits no line and the last value stays, hence the
 * state, in a block of its own that can always be read. A late reply meets the lines of the next
 * block, hence blocks of different lengths.
 */
#include "map.h"

#include "print.h"

#include <string.h>

#define MAX_READ 125
#define HEAD_SIZE 9 /* of a reply: MBAP header with the unit id, function, number of bytes */

/* The registers' types as Tasmota calls them, and how many decimals it shows. */
static const struct {
    const char *low_first, *high_first;
    unsigned decimals;
} types[] = {
    [REG_U16] = {"UUuu", "UUuu", 0},
    [REG_S16] = {"SSss", "SSss", 0},
    [REG_U32] = {"UUuuUUuus", "UUuuUUuu", 0},
    [REG_FLOAT32] = {"FFffFFff", "ffffffff", 2},
};

/* What one looks at every day, as much as fits an ESP8266. Arrays, by their usual number of
 * elements, are printed as comments. */
static const struct {
    const char *name;
    unsigned elements;
} values[] = {
    {"connection_state", 1}, {"age_s", 1},         {"polls", 1},       {"voltage_v", 1},
    {"current_a", 1},        {"power_w", 1},       {"soc_percent", 1}, {"remaining_ah", 1},
    {"charged_wh", 1},       {"discharged_wh", 1}, {"charge_mos", 1},  {"discharge_mos", 1},
    {"alarm_level", 1},      {"cell_max_mv", 1},   {"cell_min_mv", 1}, {"cell_delta_mv", 1},
    {"cell_mv", 16},         {"temp_c", 4},        {"temp_max_c", 1},  {"temp_min_c", 1},
};
#define VALUES (sizeof values / sizeof *values)

/* One request. The gateway's own rows never share it with those of the pack, which it refuses while
 * the pack is silent. */
struct block {
    unsigned offset, registers;
    enum map_class class;
};

/* 0: the row is left out. */
static unsigned elements_of(const struct map_row *row)
{
    for (size_t i = 0; i < VALUES; i++)
        if (map_row_block(row) == EXTENDED && strcmp(row->name, values[i].name) == 0)
            return values[i].elements;
    return 0;
}

static unsigned find_blocks(struct block blocks[VALUES])
{
    struct block *next = blocks;
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++) {
        unsigned end = map_row_offset(row, elements_of(row));
        if (end == row->offset)
            continue;
        if (next == blocks || next[-1].class != row->class || end - next[-1].offset > MAX_READ)
            *next++ = (struct block){.offset = row->offset, .class = row->class};
        next[-1].registers = end - next[-1].offset;
    }
    return (unsigned) (next - blocks);
}

static void print_head(FILE *out)
{
    fputs(
        ">D\n"
        "; Tasmota, smart meter interface over TCP: one pack behind packgate.\n"
        "; Printed by `packgate map --format tasmota`; goes into Consoles, Edit script, of a\n"
        "; Tasmota built with USE_SCRIPT and USE_SML_M, without USE_RULES.\n"
        ";\n"
        "; Take care: while a pack is silent, Tasmota goes on showing and sending its LAST VALUES\n"
        "; as if they were fresh. They are fresh only while connection_state is 1 and polls "
        "counts\n"
        "; on. When the gateway itself is gone, these stand still as well:\n",
        out);
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        if (row->class == STATUS && elements_of(row) > 0)
            fprintf(out, ";   %s: %s\n", row->name, row->meaning);
    fputs(
        "; What the BMS does not report is null, or 65535 or 4294967295 where the type is whole.\n"
        ";\n"
        "; Change the IP address (a name will not do) and, for another pack or a bank, the unit\n"
        "; id: in each 0103 the 01, in hex. A second pack is a second meter: M 2 below, and the\n"
        "; lines from +1 on once more with 2 in front and another name than Pack1.\n"
        "; Cells and sensors: take away the ; in front of those that the pack has.\n"
        ";\n"
        "; Without a file system (USE_UFILESYS) a script may have 1535 characters: leave out all\n"
        "; lines that begin with a ; there. With one it is 8192, of all decoders together 3000.\n",
        out);
}

static void print_meter(const struct map_settings *settings, const struct block *blocks,
                        unsigned count, FILE *out)
{
    unsigned longest = 0;
    fputs(">B\n"
          "=>sensor53 r\n"
          ">M 1\n"
          "+1,[192.0.2.1],m,0,502,Pack1,1,10",
          out);
    for (const struct block *block = blocks; block < blocks + count; block++) {
        fprintf(out, ",r0103%04X%04X", (unsigned) settings->base + block->offset, block->registers);
        if (block->registers > longest)
            longest = block->registers;
    }
    /* The buffer starts anew when the last byte fills it, before the reply is looked at. */
    fprintf(out,
            "\n"
            "1,=so3,%u\n"
            "1,=hOLD VALUES unless state is 1\n",
            HEAD_SIZE + 2 * longest + 1);
}

static void print_value(const struct map_settings *settings, const struct map_row *row, unsigned n,
                        const struct block *block, unsigned index, FILE *out)
{
    char title[MEANING_SIZE], name[VALUE_NAME_SIZE];
    const char *unit = map_row_unit(settings, row);
    unsigned skipped = 2 * (map_row_offset(row, n) - block->offset);
    fprintf(out, "%s1,0103%02X", row->count > 1 ? ";" : "", 2 * block->registers);
    if (skipped > 0)
        fprintf(out, "x%u", skipped);
    fprintf(out, "%s@i%u:1,%s",
            map_row_high_first(settings, row) ? types[row->type].high_first
                                              : types[row->type].low_first,
            index, row_title(row, title));
    if (row->count > 1)
        fprintf(out, " %u", n + 1);
    /* A single % would start the name of a variable. */
    fprintf(out, ",%s,%s,%u\n", strcmp(unit, "%") == 0 ? "%%" : unit, element_name(row, n, name),
            types[row->type].decimals);
}

static void print_block(const struct map_settings *settings, const struct block *block,
                        unsigned index, FILE *out)
{
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        if (row->offset >= block->offset && row->offset < block->offset + block->registers)
            for (unsigned n = 0; n < elements_of(row); n++)
                print_value(settings, row, n, block, index, out);
}

void print_tasmota(const struct map_settings *settings, FILE *out)
{
    struct block blocks[VALUES];
    unsigned count = find_blocks(blocks);
    print_head(out);
    print_meter(settings, blocks, count, out);
    for (unsigned index = 0; index < count; index++)
        print_block(settings, &blocks[index], index, out);
    fputs("#\n", out);
}
