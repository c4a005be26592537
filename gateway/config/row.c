// SPDX-License-Identifier: MIT
/* Rows that put values into registers. */
#include "row.h"

#include "types.h"
#include "words.h"

#include "base/alloc.h"
#include "bms/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REGISTERS 65536
#define ITSELF "gateway" /* stands for the gateway in place of a pack */

/* Parses one pair of several; more may follow. */
static bool parse_pair(const struct config_key *key, const char *text, void *field);
static const struct config_type type_pair = {
    .parse = parse_pair,
    .expects = "IN:OUT, such as 0:6 1:4 2:3, at most " CONFIG_SHOW(ROW_PAIRS) " of them"};

// clang-format off
#define WORDS(...) CONFIG_WORDS(__VA_ARGS__)
#define ROW(member) CONFIG_FIELD(register_row, member)
#define SUBSTITUTE(...) .type = &type_substitute, WORDS(__VA_ARGS__), .min = -4294967295.0, .max = 4294967295.0

static const struct config_key register_key =
    {.name = "register", ROW(address), .type = &type_whole, .min = 0, .max = REGISTERS - 1};
/* In the order of enum map_type. */
static const struct config_key type_key =
    {.name = "type", ROW(type), .type = &type_choice,
     WORDS("u16", "s16", "u32", "s32", "float32", "u64", "s64", "float64", "bits16", "bits32", "string")};
static const struct config_key written_type_key =
    {.name = "type", ROW(type), .type = &type_choice, WORDS("u16", "s16", "u32", "s32", "float32")};
static const struct config_key length_key =
    {.name = "string", ROW(size), .type = &type_whole, .min = 1, .max = ROW_STRING};

/* The options that may follow the type: of a write those from the first on, of a register those up
 * to the last, and in the middle those of both. */
enum { DEADBAND, WRITE_ON_STALE, MAP, SCALE, OFFSET, MIN, MAX, WORD_ORDER, BIT, ON_UNKNOWN, ON_STALE, OPTIONS };
static const struct config_key options[OPTIONS] = {
    [DEADBAND] = {.name = "deadband", ROW(deadband), .type = &type_number, .min = 0, .max = 1e6},
    [WRITE_ON_STALE] = {.name = "on_stale", ROW(on_stale), SUBSTITUTE("skip", "unknown")},
    [MAP] = {.name = "map", .offset = 0, .size = sizeof(struct register_row), .type = &type_pair},
    [SCALE] = {.name = "scale", ROW(scale), .type = &type_number, .min = -1e6, .max = 1e6},
    [OFFSET] = {.name = "offset", ROW(offset), .type = &type_number, .min = -1e9, .max = 1e9},
    [MIN] = {.name = "min", ROW(min), .type = &type_number, .min = -1e18, .max = 1e18},
    [MAX] = {.name = "max", ROW(max), .type = &type_number, .min = -1e18, .max = 1e18},
    [WORD_ORDER] = {.name = "word_order", ROW(big_words), .type = &type_choice, WORDS("little", "big")},
    [BIT] = {.name = "bit", ROW(bit), .type = &type_whole, .min = 0, .max = 31},
    [ON_UNKNOWN] = {.name = "on_unknown", ROW(on_unknown), SUBSTITUTE("unknown", "exception")},
    [ON_STALE] = {.name = "on_stale", ROW(on_stale), SUBSTITUTE("exception", "unknown", "hold")},
};
static const char *const text_names[] = {
    [ROW_SERIAL] = "serial", [ROW_MODEL] = "model", [ROW_FIRMWARE] = "firmware", [ROW_DRIVER] = "driver",
    [ROW_PACK_NAME] = "pack_name"};
// clang-format on

/* A row while it is parsed. */
struct reading {
    const struct row_rules *rules;
    const struct config_draft *draft;
    struct words words; /* its subject: the text before the arrow */
    bool given[OPTIONS];
    struct register_row row;
};

/* Returns what follows "name." in the text, or NULL. */
static const char *after_name(const char *text, const char *name)
{
    size_t length = strlen(name);
    return length > 0 && strncmp(text, name, length) == 0 && text[length] == '.' ? text + length + 1
                                                                                 : NULL;
}

static bool find_value(struct row_term *term, const char *name, const char *source)
{
    if (strcmp(name, "fresh") == 0)
        term->what = ROW_FRESH;
    else if (value_find(name, &term->value))
        term->what = ROW_VALUE;
    else
        return false;
    snprintf(term->source, sizeof term->source, "%s", source);
    return true;
}

