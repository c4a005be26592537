// SPDX-License-Identifier: MIT
/* Maps of unknown BMS: one row a line, words with blanks between. */
#include "modbus_map.h"

#include "base/regular.h"
#include "base/suggest.h"

#include "bms/count.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_FILE 65536
#define WORDS_MOST 16
#define LINE_SIZE 256
#define REGISTERS 0x10000

/* The row that is being parsed, and the totals of all rows. */
struct reader {
    struct modbus_user *map;
    unsigned fast, slow; /* reads so far */
    bool head;           /* there was one */
    const char *name;    /* of the file */
    unsigned row;
    unsigned line; /* of the configuration */
    struct mistakes *mistakes;
    unsigned wrong;
    char *words[WORDS_MOST];
    unsigned count;
};

static void add_mistake(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_mistake(struct reader *reader, const char *format, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reader->wrong++;
    mistakes_add(reader->mistakes, reader->line, "map %s:%u: %s", reader->name, reader->row, text);
}

/* ---- words ---- */

static const char *word_at(const struct reader *reader, unsigned n)
{
    return n < reader->count ? reader->words[n] : "";
}

/* Decimal, or hexadecimal with 0x. */
static bool parse_whole(const char *word, long least, long most, long *out)
{
    char *end;
    bool hex = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
    errno = 0;
    long number = strtol(word, &end, hex ? 16 : 10);
    if (end == word || *end || errno || number < least || number > most)
        return false;
    *out = number;
    return true;
}

static bool parse_number(const char *word, double *out)
{
    char *end;
    double number = strtod(word, &end);
    if (end == word || *end || !isfinite(number))
        return false;
    *out = number;
    return true;
}

static bool parse_whole_word(struct reader *reader, unsigned n, const char *what, long least,
                             long most, long *out)
{
    if (parse_whole(word_at(reader, n), least, most, out))
        return true;
    add_mistake(reader,
                "'%s' is no %s; expected a whole number from %ld to %ld, or 0x and hex digits",
                word_at(reader, n), what, least, most);
    return false;
}

/* The position of a word in a list; otherwise reports a mistake that names all of them. */
static int parse_choice(struct reader *reader, unsigned n, const char *what,
                        const char *const *choices)
{
    char list[160] = "";
    for (int i = 0; choices[i]; i++) {
        if (strcmp(word_at(reader, n), choices[i]) == 0)
            return i;
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", choices[i]);
    }
    add_mistake(reader, "'%s' is no %s; expected one of %s", word_at(reader, n), what, list);
    return -1;
}

/* ---- read FUNCTION START COUNT [slow] ---- */

static void read_row(struct reader *reader)
{
    static const char *const functions[] = {"coils", "discrete", "holding", "input", NULL};
    int function = parse_choice(reader, 1, "kind of register", functions) + 1;
    bool bits = function <= MODBUS_DISCRETE;
    long start, count;
    if (function == 0 || !parse_whole_word(reader, 2, "register", 0, REGISTERS - 1, &start) ||
        !parse_whole_word(reader, 3, "number of registers", 1,
                          bits ? MODBUS_READ_MAX_BITS : MODBUS_READ_MAX, &count))
        return;
    bool slow = strcmp(word_at(reader, 4), "slow") == 0;
    if (reader->count > (slow ? 5u : 4u)) {
        add_mistake(reader, "'%s' is too much; only 'slow' can follow",
                    word_at(reader, slow ? 5 : 4));
        return;
    }
    if (start + count > REGISTERS) {
        add_mistake(reader, "%ld registers from %ld on go beyond 65535", count, start);
        return;
    }
    unsigned *used = slow ? &reader->slow : &reader->fast;
    if (*used == MODBUS_USER_READS) {
        add_mistake(reader, "more than %d reads%s", MODBUS_USER_READS,
                    slow ? " that are slow" : "");
        return;
    }
    reader->map->reads[(slow ? MODBUS_USER_READS : 0) + (*used)++] = (struct bms_read){
        .function = (uint8_t) function, .start = (uint16_t) start, .count = (uint16_t) count};
}

/* ---- write REGISTER VALUE…, expect REGISTER VALUE, head BYTE… ---- */

static void write_row(struct reader *reader)
{
    struct modbus_user *map = reader->map;
    long reg, value;
    if (!parse_whole_word(reader, 1, "register", 0, REGISTERS - 1, &reg))
        return;
    if (reader->count < 3 || reader->count > 2 + MODBUS_USER_WORDS) {
        add_mistake(reader, "expected 'write REGISTER VALUE' with 1 to %d values",
                    MODBUS_USER_WORDS);
        return;
    }
    if (reader->fast == MODBUS_USER_READS) {
        add_mistake(reader, "more than %d reads and writes", MODBUS_USER_READS);
        return;
    }
    for (unsigned n = 2; n < reader->count; n++) {
        if (!parse_whole_word(reader, n, "value", 0, UINT16_MAX, &value))
            return;
        map->written[reader->fast][n - 2] = (uint16_t) value;
    }
    map->reads[reader->fast++] = (struct bms_read){.function = MODBUS_WRITE_MANY,
                                                   .start = (uint16_t) reg,
                                                   .count = (uint16_t) (reader->count - 2)};
}

static void expect_row(struct reader *reader)
{
    struct modbus_user *map = reader->map;
    long reg, value;
    if (!parse_whole_word(reader, 1, "register", 0, REGISTERS - 1, &reg) ||
        !parse_whole_word(reader, 2, "value", 0, UINT16_MAX, &value))
        return;
    if (reader->count > 3) {
        add_mistake(reader, "'%s' is too much", word_at(reader, 3));
    } else if (map->expected_count == MODBUS_USER_EXPECTED) {
        add_mistake(reader, "more than %d 'expect'", MODBUS_USER_EXPECTED);
    } else {
        map->expected[map->expected_count].reg = (uint16_t) reg;
        map->expected[map->expected_count++].value = (uint16_t) value;
    }
}

static void head_row(struct reader *reader)
{
    struct modbus_user *map = reader->map;
    long byte;
    if (reader->head || reader->count < 2 || reader->count > 1 + MODBUS_USER_HEAD) {
        add_mistake(reader, "expected one 'head' with 1 to %d bytes, such as 'head 0xA5 0xA5'",
                    MODBUS_USER_HEAD);
        return;
    }
    reader->head = true;
    for (unsigned n = 1; n < reader->count; n++) {
        if (!parse_whole_word(reader, n, "byte", 0, UINT8_MAX, &byte))
            return;
        map->head[map->head_size++] = (uint8_t) byte;
    }
}

/* ---- NAME REGISTER TYPE [scale X] [offset X] [count N] [counted R] [min A] [max B] ---- */

/* A number or text of a pack; MAX_CELLS and MAX_TEMPS follow from the first one. */
static bool find_value(const char *name, bool *text, uint8_t *id)
{
    char full[VALUE_NAME_SIZE];
    for (int i = 0; i < PACK_TEXTS; i++)
        if (strcmp(name, pack_text_name((enum pack_text) i)) == 0) {
            *text = true;
            *id = (uint8_t) i;
            return true;
        }
    *text = false;
    for (int i = 0; i < PACK_VALUES; i++) {
        pack_value_name((enum pack_value) i, full);
        bool stem = (i == CELL_MV && strcmp(name, "cell_mv") == 0) ||
                    (i == TEMP_C && strcmp(name, "temp_c") == 0);
        if (full[0] && (stem || strcmp(name, full) == 0)) {
            *id = (uint8_t) i;
            return true;
        }
    }
    return false;
}

static void complain_of_name(struct reader *reader, const char *name)
{
    struct suggest suggest;
    char hint[SUGGEST_HINT_SIZE];
    static const char *const words[] = {"read", "alarm",  "raw",     "write",
                                        "head", "expect", "cell_mv", "temp_c"};
    suggest_init(&suggest, name);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        suggest_offer(&suggest, words[i]);
    for (int i = 0; i < CELL_MV; i++)
        if (pack_value_info((enum pack_value) i)->name)
            suggest_offer(&suggest, pack_value_info((enum pack_value) i)->name);
    for (int i = 0; i < PACK_TEXTS; i++)
        suggest_offer(&suggest, pack_text_name((enum pack_text) i));
    add_mistake(reader,
                "'%s' is no value, and not 'read', 'write', 'expect', 'head', 'alarm' or 'raw'%s",
                name, suggest_hint(&suggest, hint));
}

static const char *const types[] = {"u16",    "s16",    "u32",    "s32",  "f32",
                                    "u32low", "s32low", "f32low", "s8",   "bit",
                                    "text",   "u48",    "u48low", "coil", NULL};
enum { TYPE_COIL = MODBUS_U48_LOW + 1 };

/* How many values of its kind there is room for, from this one on. */
static long room_behind(uint8_t id)
{
    if (id >= TEMP_C)
        return PACK_VALUES - id;
    return id >= CELL_MV ? TEMP_C - id : 1;
}

/* 0.01 is not exact in binary: dividing by 100 is. */
static double divisor_of(double scale)
{
    double divisor = 1 / scale, whole = round(divisor);
    return fabs(divisor - whole) < 1e-9 * fabs(whole) ? whole : divisor;
}

/* ---- what can stand behind the type ---- */

static bool is_bit(const struct modbus_value *value)
{
    return value->type == MODBUS_BIT;
}

static bool is_short(const struct modbus_value *value)
{
    return value->type == MODBUS_U16 || value->type == MODBUS_S16;
}

static bool is_number(const struct modbus_value *value)
{
    return value->type != MODBUS_BIT && value->type != MODBUS_TEXT;
}

/* Whether it is a single number: values of a run cannot share a sign or a power. */
static bool is_single(const struct modbus_value *value)
{
    return is_number(value) && !value->digits;
}

static bool is_strided(const struct modbus_value *value)
{
    return is_number(value) && value->type != MODBUS_S8;
}

static bool is_swappable(const struct modbus_value *value)
{
    return !is_bit(value);
}

static bool is_matchable(const struct modbus_value *value)
{
    return is_bit(value) || (is_short(value) && !value->digits);
}

static bool parse_count(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    long whole, most = value->digits ? TEXT_SIZE - 1 : room_behind(value->id);
    if (!parse_whole_word(reader, (*n)++, "count", 1, most, &whole))
        return false;
    value->count = (uint8_t) whole;
    return true;
}

static bool parse_counted(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    long whole;
    if (!parse_whole_word(reader, (*n)++, "register", 1, REGISTERS - 1, &whole))
        return false;
    value->counted = (uint16_t) whole;
    return true;
}

static bool parse_real(struct reader *reader, unsigned *n, double *out)
{
    if (parse_number(word_at(reader, (*n)++), out))
        return true;
    add_mistake(reader, "'%s' is no number", word_at(reader, *n - 1));
    return false;
}

static bool parse_scale(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    double number;
    if (!parse_real(reader, n, &number))
        return false;
    if (number == 0) {
        add_mistake(reader, "'scale' is 0; expected another number, such as 0.01 (with a point)");
        return false;
    }
    value->divisor = divisor_of(number);
    return true;
}

static bool parse_offset(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    return parse_real(reader, n, &value->offset);
}

static bool parse_min(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    return parse_real(reader, n, &value->lowest);
}

static bool parse_max(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    return parse_real(reader, n, &value->highest);
}

static bool parse_mask(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    long whole;
    if (!parse_whole_word(reader, (*n)++, "mask", 1, UINT16_MAX, &whole))
        return false;
    value->mask = (uint16_t) whole;
    return true;
}

static bool parse_match(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    long whole;
    if (!parse_whole_word(reader, (*n)++, "number", 0, is_bit(value) ? 1 : UINT16_MAX, &whole))
        return false;
    value->match = (uint16_t) whole;
    value->matched = true;
    return true;
}

static bool parse_swapped(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    (void) reader;
    (void) n;
    value->swapped = true;
    return true;
}

static bool parse_stride(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    long whole;
    if (!parse_whole_word(reader, (*n)++, "number of registers", (long) modbus_width(value->type),
                          UINT8_MAX, &whole))
        return false;
    value->stride = (uint8_t) whole;
    return true;
}

/* negative R V, or negative R bit N. */
static bool parse_negative(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    long reg, number;
    const bool bit = strcmp(word_at(reader, *n + 1), "bit") == 0;
    if (!parse_whole_word(reader, (*n)++, "register", 0, REGISTERS - 1, &reg))
        return false;
    *n += bit;
    if (!parse_whole_word(reader, (*n)++, bit ? "bit" : "number", 0, bit ? 15 : UINT16_MAX,
                          &number))
        return false;
    value->sign_reg = (uint16_t) reg;
    value->sign_mask = UINT16_MAX;
    if (bit)
        value->sign_mask = (uint16_t) (1u << number);
    value->sign = bit ? value->sign_mask : (uint16_t) number;
    return true;
}

static bool parse_exponent(struct reader *reader, unsigned *n, struct modbus_value *value)
{
    long reg;
    if (!parse_whole_word(reader, (*n)++, "register", 0, REGISTERS - 1, &reg))
        return false;
    value->exponent = (uint16_t) reg;
    value->scaled = true;
    return true;
}

// clang-format off
static const struct option {
    const char *name;
    bool (*suits)(const struct modbus_value *value);
    bool (*take)(struct reader *reader, unsigned *n, struct modbus_value *value);
    bool of_alarms;
} options[] = {
    {"scale",    is_number,    parse_scale,    false},
    {"offset",   is_number,    parse_offset,   false},
    {"count",    is_number,    parse_count,    false},
    {"counted",  is_number,    parse_counted,  false},
    {"min",      is_number,    parse_min,      true},
    {"max",      is_number,    parse_max,      true},
    {"mask",     is_short,     parse_mask,     true},
    {"is",       is_matchable, parse_match,    true},
    {"swapped",  is_swappable, parse_swapped,  true},
    {"stride",   is_strided,   parse_stride,   false},
    {"negative", is_single,    parse_negative, false},
    {"exponent", is_single,    parse_exponent, false},
};
// clang-format on

/* Parses the option at word n, and advances n. */
static bool parse_option(struct reader *reader, unsigned *n, bool alarm, struct modbus_value *value)
{
    const char *word = word_at(reader, (*n)++);
    char list[160] = "";
    for (size_t i = 0; i < COUNT(options); i++) {
        if (alarm && !options[i].of_alarms)
            continue;
        if (strcmp(word, options[i].name) == 0) {
            if (options[i].suits(value))
                return options[i].take(reader, n, value);
            add_mistake(reader, "'%s' has no meaning for %s", word,
                        is_bit(value)                ? "a bit"
                        : value->type == MODBUS_TEXT ? "a text"
                                                     : "this type");
            return false;
        }
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", options[i].name);
    }
    add_mistake(reader, "'%s' is not known; expected one of %s%s", word, list,
                alarm ? ", or warning or protection" : "");
    return false;
}

/* Parses the word that follows the type of a bit or a text, and advances n. */
static bool parse_type(struct reader *reader, bool text, struct modbus_value *value, unsigned *n)
{
    int type = parse_choice(reader, (*n)++, "type", types);
    long number;
    if (type < 0)
        return false;
    if (!text && type == MODBUS_TEXT) {
        add_mistake(reader, "%s is a number, not text", word_at(reader, 0));
        return false;
    }
    value->type = type == TYPE_COIL ? MODBUS_BIT : (uint8_t) type;
    value->bit = MODBUS_COIL;
    value->digits = text && type != MODBUS_TEXT;
    if (value->digits && is_bit(value)) {
        add_mistake(reader,
                    "%s is text; expected 'text' and its number of registers, or a number's type",
                    word_at(reader, 0));
        return false;
    }
    if (type != MODBUS_BIT && type != MODBUS_TEXT)
        return true;
    if (!parse_whole_word(reader, (*n)++, type == MODBUS_BIT ? "bit" : "number of registers",
                          type == MODBUS_BIT ? 0 : 1, type == MODBUS_BIT ? 15 : TEXT_SIZE / 2,
                          &number))
        return false;
    if (type == MODBUS_BIT)
        value->bit = (uint8_t) number;
    else
        value->count = (uint8_t) number;
    return true;
}

static bool is_text(const struct modbus_value *value)
{
    return value->type == MODBUS_TEXT || value->digits;
}

/* A second row for a value, or for one of a run, would silently replace the first. */
static bool is_mapped(const struct modbus_user *map, const struct modbus_value *value)
{
    const bool text = is_text(value);
    const unsigned count = text || value->count == 0 ? 1 : value->count;
    for (size_t i = 0; i < map->value_count; i++) {
        const struct modbus_value *other = &map->values[i];
        const unsigned length = text || other->count == 0 ? 1 : other->count;
        if (is_text(other) == text && value->id < other->id + length &&
            other->id < value->id + count)
            return true;
    }
    return false;
}

static void value_row(struct reader *reader)
{
    struct modbus_value value = {.lowest = -INFINITY, .highest = INFINITY};
    bool text;
    unsigned n = 2;
    long reg;
    if (!find_value(word_at(reader, 0), &text, &value.id)) {
        complain_of_name(reader, word_at(reader, 0));
        return;
    }
    if (!parse_whole_word(reader, 1, "register", 0, REGISTERS - 1, &reg) ||
        !parse_type(reader, text, &value, &n))
        return;
    value.reg = (uint16_t) reg;
    while (n < reader->count)
        if (!parse_option(reader, &n, false, &value))
            return;
    if (value.lowest > value.highest)
        add_mistake(reader, "min is above max");
    else if (is_mapped(reader->map, &value))
        add_mistake(reader, "%s has a row already", word_at(reader, 0));
    else if (reader->map->value_count == MODBUS_USER_VALUES)
        add_mistake(reader, "more than %d values", MODBUS_USER_VALUES);
    else
        reader->map->values[reader->map->value_count++] = value;
}

/* ---- alarm NAME REGISTER TYPE [is V] … LEVEL, raw REGISTER COUNT ---- */

static int find_alarm(struct reader *reader, const char *name)
{
    struct suggest suggest;
    char hint[SUGGEST_HINT_SIZE];
    suggest_init(&suggest, name);
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        if (strcmp(name, pack_alarm_name((enum pack_alarm) i)) == 0)
            return i;
        suggest_offer(&suggest, pack_alarm_name((enum pack_alarm) i));
    }
    add_mistake(reader, "'%s' is no alarm%s", name, suggest_hint(&suggest, hint));
    return -1;
}

