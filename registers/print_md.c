// SPDX-License-Identifier: MIT
/*
 * register-map.md: the map for people. Its tables are generated from the rows; the text around
 * them says what a reader must know before reading the first register.
 */
#include "map.h"

#include "print.h"

#include "bms/count.h"

#include <string.h>

/* How to configure the order of words in each client. The names come from the clients' own
 * documentation and sources. */
struct client {
    const char *name;
    const char *low_float, *low_u32;   /* low word first */
    const char *high_float, *high_u32; /* high word first */
};

// clang-format off
static const struct client clients[] = {
    {"PLC, SCADA, Modbus Poll and the like",
     "CDAB, \"word swap\", \"little-endian byte swap\"", "the same",
     "ABCD, \"big-endian\"", "the same"},
    {"Home Assistant",
     "`data_type: float32`, `swap: word`", "`data_type: uint32`, `swap: word`",
     "`data_type: float32`, no `swap`", "`data_type: uint32`, no `swap`"},
    {"Telegraf",
     "`byte_order = \"CDAB\"`, `type=\"FLOAT32\"`", "`byte_order = \"CDAB\"`, `type=\"UINT32\"`",
     "`byte_order = \"ABCD\"`, `type=\"FLOAT32\"`", "`byte_order = \"ABCD\"`, `type=\"UINT32\"`"},
    {"evcc",
     "`encoding: float32s` (older: `decode:`)", "`encoding: uint32s`",
     "`encoding: float32` (older: `decode:`)", "`encoding: uint32`"},
    {"Node-RED, buffer-parser",
     "byte swap `swap16`, type `floatle`", "byte swap `swap16`, type `uint32le`",
     "no byte swap, type `floatbe`", "no byte swap, type `uint32be`"},
    {"ioBroker", "`floatsw`", "`uint32sw`", "`floatbe`", "`uint32be`"},
    {"openHAB", "`float32_swap`", "`uint32_swap`", "`float32`", "`uint32`"},
    {"Tasmota, smart meter interface over TCP", "`FFffFFff`", "`UUuuUUuus`", "`ffffffff`", "`UUuuUUuu`"},
    {"mbpoll", "`-t 4:float`", "`-t 4:int`", "`-B -t 4:float`", "`-B -t 4:int`"},
    {"libmodbus",
     "`modbus_get_float_cdab(r)`", "`(uint32_t) r[1] << 16 \\| r[0]`",
     "`modbus_get_float_abcd(r)`", "`(uint32_t) r[0] << 16 \\| r[1]`"},
    {"pymodbus from 3.8",
     "`convert_from_registers(r, client.DATATYPE.FLOAT32, word_order=\"little\")`",
     "the same with `DATATYPE.UINT32`",
     "`convert_from_registers(r, client.DATATYPE.FLOAT32)`",
     "the same with `DATATYPE.UINT32`"},
};
// clang-format on

static unsigned map_address(const struct map_settings *settings, const char *name,
                            enum map_block block)
{
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        if (map_row_block(row) == block && strcmp(row->name, name) == 0)
            return (unsigned) settings->base + row->offset;
    return 0;
}

static void print_introduction(const struct map_settings *settings, FILE *out)
{
    unsigned base = (unsigned) settings->base;
    fprintf(out,
            "# Register map\n"
            "\n"
            "Map version %d, for `base = %u` and floats %s word first. This page is printed by\n"
            "`packgate map --format md`; the other formats are `json`, `csv` and ready-made\n"
            "configurations for clients such as `homeassistant`. With `-c FILE` the command prints "
            "the\n"
            "addresses of your configuration. Addresses and meanings never change once released; "
            "later\n"
            "versions fill free registers.\n"
            "\n"
            "| addresses | what |\n"
            "|---|---|\n"
            "| %u…%u | [compatibility block](#compatibility-block), the map of the ScanLabs "
            "SmartBMS data extractor |\n",
            MAP_VERSION, base, settings->big_floats ? "high" : "low", base,
            base + MAP_COMPAT_SIZE - 1);
    if (map_has_copy(settings))
        fprintf(out, "| %d…%d | the same once more (the second address of `base`) |\n",
                settings->also_at, settings->also_at + MAP_COMPAT_SIZE - 1);
    fprintf(out,
            "| %u…%u | [extended block](#extended-block): everything, with a special value for "
            "\"unknown\" |\n"
            "| %u…%u | [settings](#settings): settings of the BMS (from map version 2 on) |\n"
            "\n"
            "- [Reading](#reading)\n"
            "- [Order of words](#order-of-words)\n"
            "- [First test](#first-test)\n"
            "- [Compatibility block](#compatibility-block)\n"
            "- [Extended block](#extended-block)\n"
            "- [Banks](#banks)\n"
            "- [Discrete inputs](#discrete-inputs)\n"
            "- [Coils](#coils)\n"
            "- [Home Assistant](#home-assistant)\n",
            base + MAP_EXTENDED_OFFSET, base + MAP_EXTENDED_OFFSET + MAP_EXTENDED_SIZE - 1,
            base + MAP_SETTINGS_OFFSET, base + MAP_SETTINGS_OFFSET + MAP_SETTINGS_SIZE - 1);
}

