// SPDX-License-Identifier: MIT
/*
 * Descriptors for Tasmota's smart meter interface over TCP, of one pack: one for its web page and
 * MQTT, one for the color display of the ScanLabs SmartBMS data extractor. Tasmota sends the blocks
 * in turn, compares the head of each reply with those lines that name the block sent last, and
 * takes a value where the head fits. An exception fits no line and the last value stays, hence the
 * state, in a block of its own that can always be read. A late reply meets the lines of the next
 * block, hence blocks of different lengths.
 */
#include "map.h"

#include "print.h"

#include "bms/count.h"

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
    [REG_U32_HIGH] = {"UUuuUUuu", "UUuuUUuu", 0},
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
#define VALUES COUNT(values)

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

static void print_meter(const struct map_settings *settings, const char *prefix,
                        const struct block *blocks, unsigned count, FILE *out)
{
    unsigned longest = 0;
    fprintf(out,
            ">B\n"
            "=>sensor53 r\n"
            ">M 1\n"
            "+1,[192.0.2.1],m,0,502,%s,1,10",
            prefix);
    for (const struct block *block = blocks; block < blocks + count; block++) {
        fprintf(out, ",r0103%04X%04X", (unsigned) settings->base + block->offset, block->registers);
        if (block->registers > longest)
            longest = block->registers;
    }
    /* The buffer starts anew when the last byte fills it, before the reply is looked at. */
    fprintf(out, "\n1,=so3,%u\n", HEAD_SIZE + 2 * longest + 1);
}

/* How a value is called: on the page (at most 23 bytes), and in MQTT. */
struct caption {
    const char *label, *name;
    unsigned decimals;
    bool optional; /* a comment, for who wants it */
};

static void print_decoder(const struct map_settings *settings, const struct map_row *row,
                          unsigned n, const struct block *block, unsigned index,
                          const struct caption *caption, FILE *out)
{
    const char *unit = map_row_unit(settings, row);
    unsigned skipped = 2 * (map_row_offset(row, n) - block->offset);
    fprintf(out, "%s1,0103%02X", caption->optional ? ";" : "", 2 * block->registers);
    if (skipped > 0)
        fprintf(out, "x%u", skipped);
    /* A single % would start the name of a variable. */
    fprintf(out, "%s@i%u:1,%s,%s,%s,%u\n",
            map_row_high_first(settings, row) ? types[row->type].high_first
                                              : types[row->type].low_first,
            index, caption->label, strcmp(unit, "%") == 0 ? "%%" : unit, caption->name,
            caption->decimals);
}

static void print_value(const struct map_settings *settings, const struct map_row *row, unsigned n,
                        const struct block *block, unsigned index, FILE *out)
{
    char label[MEANING_SIZE], name[VALUE_NAME_SIZE];
    row_title(row, label);
    if (row->count > 1)
        snprintf(label + strlen(label), sizeof label - strlen(label), " %u", n + 1);
    const struct caption caption = {.label = label,
                                    .name = element_name(row, n, name),
                                    .decimals = types[row->type].decimals,
                                    .optional = row->count > 1};
    print_decoder(settings, row, n, block, index, &caption, out);
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
    struct block blocks[VALUES] = {0};
    unsigned count = find_blocks(blocks);
    print_head(out);
    print_meter(settings, "Pack1", blocks, count, out);
    fputs("1,=hOLD VALUES unless state is 1\n", out);
    for (unsigned index = 0; index < count; index++)
        print_block(settings, &blocks[index], index, out);
    fputs("#\n", out);
}

/* ---- the color display ---- */

/* By what names the display's own pages look for the values of the compatibility block, which is
 * the map of the device that the display was made for. */
// clang-format off
static const struct {
    unsigned offset;
    const char *name, *behind; /* of an array, its number stands between them */
    unsigned decimals;
} displayed[] = {
    {0,  "SOC", "", 0}, {4,  "Dv", "",   0}, {5,  "Av", "", 0}, {8,  "T",  "", 1},
    {10, "Vt",  "", 2}, {12, "Am", "",   2}, {14, "W",  "", 0}, {17, "DH", "", 0},
    {18, "CH",  "", 0}, {20, "v",  "mv", 0}, {40, "Bt", "", 0}, {41, "SM", "", 0},
    {42, "Mh",  "", 0}, {43, "Mm", "",   0}, {44, "Ca", "", 0}, {45, "FA", "", 0},
    {51, "cn",  "", 0}, {52, "Tz", "",   0}, {53, "Pd", "", 0}, {54, "Al", "", 0},
};
#define DISPLAYED COUNT(displayed)
// clang-format on

static void print_display_head(FILE *out)
{
    fputs(
        ">D\n"
        "; Tasmota, for the color display of the ScanLabs SmartBMS data extractor: one pack\n"
        "; behind packgate. Printed by `packgate map --format tasmota-display`.\n"
        ";\n"
        "; Keep the script that came with the display, and put the lines from +1 on in place of\n"
        "; its own. Change the IP address and, for another pack or a bank, the unit id: in each\n"
        "; 0103 the 01, in hex. The page of the display is dashboard_id in packgate's\n"
        "; configuration; it has to be 1 or more.\n"
        ";\n"
        "; Set on_stale = hold there as well: the display shows the last values of a silent pack\n"
        "; in any case, and only then learns of it, by the failure flag that makes it blink.\n"
        "; Cells: take away the ; in front of those that are to be sent by MQTT.\n",
        out);
}

static void print_displayed(const struct map_settings *settings, const struct map_row *row,
                            size_t index, const struct block *block, FILE *out)
{
    for (unsigned n = 0; n < row->count; n++) {
        char label[VALUE_NAME_SIZE], number[12] = "", name[VALUE_NAME_SIZE];
        if (row->count > 1)
            snprintf(number, sizeof number, "%u", n + 1);
        snprintf(name, sizeof name, "%s%s%s", displayed[index].name, number,
                 displayed[index].behind);
        const struct caption caption = {.label = element_name(row, n, label),
                                        .name = name,
                                        .decimals = displayed[index].decimals,
                                        .optional = row->source == OF_PACK && row->count > 1};
        print_decoder(settings, row, n, block, 0, &caption, out);
    }
}

void print_tasmota_display(const struct map_settings *settings, FILE *out)
{
    const struct block block = {.offset = 0, .registers = MAP_COMPAT_SIZE, .class = VALUE};
    print_display_head(out);
    print_meter(settings, "SMA", &block, 1, out);
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        for (size_t i = 0; i < DISPLAYED; i++)
            if (row->offset == displayed[i].offset)
                print_displayed(settings, row, i, &block, out);
    fputs("#\n", out);
}
