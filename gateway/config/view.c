// SPDX-License-Identifier: MIT
/* What [view NAME] serves. */
#include "view.h"

#include "arrow.h"
#include "check.h"
#include "types.h"

#include "bms/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REGISTERS 65536

/* Parses one pair of several; more may follow. */
static bool parse_pair(const struct config_key *key, const char *text, void *field);
static void describe_pair(const struct config_key *key, char *out, size_t size);
static const struct config_type type_pair = {.parse = parse_pair, .describe = describe_pair};

// clang-format off
#define WORDS(...) CONFIG_WORDS(__VA_ARGS__)
#define REGISTER(member) CONFIG_FIELD(view_register, member)

static const struct config_key register_key =
    {.name = "register", REGISTER(address), .type = &type_unsigned, .min = 0, .max = REGISTERS - 1};
/* In the order of enum map_type. */
static const struct config_key type_key =
    {.name = "type", REGISTER(type), .type = &type_choice,
     WORDS("u16", "s16", "u32", "s32", "float32", "u64", "s64", "float64", "bits16", "bits32", "string")};
static const struct config_key length_key =
    {.name = "string", REGISTER(size), .type = &type_unsigned, .min = 1, .max = VIEW_STRING};

/* The options that may follow the type. */
enum { MAP, SCALE, OFFSET, MIN, MAX, BIT, WORD_ORDER, ON_UNKNOWN, ON_STALE, OPTIONS };
static const struct config_key options[OPTIONS] = {
    [MAP] = {.name = "map", .offset = 0, .size = sizeof(struct view_register), .type = &type_pair},
    [SCALE] = {.name = "scale", REGISTER(scale), .type = &type_number, .min = -1e6, .max = 1e6},
    [OFFSET] = {.name = "offset", REGISTER(offset), .type = &type_number, .min = -1e9, .max = 1e9},
    [MIN] = {.name = "min", REGISTER(min), .type = &type_number, .min = -1e18, .max = 1e18},
    [MAX] = {.name = "max", REGISTER(max), .type = &type_number, .min = -1e18, .max = 1e18},
    [BIT] = {.name = "bit", REGISTER(bit), .type = &type_int, .min = 0, .max = 31},
    [WORD_ORDER] = {.name = "word_order", REGISTER(big_words), .type = &type_flag, WORDS("little", "big")},
    [ON_UNKNOWN] = {.name = "on_unknown", REGISTER(on_unknown), .type = &type_substitute,
                    WORDS("unknown", "exception"), .min = -4294967295.0, .max = 4294967295.0},
    [ON_STALE] = {.name = "on_stale", REGISTER(on_stale), .type = &type_substitute,
                  WORDS("exception", "unknown", "hold"), .min = -4294967295.0, .max = 4294967295.0},
};
static const char *const text_names[] = {
    [VIEW_SERIAL] = "serial", [VIEW_MODEL] = "model", [VIEW_FIRMWARE] = "firmware", [VIEW_DRIVER] = "driver",
    [VIEW_PACK_NAME] = "pack_name"};
// clang-format on

/* A `register` while it is parsed. */
struct reading {
    struct arrow arrow;
    const struct config_draft *draft; /* of the view */
    bool given[OPTIONS];
    struct view_register reg;
};

static struct view_config *view_of(const struct config_draft *draft)
{
    return draft->settings;
}

static bool is_text(const struct view_register *reg)
{
    return reg->type == REG_STRING;
}

static const char *word_of(enum map_type type)
{
    return type_key.words[type];
}

/* ---- numbers and texts ---- */

/* Decimal, hexadecimal with 0x, or with a fraction, followed only by `end`. */
static const char *parse_number(const char *text, double *number)
{
    char *end;
    if (!strchr("+-.0123456789", *text) || !*text)
        return NULL;
    *number = strtod(text, &end);
    return end > text && isfinite(*number) ? end : NULL;
}

static bool is_number(const char *text, double *number)
{
    const char *end = parse_number(text, number);
    return end && !*end;
}