static void print_reading(const struct map_settings *settings, FILE *out)
{
    unsigned voltage = map_address(settings, "voltage_v", EXTENDED);
    fprintf(
        out,
        "\n"
        "## Reading\n"
        "\n"
        "- Functions 3 and 4 read the same registers. Function 2 reads discrete inputs, function "
        "1\n"
        "  coils.\n"
        "- The unit id selects the pack, as configured; 0 and 255 are the first pack, or the "
        "first\n"
        "  bank if there is one.\n"
        "- Addresses on this page are those of the protocol: decimal, starting at 0. Some tools\n"
        "  count from 1. Tools with the kind of register in front of the number write address %u\n"
        "  as 4%04u, 4%05u or, for function 4, 3%05u.\n"
        "- One request reads up to 125 registers. Each table below fits into one request.\n"
        "- Every number is in the given unit, without scale factors. Numbers are rounded to\n"
        "  nearest, and limited to the range of their type.\n"
        "- Positive current and power charge the pack.\n"
        "- Free registers inside a block read 0. Later versions may use them. Addresses outside "
        "of\n"
        "  the blocks get exception 2 (illegal data address).\n"
        "- While a pack is silent, its values get exception 11 (gateway target device failed to\n"
        "  respond). State, counters, names and self-check can always be read. An unknown unit id\n"
        "  gets exception 10. With `on_stale = hold` the last values stay readable and the "
        "failure\n"
        "  flag is set.\n",
        voltage, voltage + 1, voltage + 1, voltage + 1);
}

static void print_types(FILE *out)
{
    fputs("\n"
          "| type | registers | unknown (extended block) |\n"
          "|---|---|---|\n"
          "| u16 | 1 | 0xFFFF (65535) |\n"
          "| s16 | 1 | 0x8000 (-32768) |\n"
          "| u32 | 2 | 0xFFFFFFFF (4294967295) |\n"
          "| float32 | 2, IEEE 754 | NaN (0x7FC00000) |\n"
          "| bits16, bits32, bits64 | 1, 2, 4 | all bits set |\n"
          "| string | 16: 32 ASCII characters, the first in the high byte of the first register, "
          "padded with spaces | all spaces |\n"
          "\n"
          "The compatibility block has no such values: unknown values read 0 there, and a switch "
          "that\n"
          "the BMS does not report reads as off.\n",
          out);
}

static void print_word_order(const struct map_settings *settings, FILE *out)
{
    bool high = settings->big_floats;
    fprintf(out,
            "\n"
            "## Order of words\n"
            "\n"
            "Each register is sent high byte first, as Modbus requires. A value of several "
            "registers has\n"
            "the **%s word first** (`float_order = %s`): 123456.0, which is 0x47F12000, is sent as "
            "the\n"
            "registers %s. This holds for float32, u32, bits32 and bits64, but not for the two\n"
            "`display` values of the compatibility block: they are always high word first.\n"
            "\n"
            "| client | float32 | u32, bits32 |\n"
            "|---|---|---|\n",
            high ? "high" : "low", high ? "big" : "little",
            high ? "0x47F1 0x2000" : "0x2000 0x47F1");
    for (size_t i = 0; i < COUNT(clients); i++)
        fprintf(out, "| %s | %s | %s |\n", clients[i].name,
                high ? clients[i].high_float : clients[i].low_float,
                high ? clients[i].high_u32 : clients[i].low_u32);
    fputs("\n"
          "evcc turns NaN into 0, so it shows unknown values as 0. `mbpoll -t 4:int`\n"
          "shows a u32 as a signed number. pymodbus should convert one value at a time: with\n"
          "`word_order=\"little\"` some releases return several in reverse.\n",
          out);
}