static bool report_value(const struct reading *reading, const char *source, const char *value)
{
    char name[VALUE_NAME_SIZE];
    struct suggest suggest = suggest_for(value);
    /* "soc" for soc_percent: the part before the unit, or before the number of a cell. */
    const size_t length = strlen(value);
    bool is_short = strcmp(source, ITSELF) == 0;
    if (is_short)
        strcpy(suggest.best, "seconds"); /* the gateway has no other number */
    for (unsigned n = 0; !is_short && n < value_count() + value_more_count(); n++) {
        value_at(n, name);
        is_short = name[0] && length > 0 && strncasecmp(value, name, length) == 0 &&
                   strchr("_.", name[length]);
        if (is_short)
            strcpy(suggest.best, name);
        else
            suggest_offer(&suggest, name);
    }
    return words_mistake(&reading->words, "'%s' has no number '%s'%s", source, value,
                         suggest_hint(&suggest));
}

static bool report_source(const struct reading *reading, const char *text)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%.*s", (int) strcspn(text, "."), text);
    struct suggest suggest = suggest_for(name);
    suggest_offer(&suggest, ITSELF);
    for (CONFIG_EACH(other, reading->draft, NULL))
        suggest_offer(&suggest, other->name);
    mistakes_add_of(reading->words.mistakes, reading->words.line, name,
                    "'%s' starts with the name of no pack or bank%s", text, suggest_hint(&suggest));
    return false;
}

/* Finds "house-1.soc_percent", "house-1.fresh" or "gateway.seconds". */
static bool parse_value(const struct reading *reading, const char *text, struct row_term *term)
{
    const char *nearest = NULL, *number = after_name(text, ITSELF), *usual = reading->rules->source;
    if (number && strcmp(number, "seconds") == 0) {
        term->what = ROW_SECONDS;
        return true;
    }
    if (number)
        nearest = ITSELF;
    if (usual[0] && find_value(term, text, usual))
        return true;
    for (CONFIG_EACH(draft, reading->draft, NULL)) {
        const char *rest = after_name(text, draft->name);
        if (rest && find_value(term, rest, draft->name))
            return true;
        if (rest && (!nearest || strlen(draft->name) > strlen(nearest)))
            nearest = draft->name;
    }
    const char *dot = strchr(text, '.');
    struct row_term of_another;
    if (nearest)
        return report_value(reading, nearest, after_name(text, nearest));
    if (usual[0] && !(dot && find_value(&of_another, dot + 1, "")))
        return report_value(reading, usual, text);
    return report_source(reading, text);
}

/* Decimal, hexadecimal with 0x, or with a fraction, and `sign` behind it, at which it returns. NULL: it is something else. */
static const char *parse_number(const char *text, double *number, char sign)
{
    char *end;
    if (!strchr("+-.0123456789", *text) || !*text)
        return NULL;
    *number = strtod(text, &end);
    return end > text && isfinite(*number) && *end == sign ? end : NULL;
}

static bool parse_pair(const struct config_key *key, const char *text, void *field)
{
    struct register_row *row = field;
    struct row_pair pair;
    const char *colon = parse_number(text, &pair.in, ':');
    if (!colon || !parse_number(colon + 1, &pair.out, '\0') || row->pair_count == ROW_PAIRS)
        return false;
    row->pairs[row->pair_count++] = pair;
    return true;
}

static bool parse_term(struct reading *reading, const char *word, bool minus)
{
    struct register_row *row = &reading->row;
    struct row_term term = {.what = ROW_NUMBER, .minus = minus};
    if (row->term_count == ROW_TERMS)
        return words_mistake(&reading->words, "'%s' has more than %d values; expected fewer",
                             reading->words.subject, ROW_TERMS);
    if ((reading->rules->write || !parse_number(word, &term.number, '\0')) &&
        !parse_value(reading, word, &term))
        return false;
    row->terms[row->term_count++] = term;
    return true;
}

static bool report_term(const struct reading *reading, const char *word)
{
    return words_mistake(&reading->words,
                         "'%s': '%s' is not expected there; expected values with +, -, | or & and "
                         "blanks between them, and of |, & and sums only one kind",
                         reading->words.subject, word);
}

/* "full_ah - remaining_ah": values with a sign between each two of them. */
static bool parse_terms(struct reading *reading, char *from)
{
    struct words words = {.rest = from};
    const char *word = words_next(&words);
    bool good = word && parse_term(reading, word, false);
    for (const char *sign; good && (sign = words_next(&words));) {
        const enum row_join join = *sign == '|' ? ROW_HIGHEST : *sign == '&' ? ROW_LOWEST : ROW_SUM;
        if (sign[1] || !strchr("+-|&", *sign) ||
            (reading->row.term_count > 1 && join != reading->row.join))
            return report_term(reading, sign);
        reading->row.join = join;
        word = words_next(&words);
        if (!word)
            return report_term(reading, sign);
        good = parse_term(reading, word, *sign == '-');
    }
    return good;
}

