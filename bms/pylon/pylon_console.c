// SPDX-License-Identifier: MIT
/*
 * Pylontech and Pytes packs by their RS232 console: a shell that replies in text. Follows the sheet
 * `pylon-console`. Oddities: there is no checksum, so labels and numbers must be exact, a table
 * that lacks characters is rejected, and a row loses columns that do not fit; only the echo before
 * a reply names its request; columns differ by model and are identified by their titles; the first
 * pack answers for all.
 */
#include "pylon_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CELLS_MOST 16
/* Section 3. Nothing else is ever sent: other commands switch off or change settings. */
enum step { STEP_PWR, STEP_BAT, STEP_STAT, STEP_STAT_ALONE, STEP_INFO, STEPS };

static const char *const commands[STEPS] = {"pwr", "bat", "stat", "stat", "info"};

static const struct bms_step plan[STEPS] = {
    [STEP_PWR] = {.name = "pack values", .vital = true},
    [STEP_BAT] = {.name = "cells", .vital = true},
    [STEP_STAT] = {.name = "statistics", .every_s = 600},
    [STEP_STAT_ALONE] = {.name = "statistics, without number", .every_s = 600},
    [STEP_INFO] = {.name = "identity", .every_s = 3600},
};

struct memory {
    bool stat_refused; /* with a number; Pytes V5 takes it without */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const struct memory *memory = bms_memory(bms);
    bool alone = step == STEP_STAT_ALONE;
    if (alone && (!memory->stat_refused || bms_address(bms) != 1))
        return false;
    char *text = (char *) request->bytes;
    int size = alone ? snprintf(text, sizeof request->bytes, "%s\r\n", commands[step])
                     : snprintf(text, sizeof request->bytes, "%s %d\r\n", commands[step],
                                bms_address(bms));
    request->size = (size_t) size;
    return true;
}

/* ---- which request an answer belongs to ---- */

/* A command and the number of the pack, as asked or as echoed. */
struct command {
    enum step step;
    int64_t number; /* 0: none */
};

static bool parse_command(struct pylon_text text, struct command *command)
{
    struct pylon_text word = pylon_word(&text), number = pylon_word(&text);
    if (pylon_word(&text).size > 0)
        return false;
    command->number = 0;
    if (number.size > 0 && !pylon_integer(number, &command->number))
        return false;
    for (unsigned step = 0; step < STEPS; step++)
        if (pylon_is(word, commands[step])) {
            command->step = (enum step) step;
            return true;
        }
    return false;
}

/* ---- pwr N (section 4) ---- */

enum kind { NUMBER, SWITCH, TEXT, EVENTS };

/* Words of events: their numbers in the order of this list, the low half first. */
enum { EVENTS_BAT, EVENTS_POWER, SYSTEM_FAULT, SYSTEM_ALARM, EVENT_WORDS };

// clang-format off
static const struct label_row {
    const char *label;
    enum kind kind;
    uint8_t id; /* of a value, a text, a word of events */
    const char *unit;
    double divisor;
} pwr_labels[] = {
    {"Voltage",       NUMBER, VOLTAGE_V,     "mV",  1e3},
    {"Current",       NUMBER, CURRENT_A,     "mA",  1e3},
    {"Coulomb",       NUMBER, SOC_PERCENT,   "%",   1},
    {"Total Coulomb", NUMBER, RATED_AH,      "mAH", 1e3},
    {"Total Coulomb", NUMBER, RATED_AH,      "mAS", 3.6e6},
    {"Real Coulomb",  NUMBER, FULL_AH,       "mAH", 1e3},
    {"Real Coulomb",  NUMBER, FULL_AH,       "mAS", 3.6e6},
    {"CFetState",     SWITCH, CHARGE_MOS,    NULL,  0},
    {"CMOS Status",   SWITCH, CHARGE_MOS,    NULL,  0},
    {"DFetState",     SWITCH, DISCHARGE_MOS, NULL,  0},
    {"DMOS Status",   SWITCH, DISCHARGE_MOS, NULL,  0},
    {"Barcode",       TEXT,   SERIAL,        NULL,  0},
    {"DevType",       TEXT,   MODEL,         NULL,  0},
    {"Firm Version",  TEXT,   FIRMWARE,      NULL,  0},
    {"Bat Events",    EVENTS, EVENTS_BAT,    NULL,  0},
    {"Power Events",  EVENTS, EVENTS_POWER,  NULL,  0},
    {"System Fault",  EVENTS, SYSTEM_FAULT,  NULL,  0},
    {"System Alarm",  EVENTS, SYSTEM_ALARM,  NULL,  0},
}, info_labels[] = {
    {"Barcode",           TEXT, SERIAL,   NULL, 0},
    {"Device name",       TEXT, MODEL,    NULL, 0},
    {"Main Soft version", TEXT, FIRMWARE, NULL, 0},
};

