// SPDX-License-Identifier: MIT
/* Maps of unknown BMS: one row a line, words with blanks between. */
#include "modbus_map.h"

#include "base/regular.h"
#include "base/suggest.h"

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

/* A row under way, and what all rows have come to. */
struct reader {
    struct modbus_user *map;
    unsigned fast, slow; /* reads so far */
    const char *name;    /* of the file */
    unsigned row;
    unsigned line; /* of the configuration */
    struct mistakes *mistakes;
    unsigned wrong;
    char *words[WORDS_MOST];
    unsigned count;
};

static void complain(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct reader *reader, const char *format, ...)
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

static bool take_whole(struct reader *reader, unsigned n, const char *what, long least, long most,
                       long *out)
{
    if (parse_whole(word_at(reader, n), least, most, out))
        return true;
    complain(reader, "'%s' is no %s; expected a whole number from %ld to %ld, or 0x and hex digits",
             word_at(reader, n), what, least, most);
    return false;
}

/* The position of a word in a list, or a mistake that names all of it. */
static int take_choice(struct reader *reader, unsigned n, const char *what,
                       const char *const *choices)
{
    char list[160] = "";
    for (int i = 0; choices[i]; i++) {
        if (strcmp(word_at(reader, n), choices[i]) == 0)
            return i;
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", choices[i]);
    }
    complain(reader, "'%s' is no %s; expected one of %s", word_at(reader, n), what, list);
    return -1;
}

/* ---- read FUNCTION START COUNT [slow] ---- */

static void read_row(struct reader *reader)
{
    static const char *const functions[] = {"coils", "discrete", "holding", "input", NULL};
    int function = take_choice(reader, 1, "kind of register", functions) + 1;
    bool bits = function <= MODBUS_DISCRETE;
    long start, count;
    if (function == 0 || !take_whole(reader, 2, "register", 0, REGISTERS - 1, &start) ||
        !take_whole(reader, 3, "number of registers", 1,
                    bits ? MODBUS_READ_MAX_BITS : MODBUS_READ_MAX, &count))
        return;
    bool slow = strcmp(word_at(reader, 4), "slow") == 0;
    if (reader->count > (slow ? 5u : 4u)) {
        complain(reader, "'%s' is too much; only 'slow' can follow", word_at(reader, slow ? 5 : 4));
        return;
    }
    if (start + count > REGISTERS) {
        complain(reader, "%ld registers from %ld on go beyond 65535", count, start);
        return;
    }
    unsigned *used = slow ? &reader->slow : &reader->fast;
    if (*used == MODBUS_USER_READS) {
        complain(reader, "more than %d reads%s", MODBUS_USER_READS, slow ? " that are slow" : "");
        return;
    }
    reader->map->reads[(slow ? MODBUS_USER_READS : 0) + (*used)++] = (struct bms_read){
        .function = (uint8_t) function, .start = (uint16_t) start, .count = (uint16_t) count};
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
    static const char *const words[] = {"read", "alarm", "raw", "cell_mv", "temp_c"};
    suggest_init(&suggest, name);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        suggest_offer(&suggest, words[i]);
    for (int i = 0; i < CELL_MV; i++)
        if (pack_value_info((enum pack_value) i)->name)
            suggest_offer(&suggest, pack_value_info((enum pack_value) i)->name);
    for (int i = 0; i < PACK_TEXTS; i++)
        suggest_offer(&suggest, pack_text_name((enum pack_text) i));
    complain(reader, "'%s' is no value, and not 'read', 'alarm' or 'raw'%s", name,
             suggest_hint(&suggest, hint));
}

static const char *const types[] = {"u16",    "s16", "u32", "s32",  "f32",  "u32low", "s32low",
                                    "f32low", "s8",  "bit", "text", "coil", NULL};
enum { TYPE_COIL = MODBUS_TEXT + 1 };

/* How many of its kind there is room for behind a value. */
static long room_behind(uint8_t id)
{
    if (id >= TEMP_C)
        return PACK_VALUES - id;
    return id >= CELL_MV ? TEMP_C - id : 1;
}

/* 0.01 is not exact in binary: a divisor of 100 gives the number that was meant. */
static double divisor_of(double scale)
{
    double divisor = 1 / scale, whole = round(divisor);
    return fabs(divisor - whole) < 1e-9 * fabs(whole) ? whole : divisor;
}