static bool report_text(const struct reading *reading)
{
    return words_mistake(&reading->words,
                         "'%s' is no text; expected one in double quotes, or pack_name, serial, "
                         "model, firmware or driver",
                         reading->words.subject);
}

/* "packgate", with the quotation marks. A text longer than its registers is cut, with a warning. */
static bool parse_quoted(struct reading *reading)
{
    const char *from = reading->words.subject;
    struct register_row *row = &reading->row;
    const size_t length = strlen(from);
    if (length < 2 || from[length - 1] != '"' || strchr(from + 1, '"') != from + length - 1)
        return report_text(reading);
    if (length - 2 > 2 * row->size)
        config_warn_at(reading->draft, reading->words.line,
                       "%s has %zu characters and is cut: %u registers take %u", from, length - 2,
                       row->size, 2 * row->size);
    snprintf(row->quoted, sizeof row->quoted, "%.*s", (int) length - 2, from + 1);
    row->text = ROW_QUOTED;
    return true;
}

/* The source's text called `name`. */
static bool find_text(struct register_row *row, const char *name, const char *source)
{
    for (unsigned i = ROW_SERIAL; i < COUNT(text_names); i++)
        if (strcmp(text_names[i], name) == 0) {
            row->text = (enum row_text) i;
            row->term_count = 1;
            snprintf(row->terms[0].source, sizeof row->terms[0].source, "%s", source);
            return true;
        }
    return false;
}

static bool parse_text(struct reading *reading)
{
    const char *from = reading->words.subject, *usual = reading->rules->source;
    if (*from == '"')
        return parse_quoted(reading);
    if (usual[0] && find_text(&reading->row, from, usual))
        return true;
    for (CONFIG_EACH(draft, reading->draft, NULL)) {
        const char *name = after_name(from, draft->name);
        if (name && find_text(&reading->row, name, draft->name))
            return true;
    }
    return report_text(reading);
}

/* If the name is a text's, the mistake is the register's type, not the name. */
static bool parse_from(struct reading *reading)
{
    char from[ROW_LINE];
    snprintf(from, sizeof from, "%s", reading->words.subject);
    if (reading->rules->write)
        return parse_term(reading, from, false);
    if (reading->row.type == REG_STRING)
        return parse_text(reading);
    struct register_row probe = {0};
    const char *dot = strrchr(from, '.');
    if (*from == '"' || find_text(&probe, dot ? dot + 1 : from, ""))
        return words_mistake(&reading->words,
                             "'%s' is a text, and a %s is none; expected string and the number of "
                             "registers, such as string 16",
                             from, type_key.words[reading->row.type]);
    return parse_terms(reading, from);
}

static bool parse_target(struct reading *reading)
{
    struct register_row *row = &reading->row;
    const struct config_key *type = reading->rules->write ? &written_type_key : &type_key;
    const int first = reading->rules->write ? DEADBAND : MAP;
    const int end = reading->rules->write ? BIT : OPTIONS;
    struct words *words = &reading->words;
    if (!words_value(words, &register_key, row) || !words_value(words, type, row))
        return false;
    if (row->type != REG_STRING)
        row->size = map_types[row->type].registers;
    else if (!words_value(words, &length_key, row))
        return false;
    bool good = true;
    while (good && *words_peek(words)) {
        const int n = words_option(words, options + first, (size_t) (end - first),
                                   reading->given + first, reading->rules->thing, row);
        good = n >= 0;
        for (const char *word; good && first + n == MAP && (word = words_peek(words)) &&
                               memchr(word, ':', strcspn(word, WORDS_BLANKS));)
            good = words_value(words, &options[MAP], row);
    }
    return good;
}

static bool check_options(const struct reading *reading)
{
    const struct register_row *row = &reading->row;
    const struct words *words = &reading->words;
    for (unsigned i = MAP; row->type == REG_STRING && i <= BIT; i++)
        if (reading->given[i])
            return words_mistake(words, "'%s' of '%s' has no meaning for a string; leave it out",
                                 options[i].name, words->subject);
    if (row->scale == 0)
        return words_mistake(words, "'scale' of '%s' is 0; expected another number",
                             words->subject);
    if (row->min > row->max)
        return words_mistake(words, "'min' of '%s' is above 'max'", words->subject);
    if (row->bit >= 0 && row->type != REG_BITS16 && row->type != REG_BITS32)
        return words_mistake(words, "'%s': 'bit' is for bits16 and bits32", words->subject);
    if (row->bit >= 16 && row->type == REG_BITS16)
        return words_mistake(words, "'%s': a bits16 has the bits 0 to 15", words->subject);
    return true;
}

