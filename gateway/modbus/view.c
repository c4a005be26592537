// SPDX-License-Identifier: MIT
/* An item is a `register` of the configuration; adjacent ones that set bits of the same register
 * form it together, and the first of them owns it. */
#include "view.h"

#include "row_number.h"

#include "base/alloc.h"

#include <math.h>
#include <modbus.h>
#include <stdlib.h>
#include <string.h>

enum { OUTSIDE, READABLE, REFUSED }; /* state of a register */

struct view_item {
    const struct register_row *config;
    const struct source *sources[ROW_TERMS]; /* of the terms; NULL: the term needs none */
    bool lasting[ROW_TERMS];                 /* known even while the pack is silent */
    bool leads;                              /* the first of the items that form a register */
    uint64_t pattern;
    bool refused; /* it cannot be read at this moment */
};

/* A known number must not be encoded as the pattern that means "unknown". */
static uint64_t number_pattern(const struct view_item *item, double number)
{
    const struct register_row *config = item->config;
    const bool constant = config->term_count == 1 && config->terms[0].what == ROW_NUMBER;
    const bool reserved = !constant && (config->on_unknown.kind == INSTEAD_UNKNOWN ||
                                        config->on_stale.kind == INSTEAD_UNKNOWN);
    if (config->bit >= 0)
        return (uint64_t) (number != 0) << config->bit;
    if (row_is_limit(config))
        number = map_lower(config->type, number);
    return map_pattern(config->type, map_fit(config->type, number, reserved));
}

/* No number can stand in for a text: an unknown text is empty. */
static void apply_substitute(struct view_item *item, const struct substitute *substitute)
{
    const struct register_row *config = item->config;
    item->refused = substitute->kind == INSTEAD_EXCEPTION || substitute->kind == INSTEAD_HOLD;
    if (config->bit >= 0)
        item->pattern = (uint64_t) (substitute->kind == INSTEAD_NUMBER && substitute->number != 0)
                        << config->bit;
    else if (substitute->kind == INSTEAD_NUMBER)
        item->pattern = map_pattern(config->type, substitute->number);
    else
        item->pattern = map_types[config->type].unknown;
}

/* What stands in for stale values; NULL: they are fresh, or the last ones are held. */
static const struct substitute *replace_stale(const struct view *view, const struct view_item *item)
{
    const struct substitute *substitute = &item->config->on_stale;
    bool stale = false, known = true;
    for (unsigned n = 0; n < item->config->term_count; n++) {
        const struct source *source = item->sources[n];
        if (!source || item->lasting[n])
            continue;
        stale |= source_status_at(source, view->now).state != MAP_STATE_FRESH;
        known &= !isnan(source->good_until);
    }
    return stale && (substitute->kind != INSTEAD_HOLD || !known) ? substitute : NULL;
}

static const char *item_text(const struct view_item *item)
{
    const struct register_row *config = item->config;
    if (config->text == ROW_QUOTED)
        return config->quoted;
    const struct source *source = item->sources[0];
    const struct pack *values = source->values;
    const char *const texts[] = {[ROW_SERIAL] = values->text[SERIAL],
                                 [ROW_MODEL] = values->text[MODEL],
                                 [ROW_FIRMWARE] = values->text[FIRMWARE],
                                 [ROW_DRIVER] = source->status.driver,
                                 [ROW_PACK_NAME] = source->name};
    return texts[config->text] ? texts[config->text] : "";
}

static void encode_text(const struct view *view, struct view_item *item)
{
    const struct register_row *config = item->config;
    const struct substitute *substitute = replace_stale(view, item);
    const char *text = substitute ? "" : item_text(item);
    if (!substitute && !*text && config->text != ROW_QUOTED)
        substitute = &config->on_unknown;
    item->refused = false;
    if (substitute)
        apply_substitute(item, substitute);
    /* The first character in the high byte, padded with NUL. */
    for (unsigned i = 0; i < config->size; i++) {
        const unsigned high = *text ? (uint8_t) *text++ : 0;
        const unsigned low = *text ? (uint8_t) *text++ : 0;
        view->registers[config->address + i] = (uint16_t) (high << 8 | low);
    }
}