/* Section 7: the numbers of the bits differ by firmware, the names do not. */
static const struct event {
    const char *name;
    uint8_t alarm, level;
} events[] = {
    {"BOV",   CELL_OVER_VOLTAGE,           PROT},
    {"BHV",   CELL_OVER_VOLTAGE,           WARN},
    {"BUV",   CELL_UNDER_VOLTAGE,          PROT},
    {"BLV",   CELL_UNDER_VOLTAGE,          WARN},
    {"POV",   PACK_OVER_VOLTAGE,           PROT},
    {"PHV",   PACK_OVER_VOLTAGE,           WARN},
    {"PUV",   PACK_UNDER_VOLTAGE,          PROT},
    {"PLV",   PACK_UNDER_VOLTAGE,          WARN},
    {"CBOT",  CHARGE_OVER_TEMPERATURE,     PROT},
    {"CBHT",  CHARGE_OVER_TEMPERATURE,     WARN},
    {"CBUT",  CHARGE_UNDER_TEMPERATURE,    PROT},
    {"CBLT",  CHARGE_UNDER_TEMPERATURE,    WARN},
    {"DBOT",  DISCHARGE_OVER_TEMPERATURE,  PROT},
    {"DBHT",  DISCHARGE_OVER_TEMPERATURE,  WARN},
    {"DBUT",  DISCHARGE_UNDER_TEMPERATURE, PROT},
    {"DBLT",  DISCHARGE_UNDER_TEMPERATURE, WARN},
    {"POT",   MOS_OVER_TEMPERATURE,        PROT}, /* power stage */
    {"PHT",   MOS_OVER_TEMPERATURE,        WARN},
    {"COC",   CHARGE_OVER_CURRENT,         PROT},
    {"COC2",  CHARGE_OVER_CURRENT,         PROT},
    {"COCA",  CHARGE_OVER_CURRENT,         WARN},
    {"DOC",   DISCHARGE_OVER_CURRENT,      PROT},
    {"DOC2",  DISCHARGE_OVER_CURRENT,      PROT},
    {"DOCA",  DISCHARGE_OVER_CURRENT,      WARN},
    {"SC",    SHORT_CIRCUIT,               PROT},
    {"LCOUL", SOC_LOW,                     WARN},
};
// clang-format on

/* Values of an answer until all of it was checked. */
struct checked {
    struct pack pack;
    int64_t number; /* of the pack; 0: not there */
    bool has_voltage, has_charge, absent, wrong;
    uint32_t words[EVENT_WORDS];
    unsigned told; /* bit n: word n was there, with the names of its bits if any is set */
};

/* "0x2002"; some firmware of Pytes prints it in decimal. */
static bool parse_event_word(struct pylon_text word, uint32_t *number)
{
    int64_t decimal;
    if (pylon_hex(word, number))
        return true;
    if (!pylon_integer(word, &decimal) || decimal < 0 || decimal > UINT32_MAX)
        return false;
    *number = (uint32_t) decimal;
    return true;
}

/* 0x2000 BHV PHV: a number, and the names of its bits. */
static void decode_events(unsigned number, struct pylon_text value, struct checked *checked)
{
    struct pylon_text word = pylon_word(&value);
    checked->wrong |= !parse_event_word(word, &checked->words[number]);
    if (number > EVENTS_POWER || checked->words[number] == 0 || pylon_trim(value).size > 0)
        checked->told |= 1u << number;
    while (number <= EVENTS_POWER && (word = pylon_word(&value)).size > 0) {
        for (size_t i = 0; i < COUNT(events); i++)
            if (pylon_is(word, events[i].name))
                pack_alarm_at(&checked->pack, events[i].alarm, events[i].level, true);
    }
}