/* The range of one value before it is scaled. A view may cut the gateway's seconds to what fits. */
static struct value_traits traits_of(const struct reading *reading, const struct row_term *term)
{
    if (term->what == ROW_VALUE)
        return value_traits(&term->value);
    if (term->what == ROW_NUMBER)
        return (struct value_traits){.min = term->number, .max = term->number};
    return (struct value_traits){.max = term->what == ROW_FRESH ? 1 : UINT16_MAX,
                                 .must_fit = reading->rules->write};
}

bool config_row_is_constant(const struct register_row *row)
{
    for (unsigned i = 0; i < row->term_count; i++)
        if (row->terms[i].what != ROW_NUMBER)
            return false;
    return row->type != REG_STRING || row->text == ROW_QUOTED;
}

static bool check_constant(const struct reading *reading)
{
    const struct register_row *row = &reading->row;
    double sum = 0;
    for (unsigned i = 0; i < row->term_count; i++)
        sum += row->terms[i].minus ? -row->terms[i].number : row->terms[i].number;
    const double number = sum * row->scale + row->offset;
    if (row->term_count != 1 || row->pair_count > 0 || map_fit(row->type, number, false) == number)
        return true;
    return words_mistake(&reading->words, "%.10g does not fit into a %s%s", number,
                         type_key.words[row->type],
                         row->type == REG_U64 ? "; expected smaller ones, or 'fill'" : "");
}

/* An unsigned register would show 0 A while a pack discharges, and a register too small would cut
 * a bit set. */
static bool check_range(const struct reading *reading)
{
    const struct register_row *row = &reading->row;
    const struct map_limits fits = map_types[row->type].whole;
    for (unsigned i = 0; row->pair_count == 0 && row->bit < 0 && i < row->term_count; i++) {
        const struct value_traits value = traits_of(reading, &row->terms[i]);
        const double a = value.min * row->scale, b = value.max * row->scale;
        const bool cut = value.min < 0 && reading->given[MIN];
        if (!value.must_fit && fmin(a, b) < 0 && fits.min == 0 && row->offset == 0 && !cut)
            return words_mistake(&reading->words,
                                 "'%s' can be negative, and a %s cannot; expected s16, s32 or "
                                 "float32, an offset, or 'min 0' where that is meant",
                                 reading->words.subject, type_key.words[row->type]);
        if (value.must_fit && fmax(a, b) > fits.max)
            return words_mistake(&reading->words,
                                 "'%s' is up to %.0f, which does not fit into a %s",
                                 reading->words.subject, fmax(a, b), type_key.words[row->type]);
    }
    return true;
}

static bool check_substitute(const struct reading *reading, const struct config_key *key,
                             const struct substitute *substitute)
{
    const enum map_type type = reading->row.type;
    if (substitute->kind != INSTEAD_NUMBER || reading->row.type == REG_STRING ||
        reading->row.bit >= 0 || map_fit(type, substitute->number, false) == substitute->number)
        return true;
    return words_mistake(&reading->words, "'%s' of '%s' is %.10g, which does not fit into a %s",
                         key->name, reading->words.subject, substitute->number,
                         type_key.words[type]);
}

bool config_rows_overlap(const struct register_row *a, const struct register_row *b)
{
    return a->address < b->address + b->size && b->address < a->address + a->size;
}

static bool check_overlaps(const struct reading *reading, const struct register_row *rows,
                           unsigned count)
{
    const struct register_row *row = &reading->row;
    for (unsigned i = 0; i < count; i++)
        if (config_rows_overlap(row, &rows[i]) &&
            !(row->bit >= 0 && rows[i].bit >= 0 && row->address == rows[i].address &&
              row->type == rows[i].type))
            return words_mistake(&reading->words, "register %u is already that of line %u",
                                 (unsigned) fmax(row->address, rows[i].address),
                                 rows[i].line_number);
    return true;
}

/* An unknown bit is 0 unless its own line says otherwise: a number for whole registers would set
 * it. */
static struct substitute for_bit(bool given, const struct substitute *substitute)
{
    const bool inherited = !given && substitute->kind == INSTEAD_NUMBER;
    const struct substitute unknown = {.kind = INSTEAD_UNKNOWN};
    return inherited ? unknown : *substitute;
}

/* Splits "from -> rest"; an arrow between quotation marks does not count. False: no arrow, or
 * nothing before it. */