static bool parse_pair(const struct config_key *key, const char *text, void *field)
{
    (void) key;
    struct view_register *reg = field;
    struct view_pair pair;
    const char *colon = parse_number(text, &pair.in);
    if (!colon || *colon != ':' || !is_number(colon + 1, &pair.out) ||
        reg->pair_count == VIEW_PAIRS)
        return false;
    reg->pairs[reg->pair_count++] = pair;
    return true;
}

static void describe_pair(const struct config_key *key, char *out, size_t size)
{
    (void) key;
    snprintf(out, size, "IN:OUT, such as 0:6 1:4 2:3, at most %d of them", VIEW_PAIRS);
}

static bool parse_term(struct reading *reading, char *word, bool minus)
{
    struct view_register *reg = &reading->reg;
    struct view_term *term = &reg->terms[reg->term_count];
    struct arrow_number number;
    if (reg->term_count == VIEW_TERMS) {
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                     "'%s' has more than %d values; expected fewer", reading->arrow.from,
                     VIEW_TERMS);
        return false;
    }
    *term = (struct view_term){.what = VIEW_NUMBER, .minus = minus};
    if (!is_number(word, &term->number)) {
        if (!arrow_number(&reading->arrow, word, view_of(reading->draft)->source, &number))
            return false;
        term->what = number.what == PUSH_FRESH     ? VIEW_FRESH
                     : number.what == PUSH_SECONDS ? VIEW_SECONDS
                                                   : VIEW_VALUE;
        memcpy(term->source, number.source, sizeof term->source);
        term->value = number.value;
    }
    reg->term_count++;
    return true;
}

static bool report_term(const struct reading *reading, const char *word)
{
    mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                 "'%s': '%s' is not expected there; expected values with +, -, | or & and blanks "
                 "between them, and of |, & and sums only one kind",
                 reading->arrow.from, word);
    return false;
}

static bool join_of(char sign, enum view_join *join)
{
    *join = sign == '|' ? VIEW_HIGHEST : sign == '&' ? VIEW_LOWEST : VIEW_SUM;
    return sign && strchr("+-|&", sign);
}

/* "full_ah - remaining_ah": values with a sign between each two of them. */
static bool parse_terms(struct reading *reading, char *from)
{
    struct arrow words = {.rest = from};
    char *word = arrow_word(&words);
    bool good = word && parse_term(reading, word, false);
    for (char *sign; good && (sign = arrow_word(&words));) {
        enum view_join join;
        if (sign[1] || !join_of(*sign, &join) ||
            (reading->reg.term_count > 1 && join != reading->reg.join))
            return report_term(reading, sign);
        reading->reg.join = join;
        word = arrow_word(&words);
        if (!word)
            return report_term(reading, sign);
        good = parse_term(reading, word, *sign == '-');
    }
    return good;
}

static bool report_text(const struct reading *reading)
{
    mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                 "'%s' is no text; expected one in double quotes, or pack_name, serial, model, "
                 "firmware or driver",
                 reading->arrow.from);
    return false;
}

/* "packgate", with the quotation marks. A text longer than its registers is cut, with a warning. */
static bool parse_quoted(struct reading *reading)
{
    const char *from = reading->arrow.from;
    struct view_register *reg = &reading->reg;
    const size_t length = strlen(from);
    if (length < 2 || from[length - 1] != '"' || strchr(from + 1, '"') != from + length - 1)
        return report_text(reading);
    if (length - 2 > 2 * reg->size)
        mistakes_warn(reading->arrow.mistakes, reading->arrow.line,
                      "%s has %zu characters and is cut: %u registers take %u", from, length - 2,
                      reg->size, 2 * reg->size);
    snprintf(reg->quoted, sizeof reg->quoted, "%.*s", (int) length - 2, from + 1);
    reg->text = VIEW_QUOTED;
    return true;
}