static void decode_number(const struct bms *bms, const struct label_row *row,
                          struct pylon_text value, struct checked *checked)
{
    struct pylon_text digits = pylon_word(&value);
    int64_t number = 0;
    if (!pylon_is(pylon_word(&value), row->unit))
        return;
    checked->wrong |= !pylon_integer(digits, &number);
    checked->has_voltage |= row->id == VOLTAGE_V;
    checked->has_charge |= row->id == SOC_PERCENT;
    bms_set(bms, &checked->pack, row->id, (double) number / row->divisor);
}

static void decode_label(const struct bms *bms, const struct label_row *rows, size_t count,
                         struct pylon_text label, struct pylon_text value, struct checked *checked)
{
    for (const struct label_row *row = rows; row < rows + count; row++) {
        if (!pylon_is(label, row->label))
            continue;
        switch (row->kind) {
        case NUMBER:
            decode_number(bms, row, value, checked);
            break;
        case SWITCH:
            checked->wrong |= !pylon_is(value, "ON") && !pylon_is(value, "OFF");
            pack_set(&checked->pack, row->id, pylon_is(value, "ON"));
            break;
        case TEXT:
            if (value.size > 0)
                pack_set_text(&checked->pack, row->id, value.at, value.size);
            break;
        case EVENTS:
            decode_events(row->id, value, checked);
            break;
        }
    }
}

static enum bms_result decode_pwr(const struct bms *bms, struct pylon_text text, int64_t number,
                                  struct pack *pack)
{
    struct checked pwr = {.number = 0};
    struct pylon_text line, label, value;
    pack_clear(&pwr.pack);
    while (pylon_line(&text, &line)) {
        if (pylon_label(line, &label, &value)) {
            decode_label(bms, pwr_labels, COUNT(pwr_labels), label, value, &pwr);
            pwr.absent |= pylon_is(label, "Basic Status") && pylon_is(value, "Absent");
        } else if (pylon_is(pylon_word(&line), "Power")) {
            pwr.wrong |= !pylon_integer(pylon_word(&line), &pwr.number);
        }
    }
    if (pwr.number == 0 || pwr.number != number)
        return BMS_FOREIGN;
    if (pwr.absent)
        return BMS_REFUSED;
    if (pwr.wrong || !pwr.has_voltage || !pwr.has_charge)
        return BMS_INVALID;
    /* The US3000D has other lines in the place of both. Without them, or without the names of bits
     * that are set, an alarm that is not named may be active. */
    const unsigned both = 1u << EVENTS_BAT | 1u << EVENTS_POWER;
    for (size_t i = 0; i < COUNT(events) && (pwr.told & both) == both; i++)
        pack_alarm_at(&pwr.pack, events[i].alarm, events[i].level, false);
    if (pwr.told >> SYSTEM_FAULT & 1)
        pack_alarm_at(&pwr.pack, HARDWARE_FAULT, ALARM_PROTECTION, pwr.words[SYSTEM_FAULT]);
    for (unsigned i = 0; i < EVENT_WORDS; i++) {
        pack_raw_alarm(&pwr.pack, (uint16_t) pwr.words[i]);
        pack_raw_alarm(&pwr.pack, (uint16_t) (pwr.words[i] >> 16));
    }
    pack_clear_alarms(pack);
    pack_merge(pack, &pwr.pack);
    return BMS_DONE;
}

/* ---- bat N (section 5) ---- */

enum column { OTHER, BATTERY, VOLT, TEMPR, VOLT_STATE, SOC, COULOMB, BAL };
enum { COLUMNS_MOST = 16 };

/* Cells and columns of a table while it is parsed. */
struct table {
    uint8_t columns[COLUMNS_MOST];
    unsigned column_count, cells, words;        /* words of each row */
    double mv[CELLS_MOST], celsius[CELLS_MOST]; /* NaN: unknown */
    int64_t least_mah;
    unsigned charges, states, balances; /* number of cells for which it is known */
    bool has_temps, high, low;
    uint64_t mask;
};

