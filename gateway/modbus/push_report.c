// SPDX-License-Identifier: MIT
/* Logs trouble with the registers of a push. */
#include "push_report.h"

#include "base/log.h"

#include <modbus.h>
#include <stdio.h>
#include <string.h>

#define PASSING_S 20.0 /* s for which a target may be busy before it is logged */
#define AGAIN_S 60.0   /* s that any repeated trouble must last before it is logged */
/* s for which a running search delays the message, so that one message lists all registers it finds */
#define SEARCH_S 30.0
#define LIST_SIZE 100

/* "registers 5, 100 to 103", of the items [first, end) that are picked: as many as fit. */
static const char *list_registers(const struct push_item *first, const struct push_item *end,
                                  char text[LIST_SIZE])
{
    unsigned runs = 0, registers = 0;
    size_t used = 0;
    char runs_text[LIST_SIZE - 12] = "";
    while (first < end) {
        if (!first->picked) {
            first++;
            continue;
        }
        unsigned from = first->write->address, to = from;
        for (; first < end && first->picked && first->write->address == to; first++)
            to += first->write->size;
        registers += to - from;
        if (used + 24 > sizeof runs_text) {
            snprintf(runs_text + used, sizeof runs_text - used, ", ...");
            break;
        }
        used += (size_t) snprintf(runs_text + used, sizeof runs_text - used,
                                  to - from == 1 ? "%s%u" : "%s%u to %u", runs++ ? ", " : "", from,
                                  to - 1);
    }
    snprintf(text, LIST_SIZE, "register%s %s", registers == 1 ? "" : "s", runs_text);
    return text;
}

static bool is_to_be_logged(const struct push_item *item, double now)
{
    double patience = item->was_told ? AGAIN_S : item->state == PUSH_PUT_OFF ? PASSING_S : 0;
    bool found =
        item->state == PUSH_PUT_OFF || item->state == PUSH_BARRED || item->state == PUSH_IGNORED;
    return found && !item->told && now - item->since >= patience;
}

void push_report_troubles(struct push_plan *plan, double now)
{
    struct push_item *end = plan->items + plan->count;
    bool searching = false;
    for (const struct push_item *item = plan->items; item < end; item++)
        searching |= item->searching;
    for (const struct push_item *item = plan->items; item < end; item++) {
        if (!is_to_be_logged(item, now) || (searching && now - item->since < SEARCH_S))
            continue;
        for (struct push_item *other = plan->items; other < end; other++)
            other->picked = is_to_be_logged(other, now) && other->state == item->state &&
                            other->exception == item->exception;
        char registers[LIST_SIZE], why[120];
        if (item->state == PUSH_IGNORED)
            snprintf(why, sizeof why,
                     "no answer, although it answers others, which are written first now");
        else if (item->exception == PUSH_NO_EXCEPTION)
            snprintf(why, sizeof why, "its response is malformed; retrying silently");
        else
            snprintf(why, sizeof why, "exception %u (%s); retrying silently", item->exception,
                     modbus_strerror(MODBUS_ENOBASE + item->exception));
        log_warn("push %s: %s rejects %s: %s", plan->config->name, plan->config->target,
                 list_registers(plan->items, end, registers), why);
        for (struct push_item *told = plan->items; told < end; told++)
            if (told->picked)
                told->told = told->was_told = true;
    }
}

void push_report_taken(struct push_plan *plan, const struct push_span *span)
{
    char registers[LIST_SIZE];
    struct push_item *first = &plan->items[span->first], *end = first + span->count;
    bool any = false;
    for (struct push_item *item = first; item < end; item++) {
        any |= item->picked = item->told;
        item->told = false;
    }
    if (any)
        log_info("push %s: %s accepts %s now", plan->config->name, plan->config->target,
                 list_registers(first, end, registers));
}

/* Only numbers of packs can be out of range: the configuration has checked the others. */
void push_report_clipped(struct push_plan *plan, const struct push_span *span)
{
    char name[VALUE_NAME_SIZE];
    for (unsigned i = 0; i < span->count; i++) {
        struct push_item *item = &plan->items[span->first + i];
        if (item->clipped && !item->told_clipped)
            log_warn("push %s: %s.%s is %g, out of range for register %u; the nearest "
                     "number that fits is written",
                     plan->config->name, item->write->terms[0].source,
                     value_format(&item->write->terms[0].value, name), item->sent_value,
                     item->write->address);
        item->told_clipped = item->clipped;
    }
}