/* The source's text called `name`. */
static bool find_text(struct view_register *reg, const char *name, const char *source)
{
    for (unsigned i = VIEW_SERIAL; i < COUNT(text_names); i++)
        if (strcmp(text_names[i], name) == 0) {
            reg->text = (enum view_text) i;
            reg->term_count = 1;
            snprintf(reg->terms[0].source, sizeof reg->terms[0].source, "%s", source);
            return true;
        }
    return false;
}

static bool parse_text(struct reading *reading)
{
    const char *from = reading->arrow.from, *usual = view_of(reading->draft)->source;
    const struct config_drafts *drafts = reading->arrow.drafts;
    if (*from == '"')
        return parse_quoted(reading);
    if (usual[0] && find_text(&reading->reg, from, usual))
        return true;
    for (unsigned i = 0; i < drafts->count; i++) {
        const struct config_draft *draft = &drafts->list[i];
        const size_t length = strlen(draft->name);
        if (arrow_is_source(draft) && length > 0 && strncmp(from, draft->name, length) == 0 &&
            from[length] == '.' && find_text(&reading->reg, from + length + 1, draft->name))
            return true;
    }
    return report_text(reading);
}

/* If the name is a text's, the mistake is the register's type, not the name. */
static bool parse_from(struct reading *reading)
{
    char from[VIEW_LINE];
    snprintf(from, sizeof from, "%s", reading->arrow.from);
    if (is_text(&reading->reg))
        return parse_text(reading);
    struct view_register probe = {0};
    const char *dot = strrchr(from, '.');
    if (*from == '"' || find_text(&probe, dot ? dot + 1 : from, "")) {
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                     "'%s' is a text, and a %s is none; expected string and the number of "
                     "registers, such as string 16",
                     from, word_of(reading->reg.type));
        return false;
    }
    return parse_terms(reading, from);
}

/* ---- where to, and how ---- */

static bool pair_follows(const struct arrow *arrow)
{
    const char *word = arrow->rest + strspn(arrow->rest, ARROW_BLANKS);
    return memchr(word, ':', strcspn(word, ARROW_BLANKS)) != NULL;
}

static bool parse_options(struct reading *reading)
{
    struct arrow *arrow = &reading->arrow;
    bool good = true;
    for (const char *word; good && (word = arrow_word(arrow));) {
        const bool pairs = strcmp(word, options[MAP].name) == 0;
        good = arrow_option(arrow, options, OPTIONS, reading->given, "a register", word,
                            &reading->reg);
        while (good && pairs && pair_follows(arrow))
            good = arrow_value(arrow, &options[MAP], &reading->reg);
    }
    return good;
}

static bool parse_target(struct reading *reading)
{
    struct view_register *reg = &reading->reg;
    if (!arrow_value(&reading->arrow, &register_key, reg) ||
        !arrow_value(&reading->arrow, &type_key, reg))
        return false;
    if (!is_text(reg))
        reg->size = map_types[reg->type].registers;
    else if (!arrow_value(&reading->arrow, &length_key, reg))
        return false;
    return parse_options(reading);
}

/* ---- whether it fits ---- */

static bool add_mistake(const struct reading *reading, const char *why)
{
    mistakes_add(reading->arrow.mistakes, reading->arrow.line, "'%s': %s", reading->arrow.from,
                 why);
    return false;
}

static bool check_options(const struct reading *reading)
{
    const struct view_register *reg = &reading->reg;
    for (unsigned i = 0; is_text(reg) && i <= WORD_ORDER; i++)
        if (reading->given[i]) {
            mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                         "'%s' of '%s' has no meaning for a string; leave it out", options[i].name,
                         reading->arrow.from);
            return false;
        }
    if (reg->scale == 0)
        return add_mistake(reading, "'scale' is 0; expected another number");
    if (reg->min > reg->max)
        return add_mistake(reading, "'min' is above 'max'");
    if (reg->bit >= 0 && reg->type != REG_BITS16 && reg->type != REG_BITS32)
        return add_mistake(reading, "'bit' is for bits16 and bits32");
    if (reg->bit >= 16 && reg->type == REG_BITS16)
        return add_mistake(reading, "a bits16 has the bits 0 to 15");
    return true;
}