/* "Battery  Volt  Curr  Tempr  Base State  Volt. State …": State belongs to the word before. */
static bool parse_titles(struct pylon_text line, struct table *table)
{
    static const struct {
        const char *title;
        enum column column;
    } rows[] = {{"Battery", BATTERY}, {"Volt", VOLT},       {"Tempr", TEMPR}, {"Volt.", VOLT_STATE},
                {"SOC", SOC},         {"Coulomb", COULOMB}, {"BAL", BAL}};
    struct pylon_text title;
    while ((title = pylon_word(&line)).size > 0) {
        if (pylon_is(title, "State"))
            continue;
        if (table->column_count == COLUMNS_MOST)
            return false;
        enum column column = OTHER;
        for (size_t i = 0; i < COUNT(rows); i++)
            if (pylon_is(title, rows[i].title))
                column = rows[i].column;
        table->has_temps |= column == TEMPR;
        table->columns[table->column_count++] = (uint8_t) column;
    }
    return table->column_count > 1 && table->columns[0] == BATTERY && table->columns[1] == VOLT;
}

static bool begins_with_digit(struct pylon_text word)
{
    return word.size > 0 && word.at[0] >= '0' && word.at[0] <= '9';
}

/* "44628 mAH"; on Pytes with the percentage before it, and on old US packs that alone. */
static bool parse_charge(struct pylon_text word, struct pylon_text *rest, struct table *table)
{
    struct pylon_text after = *rest;
    int64_t mah;
    if (word.size > 1 && word.at[word.size - 1] == '%') {
        word = pylon_word(&after);
        if (!begins_with_digit(word))
            return true;
    }
    *rest = after;
    if (!pylon_integer(word, &mah) || mah < 0 || !pylon_is(pylon_word(rest), "mAH"))
        return false;
    if (table->charges++ == 0 || mah < table->least_mah)
        table->least_mah = mah;
    return true;
}

static bool parse_field(enum column column, struct pylon_text word, struct pylon_text *rest,
                        struct table *table)
{
    int64_t number = 0;
    switch (column) {
    case BATTERY: /* rows must count up without a gap */
        return pylon_integer(word, &number) && number == (int64_t) table->cells;
    case VOLT:
        if (!pylon_integer(word, &number))
            return false;
        table->mv[table->cells] = (double) number;
        return number >= 0 && number <= 6000;
    case TEMPR:
        if (!pylon_integer(word, &number) || number < -60000 || number > 150000)
            return false;
        table->celsius[table->cells] = (double) number / 1000;
        return true;
    case VOLT_STATE:
        if (begins_with_digit(word) || word.size == 0)
            return false;
        table->states++;
        table->high |= pylon_is(word, "High");
        table->low |= pylon_is(word, "Low");
        return true;
    case COULOMB:
        return parse_charge(word, rest, table);
    case BAL:
        if (!pylon_is(word, "Y") && !pylon_is(word, "N"))
            return false;
        if (pylon_is(word, "Y"))
            table->mask |= UINT64_C(1) << table->cells;
        table->balances++;
        return true;
    case SOC:
        return word.size > 1 && word.at[word.size - 1] == '%';
    case OTHER:
        break;
    }
    return word.size > 0;
}

/* 0        3316     -2964    26400    Dischg       Normal … 96%         44628 mAH      N
 * If a row has as many words as the others, and its number and voltage are in their places, a word
 * that does not fit its column costs the row this column and all later ones: they may be swapped.
 * With more or fewer words characters were lost, perhaps in the voltage as well. */
static bool parse_row(struct pylon_text line, struct table *table)
{
    struct pylon_text copy = line;
    unsigned words = 0;
    while (pylon_word(&copy).size > 0)
        words++;
    if (table->cells == CELLS_MOST || (table->cells > 0 && words != table->words))
        return false;
    table->words = words;
    table->celsius[table->cells] = (double) NAN;
    for (unsigned i = 0; i < table->column_count; i++) {
        const struct pylon_text from = line;
        struct pylon_text word = pylon_word(&line);
        if (table->columns[i] == COULOMB && !begins_with_digit(word)) {
            struct pylon_text rest = line, next = pylon_word(&rest);
            if (!begins_with_digit(next)) {
                if (!pylon_is(word, "-")) /* empty, or a dash */
                    line = from;
                continue;
            }
            /* Pytes, one row of a recorded table: the percentage was before the last state,
             * "80%   Normal       40255 mAH". */
            word = next;
            line = rest;
        }
        if (parse_field((enum column) table->columns[i], word, &line, table))
            continue;
        if (table->columns[i] == BATTERY || table->columns[i] == VOLT)
            return false;
        table->cells++;
        return true;
    }
    table->cells++;
    return pylon_word(&line).size == 0;
}