static int level_of(const char *word)
{
    return strcmp(word, "warning") == 0      ? ALARM_WARNING
           : strcmp(word, "protection") == 0 ? ALARM_PROTECTION
                                             : 0;
}

static void alarm_row(struct reader *reader)
{
    struct modbus_test test = {.value = {.lowest = -INFINITY, .highest = INFINITY}};
    unsigned n = 3;
    long reg;
    int alarm = find_alarm(reader, word_at(reader, 1));
    if (alarm < 0 || !parse_whole_word(reader, 2, "register", 0, REGISTERS - 1, &reg) ||
        !parse_type(reader, false, &test.value, &n))
        return;
    test.value.reg = (uint16_t) reg;
    while (n < reader->count && !level_of(word_at(reader, n)))
        if (!parse_option(reader, &n, true, &test.value))
            return;
    test.alarm = (uint8_t) alarm;
    test.level = (uint8_t) level_of(word_at(reader, n));
    if (!test.level)
        add_mistake(reader, "no level at the end; expected 'warning' or 'protection'");
    else if (reader->count > n + 1)
        add_mistake(reader, "'%s' is too much", word_at(reader, n + 1));
    else if (modbus_registers(&test.value) > 1)
        add_mistake(reader, "an alarm is in one register");
    else if (reader->map->alarm_count == MODBUS_USER_ALARMS)
        add_mistake(reader, "more than %d alarms", MODBUS_USER_ALARMS);
    else
        reader->map->alarms[reader->map->alarm_count++] = test;
}