/* The range of one value before it is scaled. */
static struct value_traits traits_of(const struct view_term *term)
{
    switch (term->what) {
    case VIEW_NUMBER:
        return (struct value_traits){.min = term->number, .max = term->number};
    case VIEW_VALUE:
        return value_traits(&term->value);
    default:
        return (struct value_traits){.max = term->what == VIEW_FRESH ? 1 : UINT16_MAX};
    }
}

static bool is_constant(const struct view_register *reg)
{
    for (unsigned i = 0; i < reg->term_count; i++)
        if (reg->terms[i].what != VIEW_NUMBER)
            return false;
    return !is_text(reg);
}

static bool check_constant(const struct reading *reading)
{
    const struct view_register *reg = &reading->reg;
    double sum = 0;
    for (unsigned i = 0; i < reg->term_count; i++)
        sum += reg->terms[i].minus ? -reg->terms[i].number : reg->terms[i].number;
    const double number = sum * reg->scale + reg->offset;
    if (reg->term_count > 1 || reg->pair_count > 0 || map_fit(reg->type, number, false) == number)
        return true;
    mistakes_add(reading->arrow.mistakes, reading->arrow.line, "%.10g does not fit into a %s%s",
                 number, word_of(reg->type),
                 reg->type == REG_U64 ? "; expected smaller ones, or 'fill'" : "");
    return false;
}

/* An unsigned register would show 0 A while a pack discharges, and a register too small would cut
 * a bit set. */
static bool check_range(const struct reading *reading)
{
    const struct view_register *reg = &reading->reg;
    const struct map_limits fits = map_types[reg->type].whole;
    if (reg->pair_count > 0 || reg->bit >= 0)
        return true;
    for (unsigned i = 0; i < reg->term_count; i++) {
        const struct value_traits value = traits_of(&reg->terms[i]);
        const double a = value.min * reg->scale, b = value.max * reg->scale;
        if (!value.must_fit && value.min < 0 && fmin(a, b) < 0 && fits.min == 0 &&
            reg->offset == 0 && !reading->given[MIN])
            return add_mistake(reading,
                               "it can be negative, and the register cannot; expected a type "
                               "that can, an offset, or 'min 0' where that is meant");
        if (!value.must_fit && value.min >= 0 && reg->scale < 0 && fits.min == 0 &&
            reg->offset == 0)
            return add_mistake(reading,
                               "with that scale it is negative, and the register cannot be; "
                               "expected a type that can, or an offset");
        if (value.must_fit && fmax(a, b) > fits.max)
            return add_mistake(reading, "it is a set of bits that does not fit; expected bits32");
    }
    return true;
}

static bool check_substitute(const struct reading *reading, const struct config_key *key,
                             const struct substitute *substitute)
{
    const enum map_type type = reading->reg.type;
    if (substitute->kind != INSTEAD_NUMBER || is_text(&reading->reg) || reading->reg.bit >= 0 ||
        map_fit(type, substitute->number, false) == substitute->number)
        return true;
    mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                 "'%s' of '%s' is %.10g, which does not fit into a %s", key->name,
                 reading->arrow.from, substitute->number, word_of(type));
    return false;
}

static bool check_register(const struct reading *reading)
{
    const struct view_register *reg = &reading->reg;
    if (reg->address + reg->size > REGISTERS) {
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                     "a %s of %u registers does not fit at %u, %u is the last one",
                     word_of(reg->type), reg->size, reg->address, REGISTERS - 1);
        return false;
    }
    if (!check_options(reading))
        return false;
    if (is_constant(reg))
        return check_constant(reading);
    return check_range(reading) &&
           check_substitute(reading, &options[ON_UNKNOWN], &reg->on_unknown) &&
           check_substitute(reading, &options[ON_STALE], &reg->on_stale);
}

static bool overlap(const struct view_register *a, const struct view_register *b)
{
    return a->address < b->address + b->size && b->address < a->address + a->size;
}

