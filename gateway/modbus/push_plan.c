// SPDX-License-Identifier: MIT
/* Requests follow "MODBUS Application Protocol Specification V1.1b3", sections 6.6 and 6.12. */
#include "push_plan.h"

#include "row_number.h"

#include "registers/types.h"
#include "base/alloc.h"
#include "base/backoff.h"

#include "bms/bytes.h"

#include <assert.h>
#include <math.h>
#include <modbus.h>
#include <stdlib.h>
#include <string.h>

/* Tolerance of the dead band: readings in steps of 0.1 differ by 0.1000000000000014, and such a
 * step counts as inside a dead band of 0.1. */
#define ROUNDING 1e-9

#define AGAIN_FIRST_S 0.5 /* s, first pause before rejected registers are tried again */
#define AGAIN_MOST_S 30.0
/* s, first pause after a time-out: waiting for it delays the other registers */
#define IGNORED_FIRST_S 30.0
#define IGNORED_MOST_S 600.0
#define LAST_S 10.0 /* s for which other registers go before those that may not be answered */
#define BUSY_S 5.0  /* s: if a target is busy for longer, a single register may be the reason */

void push_plan_init(struct push_plan *plan, const struct push_config *config, source_find *find,
                    const void *data, double counts_from, double now)
{
    *plan = (struct push_plan){.config = config, .started_at = now, .counts_from = counts_from};
    plan->items = alloc_zeroed(config->write_count, sizeof *plan->items);
    for (unsigned i = 0; i < config->write_count; i++) {
        struct push_item *item = &plan->items[i];
        item->write = &config->writes[i];
        if (item->write->terms[0].what == ROW_SECONDS)
            continue;
        item->source = find(data, item->write->terms[0].source);
        assert(item->source);
    }
    plan->count = config->write_count;
}

void push_plan_close(struct push_plan *plan)
{
    free(plan->items);
    *plan = (struct push_plan){0};
}

void push_plan_all(struct push_plan *plan)
{
    for (unsigned i = 0; i < plan->count; i++)
        plan->items[i].due = true;
}

/* NaN: stale or unknown. */
static double value_now(const struct push_plan *plan, const struct push_item *item, double now)
{
    const struct row_term *term = &item->write->terms[0];
    return row_term_lasts(term) || source_fresh(item->source, now)
               ? row_term(term, item->source, now - plan->counts_from, now)
               : NAN;
}

enum push_encoded push_encode(const struct register_row *write, double value, uint16_t words[2])
{
    const struct substitute *instead = &write->on_stale;
    double number = row_number(write, value), fitting = number;
    uint64_t pattern;
    if (!isnan(number)) {
        if (row_is_limit(write))
            number = map_lower(write->type, number);
        if (write->type != REG_FLOAT32)
            number = round(number);
        /* If a pattern means "unknown", a known number must not be encoded as this pattern. */
        fitting = map_fit(write->type, number, instead->kind == INSTEAD_UNKNOWN);
        pattern = map_pattern(write->type, fitting);
    } else if (instead->kind == INSTEAD_UNKNOWN) {
        pattern = map_types[write->type].unknown;
    } else if (instead->kind == INSTEAD_NUMBER) {
        pattern = map_pattern(write->type, instead->number);
    } else {
        return PUSH_NOTHING;
    }
    map_put_words(words, pattern, map_types[write->type].registers, write->big_words);
    return isnan(number) || fitting == number ? PUSH_EXACT : PUSH_CLIPPED;
}

/* After the start a pack gets time to answer before the target is told that it is missing. */
static enum push_encoded encode(const struct push_plan *plan, const struct push_item *item,
                                double now, double *value, uint16_t words[2])
{
    *value = value_now(plan, item, now);
    if (isnan(*value) && !item->ever_known && item->source &&
        now - plan->started_at < item->source->settle_s)
        return PUSH_NOTHING;
    return push_encode(item->write, *value, words);
}

