// SPDX-License-Identifier: MIT
/* Maps of unknown BMS: one row a line, words with blanks between. */
#include "modbus_map.h"

#include "types.h"
#include "words.h"

#include "base/alloc.h"
#include "base/regular.h"
#include "base/suggest.h"
#include "registers/value.h"

#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_FILE 65536
#define LINE_SIZE 256
#define REGISTERS 0x10000

/* The row that is being parsed, and the totals of all rows. */
struct reader {
    struct words words;
    struct modbus_user *map;
    unsigned fast, slow; /* reads so far */
};

static bool parse_whole(struct reader *reader, const char *name, unsigned least, unsigned most,
                        void *out, size_t size)
{
    const struct config_key key = {
        .name = name, .type = &type_whole, .size = size, .min = least, .max = most};
    return words_value(&reader->words, &key, out);
}
#define WHOLE(name, least, most, field)                                                            \
    parse_whole(reader, name, least, most, &(field), sizeof(field))
#define REGISTER(field) WHOLE("register", 0, REGISTERS - 1, field)

static bool parse_choice(struct reader *reader, const char *name, const char *const *choices,
                         unsigned *out)
{
    const struct config_key key = {
        .name = name, .type = &type_choice, .size = sizeof *out, .words = choices};
    return words_value(&reader->words, &key, out);
}

/* Whether the row ends here. */
static bool parse_end(struct reader *reader)
{
    const char *word = words_next(&reader->words);
    return !word || words_mistake(&reader->words, "'%s' is too much", word);
}

/* Whether one more fits. */
static bool has_room(struct reader *reader, size_t count, size_t most, const char *what)
{
    return count < most || words_mistake(&reader->words, "more than %zu %s", most, what);
}

/* ---- read KIND START COUNT [slow] ---- */

static void parse_read(struct reader *reader)
{
    static const char *const kinds[] = {"coils", "discrete", "holding", "input", NULL};
    static const struct config_key options[] = {{.name = "slow"}};
    struct bms_read read = {0};
    unsigned kind;
    bool slow = false;
    if (!parse_choice(reader, "kind of register", kinds, &kind) || !REGISTER(read.start) ||
        !WHOLE("number of registers", 1,
               kind < MODBUS_DISCRETE ? MODBUS_READ_MAX_BITS : MODBUS_READ_MAX, read.count))
        return;
    while (*words_peek(&reader->words))
        if (words_option(&reader->words, options, COUNT(options), &slow, "a read", NULL) < 0)
            return;
    unsigned *used = slow ? &reader->slow : &reader->fast;
    read.function = (uint8_t) (kind + MODBUS_COILS);
    if (read.start + read.count > REGISTERS)
        words_mistake(&reader->words, "%u registers from %u on go beyond 65535",
                      (unsigned) read.count, (unsigned) read.start);
    else if (has_room(reader, *used, MODBUS_USER_READS, slow ? "slow reads" : "reads"))
        reader->map->reads[(slow ? MODBUS_USER_READS : 0) + (*used)++] = read;
}

/* ---- write REGISTER VALUE…, expect REGISTER VALUE, head BYTE…, raw REGISTER COUNT ---- */

static void parse_write(struct reader *reader)
{
    struct modbus_user *map = reader->map;
    struct bms_read write = {.function = MODBUS_WRITE_MANY};
    if (!REGISTER(write.start) ||
        !has_room(reader, reader->fast, MODBUS_USER_READS, "reads and writes"))
        return;
    do {
        if (!has_room(reader, write.count, MODBUS_USER_WORDS, "values") ||
            !WHOLE("value", 0, UINT16_MAX, map->written[reader->fast][write.count]))
            return;
        write.count++;
    } while (*words_peek(&reader->words));
    map->reads[reader->fast++] = write;
}

static void parse_expect(struct reader *reader)
{
    struct modbus_user *map = reader->map;
    const size_t n = map->expected_count;
    if (has_room(reader, n, MODBUS_USER_EXPECTED, "'expect'") && REGISTER(map->expected[n].reg) &&
        WHOLE("value", 0, UINT16_MAX, map->expected[n].value) && parse_end(reader))
        map->expected_count++;
}

