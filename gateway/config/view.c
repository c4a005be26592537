// SPDX-License-Identifier: MIT
/* What [view NAME] serves, and what [push NAME] writes. */
#include "check.h"

#include "row.h"
#include "types.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REGISTERS 65536

/* Parses a register's address at the start of a text; NULL: none. */
static const char *parse_address(const char *text, unsigned *address)
{
    const bool hex = strncasecmp(text, "0x", 2) == 0 && isxdigit((unsigned char) text[2]);
    char *end;
    if (!isdigit((unsigned char) *text))
        return NULL;
    const unsigned long number = strtoul(text, &end, hex ? 16 : 10);
    *address = (unsigned) number;
    return number <= 65535 ? end : NULL;
}

/* "FROM-TO", or one register. */
static const char *parse_range(const char *text, unsigned *first, unsigned *last)
{
    const char *end = parse_address(text, first);
    *last = *first;
    if (end && *end == '-')
        end = parse_address(end + 1, last);
    return end && *first <= *last ? end + strspn(end, " \t") : NULL;
}

/* Of the copies and the constants of a view, whichever it is. */
static bool parse_fill(const struct config_key *key, const char *text, void *field)
{
    struct view_config *view = field;
    struct view_fill fill;
    const char *rest = parse_range(text, &fill.first, &fill.last);
    const bool copy = rest && strncmp(rest, "->", 2) == 0;
    struct view_fills *fills = copy ? &view->copies : &view->fills;
    if (copy)
        rest += 2 + strspn(rest + 2, " \t");
    else if (!rest || !isspace((unsigned char) rest[-1]))
        return false;
    const char *end = parse_address(rest, &fill.value);
    if (!end || *end || fills->count == VIEW_FILLS)
        return false;
    fills->list[fills->count++] = fill;
    return true;
}

static bool parse_units(const struct config_key *key, const char *text, void *field)
{
    static const struct config_key id = {.size = sizeof(uint8_t), .max = UINT8_MAX};
    struct view_units *list = field;
    if (list->count == VIEW_UNITS || !type_whole.parse(&id, text, &list->id[list->count]))
        return false;
    list->count++;
    return true;
}

const struct config_type type_fill = {
    .parse = parse_fill,
    .expects = "FROM-TO VALUE, such as 256-331 0, or FROM-TO -> REGISTER, such as 40000-40131 -> "
               "0, at most " CONFIG_SHOW(VIEW_FILLS) " of each",
    .list = true};
const struct config_type type_units = {.parse = parse_units,
                                       .expects = "unit ids from 0 to 255, at most " CONFIG_SHOW(
                                           VIEW_UNITS) " of them with commas between",
                                       .list = true};

/* The line of the n-th copy or constant of `fill`, and of `copy` in older files. */
static unsigned line_of(const struct config_draft *draft, bool copy, unsigned n)
{
    for (unsigned i = 0; i < draft->text_count; i++) {
        const struct config_entry *text = &draft->texts[i];
        if (text->key->type == &type_fill && (strstr(text->text, "->") != NULL) == copy && n-- == 0)
            return text->line;
    }
    return draft->heading;
}

static void check_fills(const struct config_draft *draft)
{
    const struct view_fills *fills = &draft->as.view->fills;
    for (unsigned i = 0; i < fills->count; i++)
        for (unsigned before = 0; before < i; before++) {
            const struct view_fill *a = &fills->list[i], *b = &fills->list[before];
            if (a->first > b->last || b->first > a->last)
                continue;
            config_mistake_at(draft, line_of(draft, false, i),
                              "register %u is already filled in line %u",
                              (unsigned) fmax(a->first, b->first), line_of(draft, false, before));
            break;
        }
}

static bool has_any(const struct view_config *view, const struct view_fill *copy, unsigned n)
{
    for (unsigned i = 0; i < view->register_count; i++)
        if (view->registers[i].address <= copy->last &&
            copy->first < view->registers[i].address + view->registers[i].size)
            return true;
    for (unsigned i = 0; i < view->fills.count; i++)
        if (view->fills.list[i].first <= copy->last && copy->first <= view->fills.list[i].last)
            return true;
    for (unsigned i = 0; i < n; i++) {
        const struct view_fill *other = &view->copies.list[i];
        if (other->value <= copy->last &&
            copy->first <= other->value + (other->last - other->first))
            return true;
    }
    return false;
}