static void raw_row(struct reader *reader)
{
    long reg, count;
    if (!parse_whole_word(reader, 1, "register", 0, REGISTERS - 1, &reg) ||
        !parse_whole_word(reader, 2, "number of registers", 1, MAX_RAW_ALARMS, &count))
        return;
    if (reader->map->raw_count > 0 || reader->count > 3) {
        add_mistake(reader, "expected one 'raw REGISTER COUNT'");
        return;
    }
    reader->map->raw_first = (uint16_t) reg;
    reader->map->raw_count = (uint16_t) count;
}

/* ---- the file ---- */

/* Mistakes are printed to terminals: no control characters. */
static bool is_plain(struct reader *reader, const char *line)
{
    for (; *line; line++)
        if (((unsigned char) *line < 0x20 && *line != '\t' && *line != '\r') || *line == 0x7F) {
            add_mistake(reader, "control character 0x%02X; expected plain text", (unsigned) *line);
            return false;
        }
    return true;
}

static void parse_line(struct reader *reader, char *line)
{
    char *rest = NULL;
    line[strcspn(line, "#;")] = '\0';
    reader->count = 0;
    if (!is_plain(reader, line))
        return;
    for (char *word = strtok_r(line, " \t\r,=", &rest); word;
         word = strtok_r(NULL, " \t\r,=", &rest)) {
        if (reader->count == WORDS_MOST) {
            add_mistake(reader, "too many words");
            return;
        }
        reader->words[reader->count++] = word;
    }
    if (reader->count == 0)
        return;
    if (strcmp(reader->words[0], "read") == 0)
        read_row(reader);
    else if (strcmp(reader->words[0], "alarm") == 0)
        alarm_row(reader);
    else if (strcmp(reader->words[0], "raw") == 0)
        raw_row(reader);
    else if (strcmp(reader->words[0], "write") == 0)
        write_row(reader);
    else if (strcmp(reader->words[0], "expect") == 0)
        expect_row(reader);
    else if (strcmp(reader->words[0], "head") == 0)
        head_row(reader);
    else
        value_row(reader);
}

