// SPDX-License-Identifier: MIT
/* The packs on one line. */
#include "turns.h"

#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SILENT_FROM_START 3     /* cycles until a pack that never answered is worth a warning, */
#define PATIENT_AT_START_S 15.0 /* but no longer than that */
#define SILENT_SHARE 4 /* while others wait, one part of the time in five is for silent packs */

bool turns_init(struct turns *turns, struct poller *const *pollers, unsigned count)
{
    *turns = (struct turns){.list = calloc(count, sizeof *turns->list)};
    if (!turns->list)
        return false;
    turns->count = count;
    for (unsigned i = 0; i < count; i++)
        turns->list[i].poller = pollers[i];
    return true;
}

void turns_close(struct turns *turns)
{
    free(turns->list);
    *turns = (struct turns){0};
}

/* ---- whose turn it is ---- */

static bool is_silent(const struct poller *poller)
{
    return poller->silent_cycles > 0 || isnan(poller->last_answer);
}

static void prefer_earlier(struct member **best, struct member *member)
{
    if (!*best || member->poller->due < (*best)->poller->due)
        *best = member;
}

struct member *turns_next(const struct turns *turns, double now)
{
    struct member *silent = NULL, *lively = NULL;
    for (unsigned i = 0; i < turns->count; i++) {
        struct member *member = &turns->list[i];
        if (member->poller->in_cycle)
            return member;
        prefer_earlier(is_silent(member->poller) ? &silent : &lively, member);
    }
    if (!silent || !lively)
        return silent ? silent : lively;
    bool lively_first = lively->poller->due <= now && now < turns->silent_after;
    return lively_first || lively->poller->due <= silent->poller->due ? lively : silent;
}

struct member *turns_find(const struct turns *turns, const struct poller *poller)
{
    for (unsigned i = 0; i < turns->count; i++)
        if (turns->list[i].poller == poller)
            return &turns->list[i];
    return NULL;
}

void turns_charge(struct turns *turns, const struct member *member, double now)
{
    turns->silent_after = now + SILENT_SHARE * (now - member->poller->cycle_started);
}

/* ---- what is said of them ---- */

void member_report_silence(struct member *member, const char *line, double started_at, double now)
{
    const struct poller *poller = member->poller;
    const struct bms_driver *driver = poller->config->driver;
    bool never = isnan(poller->published_at);
    bool early =
        never && poller->silent_cycles < SILENT_FROM_START && now - started_at < PATIENT_AT_START_S;
    if (member->reported_silent || early || poller->silent_cycles == 0 ||
        !poller_stale(poller, now))
        return;
    member->reported_silent = true;
    member->silent_since = never ? started_at : poller->published_at;
    double interval = poller_interval(poller);
    char address[24] = "";
    if (bms_has_address(driver))
        snprintf(address, sizeof address, ", address %d", bms_address(&poller->bms));
    log_warn("line %s: no answer from %s (%s%s) for %.0f s, asking every %.*f s now; %s", line,
             poller->config->name, driver->name, address, now - member->silent_since, interval < 10,
             interval,
             member->heard ? "what comes in is none: check baud rate, protocol and address"
                           : "check wiring, address and protocol");
}

static void report_answer(struct member *member, const char *line, double now)
{
    member->heard = false;
    if (!member->reported_silent)
        return;
    member->reported_silent = false;
    log_info("line %s: %s answers again after %.0f s", line, member->poller->config->name,
             now - member->silent_since);
}

static void report_remark(struct member *member, const char *line)
{
    const char *remark = member->poller->bms.remark;
    if (strcmp(member->remark, remark) == 0)
        return;
    snprintf(member->remark, sizeof member->remark, "%s", remark);
    if (remark[0])
        log_info("line %s: %s %s", line, member->poller->config->name, remark);
}

void member_report_values(struct member *member, const char *line, double now)
{
    report_answer(member, line, now);
    report_remark(member, line);
}