static bool take_option(struct reader *reader, unsigned n, struct modbus_value *value)
{
    const char *word = word_at(reader, n);
    double number;
    long whole;
    if (strcmp(word, "count") == 0) {
        if (!take_whole(reader, n + 1, "count", 1, room_behind(value->id), &whole))
            return false;
        value->count = (uint8_t) whole;
        return true;
    }
    if (strcmp(word, "counted") == 0) {
        if (!take_whole(reader, n + 1, "register", 1, REGISTERS - 1, &whole))
            return false;
        value->counted = (uint16_t) whole;
        return true;
    }
    if (!parse_number(word_at(reader, n + 1), &number)) {
        complain(reader, "'%s' is no number", word_at(reader, n + 1));
        return false;
    }
    if (strcmp(word, "scale") == 0 && number == 0) {
        complain(reader, "'scale' is 0; expected another number, such as 0.01 (with a point)");
        return false;
    }
    if (strcmp(word, "scale") == 0) {
        value->divisor = divisor_of(number);
        return true;
    }
    if (strcmp(word, "offset") == 0)
        value->offset = number;
    else if (strcmp(word, "min") == 0)
        value->lowest = number;
    else if (strcmp(word, "max") == 0)
        value->highest = number;
    else {
        complain(reader, "'%s' is not known; expected scale, offset, count, counted, min or max",
                 word);
        return false;
    }
    return true;
}

/* The word that a bit or a text has behind its type; n is moved on past it. */
static bool take_type(struct reader *reader, bool text, struct modbus_value *value, unsigned *n)
{
    int type = take_choice(reader, 2, "type", types);
    long number;
    if (type < 0)
        return false;
    if (text != (type == MODBUS_TEXT)) {
        complain(reader, "%s is %s", word_at(reader, 0),
                 text ? "text; expected the type 'text' and its number of registers"
                      : "a number, not text");
        return false;
    }
    value->type = type == TYPE_COIL ? MODBUS_BIT : (uint8_t) type;
    value->bit = MODBUS_COIL;
    if (type != MODBUS_BIT && type != MODBUS_TEXT)
        return true;
    if (!take_whole(reader, (*n)++, type == MODBUS_BIT ? "bit" : "number of registers",
                    type == MODBUS_BIT ? 0 : 1, type == MODBUS_BIT ? 15 : TEXT_SIZE / 2, &number))
        return false;
    if (type == MODBUS_BIT)
        value->bit = (uint8_t) number;
    else
        value->count = (uint8_t) number;
    return true;
}

/* A second row for a value, or for one of a run, would silently take the place of the first. */
static bool is_mapped(const struct modbus_user *map, const struct modbus_value *value)
{
    const bool text = value->type == MODBUS_TEXT;
    const unsigned count = text || value->count == 0 ? 1 : value->count;
    for (size_t i = 0; i < map->value_count; i++) {
        const struct modbus_value *other = &map->values[i];
        const unsigned length = text || other->count == 0 ? 1 : other->count;
        if ((other->type == MODBUS_TEXT) == text && value->id < other->id + length &&
            other->id < value->id + count)
            return true;
    }
    return false;
}

static void value_row(struct reader *reader)
{
    struct modbus_value value = {.lowest = -INFINITY, .highest = INFINITY};
    bool text;
    unsigned n = 3;
    long reg;
    if (!find_value(word_at(reader, 0), &text, &value.id)) {
        complain_of_name(reader, word_at(reader, 0));
        return;
    }
    if (!take_whole(reader, 1, "register", 0, REGISTERS - 1, &reg) ||
        !take_type(reader, text, &value, &n))
        return;
    value.reg = (uint16_t) reg;
    for (; n < reader->count; n += 2)
        if (text || value.type == MODBUS_BIT) {
            complain(reader, "'%s' has no meaning for a bit or a text", word_at(reader, n));
            return;
        } else if (!take_option(reader, n, &value)) {
            return;
        }
    if (value.lowest > value.highest)
        complain(reader, "min is above max");
    else if (is_mapped(reader->map, &value))
        complain(reader, "%s has a row already", word_at(reader, 0));
    else if (reader->map->value_count == MODBUS_USER_VALUES)
        complain(reader, "more than %d values", MODBUS_USER_VALUES);
    else
        reader->map->values[reader->map->value_count++] = value;
}

/* ---- alarm NAME REGISTER bit N LEVEL, alarm NAME COIL coil LEVEL, raw REGISTER COUNT ---- */

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
    complain(reader, "'%s' is no alarm%s", name, suggest_hint(&suggest, hint));
    return -1;
}

static void alarm_row(struct reader *reader)
{
    static const char *const kinds[] = {"bit", "coil", NULL}, *const levels[] = {
                                                                  "warning", "protection", NULL};
    long reg, bit = MODBUS_COIL;
    int alarm = find_alarm(reader, word_at(reader, 1));
    if (alarm < 0 || !take_whole(reader, 2, "register", 0, REGISTERS - 1, &reg))
        return;
    int kind = take_choice(reader, 3, "kind", kinds);
    if (kind < 0 || (kind == 0 && !take_whole(reader, 4, "bit", 0, 15, &bit)))
        return;
    unsigned at = kind == 0 ? 5 : 4;
    int level = take_choice(reader, at, "level", levels);
    if (level < 0)
        return;
    if (reader->count > at + 1)
        complain(reader, "'%s' is too much", word_at(reader, at + 1));
    else if (reader->map->alarm_count == MODBUS_USER_ALARMS)
        complain(reader, "more than %d alarms", MODBUS_USER_ALARMS);
    else
        reader->map->alarms[reader->map->alarm_count++] = (struct modbus_alarm){
            .reg = (uint16_t) reg,
            .bit = (uint8_t) bit,
            .alarm = (uint8_t) alarm,
            .level = level == 0 ? ALARM_WARNING : ALARM_PROTECTION,
        };
}

