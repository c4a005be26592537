// SPDX-License-Identifier: MIT
/*
 * The registers of a view. An item is a `register` of the configuration; adjacent items that set
 * bits of the same register form it together, and the first of them owns it.
 */
#include "view.h"

#include "row_number.h"

#include "bms/count.h"

#include <math.h>
#include <modbus.h>
#include <stdlib.h>
#include <string.h>

enum { OUTSIDE, READABLE, REFUSED }; /* state of a register */

#define NO_SOURCE UINT16_MAX

/* A pack or a bank that the view shows. */
struct watched {
    const struct source *source;
    struct map_status status; /* at this moment */
    double read_at;           /* when its values were read; NaN: never */
    bool known, stale;
};

struct item {
    const struct register_row *config;
    uint16_t sources[ROW_TERMS]; /* of the terms; NO_SOURCE: the term needs none */
    bool lasting[ROW_TERMS];     /* known even while the pack is silent */
    bool limit;                  /* has to do with what is allowed */
    bool ticks;                  /* changes each second without new values */
    bool leads;                  /* the first of the items that form a register */
    uint64_t pattern;
    bool refused; /* it cannot be read at this moment */
};

struct view {
    const struct view_config *config;
    uint16_t *registers; /* by address */
    uint8_t *states;     /* the state of each register */
    unsigned size;
    struct item *items; /* in the order of the configuration */
    struct watched *watched;
    unsigned watched_count;
    double started_at;
    double second; /* the second of the gateway's counter that is shown */
    double until;  /* nothing changes before, without an update */
    bool ticks;    /* an item changes each second */
};

/* ---- values of the registers ---- */

static double seconds_at(const struct view *view, double now)
{
    return floor(now - view->started_at);
}

static double term_number(const struct view *view, const struct item *item, unsigned n)
{
    const struct row_term *term = &item->config->terms[n];
    const struct watched *watched =
        item->sources[n] == NO_SOURCE ? NULL : &view->watched[item->sources[n]];
    switch (term->what) {
    case ROW_NUMBER:
        return term->number;
    case ROW_SECONDS:
        return (uint16_t) (uint64_t) view->second;
    case ROW_FRESH:
        return !watched->stale;
    case ROW_VALUE:
        break;
    }
    return value_of(&term->value, watched->source->values, &watched->status);
}

/* fmax and fmin return the number if the other one is NaN. */
static double join_terms(enum row_join how, double so_far, double number, bool minus)
{
    switch (how) {
    case ROW_HIGHEST:
        return fmax(so_far, number);
    case ROW_LOWEST:
        return fmin(so_far, number);
    case ROW_SUM:
        break;
    }
    return minus ? so_far - number : so_far + number;
}

/* The number in the register; NaN: unknown. */
static double item_number(const struct view *view, const struct item *item)
{
    const struct register_row *config = item->config;
    double value = term_number(view, item, 0);
    for (unsigned n = 1; n < config->term_count; n++)
        value = join_terms(config->join, value, term_number(view, item, n), config->terms[n].minus);
    return row_number(config, value);
}

static uint64_t bit_pattern(const struct register_row *config, bool set)
{
    return (uint64_t) set << config->bit;
}

/* A known number must not be encoded as the pattern that means "unknown". */
static uint64_t number_pattern(const struct item *item, double number)
{
    const struct register_row *config = item->config;
    const bool constant = config->term_count == 1 && config->terms[0].what == ROW_NUMBER;
    const bool reserved = !constant && (config->on_unknown.kind == INSTEAD_UNKNOWN ||
                                        config->on_stale.kind == INSTEAD_UNKNOWN);
    if (config->bit >= 0)
        return bit_pattern(config, number != 0);
    if (item->limit)
        number = map_lower(config->type, number);
    return map_pattern(config->type, map_fit(config->type, number, reserved));
}