static bool split(struct words *words, char *text)
{
    char *mark = text;
    for (bool quoted = false; *mark && (quoted || strncmp(mark, "->", 2) != 0); mark++)
        quoted ^= *mark == '"';
    if (!*mark)
        return false;
    words->rest = mark + 2;
    while (mark > text && strchr(WORDS_BLANKS, mark[-1]))
        mark--;
    *mark = 0;
    words->subject = text + strspn(text, WORDS_BLANKS);
    return *words->subject != 0;
}

static bool read_row(struct reading *reading, const struct config_key *key, char *text)
{
    const struct row_rules *rules = reading->rules;
    struct register_row *row = &reading->row;
    char expected[EXPECTED_SIZE];
    *row = (struct register_row){.line_number = reading->words.line,
                                 .scale = 1,
                                 .min = -INFINITY,
                                 .max = INFINITY,
                                 .bit = -1,
                                 .big_words = rules->big_words,
                                 .on_unknown = rules->on_unknown,
                                 .on_stale = rules->on_stale};
    snprintf(row->line, sizeof row->line, "%s", text);
    if (!split(&reading->words, text) ||
        (rules->write && strpbrk(reading->words.subject, WORDS_BLANKS)))
        return words_mistake(&reading->words, "'%s' is '%s'; expected %s", rules->key, row->line,
                             config_key_expected(key, expected));
    row->from_size = (unsigned) strlen(reading->words.subject);
    if (!parse_target(reading) || !parse_from(reading))
        return false;
    if (row->bit >= 0) {
        row->on_unknown = for_bit(reading->given[ON_UNKNOWN], &row->on_unknown);
        row->on_stale = for_bit(reading->given[ON_STALE], &row->on_stale);
    }
    if (row->address + row->size > REGISTERS)
        return words_mistake(&reading->words,
                             "a %s of %u registers does not fit at %u, %u is the last one",
                             type_key.words[row->type], row->size, row->address, REGISTERS - 1);
    if (!check_options(reading))
        return false;
    if (config_row_is_constant(row))
        return check_constant(reading);
    return check_range(reading) &&
           check_substitute(reading, &options[ON_UNKNOWN], &row->on_unknown) &&
           check_substitute(reading, &options[ON_STALE], &row->on_stale);
}

static int by_address(const void *a, const void *b)
{
    const struct register_row *first = a, *second = b;
    if (first->address != second->address)
        return first->address < second->address ? -1 : 1;
    return first->line_number < second->line_number ? -1 : 1;
}

void config_rows_read(const struct row_rules *rules, const struct config_draft *draft,
                      struct register_row **rows, unsigned *count)
{
    *rows = alloc_zeroed(draft->text_count, sizeof **rows);
    const struct config_entry *text;
    for (unsigned i = 0; (text = config_draft_text(draft, rules->key, i)); i++) {
        struct reading reading = {
            .rules = rules,
            .draft = draft,
            .words = {.mistakes = draft->drafts->mistakes, .line = text->line}};
        char line[ROW_LINE];
        snprintf(line, sizeof line, "%s", text->text);
        if (read_row(&reading, text->key, line) && check_overlaps(&reading, *rows, *count))
            (*rows)[(*count)++] = reading.row;
    }
    qsort(*rows, *count, sizeof **rows, by_address);
}

/* Names can be checked only at the end of the file. */
static bool parse_row(const struct config_key *key, const char *text, void *field)
{
    return true;
}

static bool same_rows(const struct register_row *a, unsigned a_count, const struct register_row *b,
                      unsigned b_count)
{
    for (unsigned i = 0; i < a_count && i < b_count; i++)
        if (strcmp(a[i].line, b[i].line) != 0 ||
            strcmp(a[i].terms[0].source, b[i].terms[0].source) != 0)
            return false;
    return a_count == b_count;
}

static bool same_writes(const void *a, const void *b)
{
    const struct push_config *x = a, *y = b;
    return same_rows(x->writes, x->write_count, y->writes, y->write_count);
}

static bool same_registers(const void *a, const void *b)
{
    const struct view_config *x = a, *y = b;
    return same_rows(x->registers, x->register_count, y->registers, y->register_count);
}

const struct config_type type_register = {
    .parse = parse_row,
    .expects = "VALUE -> REGISTER TYPE, such as voltage_v -> 259 u16 scale 100",
    .same = same_registers,
    .list = true,
    .later = true};
const struct config_type type_write = {
    .parse = parse_row,
    .expects = "NAME.VALUE -> REGISTER TYPE, such as house-1.soc_percent -> 40 u16",
    .same = same_writes,
    .list = true,
    .later = true};
