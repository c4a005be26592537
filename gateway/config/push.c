// SPDX-License-Identifier: MIT
/* What [push NAME] writes. */
#include "push.h"

#include "hints.h"
#include "types.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t"
#define ITSELF "gateway" /* stands for the gateway in place of a pack */

// clang-format off
#define WORDS(...) CONFIG_WORDS(__VA_ARGS__)
#define WRITE(member) CONFIG_FIELD(push_write, member)

static const struct config_key register_key =
    {.name = "register", WRITE(address), .type = &type_unsigned, .min = 0, .max = 65535};
static const struct config_key type_key =
    {.name = "type", WRITE(type), .type = &type_choice,
     WORDS("u16", "s16", "u32", "s32", "float32")};

/* What may stand behind the type. */
static const struct config_key options[] = {
    {.name = "scale", WRITE(scale), .type = &type_number, .min = -1e6, .max = 1e6},
    {.name = "offset", WRITE(offset), .type = &type_number, .min = -1e9, .max = 1e9},
    {.name = "word_order", WRITE(big_words), .type = &type_flag, WORDS("little", "big")},
    {.name = "deadband", WRITE(deadband), .type = &type_decimal, .min = 0, .max = 1e6},
    {.name = "on_stale", WRITE(on_stale), .type = &type_substitute, WORDS("skip", "unknown"),
     .min = -4294967295.0, .max = 4294967295.0},
};
// clang-format on
#define OPTIONS (sizeof options / sizeof *options)

/* One `write` while it is read. */
struct reading {
    const struct config_drafts *drafts;
    const struct config_draft *push;
    struct mistakes *mistakes;
    unsigned line;
    char *rest;       /* what has not been taken yet */
    const char *from; /* "house-1.soc_percent" */
    bool given[OPTIONS];
    struct push_write write;
};

static struct push_config *push_of(const struct config_draft *draft)
{
    return draft->settings;
}

/* ---- where from ---- */

/* What stands behind "name." in the text, or NULL. */
static const char *behind(const char *text, const char *name)
{
    size_t length = strlen(name);
    return length > 0 && strncmp(text, name, length) == 0 && text[length] == '.' ? text + length + 1
                                                                                 : NULL;
}

static bool is_source(const struct config_draft *draft)
{
    return draft->section == &pack_section || draft->section == &bank_section;
}

static bool find_number(struct push_write *write, const char *name)
{
    if (strcmp(name, "fresh") == 0)
        write->what = PUSH_FRESH;
    else if (value_find(name, &write->value))
        write->what = PUSH_VALUE;
    else
        return false;
    return true;
}

/* "soc" for soc_percent: what is before the unit, or before the number of a cell. */
static bool is_short_for(const char *word, const char *name)
{
    size_t length = strlen(word);
    return length > 0 && strncasecmp(word, name, length) == 0 && strchr("_.", name[length]);
}

/* Puts the name nearest to suggest->word there, written into `best`. */
static void suggest_value(struct suggest *suggest, char best[VALUE_NAME_SIZE])
{
    char name[VALUE_NAME_SIZE];
    for (unsigned n = 0; n < value_count(); n++) {
        value_at(n, name);
        if (name[0] && is_short_for(suggest->word, name)) {
            suggest->best = memcpy(best, name, VALUE_NAME_SIZE);
            return;
        }
        suggest_offer(suggest, name);
        if (suggest->best == name)
            suggest->best = memcpy(best, name, VALUE_NAME_SIZE);
    }
}

static void report_number(const struct reading *reading, const char *source, const char *number)
{
    char best[VALUE_NAME_SIZE], hint[SUGGEST_HINT_SIZE];
    struct suggest suggest;
    suggest_init(&suggest, number);
    suggest_value(&suggest, best);
    mistakes_add(reading->mistakes, reading->line, "'%s' has no number '%s'%s", source, number,
                 suggest_hint(&suggest, hint));
}

static void report_source(const struct reading *reading)
{
    char name[NAME_SIZE], hint[SUGGEST_HINT_SIZE];
    struct suggest suggest;
    snprintf(name, sizeof name, "%.*s", (int) strcspn(reading->from, "."), reading->from);
    suggest_init(&suggest, name);
    suggest_offer(&suggest, ITSELF);
    for (unsigned i = 0; i < reading->drafts->count; i++)
        if (is_source(&reading->drafts->list[i]))
            suggest_offer(&suggest, reading->drafts->list[i].name);
    mistakes_add(reading->mistakes, reading->line, "'%s' starts with the name of no pack or bank%s",
                 reading->from, suggest_hint(&suggest, hint));
}