/* No number can stand in for a text: an unknown text is empty. */
static void apply_substitute(struct item *item, const struct substitute *substitute)
{
    const struct register_row *config = item->config;
    item->refused = substitute->kind == INSTEAD_EXCEPTION || substitute->kind == INSTEAD_HOLD;
    if (config->bit >= 0)
        item->pattern =
            bit_pattern(config, substitute->kind == INSTEAD_NUMBER && substitute->number != 0);
    else if (substitute->kind == INSTEAD_NUMBER)
        item->pattern = map_pattern(config->type, substitute->number);
    else
        item->pattern = map_types[config->type].unknown;
}

/* Whether the number depends on stale values. `known`: there were values before. */
static bool is_stale(const struct view *view, const struct item *item, bool *known)
{
    bool stale = false;
    *known = true;
    for (unsigned n = 0; n < item->config->term_count; n++) {
        if (item->sources[n] == NO_SOURCE || item->lasting[n])
            continue;
        const struct watched *watched = &view->watched[item->sources[n]];
        stale |= watched->stale;
        *known &= watched->known;
    }
    return stale;
}

static const char *item_text(const struct view *view, const struct item *item)
{
    const struct register_row *config = item->config;
    const struct watched *watched =
        config->text == ROW_QUOTED ? NULL : &view->watched[item->sources[0]];
    const char *text = NULL;
    switch (config->text) {
    case ROW_QUOTED:
        return config->quoted;
    case ROW_SERIAL:
        return watched->source->values->text[SERIAL];
    case ROW_MODEL:
        return watched->source->values->text[MODEL];
    case ROW_FIRMWARE:
        return watched->source->values->text[FIRMWARE];
    case ROW_DRIVER:
        text = watched->status.driver;
        break;
    case ROW_PACK_NAME:
        text = watched->source->name;
        break;
    }
    return text ? text : "";
}

/* Encodes a text: the first character in the high byte, padded with NUL. */
static void encode_characters(const struct view *view, const struct item *item, const char *text)
{
    uint16_t *to = view->registers + item->config->address;
    for (unsigned i = 0; i < item->config->size; i++) {
        const unsigned high = *text ? (uint8_t) *text++ : 0;
        const unsigned low = *text ? (uint8_t) *text++ : 0;
        to[i] = (uint16_t) (high << 8 | low);
    }
}

static void encode_text(const struct view *view, struct item *item)
{
    const struct register_row *config = item->config;
    bool known;
    const bool stale = is_stale(view, item, &known);
    const bool replaced = stale && (config->on_stale.kind != INSTEAD_HOLD || !known);
    const char *text = replaced ? "" : item_text(view, item);
    const struct substitute *substitute = replaced ? &config->on_stale
                                          : !*text && config->text != ROW_QUOTED
                                              ? &config->on_unknown
                                              : NULL;
    item->refused = false;
    if (substitute)
        apply_substitute(item, substitute);
    encode_characters(view, item, text);
}

static void encode_number(const struct view *view, struct item *item)
{
    const struct register_row *config = item->config;
    bool known;
    const bool stale = is_stale(view, item, &known);
    item->refused = false;
    if (stale && (config->on_stale.kind != INSTEAD_HOLD || !known)) {
        apply_substitute(item, &config->on_stale);
        return;
    }
    const double number = item_number(view, item);
    if (isnan(number))
        apply_substitute(item, &config->on_unknown);
    else
        item->pattern = number_pattern(item, number);
}

static void set_state(const struct view *view, const struct register_row *config, bool refused)
{
    memset(view->states + config->address, refused ? REFUSED : READABLE, config->size);
}

/* Computes all items that form one register, from the first on. Returns the first item of the next
 * register. */
static struct item *encode_register(const struct view *view, struct item *item)
{
    const struct item *end = view->items + view->config->register_count;
    const struct item *first = item;
    if (first->config->type == REG_STRING) {
        encode_text(view, item);
        set_state(view, item->config, item->refused);
        return item + 1;
    }
    uint64_t pattern = 0;
    bool refused = false;
    do {
        encode_number(view, item);
        pattern |= item->pattern;
        refused |= item->refused;
    } while (++item < end && !item->leads);
    set_state(view, first->config, refused);
    map_put_words(view->registers + first->config->address, pattern, first->config->size,
                  first->config->big_words);
    return item;
}