static bool parse_table(struct pylon_text text, struct table *table)
{
    struct pylon_text line;
    if (!pylon_line(&text, &line) || !parse_titles(line, table))
        return false;
    while (pylon_line(&text, &line)) {
        if (pylon_is(line, "Command completed successfully"))
            break;
        if (!parse_row(line, table))
            return false;
    }
    return table->cells > 0;
}

/* An alarm of the cells ends only if the states of all cells were reported. */
static void set_cell_alarm(const struct table *table, enum pack_alarm alarm, bool active,
                           struct pack *pack)
{
    if (active || table->states == table->cells)
        pack_alarm_at(pack, alarm, ALARM_WARNING, active);
}

static enum bms_result decode_bat(struct pylon_text text, struct pack *pack)
{
    struct table table = {.cells = 0};
    struct pylon_text rest = text, line;
    if (!pylon_line(&rest, &line) || !pylon_is(pylon_word(&line), "Battery"))
        return BMS_FOREIGN;
    if (!parse_table(text, &table))
        return BMS_INVALID;
    pack_set(pack, CELL_COUNT, table.cells);
    for (unsigned n = 0; n < table.cells; n++) {
        pack_set_cell(pack, n + 1, table.mv[n]);
        if (table.has_temps)
            pack_set_temp(pack, n + 1, table.celsius[n]);
    }
    if (table.has_temps)
        pack_set(pack, TEMP_COUNT, table.cells);
    if (table.charges == table.cells) /* the weakest cell limits the pack */
        pack_set(pack, REMAINING_AH, (double) table.least_mah / 1000);
    if (table.balances == table.cells)
        pack_set(pack, BALANCE_MASK, (double) table.mask);
    set_cell_alarm(&table, CELL_OVER_VOLTAGE, table.high, pack);
    set_cell_alarm(&table, CELL_UNDER_VOLTAGE, table.low, pack);
    return BMS_DONE;
}

/* ---- stat N, info N (section 6) ---- */

/* "Device address           1" or "Device address      : 1". */
static bool parse_address_line(struct pylon_text line, int64_t *number)
{
    struct pylon_text first = pylon_word(&line), second = pylon_word(&line);
    if (!pylon_is(first, "Device") || !pylon_is(second, "address"))
        return false;
    struct pylon_text word = pylon_word(&line);
    if (pylon_is(word, ":"))
        word = pylon_word(&line);
    if (!pylon_integer(word, number))
        *number = -1;
    return true;
}

static enum bms_result decode_answer(struct bms *bms, const struct command *command,
                                     struct pylon_text echo, struct pylon_text text,
                                     struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    int64_t number = command->number ? command->number : bms_address(bms);
    struct pylon_text rest = text, line;
    if (pylon_line(&rest, &line) &&
        (pylon_starts(line, "Unknown command") || pylon_starts(line, "Invalid command"))) {
        memory->stat_refused |= command->step == STEP_STAT && command->number != 0;
        return BMS_REFUSED;
    }
    if (command->step == STEP_PWR)
        return command->number ? decode_pwr(bms, text, number, pack) : BMS_FOREIGN;
    if (command->step == STEP_BAT) /* names its pack in the echo only */
        return echo.size > 0 && command->number ? decode_bat(text, pack) : BMS_FOREIGN;
    /* Both begin with the address; the next fields distinguish them. */
    struct pylon_text label, value;
    struct checked part;
    int64_t address = 0, count;
    bool stat = false, info = false;
    pack_clear(&part.pack);
    while (pylon_line(&text, &line)) {
        if (address == 0 && parse_address_line(line, &address))
            continue;
        if (!pylon_label(line, &label, &value))
            continue;
        stat |= pylon_is(label, "Data Items") || pylon_is(label, "CYCLE Times");
        info |= pylon_is(label, "Device name") || pylon_is(label, "Manufacturer");
        if (command->step == STEP_INFO)
            decode_label(bms, info_labels, COUNT(info_labels), label, value, &part);
        else if (pylon_integer(value, &count) && count >= 0) {
            if (pylon_is(label, "CYCLE Times"))
                pack_set(&part.pack, CYCLES, (double) count);
            if (pylon_is(label, "SOH") && count > 0)
                pack_set(&part.pack, SOH_PERCENT, (double) count);
        }
    }
    bool wanted = command->step == STEP_INFO ? info && !stat : stat && !info;
    if (!wanted || (address != number && (address != 0 || command->number != 0)))
        return BMS_FOREIGN;
    pack_merge(pack, &part.pack);
    return BMS_DONE;
}