static bool share_bits(const struct view_register *a, const struct view_register *b)
{
    return a->bit >= 0 && b->bit >= 0 && a->address == b->address && a->type == b->type;
}

static bool check_overlaps(const struct reading *reading)
{
    const struct view_config *view = view_of(reading->draft);
    for (unsigned i = 0; i < view->register_count; i++) {
        const struct view_register *other = &view->registers[i];
        if (!overlap(&reading->reg, other) || share_bits(&reading->reg, other))
            continue;
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                     "register %u is already that of line %u",
                     (unsigned) fmax(reading->reg.address, other->address), other->line_number);
        return false;
    }
    return true;
}

/* ---- all registers ---- */

/* An unknown bit is 0 unless its own line says otherwise: a number for whole registers would set
 * it. */
static struct substitute for_bit(bool given, const struct substitute *substitute)
{
    const bool inherited = !given && substitute->kind == INSTEAD_NUMBER;
    const struct substitute unknown = {.kind = INSTEAD_UNKNOWN};
    return inherited ? unknown : *substitute;
}

static bool read_register(struct reading *reading, char *text)
{
    const struct view_config *view = view_of(reading->draft);
    struct view_register *reg = &reading->reg;
    *reg = (struct view_register){.line_number = reading->arrow.line,
                                  .scale = 1,
                                  .min = -INFINITY,
                                  .max = INFINITY,
                                  .bit = -1,
                                  .big_words = view->big_words,
                                  .on_unknown = view->on_unknown,
                                  .on_stale = view->on_stale};
    snprintf(reg->line, sizeof reg->line, "%s", text);
    if (!arrow_split(&reading->arrow, text)) {
        mistakes_add(reading->arrow.mistakes, reading->arrow.line,
                     "'register' has no 'VALUE -> REGISTER TYPE'; expected such as "
                     "voltage_v -> 259 u16 scale 100");
        return false;
    }
    reg->from_size = (unsigned) strlen(reading->arrow.from);
    if (!parse_target(reading) || !parse_from(reading))
        return false;
    if (reg->bit >= 0) {
        reg->on_unknown = for_bit(reading->given[ON_UNKNOWN], &reg->on_unknown);
        reg->on_stale = for_bit(reading->given[ON_STALE], &reg->on_stale);
    }
    return check_register(reading) && check_overlaps(reading);
}

static int by_address(const void *a, const void *b)
{
    const struct view_register *first = a, *second = b;
    if (first->address != second->address)
        return first->address < second->address ? -1 : 1;
    return first->line_number < second->line_number ? -1 : 1;
}

static void read_registers(const struct config_drafts *drafts, struct config_draft *draft,
                           struct mistakes *mistakes)
{
    struct view_config *view = view_of(draft);
    struct reading *reading = malloc(sizeof *reading);
    view->registers = calloc(draft->text_count + 1, sizeof *view->registers);
    if (!view->registers || !reading)
        mistakes_add(mistakes, draft->heading, "out of memory");
    const struct config_text *text;
    for (unsigned i = 0;
         view->registers && reading && (text = config_draft_text(draft, "register", i)); i++) {
        char line[VIEW_LINE];
        snprintf(line, sizeof line, "%s", text->text);
        *reading = (struct reading){
            .arrow = {.drafts = drafts, .mistakes = mistakes, .line = text->line}, .draft = draft};
        if (read_register(reading, line))
            view->registers[view->register_count++] = reading->reg;
    }
    if (view->register_count > 0)
        qsort(view->registers, view->register_count, sizeof *view->registers, by_address);
    free(reading);
}

/* ---- what lies around them ---- */

static void check_fills(const struct config_draft *draft, struct mistakes *mistakes)
{
    const struct view_fills *fills = &view_of(draft)->fills;
    for (unsigned i = 0; i < fills->count; i++)
        for (unsigned before = 0; before < i; before++) {
            const struct view_fill *a = &fills->list[i], *b = &fills->list[before];
            if (a->first > b->last || b->first > a->last)
                continue;
            const struct config_text *one = config_draft_text(draft, "fill", i);
            mistakes_add(mistakes, one->line, "register %u is already filled in line %u",
                         (unsigned) fmax(a->first, b->first),
                         config_draft_text(draft, "fill", before)->line);
            break;
        }
}