static void parse_head(struct reader *reader)
{
    struct modbus_user *map = reader->map;
    if (!has_room(reader, map->head_size > 0, 1, "'head'"))
        return;
    do {
        if (!has_room(reader, map->head_size, MODBUS_USER_HEAD, "bytes") ||
            !WHOLE("byte", 0, UINT8_MAX, map->head[map->head_size]))
            return;
        map->head_size++;
    } while (*words_peek(&reader->words));
}

static void parse_raw(struct reader *reader)
{
    struct modbus_user *map = reader->map;
    if (has_room(reader, map->raw_count > 0, 1, "'raw'") && REGISTER(map->raw_first) &&
        WHOLE("number of registers", 1, MAX_RAW_ALARMS, map->raw_count))
        parse_end(reader);
}

/* ---- NAME REGISTER TYPE [scale X] [offset X] [count N] [counted R] [min A] [max B] ---- */

/* A value or an alarm while it is parsed. */
struct parsed {
    struct modbus_value value;
    double scale;
};

/* Kinds of types; of numbers: of half a register, of one, of more. */
enum kind {
    BIT = 1,
    TEXT = 2,
    HALF = 4,
    SHORT = 8,
    WIDE = 16,
    NUMBER = HALF | SHORT | WIDE,
    NO_DIGITS = 32 /* not for numbers of a text */
};

// clang-format off
#define PARSED(member) CONFIG_FIELD(parsed, member)

/* What can follow the type: of an alarm the words up to SWAPPED, of a value those from MIN on. */
enum { WARNING, PROTECTION, MIN, MAX, MASK, IS, SWAPPED, SCALE, OFFSET, PER_RUN, COUNTED, STRIDE, NEGATIVE, EXPONENT, OPTIONS };
static const struct config_key options[OPTIONS] = {
    [WARNING]    = {.name = "warning"},
    [PROTECTION] = {.name = "protection"},
    [MIN]        = {.name = "min", PARSED(value.lowest), .type = &type_real},
    [MAX]        = {.name = "max", PARSED(value.highest), .type = &type_real},
    [MASK]       = {.name = "mask", PARSED(value.mask), .type = &type_whole, .min = 1, .max = UINT16_MAX},
    [IS]         = {.name = "is", PARSED(value.match), .type = &type_whole, .max = UINT16_MAX},
    [SWAPPED]    = {.name = "swapped"},
    [SCALE]      = {.name = "scale", PARSED(scale), .type = &type_real},
    [OFFSET]     = {.name = "offset", PARSED(value.offset), .type = &type_real},
    [PER_RUN]    = {.name = "count", PARSED(value.count), .type = &type_whole, .min = 1},
    [COUNTED]    = {.name = "counted", PARSED(value.counted), .type = &type_whole, .min = 1, .max = REGISTERS - 1},
    [STRIDE]     = {.name = "stride", PARSED(value.stride), .type = &type_whole, .max = UINT8_MAX},
    [NEGATIVE]   = {.name = "negative", PARSED(value.sign_reg), .type = &type_whole, .max = REGISTERS - 1},
    [EXPONENT]   = {.name = "exponent", PARSED(value.exponent), .type = &type_whole, .max = REGISTERS - 1},
};
/* The kinds that each is for. Values of a run cannot share a sign or a power. */
static const unsigned suits[OPTIONS] = {
    [WARNING] = BIT | TEXT | NUMBER, [PROTECTION] = BIT | TEXT | NUMBER,
    [MIN] = NUMBER, [MAX] = NUMBER, [MASK] = SHORT, [IS] = BIT | SHORT | NO_DIGITS, [SWAPPED] = TEXT | NUMBER,
    [SCALE] = NUMBER, [OFFSET] = NUMBER, [PER_RUN] = NUMBER, [COUNTED] = NUMBER, [STRIDE] = SHORT | WIDE,
    [NEGATIVE] = NUMBER | NO_DIGITS, [EXPONENT] = NUMBER | NO_DIGITS};
// clang-format on