static bool has_changed(const struct push_plan *plan, const struct push_item *item, double value,
                        const uint16_t words[2])
{
    if (!item->sent || isnan(value) != isnan(item->sent_value))
        return true;
    if (row_is_limit(item->write) && value < item->sent_value)
        return true;
    bool matters = plan->config->on_change || item->write->terms[0].what == ROW_FRESH;
    if (!matters || isnan(value))
        return false;
    return memcmp(words, item->sent_words, sizeof item->sent_words) != 0 &&
           fabs(value - item->sent_value) > item->write->deadband * (1 + ROUNDING);
}

void push_plan_changes(struct push_plan *plan, const struct source *source, double now)
{
    for (unsigned i = 0; i < plan->count; i++) {
        struct push_item *item = &plan->items[i];
        double value;
        uint16_t words[2] = {0};
        if (source && item->source && item->source != source)
            continue;
        if (encode(plan, item, now, &value, words) == PUSH_NOTHING)
            item->due |= item->sent && !isnan(item->sent_value);
        else
            item->due |= has_changed(plan, item, value, words);
    }
}

static bool is_doubted(const struct push_item *item)
{
    return item->state == PUSH_DOUBTFUL || item->state == PUSH_IGNORED;
}

/* Registers that may not be answered come after all others. */
static bool comes_last(const struct push_item *item)
{
    return item->unheard || is_doubted(item);
}

/* Appends the item to the span; false: it is not adjacent, does not fit, or is to be skipped. */
static bool append_item(const struct push_plan *plan, const struct push_item *item, double now,
                        struct push_span *span)
{
    unsigned size = item->write->size;
    uint16_t words[2];
    double value;
    if (span->count > 0 && (item->write->address != span->address + span->size ||
                            span->size + size > PUSH_REGISTERS_MAX || now < item->not_before))
        return false;
    if (span->count > 0) {
        /* Whether two neighbours may be written with one request, as far as the target is known. */
        const struct push_item *left = item - 1;
        if (left->state == PUSH_BARRED || left->state == PUSH_IGNORED ||
            item->state == PUSH_BARRED || item->state == PUSH_IGNORED || item->apart ||
            item->apart_by_guess || left->unheard != item->unheard ||
            is_doubted(left) != is_doubted(item))
            return false;
    }
    if (encode(plan, item, now, &value, words) == PUSH_NOTHING)
        return false;
    memcpy(span->words + span->size, words, size * sizeof *words);
    span->size += size;
    span->count++;
    return true;
}

/* The adjacent items from `first` on, up to the last due one: one request with a few unchanged
 * registers in between is better than two. */
static bool gather(const struct push_plan *plan, unsigned first, double now, struct push_span *span)
{
    unsigned count = 0, size = 0;
    *span = (struct push_span){.first = first, .address = plan->items[first].write->address};
    for (unsigned i = first; i < plan->count && append_item(plan, &plan->items[i], now, span); i++)
        if (plan->items[i].due) {
            count = span->count;
            size = span->size;
        }
    span->count = count;
    span->size = size;
    return count > 0;
}

bool push_plan_take(struct push_plan *plan, double now, bool last, struct push_span *span)
{
    for (unsigned n = 0; n < plan->count; n++) {
        unsigned first = (plan->cursor + n) % plan->count;
        const struct push_item *item = &plan->items[first];
        if (!item->due || now < item->not_before ||
            (!last && comes_last(item) && now < item->not_before + LAST_S) ||
            !gather(plan, first, now, span))
            continue;
        for (unsigned i = 0; i < span->count; i++) {
            struct push_item *sent = &plan->items[first + i];
            sent->clipped =
                encode(plan, sent, now, &sent->sent_value, sent->sent_words) == PUSH_CLIPPED;
            sent->ever_known |= !isnan(sent->sent_value);
            sent->sent = true;
            sent->due = false;
        }
        plan->cursor = (first + span->count) % plan->count;
        return true;
    }
    if (last)
        plan->cursor =
            0; /* start over, so that adjacent items that are due together are sent together */
    return false;
}

static void keep_due(struct push_item *item)
{
    item->sent = false;
    item->due = true;
}