/* Without a request, the echo names it. */
static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    struct pylon_text text = {(const char *) frame, size}, echo = pylon_take_echo(&text);
    struct pylon_text asked =
        request->size > 0
            ? pylon_trim((struct pylon_text){(const char *) request->bytes, request->size})
            : echo;
    struct command command;
    /* The echo may lack its first characters, or follow a prompt. Without any echo only an answer
     * that names its pack is accepted. */
    size_t common = echo.size < asked.size ? echo.size : asked.size;
    if (!parse_command(asked, &command) ||
        (echo.size > 0 && (common == 0 || memcmp(echo.at + echo.size - common,
                                                 asked.at + asked.size - common, common) != 0)))
        return BMS_FOREIGN;
    if (request->size == 0 && command.number != bms_address(bms))
        return BMS_FOREIGN;
    enum bms_result result = decode_answer(bms, &command, echo, text, pack);
    bool more = request->size == 0 && command.step != STEP_BAT;
    return more && result == BMS_DONE ? BMS_PARTIAL : result;
}

/* ---- emulator: a US5000, which shows its switches ---- */

static long told(const struct pack *pack, enum pack_value id, double per_unit)
{
    return lround(pack_value_or(pack, id, 0) * per_unit);
}

static void say_events(struct bms_output *out, const char *label, bool of_cells,
                       const struct pack *pack)
{
    unsigned bits = 0;
    char names[200] = "";
    for (size_t i = 0; i < COUNT(events); i++) {
        uint32_t active = pack_alarms_at(pack, events[i].level);
        const char *name = events[i].name;
        bool second = strcmp(name, "COC2") == 0 || strcmp(name, "DOC2") == 0;
        if ((name[0] == 'B') != of_cells || second || !(active >> events[i].alarm & 1))
            continue;
        bits |= 1u << i;
        size_t at = strlen(names);
        snprintf(names + at, sizeof names - at, " %s", name);
    }
    bms_print(out, " %-16s: 0x%X%s\r\r\n", label, bits, names);
}

static void say_pwr(struct bms_output *out, int number, const struct pack *pack)
{
    static const char rule[] = " ----------------------------";
    static const char *const states[] = {
        [FLOW_IDLE] = "Idle", [FLOW_CHARGING] = "Charge", [FLOW_DISCHARGING] = "Dischg"};
    bms_print(out, " CFetState:%s\r\r\n DFetState:%s\r\r\n%s\r\r\n Power  %d\r\r\n\r\r\n",
              pack->value[CHARGE_MOS] > 0 ? "ON" : "OFF",
              pack->value[DISCHARGE_MOS] > 0 ? "ON" : "OFF", rule, number);
    bms_print(out,
              " Voltage         : %-11ld mV\r\r\n"
              " Current         : %-11ld mA\r\r\n"
              " Temperature     : 25000       mC\r\r\n"
              " Coulomb         : %-11ld %%\r\r\n"
              " Total Coulomb   : %-11ld mAH\r\r\n"
              " Real Coulomb    : %-11ld mAH\r\r\n"
              " Basic Status    : %s\r\r\n",
              told(pack, VOLTAGE_V, 1000), told(pack, CURRENT_A, 1000), told(pack, SOC_PERCENT, 1),
              told(pack, RATED_AH, 1000), told(pack, FULL_AH, 1000), states[pack_flow(pack)]);
    say_events(out, "Bat Events", true, pack);
    say_events(out, "Power Events", false, pack);
    bms_print(out, " System Fault    : 0x%X\r\r\n%s\r\n",
              pack->alarms_protection >> HARDWARE_FAULT & 1, rule);
}

