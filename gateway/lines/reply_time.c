// SPDX-License-Identifier: MIT
/* How long to wait for a reply. */
#include "reply_time.h"

#include "ledger.h"
#include "plan.h"

#include "base/log.h"

#include <math.h>

#define UNSURE_LEAST_S 0.4 /* for an answer that may not come */

double reply_time_usual_s(const struct wire *wire, const struct poller *poller)
{
    unsigned own = poller->config->driver->line.reply_ms;
    return fmax(wire->config->reply_ms ? wire->config->reply_ms : own,
                port_least_reply_ms(wire->port)) /
           1e3;
}

double reply_time_s(const struct wire *wire, const struct poller *poller)
{
    return fmax(reply_time_usual_s(wire, poller),
                patience_wait_s(&poller->pace.patience, ANSWER_MOST_S));
}

double reply_time_longest_s(const struct wire *wire, const struct turns *turns)
{
    double longest = 0;
    for (unsigned i = 0; i < turns->count; i++)
        longest = fmax(longest, reply_time_s(wire, turns->list[i].poller));
    return longest;
}

/* A request that may stay unanswered should not cost other packs more than one of their answers takes. One in
 * SILENT_SHARE gets its full time: the pack may have become slower. */
double reply_time_next_s(const struct wire *wire, const struct turns *turns,
                         const struct poller *poller)
{
    const double most = reply_time_s(wire, poller);
    double usual = patience_wait_s(&poller->pace.patience, most);
    for (unsigned i = 0; usual == 0 && i < turns->count; i++)
        usual = patience_wait_s(&turns->list[i].poller->pace.patience, most);
    const unsigned step = poller->cycle.step;
    const bool vital = poller->config->driver->plan[step].vital;
    const unsigned misses = vital ? poller->presence.silent_cycles : poller->steps[step].misses;
    const bool turn = misses % SILENT_SHARE == SILENT_SHARE - 1;
    if ((usual == 0 && vital) || turn || !plan_is_unsure(poller))
        return most;
    const double least = fmax(UNSURE_LEAST_S, port_least_reply_ms(wire->port) / 1e3);
    return fmin(most, fmax(usual, least));
}

static void report_late(const struct wire *wire, const struct poller *slowest, double late_s)
{
    const struct pack_config *pack = slowest->config;
    const char *line = wire->config->name;
    log_warn("line %s: replies come %.1f s after the request, later than reply_timeout = %.1f s; "
             "set reply_timeout to at least %.1fs",
             line, late_s, reply_time_usual_s(wire, slowest),
             patience_wait_s(&slowest->pace.patience, ANSWER_MOST_S) + 0.1);
    if (pack->stale_fixed && pack->stale_after_s <= late_s)
        log_warn("line %s: %s has a stale_after of %.1f s: its values are too old when they come",
                 line, pack->name, pack->stale_after_s);
}

/* Where replies regularly come after the timeout, values are true but rare. A key of the configuration cures that. */
void reply_time_report(struct wire *wire, const struct turns *turns)
{
    const struct poller *slowest = NULL;
    double late_s = 0;
    for (unsigned i = 0; i < turns->count; i++) {
        const struct poller *poller = turns->list[i].poller;
        const double took_s = poller->pace.patience.usual_s;
        if (took_s <= reply_time_usual_s(wire, poller) || took_s <= late_s)
            continue;
        late_s = took_s;
        slowest = poller;
    }
    const bool was_late = wire->facts.late_s > 0;
    wire->facts.late_s = late_s;
    if (slowest && !was_late && !wire->health.reported_late) {
        report_late(wire, slowest, late_s);
        wire->health.reported_late = true;
    }
    if (!slowest && was_late)
        log_info("line %s: replies come within reply_timeout again", wire->config->name);
}