static bool has_any(const struct view_config *view, const struct view_copy *copy, unsigned n)
{
    for (unsigned i = 0; i < view->register_count; i++)
        if (view->registers[i].address <= copy->last &&
            copy->first < view->registers[i].address + view->registers[i].size)
            return true;
    for (unsigned i = 0; i < view->fills.count; i++)
        if (view->fills.list[i].first <= copy->last && copy->first <= view->fills.list[i].last)
            return true;
    for (unsigned i = 0; i < n; i++) {
        const struct view_copy *other = &view->copies.list[i];
        if (other->to <= copy->last && copy->first <= other->to + (other->last - other->first))
            return true;
    }
    return false;
}

static void check_copy(const struct config_draft *draft, unsigned n, struct mistakes *mistakes)
{
    const struct view_config *view = view_of(draft);
    const struct view_copy *copy = &view->copies.list[n];
    const unsigned line = config_draft_text(draft, "copy", n)->line;
    const unsigned end = copy->to + (copy->last - copy->first);
    if (end >= REGISTERS) {
        mistakes_add(mistakes, line, "the copy would reach to %u, %u is the last register", end,
                     REGISTERS - 1);
        return;
    }
    if (copy->to <= copy->last && copy->first <= end)
        mistakes_add(mistakes, line, "the copy (%u to %u) overlaps what it is made of", copy->to,
                     end);
    else if (!has_any(view, copy, n))
        mistakes_add(mistakes, line,
                     "nothing is defined from %u to %u, so there is nothing to copy", copy->first,
                     copy->last);
    for (unsigned i = 0; i < view->register_count; i++) {
        const struct view_register *reg = &view->registers[i];
        if (reg->address <= end && copy->to < reg->address + reg->size) {
            mistakes_add(mistakes, line, "register %u is already that of line %u",
                         (unsigned) fmax(reg->address, copy->to), reg->line_number);
            return;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        const struct view_copy *other = &view->copies.list[i];
        if (other->to <= end && copy->to <= other->to + (other->last - other->first)) {
            mistakes_add(mistakes, line, "register %u is already copied to in line %u",
                         (unsigned) fmax(other->to, copy->to),
                         config_draft_text(draft, "copy", i)->line);
            return;
        }
    }
}

/* ---- beside the others ---- */

static void check_source(const struct config_drafts *drafts, const struct config_draft *draft,
                         struct mistakes *mistakes)
{
    const char *name = view_of(draft)->source;
    char hint[SUGGEST_HINT_SIZE];
    struct suggest suggest;
    if (!config_draft_given(draft, "source") || !config_draft_usable(draft, "source"))
        return;
    suggest_init(&suggest, name);
    for (unsigned i = 0; i < drafts->count; i++) {
        if (!arrow_is_source(&drafts->list[i]))
            continue;
        if (strcmp(drafts->list[i].name, name) == 0)
            return;
        suggest_offer(&suggest, drafts->list[i].name);
    }
    mistakes_add(mistakes, config_draft_line(draft, "source"),
                 "there is no [pack %s] or [bank %s]%s", name, name, suggest_hint(&suggest, hint));
}

static void check_listen(const struct config_drafts *drafts, const struct config_draft *draft,
                         struct mistakes *mistakes)
{
    const struct listen_list *listen = &view_of(draft)->listen;
    for (unsigned i = 0; i < listen->count; i++) {
        const char *text = listen->at[i], *taken = NULL;
        char by[NAME_SIZE + 16] = "";
        const struct gateway_config *gateway =
            config_drafts_find(drafts, &gateway_section, NULL)->settings;
        for (unsigned n = 0; n < gateway->listen.count; n++)
            if (config_listen_collide(text, gateway->listen.at[n])) {
                taken = gateway->listen.at[n];
                snprintf(by, sizeof by, "[gateway]");
            }
        for (const struct config_draft *other = drafts->list; !taken && other <= draft; other++) {
            const struct listen_list *list = &view_of(other)->listen;
            if (other->section != &view_section)
                continue;
            for (unsigned n = 0; n < (other == draft ? i : list->count); n++)
                if (config_listen_collide(text, list->at[n]) &&
                    (other == draft || strcmp(text, list->at[n]) != 0)) {
                    taken = list->at[n];
                    snprintf(by, sizeof by, "[view %s]", other->name);
                }
        }
        if (taken)
            mistakes_add(mistakes, config_draft_text(draft, "listen", i)->line,
                         "'listen' has %s, which %s of %s takes already%s", text, taken, by,
                         strcmp(by, "[gateway]") == 0 ? "; leave 'listen' out to be served there"
                                                      : "");
    }
}

/* Whether two views are served at the same place. */
static bool same_place(const struct view_config *a, const struct view_config *b)
{
    if (a->listen.count == 0 || b->listen.count == 0)
        return a->listen.count == b->listen.count;
    for (unsigned i = 0; i < a->listen.count; i++)
        for (unsigned n = 0; n < b->listen.count; n++)
            if (strcmp(a->listen.at[i], b->listen.at[n]) == 0)
                return true;
    return false;
}

static bool has_unit(const struct view_units *units, unsigned count, unsigned id)
{
    for (unsigned i = 0; i < count; i++)
        if (units->id[i] == id)
            return true;
    return false;
}

/* The section that already serves a unit id where the view is served, or NULL. */
static const struct config_draft *find_owner(const struct config_drafts *drafts,
                                             const struct config_draft *draft, unsigned id)
{
    const struct view_config *view = view_of(draft);
    for (const struct config_draft *other = drafts->list; other < drafts->list + drafts->count;
         other++) {
        if (other->section == &view_section) {
            const struct view_units *units = &view_of(other)->units;
            if (other < draft && same_place(view, view_of(other)) &&
                has_unit(units, units->count, id))
                return other;
        } else if (arrow_is_source(other) && view->listen.count == 0 &&
                   config_draft_usable(other, "unit")) {
            const int unit = other->section == &bank_section
                                 ? ((const struct bank_config *) other->settings)->unit
                                 : ((const struct pack_config *) other->settings)->unit;
            if (unit == (int) id)
                return other;
        }
    }
    return NULL;
}

static void check_units(const struct config_drafts *drafts, const struct config_draft *draft,
                        struct mistakes *mistakes)
{
    const struct view_units *units = &view_of(draft)->units;
    for (unsigned i = 0; i < units->count; i++) {
        const unsigned line = config_draft_text(draft, "unit", i)->line;
        if (has_unit(units, i, units->id[i]))
            mistakes_add(mistakes, line, "unit %u is given twice", units->id[i]);
        const struct config_draft *owner = find_owner(drafts, draft, units->id[i]);
        if (owner)
            mistakes_add(mistakes, line, "unit %u is already that of [%s %s] in line %u%s",
                         units->id[i], owner->section->word, owner->name,
                         config_draft_line(owner, "unit"),
                         owner->section == &view_section
                             ? ""
                             : "; expected another one, or a 'listen' of its own");
    }
}

void config_view_check(const struct config_drafts *drafts, struct config_draft *draft,
                       struct mistakes *mistakes)
{
    check_source(drafts, draft, mistakes);
    check_listen(drafts, draft, mistakes);
    check_units(drafts, draft, mistakes);
    const unsigned before = mistakes->count;
    read_registers(drafts, draft, mistakes);
    check_fills(draft, mistakes);
    /* If a register was rejected, a copy of it is not reported as well. */
    for (unsigned i = 0; mistakes->count == before && i < view_of(draft)->copies.count; i++)
        check_copy(draft, i, mistakes);
}