static void set_state(struct push_item *item, enum push_state state, double now)
{
    if (item->state == PUSH_TAKEN)
        item->since = now;
    item->state = state;
    item->searching = false;
}

static void pause_item(struct push_item *item, double first_s, double most_s, double now)
{
    item->not_before = now + backoff_grow(&item->pause_s, first_s, most_s);
}

/* One of the span's registers is rejected: tries the two halves separately. */
static void search_rejected(struct push_plan *plan, const struct push_span *span)
{
    plan->items[span->first + span->count / 2].apart = true;
    for (unsigned i = 0; i < span->count; i++)
        plan->items[span->first + i].searching = true;
}

static bool are_neighbours(const struct push_item *left, const struct push_item *right)
{
    return left->write->address + left->write->size == right->write->address;
}

/* The run of adjacent items around one, [first, end). */
struct run {
    struct push_item *first, *end;
};

static struct run run_around(struct push_plan *plan, unsigned index)
{
    unsigned first = index, last = index;
    while (first > 0 && are_neighbours(&plan->items[first - 1], &plan->items[first]))
        first--;
    while (last + 1 < plan->count && are_neighbours(&plan->items[last], &plan->items[last + 1]))
        last++;
    return (struct run){plan->items + first, plan->items + last + 1};
}

/* The rejected register is written alone from now on; its neighbours are joined again. */
static void rejoin_around(struct push_plan *plan, unsigned culprit)
{
    struct run run = run_around(plan, culprit);
    for (struct push_item *item = run.first; item < run.end; item++)
        item->apart = item->apart_by_guess = false;
}

static void note_answered(struct push_plan *plan, const struct push_span *span)
{
    for (unsigned i = 0; i < span->count; i++)
        plan->items[span->first + i].unheard = false;
    /* Spans that were split because the target did not answer, or was busy, are joined again once it
     * accepts everything: the target was away or busy as a whole. */
    const struct run run = run_around(plan, span->first);
    for (const struct push_item *item = run.first; item < run.end; item++)
        if (item->unheard || item->state == PUSH_PUT_OFF)
            return;
    for (struct push_item *item = run.first; item < run.end; item++)
        item->apart_by_guess = false;
}

static void set_taken(struct push_item *item)
{
    item->state = PUSH_TAKEN;
    item->searching = false;
    item->pause_s = item->not_before = 0;
}

void push_plan_done(struct push_plan *plan, const struct push_span *span)
{
    for (unsigned i = 0; i < span->count; i++)
        set_taken(&plan->items[span->first + i]);
    note_answered(plan, span);
}

/* Exceptions that concern the moment, not the registers. */
static bool is_temporary(uint8_t exception)
{
    return exception == MODBUS_EXCEPTION_ACKNOWLEDGE ||
           exception == MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY ||
           exception == MODBUS_EXCEPTION_GATEWAY_PATH ||
           exception == MODBUS_EXCEPTION_GATEWAY_TARGET;
}

/* None of the span is known to be rejected, maybe none is: tries the halves all the same. */
static void split_by_guess(struct push_plan *plan, const struct push_span *span)
{
    if (span->count > 1)
        plan->items[span->first + span->count / 2].apart_by_guess = true;
}

void push_plan_again(struct push_plan *plan, const struct push_span *span)
{
    for (unsigned i = 0; i < span->count; i++)
        keep_due(&plan->items[span->first + i]);
}