/* Whether one request covers all these registers, and `beside` too (a register, or -1). */
static bool is_read(const struct modbus_user *map, bool coils, unsigned first, unsigned count,
                    long beside)
{
    for (unsigned i = 0; i < 2 * MODBUS_USER_READS; i++) {
        const struct bms_read *read = &map->reads[i];
        bool bits = read->function <= MODBUS_DISCRETE;
        if (read->count > 0 && read->function != MODBUS_WRITE_MANY && bits == coils &&
            first >= read->start && first + count <= (unsigned) read->start + read->count &&
            (beside < 0 || (beside >= read->start && beside < (long) read->start + read->count)))
            return true;
    }
    return false;
}

static void complain_of_read(struct reader *reader, const char *what, unsigned first,
                             unsigned count)
{
    add_mistake(reader, "%s: register %u%s is in no 'read'", what, first,
                count > 1 ? " or one of those behind it" : "");
}

static void check_row(struct reader *reader, const char *what, const struct modbus_value *value)
{
    const struct modbus_user *map = reader->map;
    const unsigned count = modbus_registers(value);
    const bool coil = value->type == MODBUS_BIT && value->bit == MODBUS_COIL;
    const unsigned others[] = {value->counted, value->sign_reg, value->exponent};
    const bool used[] = {value->counted > 0, value->sign_mask > 0, value->scaled};
    if (!is_read(map, coil, value->reg, count, -1)) {
        complain_of_read(reader, what, value->reg, count);
        return;
    }
    for (unsigned i = 0; i < COUNT(others); i++)
        if (used[i] && !is_read(map, false, others[i], 1, -1))
            complain_of_read(reader, what, others[i], 1);
        else if (used[i] && i > 0 && !is_read(map, false, value->reg, count, others[i]))
            add_mistake(reader, "%s: register %u is not in the same 'read'", what, others[i]);
}