/* If nothing is to be copied, a fill at the same place remains. */
static void copy_registers(const struct view *view)
{
    const struct view_copies *copies = &view->config->copies;
    for (unsigned i = 0; i < copies->count; i++) {
        const struct view_copy *copy = &copies->list[i];
        for (unsigned from = copy->first, to = copy->to; from <= copy->last; from++, to++)
            if (view->states[from] != OUTSIDE) {
                view->registers[to] = view->registers[from];
                view->states[to] = view->states[from];
            }
    }
}

static bool shows_source(const struct item *item, uint16_t source)
{
    for (unsigned n = 0; n < item->config->term_count; n++)
        if (item->sources[n] == source)
            return true;
    return false;
}

/* Recomputes the items that show a source, or those that change with the clock. */
static void encode(struct view *view, uint16_t source, bool ticking)
{
    const struct item *end = view->items + view->config->register_count;
    for (struct item *item = view->items; item < end;) {
        bool wanted = false;
        const struct item *next = item;
        do
            wanted |= ticking ? next->ticks : shows_source(next, source);
        while (++next < end && !next->leads);
        if (wanted)
            encode_register(view, item);
        item += next - item;
    }
    copy_registers(view);
}

/* ---- creation ---- */

static uint16_t watch(struct view *view, const struct source *source)
{
    uint16_t n = 0;
    while (n < view->watched_count && view->watched[n].source != source)
        n++;
    if (n == view->watched_count)
        view->watched[view->watched_count++] = (struct watched){.source = source};
    return n;
}

static bool term_lasts(const struct register_row *config, const struct row_term *term)
{
    /* Texts are values as well: they need their source. */
    if (config->type == REG_STRING)
        return config->text == ROW_DRIVER || config->text == ROW_PACK_NAME;
    return term->what != ROW_VALUE || value_traits(&term->value).is_status;
}

static void make_item(struct view *view, unsigned i, view_find *find, void *data)
{
    struct item *item = &view->items[i];
    item->config = &view->config->registers[i];
    item->limit = row_is_limit(item->config);
    item->leads = i == 0 || item->config->address != item->config[-1].address;
    for (unsigned n = 0; n < item->config->term_count; n++) {
        const struct row_term *term = &item->config->terms[n];
        item->sources[n] = term->source[0] ? watch(view, find(data, term->source)) : NO_SOURCE;
        item->lasting[n] = term_lasts(item->config, term);
        item->ticks |= item->lasting[n] && term->what != ROW_NUMBER;
    }
    view->ticks |= item->ticks;
}

static void fill_registers(struct view *view)
{
    const struct view_fills *fills = &view->config->fills;
    for (unsigned i = 0; i < fills->count; i++)
        for (unsigned at = fills->list[i].first; at <= fills->list[i].last; at++) {
            view->registers[at] = (uint16_t) fills->list[i].value;
            view->states[at] = READABLE;
        }
}

/* One more than the highest register. */
static unsigned find_size(const struct view_config *config)
{
    unsigned size = 0;
    for (unsigned i = 0; i < config->register_count; i++) {
        const unsigned end = config->registers[i].address + config->registers[i].size;
        size = end > size ? end : size;
    }
    for (unsigned i = 0; i < config->fills.count; i++)
        size = config->fills.list[i].last + 1 > size ? config->fills.list[i].last + 1 : size;
    for (unsigned i = 0; i < config->copies.count; i++) {
        const struct view_copy *copy = &config->copies.list[i];
        const unsigned end = copy->to + (copy->last - copy->first) + 1;
        size = copy->last + 1 > size ? copy->last + 1 : size;
        size = end > size ? end : size;
    }
    return size;
}

static unsigned count_terms(const struct view_config *config)
{
    unsigned count = 0;
    for (unsigned i = 0; i < config->register_count; i++)
        count += config->registers[i].term_count;
    return count;
}