static bool find_source(struct reading *reading)
{
    const char *nearest = NULL, *number = behind(reading->from, ITSELF);
    if (number && strcmp(number, "seconds") == 0) {
        reading->write.what = PUSH_SECONDS;
        return true;
    }
    if (number)
        nearest = ITSELF;
    for (unsigned i = 0; i < reading->drafts->count; i++) {
        const struct config_draft *draft = &reading->drafts->list[i];
        const char *rest = is_source(draft) ? behind(reading->from, draft->name) : NULL;
        if (rest && find_number(&reading->write, rest)) {
            memcpy(reading->write.source, draft->name, sizeof reading->write.source);
            return true;
        }
        if (rest && (!nearest || strlen(draft->name) > strlen(nearest)))
            nearest = draft->name;
    }
    if (nearest)
        report_number(reading, nearest, behind(reading->from, nearest));
    else
        report_source(reading);
    return false;
}

/* ---- where to ---- */

/* The next word, NULL: there is none. */
static char *take_word(struct reading *reading)
{
    char *word = reading->rest + strspn(reading->rest, BLANKS);
    size_t length = strcspn(word, BLANKS);
    reading->rest = word + length + (word[length] != 0);
    word[length] = 0;
    return length > 0 ? word : NULL;
}

static bool take_value(struct reading *reading, const struct config_key *key)
{
    char expected[EXPECTED_SIZE], hint[HINT_SIZE];
    const char *word = take_word(reading);
    if (word && key->type->parse(key, word, (char *) &reading->write + key->offset))
        return true;
    mistakes_add(reading->mistakes, reading->line, "'%s' of '%s' is '%s'; expected %s%s", key->name,
                 reading->from, word ? word : "", config_key_expected(key, expected),
                 config_hint(key, word ? word : "", hint));
    return false;
}

static bool report_option(const struct reading *reading, const char *word)
{
    char hint[SUGGEST_HINT_SIZE];
    struct suggest suggest;
    suggest_init(&suggest, word);
    for (size_t i = 0; i < OPTIONS; i++)
        suggest_offer(&suggest, options[i].name);
    mistakes_add(
        reading->mistakes, reading->line,
        "'%s' is no option of a write; expected scale, offset, word_order, deadband or on_stale%s",
        word, suggest_hint(&suggest, hint));
    return false;
}

static bool take_option(struct reading *reading, const char *word)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(options[i].name, word) != 0)
            continue;
        if (reading->given[i])
            mistakes_add(reading->mistakes, reading->line, "'%s' of '%s' is given twice", word,
                         reading->from);
        bool first = !reading->given[i];
        reading->given[i] = true;
        return take_value(reading, &options[i]) && first;
    }
    return report_option(reading, word);
}

static bool take_words(struct reading *reading)
{
    bool good = take_value(reading, &register_key) && take_value(reading, &type_key);
    for (const char *word; good && (word = take_word(reading));)
        good = take_option(reading, word);
    return good;
}

/* Splits "from -> rest"; false: there is no arrow, or nothing before it. */
static bool split(struct reading *reading, char *text)
{
    char *arrow = strstr(text, "->");
    if (!arrow)
        return false;
    *arrow = 0;
    reading->rest = text;
    reading->from = take_word(reading);
    bool alone = reading->from && !take_word(reading);
    reading->rest = arrow + 2;
    return alone;
}

/* ---- whether it fits ---- */

static struct value_traits traits_of(const struct push_write *write)
{
    if (write->what == PUSH_VALUE)
        return value_traits(&write->value);
    return (struct value_traits){.max = write->what == PUSH_FRESH ? 1 : UINT16_MAX,
                                 .must_fit = true};
}

static const char *word_of(enum map_type type)
{
    return type_key.words[type];
}

/* An unsigned register that shows 0 A while a pack is discharged is a trap, so is a set of bits
 * that is cut. */
static bool check_range(const struct reading *reading)
{
    const struct push_write *write = &reading->write;
    struct value_traits value = traits_of(write);
    const struct map_limits fits = map_types[write->type].whole;
    double a = value.min * write->scale + write->offset,
           b = value.max * write->scale + write->offset;
    if (!value.must_fit && fmin(a, b) < 0 && fits.min == 0 && write->offset == 0) {
        mistakes_add(
            reading->mistakes, reading->line,
            "'%s' can be negative, and a %s cannot; expected s16, s32 or float32, or an offset",
            reading->from, word_of(write->type));
        return false;
    }
    if (value.must_fit && (fmin(a, b) < fits.min || fmax(a, b) > fits.max)) {
        mistakes_add(reading->mistakes, reading->line,
                     "'%s' is up to %.0f, which does not fit into a %s", reading->from, fmax(a, b),
                     word_of(write->type));
        return false;
    }
    return true;
}

static bool check_substitute(const struct reading *reading)
{
    const struct push_write *write = &reading->write;
    const struct map_limits fits = map_types[write->type].whole;
    double number = write->on_stale.number;
    bool whole = write->type == REG_FLOAT32 || number == round(number);
    if (write->on_stale.kind != INSTEAD_NUMBER ||
        (whole && number >= fits.min && number <= fits.max))
        return true;
    mistakes_add(reading->mistakes, reading->line,
                 "'on_stale' of '%s' is %.10g, which does not fit into a %s", reading->from, number,
                 word_of(write->type));
    return false;
}