static void check_copy(const struct config_draft *draft, unsigned n)
{
    const struct view_config *view = draft->as.view;
    const struct view_fill *copy = &view->copies.list[n];
    const unsigned line = line_of(draft, true, n);
    const unsigned end = copy->value + (copy->last - copy->first);
    if (end >= REGISTERS) {
        config_mistake_at(draft, line, "the copy would reach to %u, %u is the last register", end,
                          REGISTERS - 1);
        return;
    }
    if (copy->value <= copy->last && copy->first <= end)
        config_mistake_at(draft, line, "the copy (%u to %u) overlaps what it is made of",
                          copy->value, end);
    else if (!has_any(view, copy, n))
        config_mistake_at(draft, line,
                          "nothing is defined from %u to %u, so there is nothing to copy",
                          copy->first, copy->last);
    for (unsigned i = 0; i < view->register_count; i++) {
        const struct register_row *reg = &view->registers[i];
        if (reg->address <= end && copy->value < reg->address + reg->size) {
            config_mistake_at(draft, line, "register %u is already that of line %u",
                              (unsigned) fmax(reg->address, copy->value), reg->line_number);
            return;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        const struct view_fill *other = &view->copies.list[i];
        if (other->value <= end && copy->value <= other->value + (other->last - other->first)) {
            config_mistake_at(draft, line, "register %u is already copied to in line %u",
                              (unsigned) fmax(other->value, copy->value), line_of(draft, true, i));
            return;
        }
    }
}

static void check_listen(const struct config_draft *draft)
{
    const struct listen_list *listen = &draft->as.view->listen;
    for (unsigned i = 0; i < listen->count; i++) {
        const char *text = listen->at[i], *taken = NULL;
        char by[NAME_SIZE + 16] = "";
        const struct gateway_config *gateway = &draft->drafts->config->gateway;
        for (unsigned n = 0; n < gateway->listen.count; n++)
            if (config_listen_collide(text, gateway->listen.at[n])) {
                taken = gateway->listen.at[n];
                snprintf(by, sizeof by, "[gateway]");
            }
        for (CONFIG_EACH(other, draft, &view_section)) {
            if (taken || other > draft)
                break;
            const struct listen_list *list = &other->as.view->listen;
            for (unsigned n = 0; n < (other == draft ? i : list->count); n++)
                if (config_listen_collide(text, list->at[n]) &&
                    (other == draft || strcmp(text, list->at[n]) != 0)) {
                    taken = list->at[n];
                    snprintf(by, sizeof by, "[view %s]", other->name);
                }
        }
        if (taken)
            config_mistake_at(
                draft, config_draft_text(draft, "listen", i)->line,
                "'listen' has %s, which %s of %s takes already%s", text, taken, by,
                strcmp(by, "[gateway]") == 0 ? "; leave 'listen' out to be served there" : "");
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
static const struct config_draft *find_owner(const struct config_draft *draft, unsigned id)
{
    const struct view_config *view = draft->as.view;
    for (CONFIG_BEFORE(other, draft)) {
        const struct view_units *units = &other->as.view->units;
        if (same_place(view, other->as.view) && has_unit(units, units->count, id))
            return other;
    }
    return view->listen.count == 0 ? config_unit_owner(draft, (int) id) : NULL;
}

static void check_units(const struct config_draft *draft)
{
    const struct view_units *units = &draft->as.view->units;
    for (unsigned i = 0; i < units->count; i++) {
        const unsigned line = config_draft_text(draft, "unit", i)->line;
        if (has_unit(units, i, units->id[i]))
            config_mistake_at(draft, line, "unit %u is given twice", units->id[i]);
        const struct config_draft *owner = find_owner(draft, units->id[i]);
        if (owner)
            config_mistake_at(draft, line, "unit %u is already that of [%s %s] in line %u%s",
                              units->id[i], owner->section->word, owner->name,
                              config_draft_line(owner, "unit"),
                              owner->section == &view_section
                                  ? ""
                                  : "; expected another one, or a 'listen' of its own");
    }
}

void config_check_view(struct config_draft *draft)
{
    if (config_draft_given(draft, "source") && config_draft_usable(draft, "source"))
        config_draft_refer(draft, "source", NULL, draft->as.view->source);
    check_listen(draft);
    check_units(draft);
    const unsigned before = draft->drafts->mistakes->count;
    struct view_config *view = draft->as.view;
    const struct row_rules rules = {.key = "register",
                                    .thing = "a register",
                                    .source = view->source,
                                    .big_words = view->big_words,
                                    .on_unknown = view->on_unknown,
                                    .on_stale = view->on_stale};
    config_rows_read(&rules, draft, &view->registers, &view->register_count);
    check_fills(draft);
    /* If a register was rejected, a copy of it is not reported as well. */
    for (unsigned i = 0; draft->drafts->mistakes->count == before && i < view->copies.count; i++)
        check_copy(draft, i);
}

/* A register that an earlier push writes into the same server. */
static void check_others(const struct config_draft *draft, const struct register_row *write)
{
    for (CONFIG_BEFORE(other, draft)) {
        if (strcmp(other->as.push->target, draft->as.push->target) != 0 ||
            other->as.push->unit != draft->as.push->unit)
            continue;
        const struct push_config *push = other->as.push;
        for (unsigned i = 0; i < push->write_count; i++)
            if (config_rows_overlap(write, &push->writes[i])) {
                config_mistake_at(
                    draft, write->line_number, "register %u is already written in [push %s]",
                    (unsigned) fmax(write->address, push->writes[i].address), other->name);
                return;
            }
    }
}

void config_check_push(struct config_draft *draft)
{
    struct push_config *push = draft->as.push;
    const struct row_rules rules = {.key = "write",
                                    .thing = "a write",
                                    .source = "",
                                    .write = true,
                                    .big_words = push->big_words,
                                    .on_stale = push->on_stale};
    config_rows_read(&rules, draft, &push->writes, &push->write_count);
    for (unsigned i = 0; i < push->write_count; i++) {
        const struct register_row *write = &push->writes[i];
        check_others(draft, write);
        if (write->deadband > 0 && !push->on_change)
            config_warn_at(
                draft, write->line_number,
                "'deadband' has no effect here: [push %s] has no 'on_change' behind its 'interval'",
                draft->name);
    }
}