/* A number or text of a pack; MAX_CELLS and MAX_TEMPS follow from the first one. */
static bool find_value(const char *name, bool *text, uint8_t *id)
{
    const bool stem = strcmp(name, "cell_mv") == 0 || strcmp(name, "temp_c") == 0;
    struct value_ref ref;
    char full[VALUE_NAME_SIZE];
    *text = false;
    for (int i = 0; i < PACK_TEXTS; i++)
        if (strcmp(name, pack_text_name((enum pack_text) i)) == 0) {
            *text = true;
            *id = (uint8_t) i;
            return true;
        }
    snprintf(full, sizeof full, "%s%s", name, stem ? ".1" : "");
    if (!value_find(full, &ref) || ref.kind != VALUE_NUMBER)
        return false;
    *id = (uint8_t) ref.id;
    return true;
}

/* Parses the type, and what belongs to the one of a bit or a text. */
static bool parse_type(struct reader *reader, bool text, struct modbus_value *value)
{
    static const char *const types[] = {"u16",    "s16",    "u32",    "s32",  "f32",
                                        "u32low", "s32low", "f32low", "s8",   "bit",
                                        "text",   "u48",    "u48low", "coil", NULL};
    const struct words *words = &reader->words;
    unsigned type;
    if (!parse_choice(reader, "type", types, &type))
        return false;
    const bool coil = type > MODBUS_U48_LOW;
    value->type = coil ? MODBUS_BIT : (uint8_t) type;
    value->bit = MODBUS_COIL;
    value->digits = text && type != MODBUS_TEXT;
    if (!text && type == MODBUS_TEXT)
        return words_mistake(words, "'%s' is a number, not text", words->subject);
    if (value->digits && value->type == MODBUS_BIT)
        return words_mistake(words,
                             "'%s' is text; expected 'text' and its number of registers, or a "
                             "number's type",
                             words->subject);
    return type == MODBUS_BIT    ? WHOLE("bit", 0, 15, value->bit)
           : type == MODBUS_TEXT ? WHOLE("number of registers", 1, TEXT_SIZE / 2, value->count)
                                 : true;
}

/* Behind `negative R`: V, or bit N. */
static bool parse_sign(struct reader *reader, struct modbus_value *value)
{
    const char *word = words_peek(&reader->words);
    const bool bit = strncmp(word, "bit", 3) == 0 && (!word[3] || strchr(WORDS_BLANKS, word[3]));
    if (bit)
        words_next(&reader->words);
    if (!WHOLE(bit ? "bit" : "negative", 0, bit ? 15 : UINT16_MAX, value->sign))
        return false;
    if (bit)
        value->sign = (uint16_t) (1u << value->sign);
    value->sign_mask = bit ? value->sign : UINT16_MAX;
    return true;
}

