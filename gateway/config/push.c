// SPDX-License-Identifier: MIT
/* What [push NAME] writes. */
#include "push.h"

#include "arrow.h"
#include "types.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
#define WORDS(...) CONFIG_WORDS(__VA_ARGS__)
#define WRITE(member) CONFIG_FIELD(push_write, member)

static const struct config_key register_key =
    {.name = "register", WRITE(address), .type = &type_unsigned, .min = 0, .max = 65535};
static const struct config_key type_key =
    {.name = "type", WRITE(type), .type = &type_choice,
     WORDS("u16", "s16", "u32", "s32", "float32")};

/* The options that may follow the type. */
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

/* A `write` while it is parsed. */
struct reading {
    struct arrow arrow;
    const struct config_draft *push;
    bool given[OPTIONS];
    struct push_write write;
};

static struct push_config *push_of(const struct config_draft *draft)
{
    return draft->settings;
}

/* ---- what it says ---- */

static bool find_source(struct reading *reading)
{
    struct arrow_number number;
    if (!arrow_number(&reading->arrow, reading->arrow.from, NULL, &number))
        return false;
    memcpy(reading->write.source, number.source, sizeof reading->write.source);
    reading->write.what = number.what;
    reading->write.value = number.value;
    return true;
}

static bool parse_words(struct reading *reading)
{
    struct arrow *arrow = &reading->arrow;
    bool good = arrow_value(arrow, &register_key, &reading->write) &&
                arrow_value(arrow, &type_key, &reading->write);
    for (const char *word; good && (word = arrow_word(arrow));)
        good =
            arrow_option(arrow, options, OPTIONS, reading->given, "a write", word, &reading->write);
    return good;
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

/* An unsigned register would show 0 A while a pack discharges, and a register too small would cut
 * a bit set. */
static bool check_range(const struct reading *reading)
{
    const struct push_write *write = &reading->write;
    struct value_traits value = traits_of(write);
    const struct map_limits fits = map_types[write->type].whole;
    double a = value.min * write->scale + write->offset,
           b = value.max * write->scale + write->offset;
    if (!value.must_fit && fmin(a, b) < 0 && fits.min == 0 && write->offset == 0) {
        mistakes_add(
            reading->arrow.mistakes, reading->arrow.line,
            "'%s' can be negative, and a %s cannot; expected s16, s32 or float32, or an offset",
            reading->arrow.from, word_of(write->type));
        return false;
    }
    if (value.must_fit && (fmin(a, b) < fits.min || fmax(a, b) > fits.max)) {
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                     "'%s' is up to %.0f, which does not fit into a %s", reading->arrow.from,
                     fmax(a, b), word_of(write->type));
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
    mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                 "'on_stale' of '%s' is %.10g, which does not fit into a %s", reading->arrow.from,
                 number, word_of(write->type));
    return false;
}

static bool check_registers(const struct reading *reading)
{
    const struct push_write *write = &reading->write;
    unsigned size = map_types[write->type].registers;
    if (write->address + size > 65536) {
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                     "a %s takes two registers, and %u is the last one", word_of(write->type),
                     write->address);
        return false;
    }
    if (size > 1 && push_of(reading->push)->function == PUSH_SINGLE) {
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
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
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                     "'scale' of '%s' is 0; expected another number", reading->arrow.from);
        return false;
    }
    if (reading->write.deadband > 0 && !push_of(reading->push)->on_change)
        mistakes_warn(reading->arrow.mistakes, reading->arrow.line,
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
    if (!arrow_split(&reading->arrow, text) || strpbrk(reading->arrow.from, ARROW_BLANKS)) {
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                     "'write' has no 'NAME.VALUE -> REGISTER TYPE'; expected such as "
                     "house-1.soc_percent -> 40 u16");
        return false;
    }
    /* Both halves are checked, even if the first is wrong. */
    bool from = find_source(reading), to = parse_words(reading);
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

/* Compares with the writes of one push; `lines` are theirs, NULL: they are of another section. */
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
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                     "register %u is already written %s",
                     (unsigned) fmax(reading->write.address, push->writes[i].address), where);
        return false;
    }
    return true;
}

static bool check_overlaps(const struct reading *reading, const unsigned *lines)
{
    const struct config_drafts *drafts = reading->arrow.drafts;
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
            .arrow = {.drafts = drafts, .mistakes = mistakes, .line = text->line}, .push = draft};
        char *copy = strdup(text->text);
        if (copy && read_write(&reading, copy) && check_overlaps(&reading, lines)) {
            lines[push->write_count] = reading.arrow.line;
            push->writes[push->write_count++] = reading.write;
        }
        if (!copy)
            mistakes_add(mistakes, text->line, "out of memory");
        free(copy);
    }
    qsort(push->writes, push->write_count, sizeof *push->writes, by_address);
    free(lines);
}