static void refresh_status(struct watched *watched, double now)
{
    const struct source *source = watched->source;
    watched->status = source_status(source, source_fresh(source, now));
    watched->read_at = now - source->status.age_s;
    watched->known = !isnan(source->good_until);
    watched->stale = watched->status.state != MAP_STATE_FRESH;
}

/* When the clock alone will change something: a source turns stale, or a shown second passes. */
static void find_change(struct view *view)
{
    view->until = view->ticks ? view->started_at + view->second + 1 : INFINITY;
    for (unsigned n = 0; n < view->watched_count; n++) {
        const struct watched *watched = &view->watched[n];
        if (!watched->stale)
            view->until = fmin(view->until, watched->source->good_until);
        if (view->ticks) /* NaN if it was never read */
            view->until = fmin(view->until, watched->read_at + ceil(watched->status.age_s));
    }
}

struct view *view_new(const struct view_config *config, view_find *find, void *data,
                      double started_at, double now)
{
    struct view *view = calloc(1, sizeof *view);
    if (!view)
        return NULL;
    *view = (struct view){.config = config, .started_at = started_at, .size = find_size(config)};
    view->registers = calloc(view->size, sizeof *view->registers);
    view->states = calloc(view->size, sizeof *view->states);
    view->items = calloc(config->register_count, sizeof *view->items);
    view->watched = calloc(count_terms(config) + 1, sizeof *view->watched);
    if (!view->registers || !view->states || !view->items || !view->watched) {
        view_free(view);
        return NULL;
    }
    fill_registers(view);
    for (unsigned i = 0; i < config->register_count; i++)
        make_item(view, i, find, data);
    for (unsigned n = 0; n < view->watched_count; n++)
        refresh_status(&view->watched[n], now);
    view->second = seconds_at(view, now);
    const struct item *end = view->items + config->register_count;
    for (struct item *item = view->items; item < end;)
        item = encode_register(view, item);
    copy_registers(view);
    find_change(view);
    return view;
}

void view_free(struct view *view)
{
    if (!view)
        return;
    free(view->registers);
    free(view->states);
    free(view->items);
    free(view->watched);
    free(view);
}

const struct view_config *view_config(const struct view *view)
{
    return view->config;
}

uint16_t *view_registers(struct view *view)
{
    return view->registers;
}

unsigned view_size(const struct view *view)
{
    return view->size;
}

/* ---- updates ---- */

void view_update(struct view *view, const struct source *source, double now)
{
    for (unsigned n = 0; n < view->watched_count; n++)
        if (view->watched[n].source == source) {
            refresh_status(&view->watched[n], now);
            encode(view, (uint16_t) n, false);
            find_change(view);
        }
}

void view_judge(struct view *view, double now)
{
    if (now < view->until)
        return;
    bool aged = view->ticks && seconds_at(view, now) != view->second;
    view->second = seconds_at(view, now);
    for (unsigned n = 0; n < view->watched_count; n++) {
        struct watched *watched = &view->watched[n];
        const double age_s = now - watched->read_at;
        const bool overdue = !watched->stale && !source_fresh(watched->source, now);
        aged |= view->ticks && ceil(age_s) > ceil(watched->status.age_s);
        watched->status.age_s = age_s;
        if (!overdue)
            continue;
        watched->stale = true;
        watched->status.state = MAP_STATE_STALE;
        encode(view, (uint16_t) n, false);
    }
    if (aged)
        encode(view, NO_SOURCE, true);
    find_change(view);
}

uint8_t view_check(const struct view *view, const struct mbap_request *request)
{
    const struct mbap_range *range = &request->read;
    const bool bits = request->function == MODBUS_FC_READ_COILS ||
                      request->function == MODBUS_FC_READ_DISCRETE_INPUTS;
    if (bits)
        return MODBUS_EXCEPTION_ILLEGAL_FUNCTION;
    if (mbap_writes(request->function) || (unsigned) range->address + range->count > view->size)
        return MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
    const uint8_t *states = view->states + range->address;
    if (memchr(states, OUTSIDE, range->count))
        return MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
    return memchr(states, REFUSED, range->count) ? MODBUS_EXCEPTION_GATEWAY_TARGET : 0;
}
