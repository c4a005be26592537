// SPDX-License-Identifier: MIT
/* Logs orders: which client switched what. */
#include "order_log.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define MINUTE_S 60

static const char *result_text(enum order_result result)
{
    static const char *const texts[] = {
        [ORDER_DONE] = "confirmed",
        [ORDER_REFUSED] = "refused by the BMS",
        [ORDER_UNANSWERED] = "not confirmed, neither by a reply nor by the state read back",
        [ORDER_TOO_LATE] = "discarded, its line was busy for too long",
        [ORDER_NOT_NOW] = "not possible, its present state is unknown",
    };
    return texts[result];
}

static bool same_switches(const struct switches *a, const struct switches *b)
{
    if (a->sets != b->sets || (a->sets && (a->setting != b->setting || a->value != b->value)))
        return false;
    for (int i = 0; i < ORDER_SWITCHES; i++)
        if (a->wanted[i] != b->wanted[i] || (a->wanted[i] && a->on[i] != b->on[i]))
            return false;
    return true;
}

/* "client 192.0.2.1:40000" without its port: each connection has another one. */
static void without_port(const char *from, char out[ORDER_FROM_SIZE])
{
    const char *port = strncmp(from, "client ", 7) == 0 ? strrchr(from, ':') : NULL;
    snprintf(out, ORDER_FROM_SIZE, "%.*s", port ? (int) (port - from) : ORDER_FROM_SIZE - 1, from);
}

static void count_order(struct order_log *log, const char *from, const struct switches *ordered,
                        enum order_result result)
{
    struct order_log_kind kind = {.ordered = *ordered, .result = result, .times = 1};
    without_port(from, kind.from);
    for (unsigned i = 0; i < log->count; i++) {
        struct order_log_kind *known = &log->kinds[i];
        if (known->result == result && same_switches(&known->ordered, ordered) &&
            strcmp(known->from, kind.from) == 0) {
            known->times++;
            return;
        }
    }
    if (log->count < ORDER_LOG_KINDS)
        log->kinds[log->count++] = kind;
    else
        log->others++;
}

void order_log_end(struct order_log *log, const char *pack)
{
    char text[SWITCHES_TEXT];
    for (unsigned i = 0; i < log->count; i++) {
        const struct order_log_kind *kind = &log->kinds[i];
        log_info("pack %s: %s orders %s: %s, %u more times within a minute", pack, kind->from,
                 switches_format(&kind->ordered, text), result_text(kind->result), kind->times);
    }
    if (log->others > 0)
        log_info("pack %s: %u other orders within a minute", pack, log->others);
    log->count = log->others = log->told = 0;
}

void order_log_tick(struct order_log *log, const char *pack, double now)
{
    if (log->told > 0 && now - log->since >= MINUTE_S)
        order_log_end(log, pack);
}

void order_log_add(struct order_log *log, const char *pack, const char *from,
                   const struct switches *ordered, enum order_result result, double now)
{
    char text[SWITCHES_TEXT];
    order_log_tick(log, pack, now);
    if (log->told == ORDER_LOG_TOLD) {
        count_order(log, from, ordered, result);
        return;
    }
    if (log->told++ == 0)
        log->since = now;
    log_info("pack %s: %s orders %s: %s", pack, from, switches_format(ordered, text),
             result_text(result));
}