/* Parses what follows the register of a value, or of an alarm with its level. */
static bool parse_format(struct reader *reader, bool alarm, bool text, struct modbus_value *value,
                         bool given[OPTIONS])
{
    const struct words *words = &reader->words;
    struct config_key keys[OPTIONS];
    struct parsed parsed = {.value = *value, .scale = 1};
    memcpy(keys, options, sizeof keys);
    if (!parse_type(reader, text, &parsed.value))
        return false;
    const unsigned type = parsed.value.type, id = parsed.value.id;
    const enum kind kind = type == MODBUS_BIT                         ? BIT
                           : type == MODBUS_TEXT                      ? TEXT
                           : type == MODBUS_S8                        ? HALF
                           : type == MODBUS_U16 || type == MODBUS_S16 ? SHORT
                                                                      : WIDE;
    keys[IS].max = kind == BIT ? 1 : UINT16_MAX;
    /* How many values of its kind follow this one. */
    keys[PER_RUN].max = parsed.value.digits ? TEXT_SIZE - 1
                        : id >= TEMP_C      ? PACK_VALUES - id
                        : id >= CELL_MV     ? TEMP_C - id
                                            : 1;
    keys[STRIDE].min = modbus_width(parsed.value.type);
    const unsigned first = alarm ? WARNING : MIN, end = alarm ? SCALE : OPTIONS;
    while (*words_peek(words)) {
        int n = words_option(&reader->words, keys + first, end - first, given + first,
                             alarm ? "an alarm" : "a value", &parsed);
        if (n < 0)
            return false;
        n += (int) first;
        if (!(suits[n] & kind) || (parsed.value.digits && suits[n] & NO_DIGITS))
            return words_mistake(words, "'%s' has no meaning for %s", keys[n].name,
                                 kind == BIT    ? "a bit"
                                 : kind == TEXT ? "a text"
                                                : "this type");
        if (parsed.scale == 0)
            return words_mistake(
                words, "'scale' is 0; expected another number, such as 0.01 (with a point)");
        if (n == NEGATIVE && !parse_sign(reader, &parsed.value))
            return false;
    }
    if (parsed.value.lowest > parsed.value.highest)
        return words_mistake(words, "'min' of '%s' is above 'max'", words->subject);
    const unsigned mask = parsed.value.mask, most = mask ? mask / (mask & (0u - mask)) : UINT16_MAX;
    if (parsed.value.match > most)
        return words_mistake(words,
                             "'is' of '%s' is %u, which 'mask' cannot give; expected 0 to %u",
                             words->subject, (unsigned) parsed.value.match, most);
    *value = parsed.value;
    /* 0.01 is not exact in binary: dividing by 100 is. */
    const double divisor = 1 / parsed.scale, whole = round(divisor);
    value->divisor = !given[SCALE]                                ? 0
                     : fabs(divisor - whole) < 1e-9 * fabs(whole) ? whole
                                                                  : divisor;
    value->matched = given[IS];
    value->swapped = given[SWAPPED];
    value->scaled = given[EXPONENT];
    return true;
}

static bool is_text_value(const struct modbus_value *value)
{
    return value->type == MODBUS_TEXT || value->digits;
}

/* A second row for a value, or for one of a run, would silently replace the first. */
static bool is_mapped(const struct modbus_user *map, const struct modbus_value *value)
{
    const bool text = is_text_value(value);
    const unsigned count = text || value->count == 0 ? 1 : value->count;
    for (size_t i = 0; i < map->value_count; i++) {
        const struct modbus_value *other = &map->values[i];
        const unsigned length = text || other->count == 0 ? 1 : other->count;
        if (is_text_value(other) == text && value->id < other->id + length &&
            other->id < value->id + count)
            return true;
    }
    return false;
}

static void parse_value(struct reader *reader)
{
    static const char *const others[] = {"read",  "write", "expect",  "head",
                                         "alarm", "raw",   "cell_mv", "temp_c"};
    struct modbus_user *map = reader->map;
    struct modbus_value value = {.lowest = -INFINITY, .highest = INFINITY};
    bool text, given[OPTIONS] = {false};
    if (!find_value(reader->words.subject, &text, &value.id)) {
        struct suggest suggest = suggest_for(reader->words.subject);
        for (size_t i = 0; i < COUNT(others); i++)
            suggest_offer(&suggest, others[i]);
        for (int i = 0; i < CELL_MV; i++)
            if (pack_value_info((enum pack_value) i)->name)
                suggest_offer(&suggest, pack_value_info((enum pack_value) i)->name);
        for (int i = 0; i < PACK_TEXTS; i++)
            suggest_offer(&suggest, pack_text_name((enum pack_text) i));
        words_mistake(
            &reader->words,
            "'%s' is no value, and not 'read', 'write', 'expect', 'head', 'alarm' or 'raw'%s",
            reader->words.subject, suggest_hint(&suggest));
        return;
    }
    if (!REGISTER(value.reg) || !parse_format(reader, false, text, &value, given))
        return;
    if (is_mapped(map, &value))
        words_mistake(&reader->words, "'%s' has a row already", reader->words.subject);
    else if (has_room(reader, map->value_count, MODBUS_USER_VALUES, "values"))
        map->values[map->value_count++] = value;
}

/* ---- alarm NAME REGISTER TYPE [is V] … LEVEL ---- */