static void print_first_test(const struct map_settings *settings, FILE *out)
{
    const char *order = settings->big_floats ? "-B " : "";
    fprintf(
        out,
        "\n"
        "## First test\n"
        "\n"
        "The self-check registers always hold the same numbers. If your client reads these "
        "correctly,\n"
        "it reads all others correctly, too. With `-0` mbpoll counts addresses as this page does:\n"
        "\n"
        "    mbpoll -1 -0 -a 1 -t 4 -r %u -c 1 HOST  # 12345\n"
        "    mbpoll -1 -0 -a 1 %s-t 4:int -r %u -c 1 HOST  # 305419896\n"
        "    mbpoll -1 -0 -a 1 %s-t 4:float -r %u -c 1 HOST  # 123456\n"
        "\n"
        "Then the voltage, the cells and the alarms of the pack at unit id 1:\n"
        "\n"
        "    mbpoll -1 -0 -a 1 %s-t 4:float -r %u -c 1 HOST\n"
        "    mbpoll -1 -0 -a 1 -t 4 -r %u -c 16 HOST\n"
        "    mbpoll -1 -0 -a 1 -t 1 -r 0 -c 23 HOST\n",
        map_address(settings, "check_u16", EXTENDED), order,
        map_address(settings, "check_u32", EXTENDED), order,
        map_address(settings, "check_float32", EXTENDED), order,
        map_address(settings, "voltage_v", EXTENDED), map_address(settings, "cell_mv", EXTENDED));
}

static void print_group(const struct map_settings *settings, const struct map_group *group,
                        FILE *out)
{
    fputs("\n| address | offset | name | type | unit | access | meaning |\n"
          "|---|---|---|---|---|---|---|\n",
          out);
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        if (map_group_has(group, row)) {
            unsigned first = (unsigned) settings->base + row->offset;
            unsigned step = map_types[row->type].registers;
            unsigned last = first + (row->count - 1) * step;
            fprintf(out, "| %u", first);
            if (row->count > 1)
                fprintf(out, "…%u", last);
            if (row->count > 1 && step > 1)
                fprintf(out, " in steps of %u", step);
            if (row->count > 1)
                fprintf(out, " | %u | `%s.1` … `%s.%u` ", row->offset, row->name, row->name,
                        row->count);
            else
                fprintf(out, " | %u | `%s` ", row->offset, row->name);
            fprintf(out, "| %s | %s | %s | %s |\n", map_types[row->type].name,
                    map_row_unit(settings, row), map_row_access(settings, row), row->meaning);
        }
}

static void print_compatibility(const struct map_settings *settings, FILE *out)
{
    unsigned base = (unsigned) settings->base;
    fprintf(
        out,
        "\n"
        "## Compatibility block\n"
        "\n"
        "Clients configured for a ScanLabs SmartBMS data extractor work without a change.\n"
        "`remaining_ah` is in Ah: that device's manual says mAh, its own display shows Ah.\n"
        "Registers %u…%u belong to the gateway and can always be read; all others of this block\n"
        "are values of the pack. An offset counts from `base`",
        base + 50, base + 57);
    if (map_has_copy(settings))
        fputs(", in this block from its second address as well", out);
    fputs(".\n", out);
    for (const struct map_group *group = map_groups; group < map_groups + map_group_count; group++)
        if (group->offset < MAP_EXTENDED_OFFSET)
            print_group(settings, group, out);
}

static void print_extended(const struct map_settings *settings, FILE *out)
{
    fputs("\n"
          "## Extended block\n",
          out);
    for (const struct map_group *group = map_groups; group < map_groups + map_group_count;
         group++) {
        if (group->offset < MAP_EXTENDED_OFFSET)
            continue;
        fprintf(out, "\n### %s\n", group->title);
        if (*group->text)
            fprintf(out, "\n%s\n", group->text);
        print_group(settings, group, out);
    }
}