/* Every row must be within one request, or its value is never known. */
static void check_reads(struct reader *reader)
{
    const struct modbus_user *map = reader->map;
    char name[VALUE_NAME_SIZE];
    for (size_t i = 0; i < map->value_count; i++) {
        const struct modbus_value *value = &map->values[i];
        check_row(reader,
                  is_text(value) ? pack_text_name((enum pack_text) value->id)
                                 : pack_value_name((enum pack_value) value->id, name),
                  value);
    }
    for (size_t i = 0; i < map->alarm_count; i++)
        check_row(reader, pack_alarm_name((enum pack_alarm) map->alarms[i].alarm),
                  &map->alarms[i].value);
    for (size_t i = 0; i < map->expected_count; i++)
        if (!is_read(map, false, map->expected[i].reg, 1, -1))
            complain_of_read(reader, "expect", map->expected[i].reg, 1);
    if (map->raw_count > 0 && !is_read(map, false, map->raw_first, map->raw_count, -1))
        complain_of_read(reader, "raw", map->raw_first, map->raw_count);
}

/* Holding and input registers with the same number would be confused. */
static void check_kinds(struct reader *reader)
{
    const struct bms_read *reads = reader->map->reads;
    for (unsigned a = 0; a < 2 * MODBUS_USER_READS; a++)
        for (unsigned b = 0; b < a; b++) {
            bool alike =
                (reads[a].function <= MODBUS_DISCRETE) == (reads[b].function <= MODBUS_DISCRETE);
            if (reads[a].function == MODBUS_WRITE_MANY || reads[b].function == MODBUS_WRITE_MANY)
                continue;
            if (reads[a].count > 0 && reads[b].count > 0 && alike &&
                reads[a].start < reads[b].start + reads[b].count &&
                reads[b].start < reads[a].start + reads[a].count) {
                add_mistake(reader, "two reads overlap at %u",
                            reads[a].start > reads[b].start ? reads[a].start : reads[b].start);
                return;
            }
        }
}