static bool check_registers(const struct reading *reading)
{
    const struct push_write *write = &reading->write;
    unsigned size = map_types[write->type].registers;
    if (write->address + size > 65536) {
        mistakes_add(reading->mistakes, reading->line,
                     "a %s takes two registers, and %u is the last one", word_of(write->type),
                     write->address);
        return false;
    }
    if (size > 1 && push_of(reading->push)->function == PUSH_SINGLE) {
        mistakes_add(reading->mistakes, reading->line,
                     "a %s takes two registers, and function 6 writes them one by one; expected "
                     "'function' auto or 16",
                     word_of(write->type));
        return false;
    }
    return true;
}

static bool check_write(const struct reading *reading)
{
    if (reading->write.scale == 0) {
        mistakes_add(reading->mistakes, reading->line,
                     "'scale' of '%s' is 0; expected another number", reading->from);
        return false;
    }
    if (reading->write.deadband > 0 && !push_of(reading->push)->on_change)
        mistakes_warn(reading->mistakes, reading->line,
                      "'deadband' has no effect here: [push %s] has no 'on_change = yes'",
                      reading->push->name);
    return check_registers(reading) && check_range(reading) && check_substitute(reading);
}

/* ---- all of them ---- */

static bool read_write(struct reading *reading, char *text)
{
    const struct push_config *push = push_of(reading->push);
    reading->write =
        (struct push_write){.scale = 1, .big_words = push->big_words, .on_stale = push->on_stale};
    if (!split(reading, text)) {
        mistakes_add(reading->mistakes, reading->line,
                     "'write' has no 'NAME.VALUE -> REGISTER TYPE'; expected such as "
                     "house-1.soc_percent -> 40 u16");
        return false;
    }
    /* Both halves are looked at, whatever is wrong with the one. */
    bool from = find_source(reading), to = take_words(reading);
    return from && to && check_write(reading);
}

static bool overlap(const struct push_write *a, const struct push_write *b)
{
    return a->address < b->address + map_types[b->type].registers &&
           b->address < a->address + map_types[a->type].registers;
}

static bool same_server(const struct config_draft *a, const struct config_draft *b)
{
    return strcmp(push_of(a)->target, push_of(b)->target) == 0 &&
           push_of(a)->unit == push_of(b)->unit;
}

/* Against the writes of one push; `lines` are theirs, NULL: they are of another section. */
static bool check_against(const struct reading *reading, const struct config_draft *other,
                          const unsigned *lines)
{
    const struct push_config *push = push_of(other);
    for (unsigned i = 0; i < push->write_count; i++) {
        if (!overlap(&reading->write, &push->writes[i]))
            continue;
        char where[NAME_SIZE + 40];
        if (lines)
            snprintf(where, sizeof where, "in line %u", lines[i]);
        else
            snprintf(where, sizeof where, "in [push %s]", other->name);
        mistakes_add(reading->mistakes, reading->line, "register %u is already written %s",
                     (unsigned) fmax(reading->write.address, push->writes[i].address), where);
        return false;
    }
    return true;
}

static bool check_overlaps(const struct reading *reading, const unsigned *lines)
{
    const struct config_drafts *drafts = reading->drafts;
    for (const struct config_draft *other = drafts->list; other < reading->push; other++)
        if (other->section == &push_section && same_server(reading->push, other) &&
            !check_against(reading, other, NULL))
            return false;
    return check_against(reading, reading->push, lines);
}

static int by_address(const void *a, const void *b)
{
    const struct push_write *first = a, *second = b;
    return first->address < second->address ? -1 : first->address > second->address;
}

void config_push_check(const struct config_drafts *drafts, struct config_draft *draft,
                       struct mistakes *mistakes)
{
    struct push_config *push = push_of(draft);
    unsigned *lines = calloc(draft->text_count + 1, sizeof *lines);
    push->writes = calloc(draft->text_count + 1, sizeof *push->writes);
    if (!lines || !push->writes) {
        mistakes_add(mistakes, draft->heading, "out of memory");
        free(lines);
        return;
    }
    const struct config_text *text;
    for (unsigned i = 0; (text = config_draft_text(draft, "write", i)); i++) {
        struct reading reading = {
            .drafts = drafts, .push = draft, .mistakes = mistakes, .line = text->line};
        char *copy = strdup(text->text);
        if (copy && read_write(&reading, copy) && check_overlaps(&reading, lines)) {
            lines[push->write_count] = reading.line;
            push->writes[push->write_count++] = reading.write;
        }
        if (!copy)
            mistakes_add(mistakes, text->line, "out of memory");
        free(copy);
    }
    qsort(push->writes, push->write_count, sizeof *push->writes, by_address);
    free(lines);
}