static void print_banks(const struct map_settings *settings, FILE *out)
{
    fprintf(
        out,
        "\n"
        "## Banks\n"
        "\n"
        "A bank has a unit id of its own and the same map. Its values are computed from its packs\n"
        "with fresh values (`packs_present`, register %u). A stale pack is counted in\n"
        "`packs_missing` (%u), and activates the warning `communication_fault` and so the failure\n"
        "flag of the bank. With fewer fresh packs than `packs_needed` (%u, `min_packs` of the\n"
        "configuration, by default all) the bank is stale.\n"
        "\n"
        "| values of a bank | how they are computed |\n"
        "|---|---|\n"
        "| current, power, remaining, full and rated capacity | the sum; unknown when any pack "
        "does not"
        " report it |\n"
        "| voltage | the average |\n"
        "| state of charge | the average, weighted by full capacity, else rated capacity, else"
        " `capacity` of the configuration; not weighted if a pack has none of them |\n"
        "| state of health | the same, by rated capacity first, then by full capacity |\n"
        "| highest and lowest cell and temperature | of all packs; `cell_max_index` is the cell's"
        " number in its pack, `cell_max_pack` the place of the pack in the bank's list |\n"
        "| cell difference | highest less lowest of the whole bank |\n"
        "| average cell, average temperature | over all cells, over all sensors |\n"
        "| MOS temperature, charge cycles | of the pack with the highest |\n"
        "| charge and discharge MOS | 1 when on in all packs |\n"
        "| balancing | 1 while any pack balances |\n"
        "| alarms | active in any pack, at each level |\n"
        "| charge and discharge current limit | the sum; a pack whose MOS of that direction is off"
        " counts as 0; unknown if another pack does not report its limit, or none does |\n"
        "| charge voltage limit, discharge voltage limit | the lowest, the highest |\n"
        "| energy and other counters | the sum over all packs, missing ones too |\n"
        "| single cells and sensors and their number, balance mask, raw alarms, serial, model,"
        " firmware | unknown: they are in the units of the packs |\n",
        map_address(settings, "packs_present", EXTENDED),
        map_address(settings, "packs_missing", EXTENDED),
        map_address(settings, "packs_needed", EXTENDED));
}

static void print_bits(const struct map_settings *settings, const struct map_bit *bits,
                       unsigned count, FILE *out)
{
    char meaning[MEANING_SIZE];
    fputs("\n| address | name | access | meaning |\n"
          "|---|---|---|---|\n",
          out);
    for (const struct map_bit *bit = bits; bit < bits + count; bit++)
        fprintf(out, "| %u | `%s` | %s | %s |\n", bit->number, bit->name,
                map_access(settings, bit->class), bit_meaning(bit, meaning));
}

static void print_discrete(const struct map_settings *settings, FILE *out)
{
    fprintf(
        out,
        "\n"
        "## Discrete inputs\n"
        "\n"
        "Function 2, addresses 0…%d, independent of `base`. The alarm of input n is bit n - 1 of\n"
        "`alarms_active` and the other alarm registers. An alarm or a state that the BMS does "
        "not report\n"
        "reads 0; `alarms_known` and the registers of the switches show whether it is known. Free\n"
        "inputs read 0.\n",
        MAP_INPUTS - 1);
    print_bits(settings, map_inputs, map_input_count, out);
    fputs("\n"
          "## Coils\n"
          "\n",
          out);
    fputs(settings->writable ? "Functions 1, 5 and 15. Writing switches the MOS of the pack; the "
                               "new state reads back\n"
                               "after the BMS has reported it.\n"
                             : "Function 1. The configuration permits no writing.\n",
          out);
    print_bits(settings, map_coils, map_coil_count, out);
}

static void print_home_assistant(const struct map_settings *settings, FILE *out)
{
    fprintf(
        out,
        "\n"
        "## Home Assistant\n"
        "\n"
        "`packgate map --format homeassistant` prints a complete configuration of its Modbus\n"
        "integration. A sensor with `virtual_count: 16` creates seventeen: one for its own "
        "register,\n"
        "and sixteen more, numbered from 1, for the next registers. At address %u these are the\n"
        "average and the cells 1 to 16. Set the count to the number of cells of the pack, and at "
        "%u\n"
        "to its number of temperature sensors. Releases up to early 2025 show 0 for an unknown\n"
        "value, later ones show it as unknown.\n",
        map_address(settings, "cell_avg_mv", EXTENDED),
        map_address(settings, "temp_avg_c", EXTENDED));
}

void print_md(const struct map_settings *settings, FILE *out)
{
    print_introduction(settings, out);
    print_reading(settings, out);
    print_types(out);
    print_word_order(settings, out);
    print_first_test(settings, out);
    print_compatibility(settings, out);
    print_extended(settings, out);
    print_banks(settings, out);
    print_discrete(settings, out);
    print_home_assistant(settings, out);
}