/* FNV-1a. */
static uint64_t sum_text(const char *text)
{
    uint64_t sum = UINT64_C(0xCBF29CE484222325);
    for (; *text; text++)
        sum = (sum ^ (uint8_t) *text) * UINT64_C(0x100000001B3);
    return sum;
}

static void parse_lines(struct reader *reader, const char *text)
{
    char line[LINE_SIZE];
    while (*text) {
        size_t length = strcspn(text, "\n");
        reader->row++;
        if (length >= sizeof line) {
            add_mistake(reader, "the line is too long");
        } else {
            memcpy(line, text, length);
            line[length] = '\0';
            parse_line(reader, line);
        }
        text += length + (text[length] == '\n');
    }
}

static bool reads_at_all(const struct modbus_user *map)
{
    for (unsigned i = 0; i < MODBUS_USER_READS; i++)
        if (map->reads[i].count > 0 && map->reads[i].function != MODBUS_WRITE_MANY)
            return true;
    return false;
}

struct modbus_user *modbus_map_parse(const char *text, const char *name, unsigned line,
                                     struct mistakes *mistakes)
{
    struct reader reader = {
        .map = calloc(1, sizeof *reader.map), .name = name, .line = line, .mistakes = mistakes};
    if (!reader.map) {
        mistakes_add(mistakes, line, "out of memory");
        return NULL;
    }
    reader.map->contents = sum_text(text);
    /* The byte order mark that Windows editors write. */
    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    parse_lines(&reader, text);
    if (reader.wrong == 0 && !reads_at_all(reader.map))
        add_mistake(&reader,
                    "no 'read' row that is not slow; expected one, as 'read holding 0 40'");
    if (reader.wrong == 0 && reader.map->value_count == 0)
        add_mistake(&reader, "no values");
    if (reader.wrong == 0) {
        check_reads(&reader);
        check_kinds(&reader);
    }
    if (reader.wrong > 0) {
        free(reader.map);
        return NULL;
    }
    return reader.map;
}

struct modbus_user *modbus_map_load(const char *path, unsigned line, struct mistakes *mistakes)
{
    const char *why;
    FILE *file = regular_open(path, &why);
    if (!file) {
        mistakes_add(mistakes, line, "map %s: cannot be opened: %s", path, why);
        return NULL;
    }
    struct modbus_user *map = NULL;
    char *text = malloc(LARGEST_FILE + 1);
    size_t size = text ? fread(text, 1, LARGEST_FILE, file) : 0;
    if (!text) {
        mistakes_add(mistakes, line, "out of memory");
    } else if (ferror(file)) {
        mistakes_add(mistakes, line, "map %s: cannot be read: %s", path, strerror(errno));
    } else if (size == LARGEST_FILE || memchr(text, '\0', size)) {
        mistakes_add(mistakes, line, "map %s: is no text, or larger than %d bytes", path,
                     LARGEST_FILE);
    } else {
        text[size] = '\0';
        map = modbus_map_parse(text, path, line, mistakes);
    }
    free(text);
    fclose(file);
    return map;
}
