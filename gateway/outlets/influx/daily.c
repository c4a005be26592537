// SPDX-License-Identifier: MIT
/* The health of past days. */
#include "influx.h"

#include "past/checkup.h"

#include <stdlib.h>

#define DAYS_AT_ONCE 3 /* of each pack */
#define DAY_S 86400

/* A few days at a time; continues with the oldest that had to wait, of any pack. */
static void write_days(struct daily *daily, struct query *query, const struct influx_pack *pack,
                       int64_t current, int64_t confirmed, enum influx_layout layout,
                       struct health_day *days)
{
    const char *name = pack->pack->source.name;
    const int64_t oldest = current - CHECKUP_BACK_DAYS * (int64_t) DAY_S;
    const int64_t from = confirmed > oldest ? confirmed + 1 : oldest;
    const unsigned count = checkup_days(query, name, from, current, days, CHECKUP_BACK_DAYS);
    unsigned written = 0;
    for (unsigned n = 0; n < count; n++) {
        struct text text;
        if (days[n].from < from)
            continue;
        if (written == DAYS_AT_ONCE) {
            const int64_t last = days[n].from - DAY_S / 2;
            daily->at = daily->waits && daily->at < last ? daily->at : last;
            daily->waits = true;
            return;
        }
        if (!batch_row(&daily->batch, &text))
            return;
        points_health(&text, pack->tags, layout, &days[n]);
        batch_end_row(&daily->batch, &text);
        written++;
        if (!daily->waits && days[n].from > daily->at)
            daily->at = days[n].from;
    }
    if (written == 0)
        return;
    /* The findings from these days and those before, at the newest of them. */
    struct health_finding findings[HEALTH_FINDINGS];
    struct text text;
    const unsigned found = checkup_judge(query, name, current, findings);
    if (found == 0 || !batch_row(&daily->batch, &text))
        return;
    points_findings(&text, pack->tags, layout, days[count - 1].from, findings, found);
    batch_end_row(&daily->batch, &text);
}

void daily_clear(struct daily *daily)
{
    batch_clear(&daily->batch);
    daily->at = 0;
    daily->waits = false;
}

void daily_write(struct daily *daily, struct query *query, const struct influx_pack *packs,
                 unsigned count, int64_t current, int64_t confirmed, enum influx_layout layout)
{
    struct health_day *days = malloc(CHECKUP_BACK_DAYS * sizeof *days);
    /* A day ahead was written while the clock was wrong. */
    for (unsigned i = 0; days && i < count; i++)
        write_days(daily, query, &packs[i], current, confirmed < current ? confirmed : 0, layout,
                   days);
    free(days);
}

/* Days older than one day are complete when the next one has begun. */
int64_t daily_done(const struct daily *daily)
{
    return daily->at - (daily->waits ? 0 : DAY_S);
}