static bool find_alarm(struct reader *reader, uint8_t *alarm)
{
    const char *word = words_next(&reader->words);
    reader->words.subject = word ? word : "";
    struct suggest suggest = suggest_for(reader->words.subject);
    for (*alarm = 0; *alarm < PACK_ALARM_COUNT; ++*alarm) {
        if (strcmp(suggest.word, pack_alarm_name((enum pack_alarm) * alarm)) == 0)
            return true;
        suggest_offer(&suggest, pack_alarm_name((enum pack_alarm) * alarm));
    }
    return words_mistake(&reader->words, "'%s' is no alarm%s", suggest.word,
                         suggest_hint(&suggest));
}

static void parse_alarm(struct reader *reader)
{
    struct modbus_user *map = reader->map;
    struct modbus_alarm test = {.value = {.lowest = -INFINITY, .highest = INFINITY}};
    bool given[OPTIONS] = {false};
    if (!find_alarm(reader, &test.alarm) || !REGISTER(test.value.reg) ||
        !parse_format(reader, true, false, &test.value, given))
        return;
    test.level = given[WARNING] ? ALARM_WARNING : ALARM_PROTECTION;
    if (given[WARNING] == given[PROTECTION])
        words_mistake(&reader->words, "'%s' has no level; expected 'warning' or 'protection'",
                      reader->words.subject);
    else if (modbus_registers(&test.value) > 1)
        words_mistake(&reader->words, "'%s': an alarm is in one register", reader->words.subject);
    else if (has_room(reader, map->alarm_count, MODBUS_USER_ALARMS, "alarms"))
        map->alarms[map->alarm_count++] = test;
}

static const struct {
    const char *word;
    void (*parse)(struct reader *reader);
} rows[] = {{"read", parse_read}, {"write", parse_write}, {"expect", parse_expect},
            {"head", parse_head}, {"alarm", parse_alarm}, {"raw", parse_raw}};

static void parse_line(struct reader *reader, char *line)
{
    line[strcspn(line, "#;")] = '\0';
    /* Mistakes are printed to terminals: no control characters. */
    for (const unsigned char *at = (const unsigned char *) line; *at; at++)
        if ((*at < 0x20 && !strchr("\t\r", *at)) || *at == 0x7F) {
            words_mistake(&reader->words, "control character 0x%02X; expected plain text", *at);
            return;
        }
    /* Also a plus sign before a number. */
    for (char *at = line; *at; at++)
        if (strchr("\r,=", *at) || (*at == '+' && at > line && strchr(WORDS_BLANKS, at[-1])))
            *at = ' ';
    reader->words.rest = line;
    reader->words.subject = words_next(&reader->words);
    void (*parse)(struct reader *) = parse_value;
    for (size_t i = 0; reader->words.subject && i < COUNT(rows); i++)
        if (strcmp(reader->words.subject, rows[i].word) == 0)
            parse = rows[i].parse;
    if (reader->words.subject)
        parse(reader);
}

/* Whether one request covers all these registers, and `beside` too (a register, or -1). */
static bool is_read(const struct modbus_user *map, bool coils, unsigned first, unsigned count,
                    long beside)
{
    for (unsigned i = 0; i < 2 * MODBUS_USER_READS; i++) {
        const struct bms_read *read = &map->reads[i];
        const unsigned end = (unsigned) read->start + read->count;
        if (read->count > 0 && read->function != MODBUS_WRITE_MANY &&
            modbus_reads_bits(read->function) == coils && first >= read->start &&
            first + count <= end && (beside < 0 || (beside >= read->start && beside < (long) end)))
            return true;
    }
    return false;
}

/* Every row must be within one request, or its value is never known. */
static bool check_read(const struct reader *reader, const char *what, bool coils, unsigned first,
                       unsigned count)
{
    return is_read(reader->map, coils, first, count, -1) ||
           words_mistake(&reader->words, "%s: register %u%s is in no 'read'", what, first,
                         count > 1 ? " or one of those behind it" : "");
}

static void check_row(const struct reader *reader, const char *what,
                      const struct modbus_value *value)
{
    const unsigned count = modbus_registers(value);
    const bool coil = value->type == MODBUS_BIT && value->bit == MODBUS_COIL;
    const unsigned others[] = {value->counted, value->sign_reg, value->exponent};
    const bool used[] = {value->counted > 0, value->sign_mask > 0, value->scaled};
    if (!check_read(reader, what, coil, value->reg, count))
        return;
    for (unsigned i = 0; i < COUNT(others); i++)
        if (used[i] && check_read(reader, what, false, others[i], 1) &&
            !is_read(reader->map, false, value->reg, count, others[i]))
            words_mistake(&reader->words, "%s: register %u is not in the same 'read'", what,
                          others[i]);
}