static void encode_number(const struct view *view, struct view_item *item)
{
    const struct register_row *config = item->config;
    const struct substitute *substitute = replace_stale(view, item);
    item->refused = false;
    if (substitute) {
        apply_substitute(item, substitute);
        return;
    }
    double number = row_term(&config->terms[0], item->sources[0], view->second, view->now);
    for (unsigned n = 1; n < config->term_count; n++) {
        const double term = row_term(&config->terms[n], item->sources[n], view->second, view->now);
        /* fmax and fmin return the number if the other one is NaN. */
        number = config->join == ROW_HIGHEST  ? fmax(number, term)
                 : config->join == ROW_LOWEST ? fmin(number, term)
                 : config->terms[n].minus     ? number - term
                                              : number + term;
    }
    number = row_number(config, number);
    if (isnan(number))
        apply_substitute(item, &config->on_unknown);
    else
        item->pattern = number_pattern(item, number);
}

/* Computes all registers. */
static void encode_registers(const struct view *view)
{
    const struct view_item *end = view->items + view->config->register_count;
    for (struct view_item *item = view->items; item < end;) {
        const struct register_row *first = item->config;
        const bool text = first->type == REG_STRING;
        uint64_t pattern = 0;
        bool refused = false;
        do {
            (text ? encode_text : encode_number)(view, item);
            pattern |= item->pattern;
            refused |= item->refused;
        } while (++item < end && !item->leads);
        memset(view->states + first->address, refused ? REFUSED : READABLE, first->size);
        if (!text)
            map_put_words(view->registers + first->address, pattern, first->size, first->big_words);
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
        const struct view_fill *copy = &config->copies.list[i];
        const unsigned end = copy->value + (copy->last - copy->first) + 1;
        size = copy->last + 1 > size ? copy->last + 1 : size;
        size = end > size ? end : size;
    }
    return size;
}

struct view *view_new(const struct view_config *config, source_find *find, const void *data,
                      double started_at, double now)
{
    const struct view_fills *fills = &config->fills;
    struct view *view = alloc_zeroed(1, sizeof *view);
    *view = (struct view){.config = config, .started_at = started_at, .size = find_size(config)};
    view->registers = alloc_zeroed(view->size, sizeof *view->registers);
    view->states = alloc_zeroed(view->size, sizeof *view->states);
    view->items = alloc_zeroed(config->register_count, sizeof *view->items);
    for (unsigned i = 0; i < fills->count; i++)
        for (unsigned at = fills->list[i].first; at <= fills->list[i].last; at++) {
            view->registers[at] = (uint16_t) fills->list[i].value;
            view->states[at] = READABLE;
        }
    for (unsigned i = 0; i < config->register_count; i++) {
        struct view_item *item = &view->items[i];
        item->config = &config->registers[i];
        item->leads = i == 0 || item->config->address != item->config[-1].address;
        for (unsigned n = 0; n < item->config->term_count; n++) {
            const struct row_term *term = &item->config->terms[n];
            item->sources[n] = term->source[0] ? find(data, term->source) : NULL;
            /* Texts are values as well: they need their source. */
            item->lasting[n] =
                item->config->type == REG_STRING
                    ? item->config->text == ROW_DRIVER || item->config->text == ROW_PACK_NAME
                    : row_term_lasts(term);
            view->ticks |= item->lasting[n] && term->what != ROW_NUMBER;
        }
    }
    view_update(view);
    view_judge(view, now);
    return view;
}

void view_free(struct view *view)
{
    free(view->registers);
    free(view->states);
    free(view->items);
    free(view);
}

void view_update(struct view *view)
{
    view->until = -INFINITY;
}

void view_judge(struct view *view, double now)
{
    if (now < view->until)
        return;
    view->now = now;
    view->second = floor(now - view->started_at);
    view->until = view->ticks ? view->started_at + view->second + 1 : INFINITY;
    /* The clock alone changes what a source shows when it turns stale, and with each second of its age. */
    for (unsigned i = 0; i < view->config->register_count; i++)
        for (unsigned n = 0; n < ROW_TERMS; n++) {
            const struct source *source = view->items[i].sources[n];
            if (!source)
                continue;
            const struct map_status status = source_status_at(source, now);
            if (status.state == MAP_STATE_FRESH)
                view->until = fmin(view->until, source->good_until);
            if (view->ticks) /* NaN if it was never read */
                view->until = fmin(view->until, source->read_at + ceil(status.age_s));
        }
    encode_registers(view);
    /* If nothing is to be copied, a fill at the same place remains. */
    const struct view_fills *copies = &view->config->copies;
    for (unsigned i = 0; i < copies->count; i++) {
        const struct view_fill *copy = &copies->list[i];
        for (unsigned from = copy->first, to = copy->value; from <= copy->last; from++, to++)
            if (view->states[from] != OUTSIDE) {
                view->registers[to] = view->registers[from];
                view->states[to] = view->states[from];
            }
    }
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
