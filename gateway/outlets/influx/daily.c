// SPDX-License-Identifier: MIT
#include "influx.h"

#include "past/checkup.h"

#include "base/alloc.h"

#define DAYS_AT_ONCE 3 /* of each pack */
#define DAY_S 86400

/* A few days at a time; continues with the oldest that had to wait, of any pack. */
static void write_days(struct daily *daily, struct query *query, const struct backlog *of,
                       const struct influx_pack *pack, int64_t confirmed, struct health_day *days)
{
    const enum influx_layout layout = of->config->layout;
    const char *name = pack->pack->source.name;
    const int64_t current = of->now;
    const int64_t from = later(confirmed + 1, current - CHECKUP_BACK_DAYS * (int64_t) DAY_S);
    const unsigned count = query_health(query, name, from, current, days, CHECKUP_BACK_DAYS);
    unsigned written = 0;
    for (unsigned n = 0; n < count; n++) {
        if (days[n].from < from)
            continue;
        if (written == DAYS_AT_ONCE) {
            const int64_t last = days[n].from - DAY_S / 2;
            daily->done = daily->waits ? earlier(daily->done, last) : last;
            daily->waits = true;
            return;
        }
        points_health(batch_row(&daily->batch), pack->tags, layout, &days[n]);
        batch_end_row(&daily->batch);
        written++;
        /* Days older than one day are complete when the next one has begun. */
        if (!daily->waits)
            daily->done = later(daily->done, days[n].from - DAY_S);
    }
    if (written == 0)
        return;
    /* The findings from these days and those before, at the newest of them. */
    struct health_finding findings[HEALTH_FINDINGS];
    const unsigned found = checkup_judge(query, name, current, findings);
    points_findings(batch_row(&daily->batch), pack->tags, layout, days[count - 1].from, findings,
                    found);
    batch_end_row(&daily->batch);
}

void daily_write(struct daily *daily, struct query *query, const struct backlog *of,
                 int64_t confirmed)
{
    struct health_day *days = alloc_zeroed(CHECKUP_BACK_DAYS, sizeof *days);
    batch_clear(&daily->batch);
    daily->done = -DAY_S;
    daily->waits = false;
    /* A day ahead was written while the clock was wrong. */
    for (unsigned i = 0; query && i < of->count; i++)
        write_days(daily, query, of, &of->packs[i], confirmed < of->now ? confirmed : 0, days);
    free(days);
}