static void raw_row(struct reader *reader)
{
    long reg, count;
    if (!take_whole(reader, 1, "register", 0, REGISTERS - 1, &reg) ||
        !take_whole(reader, 2, "number of registers", 1, MAX_RAW_ALARMS, &count))
        return;
    if (reader->map->raw_count > 0 || reader->count > 3) {
        complain(reader, "expected one 'raw REGISTER COUNT'");
        return;
    }
    reader->map->raw_first = (uint16_t) reg;
    reader->map->raw_count = (uint16_t) count;
}

/* ---- the file ---- */

static void take_line(struct reader *reader, char *line)
{
    char *rest = NULL;
    line[strcspn(line, "#;")] = '\0';
    reader->count = 0;
    for (char *word = strtok_r(line, " \t\r,=", &rest); word;
         word = strtok_r(NULL, " \t\r,=", &rest)) {
        if (reader->count == WORDS_MOST) {
            complain(reader, "too many words");
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
    else
        value_row(reader);
}

static bool is_read(const struct modbus_user *map, bool coils, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < 2 * MODBUS_USER_READS; i++) {
        const struct bms_read *read = &map->reads[i];
        bool bits = read->function <= MODBUS_DISCRETE;
        if (read->count > 0 && bits == coils && first >= read->start &&
            first + count <= (unsigned) read->start + read->count)
            return true;
    }
    return false;
}

static unsigned width_of(const struct modbus_value *value)
{
    unsigned count = value->count ? value->count : 1;
    if (value->type == MODBUS_S8)
        return (count + 1) / 2;
    return value->type >= MODBUS_U32 && value->type <= MODBUS_F32_LOW ? 2 * count : count;
}

static void complain_of_read(struct reader *reader, const char *what, unsigned first,
                             unsigned count)
{
    complain(reader, "%s: register %u%s is in no 'read'", what, first,
             count > 1 ? " or one of those behind it" : "");
}

/* Every row must be within one request, or it would never have a value. */
static void check_reads(struct reader *reader)
{
    const struct modbus_user *map = reader->map;
    char name[VALUE_NAME_SIZE];
    for (size_t i = 0; i < map->value_count; i++) {
        const struct modbus_value *value = &map->values[i];
        bool text = value->type == MODBUS_TEXT;
        bool coil = value->type == MODBUS_BIT && value->bit == MODBUS_COIL;
        const char *what = text ? pack_text_name((enum pack_text) value->id)
                                : pack_value_name((enum pack_value) value->id, name);
        if (!is_read(map, coil, value->reg, width_of(value)))
            complain_of_read(reader, what, value->reg, width_of(value));
        if (value->counted && !is_read(map, false, value->counted, 1))
            complain_of_read(reader, what, value->counted, 1);
    }
    for (size_t i = 0; i < map->alarm_count; i++)
        if (!is_read(map, map->alarms[i].bit == MODBUS_COIL, map->alarms[i].reg, 1))
            complain_of_read(reader, pack_alarm_name((enum pack_alarm) map->alarms[i].alarm),
                             map->alarms[i].reg, 1);
    if (map->raw_count > 0 && !is_read(map, false, map->raw_first, map->raw_count))
        complain_of_read(reader, "raw", map->raw_first, map->raw_count);
}

/* Numbers of holding and of input registers would be taken for one another. */
static void check_kinds(struct reader *reader)
{
    const struct bms_read *reads = reader->map->reads;
    for (unsigned a = 0; a < 2 * MODBUS_USER_READS; a++)
        for (unsigned b = 0; b < a; b++) {
            bool alike =
                (reads[a].function <= MODBUS_DISCRETE) == (reads[b].function <= MODBUS_DISCRETE);
            if (reads[a].count > 0 && reads[b].count > 0 && alike &&
                reads[a].start < reads[b].start + reads[b].count &&
                reads[b].start < reads[a].start + reads[a].count) {
                complain(reader, "two reads overlap at %u",
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

static void take_text(struct reader *reader, const char *text)
{
    char line[LINE_SIZE];
    while (*text) {
        size_t length = strcspn(text, "\n");
        reader->row++;
        if (length >= sizeof line) {
            complain(reader, "the line is too long");
        } else {
            memcpy(line, text, length);
            line[length] = '\0';
            take_line(reader, line);
        }
        text += length + (text[length] == '\n');
    }
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
    /* The mark that editors of Windows begin a file with. */
    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    take_text(&reader, text);
    if (reader.wrong == 0 && reader.fast == 0)
        complain(&reader, "no 'read' row that is not slow; expected one, as 'read holding 0 40'");
    if (reader.wrong == 0 && reader.map->value_count == 0)
        complain(&reader, "no values");
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