static void check_reads(const struct reader *reader)
{
    const struct modbus_user *map = reader->map;
    char name[VALUE_NAME_SIZE];
    for (size_t i = 0; i < map->value_count; i++) {
        const struct modbus_value *value = &map->values[i];
        check_row(reader,
                  is_text_value(value) ? pack_text_name((enum pack_text) value->id)
                                       : pack_value_name((enum pack_value) value->id, name),
                  value);
    }
    for (size_t i = 0; i < map->alarm_count; i++)
        check_row(reader, pack_alarm_name((enum pack_alarm) map->alarms[i].alarm),
                  &map->alarms[i].value);
    for (size_t i = 0; i < map->expected_count; i++)
        check_read(reader, "expect", false, map->expected[i].reg, 1);
    if (map->raw_count > 0)
        check_read(reader, "raw", false, map->raw_first, map->raw_count);
}

/* Holding and input registers with the same number would be confused. */
static void check_kinds(const struct reader *reader)
{
    for (const struct bms_read *a = reader->map->reads;
         a < reader->map->reads + 2 * MODBUS_USER_READS; a++)
        for (const struct bms_read *b = reader->map->reads; b < a; b++)
            if (a->count > 0 && b->count > 0 && a->function != MODBUS_WRITE_MANY &&
                b->function != MODBUS_WRITE_MANY &&
                modbus_reads_bits(a->function) == modbus_reads_bits(b->function) &&
                a->start < b->start + b->count && b->start < a->start + a->count) {
                words_mistake(&reader->words, "two reads overlap at %u",
                              (unsigned) (a->start > b->start ? a->start : b->start));
                return;
            }
}

struct modbus_user *modbus_map_parse(const char *text, const char *name, unsigned line,
                                     struct mistakes *mistakes)
{
    struct reader reader = {.words = {.mistakes = mistakes, .line = line, .map = name},
                            .map = alloc_zeroed(1, sizeof *reader.map)};
    char row[LINE_SIZE];
    const unsigned before = mistakes->count;
    reader.map->contents = UINT64_C(0xCBF29CE484222325); /* FNV-1a */
    for (const char *at = text; *at; at++)
        reader.map->contents = (reader.map->contents ^ (uint8_t) *at) * UINT64_C(0x100000001B3);
    /* The byte order mark that Windows editors write. */
    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    while (*text) {
        size_t length = strcspn(text, "\n");
        reader.words.map_line++;
        if (length >= sizeof row) {
            words_mistake(&reader.words, "the line is too long");
        } else {
            memcpy(row, text, length);
            row[length] = '\0';
            parse_line(&reader, row);
        }
        text += length + (text[length] == '\n');
    }
    bool reads = false;
    for (unsigned i = 0; i < MODBUS_USER_READS; i++)
        reads |=
            reader.map->reads[i].count > 0 && reader.map->reads[i].function != MODBUS_WRITE_MANY;
    if (mistakes->count == before && !reads)
        words_mistake(&reader.words,
                      "no 'read' row that is not slow; expected one, as 'read holding 0 40'");
    if (mistakes->count == before && reader.map->value_count == 0)
        words_mistake(&reader.words, "no values");
    if (mistakes->count == before) {
        check_reads(&reader);
        check_kinds(&reader);
    }
    if (mistakes->count > before) {
        free(reader.map);
        return NULL;
    }
    return reader.map;
}

struct modbus_user *modbus_map_load(const char *path, unsigned line, struct mistakes *mistakes)
{
    const char *why;
    char *text = regular_text(path, LARGEST_FILE, &why);
    if (!text)
        mistakes_add(mistakes, line, "map %s: cannot be read: %s", path, why);
    struct modbus_user *map = text ? modbus_map_parse(text, path, line, mistakes) : NULL;
    free(text);
    return map;
}