void push_plan_refused(struct push_plan *plan, const struct push_span *span, uint8_t exception,
                       double now)
{
    struct push_item *first = &plan->items[span->first];
    push_plan_again(plan, span);
    note_answered(plan, span);
    if (span->count > 1 && !is_temporary(exception)) {
        for (unsigned i = 0; i < span->count; i++)
            set_taken(first + i); /* it was answered: no longer doubtful */
        search_rejected(plan, span);
        return;
    }
    const bool barred = !is_temporary(exception) || first->state == PUSH_BARRED;
    if (span->count > 1 && first->state == PUSH_PUT_OFF && now - first->since >= BUSY_S) {
        split_by_guess(plan, span);
        for (unsigned i = 0; i < span->count; i++)
            first[i].pause_s = 0;
    }
    /* Exceptions that recur with any value. */
    const bool permanent = exception == MODBUS_EXCEPTION_ILLEGAL_FUNCTION ||
                           exception == MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
    const double interval = fmax(plan->config->interval_s, AGAIN_FIRST_S);
    for (unsigned i = 0; i < span->count; i++) {
        if (barred && first[i].state != PUSH_BARRED)
            rejoin_around(plan, span->first + i);
        set_state(&first[i], barred ? PUSH_BARRED : PUSH_PUT_OFF, now);
        first[i].exception = exception;
        pause_item(&first[i], AGAIN_FIRST_S,
                   permanent ? AGAIN_MOST_S : fmin(interval, AGAIN_MOST_S), now);
    }
}

void push_plan_unanswered(struct push_plan *plan, const struct push_span *span, bool others,
                          double now)
{
    struct push_item *first = &plan->items[span->first];
    for (unsigned i = 0; i < span->count; i++) {
        keep_due(first + i);
        first[i].unheard = true;
    }
    /* The other registers come first now, however long these have waited. */
    for (unsigned i = 0; i < plan->count; i++)
        if (comes_last(&plan->items[i]))
            plan->items[i].not_before = fmax(plan->items[i].not_before, now);
    if (!others) {
        split_by_guess(plan, span);
        return;
    }
    if (is_doubted(first) && span->count == 1) {
        if (first->state == PUSH_DOUBTFUL)
            rejoin_around(plan, span->first);
        set_state(first, PUSH_IGNORED, now);
        pause_item(first, IGNORED_FIRST_S, IGNORED_MOST_S, now);
        return;
    }
    if (is_doubted(first))
        search_rejected(plan, span);
    for (unsigned i = 0; i < span->count; i++) {
        if (!is_doubted(first + i))
            set_state(first + i, PUSH_DOUBTFUL, now);
        first[i].pause_s = 0;
        first[i].not_before = now;
    }
}

void push_plan_end_pauses(struct push_plan *plan)
{
    for (unsigned i = 0; i < plan->count; i++)
        plan->items[i].pause_s = plan->items[i].not_before = 0;
}

void push_request_build(struct push_request *request, uint16_t transaction, uint8_t unit,
                        bool single, unsigned address, const uint16_t *words, unsigned count)
{
    uint8_t *pdu = request->bytes + MBAP_HEADER, *data = pdu + 3;
    pdu[0] = single ? MODBUS_FC_WRITE_SINGLE_REGISTER : MODBUS_FC_WRITE_MULTIPLE_REGISTERS;
    put_be16(pdu + 1, address);
    if (!single) {
        put_be16(pdu + 3, count);
        pdu[5] = (uint8_t) (2 * count);
        data = pdu + 6;
    }
    for (unsigned i = 0; i < count; i++)
        put_be16(data + 2 * i, words[i]);
    request->size = (size_t) (data + 2 * count - request->bytes);
    put_be16(request->bytes, transaction);
    put_be16(request->bytes + 2, 0);
    put_be16(request->bytes + 4, (uint32_t) (request->size - 6));
    request->bytes[6] = unit;
}

/* The response to both functions is the first five bytes of the request: function, address, and
 * value or count. The transaction identifies it, not the unit: some devices insert their own. */
enum push_reply push_reply_check(const struct push_request *request, const uint8_t *frame,
                                 size_t size, uint8_t *exception)
{
    const uint8_t *asked = request->bytes + MBAP_HEADER, *answer = frame + MBAP_HEADER;
    size_t answer_size = size - MBAP_HEADER;
    if (be16(frame) != be16(request->bytes))
        return PUSH_FOREIGN;
    if (answer_size == 2 && answer[0] == (asked[0] | 0x80)) {
        *exception = answer[1];
        return PUSH_REFUSED;
    }
    return answer_size == 5 && memcmp(answer, asked, 5) == 0 ? PUSH_DONE : PUSH_MALFORMED;
}