/* Fewer sensors than cells: several cells share one. */
static long cell_temp(const struct pack *pack, unsigned n, unsigned cells)
{
    const unsigned temps = (unsigned) pack_value_or(pack, TEMP_COUNT, 0);
    return temps == 0 ? 25000 : told(pack, TEMP_C + n * temps / cells, 1000);
}

/* A line of a host, up to its end; half a line waits for the rest. */
static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    size_t length = 0;
    while (length < size && bytes[length] != '\r' && bytes[length] != '\n')
        length++;
    if (length == size)
        return size > BMS_REQUEST_MAX ? 1 : 0;
    size_t used = length;
    while (used < size && (bytes[used] == '\r' || bytes[used] == '\n'))
        used++;
    struct pylon_text line = pylon_trim((struct pylon_text){(const char *) bytes, length});
    if (line.size == 0 || line.size > BMS_REQUEST_MAX || !pylon_is_printable(line))
        return used;
    struct command command = {.number = 0};
    bool known = parse_command(line, &command) && command.number != 0;
    if (known && command.number != bms_address(bms))
        return used;
    if (!known && bms_address(bms) != 1)
        return used; /* the first pack answers for all */
    const int number = (int) command.number;
    bms_print(out, "%.*s\n\r@\r\r\n", (int) line.size, line.at);
    if (!known)
        bms_print(out, "Unknown command '%.*s' - try 'help'\r\n", (int) line.size, line.at);
    else if (command.step == STEP_PWR)
        say_pwr(out, number, pack);
    else if (command.step == STEP_BAT) {
        const unsigned cells = (unsigned) fmin(pack_value_or(pack, CELL_COUNT, 0), CELLS_MOST);
        const uint64_t mask = (uint64_t) pack_value_or(pack, BALANCE_MASK, 0);
        bms_print(out, "Battery  Volt     Curr     Tempr    Base State   Volt. State  Curr. State  "
                       "Temp. State  SOC          Coulomb      BAL\r\r\n");
        for (unsigned n = 0; n < cells; n++)
            bms_print(out,
                      "%-8u %-8ld %-8ld %-8ld Idle         Normal       Normal       Normal       "
                      "%ld%%         %ld mAH      %c%s",
                      n, told(pack, CELL_MV + n, 1), told(pack, CURRENT_A, 1000),
                      cell_temp(pack, n, cells), told(pack, SOC_PERCENT, 1),
                      told(pack, REMAINING_AH, 1000) + (long) n, mask >> n & 1 ? 'Y' : 'N',
                      n + 1 < cells ? "\r\r\n" : "\r\n");
    } else if (command.step == STEP_INFO) {
        bms_print(out,
                  "Device address      : %d\r\n\rManufacturer        : Pylon\r\n\r"
                  "Device name         : %s\r\n\rMain Soft version   : %s\r\n\r"
                  "Barcode             : %s\r\n\r\rCell Number         : %ld\r\n",
                  number, pack->text[MODEL], pack->text[FIRMWARE], pack->text[SERIAL],
                  told(pack, CELL_COUNT, 1));
    } else {
        bms_print(out,
                  "Device address %11d\r\r\nData Items      :      109\r\r\n"
                  "CYCLE Times     : %8ld\r\r\nSOH             : %8ld\r\n",
                  number, told(pack, CYCLES, 1), told(pack, SOH_PERCENT, 1));
    }
    bms_print(out, "%s\r$$\r\n\rpylon>", known ? "\rCommand completed successfully\r\n" : "");
    return used;
}

const struct bms_driver pylon_console_driver = {
    .name = "pylon-console",
    .title = "Pylontech, Pytes: RS232 console",
    .guide = {.makes = "Pylontech US2000, US3000, US5000, Pytes E-BOX, V5 by their RS232 console",
              .port = "RS232",
              .wires = "RS232. RJ45 *Console* of the first pack: 3 in, 6 out, 8 GND",
              .setting = "no switch: the first pack answers for all that are linked to it",
              .address = "the number of the pack in the group"},
    .address = {.min = 1, .max = 16, .usual = 1},
    .line = {.baud = 115200, .reply_ms = 1000, .gap_ms = 100},
    .check = BMS_CHECK_SUM, /* there is none: weaker still */
    BMS_PLAN(plan),
    .build = build,
    .frame = pylon_find,
    .decode = decode,
    .emulate = emulate,
};
