// SPDX-License-Identifier: MIT
/* How long the answers of one pack are on their way, and how long they are to be waited for. */
#include "lateness.h"

#include <math.h>

#define MARGIN 1.25 /* what took so long may take a little longer */
#define MARGIN_S 0.1
#define MOST 0.9     /* of the last answers came late, */
#define SLACK_S 0.05 /* that it takes until a request is on its way */
#define REGULAR 3    /* so many times it is worth a word */
#define DOUBTFUL 5   /* or so many in a row may have: it is not as it was before */
#define HOPELESS 5   /* so many in a row did, and come too late to be waited for */

static double wait_for(double took_s)
{
    return MARGIN * took_s + MARGIN_S;
}

double lateness_timeout_s(double took_s)
{
    return ceil(wait_for(took_s) * 10) / 10;
}

void lateness_ask(struct lateness *lateness, bool alone)
{
    lateness->trying = alone && lateness->wanted;
    if (alone)
        lateness->wanted = false;
}

void lateness_answer(struct lateness *lateness, double took_s, double at_most_s)
{
    lateness->trying = false;
    if (took_s < at_most_s) {
        lateness->doubtful++;
        lateness->at_most_s = at_most_s;
        lateness->wanted = wait_for(at_most_s) <= LATENESS_MOST_S;
        return;
    }
    if (lateness->doubtful >= DOUBTFUL)
        lateness->next = lateness->count = 0;
    lateness->doubtful = 0;
    lateness->took_s[lateness->next] = took_s;
    lateness->next = (lateness->next + 1) % LATENESS_ANSWERS;
    lateness->count += lateness->count < LATENESS_ANSWERS;
}

void lateness_miss(struct lateness *lateness)
{
    lateness->trying = false;
}

/* The longest of the answers of which it is known, if most of them are late; `late`: how many. */
static double longest_late_s(const struct lateness *lateness, double usual_s, unsigned *late)
{
    double longest_s = 0;
    *late = 0;
    for (unsigned i = 0; i < lateness->count; i++) {
        *late += lateness->took_s[i] > usual_s + SLACK_S;
        longest_s = fmax(longest_s, lateness->took_s[i]);
    }
    return *late > 0 && *late >= MOST * lateness->count ? longest_s : 0;
}

double lateness_regular_s(const struct lateness *lateness, double usual_s)
{
    unsigned late;
    double late_s = longest_late_s(lateness, usual_s, &late);
    bool hopeless =
        lateness->doubtful >= HOPELESS && wait_for(lateness->at_most_s) > LATENESS_MOST_S;
    return hopeless ? lateness->at_most_s : late >= REGULAR ? late_s : 0;
}

double lateness_wait_s(const struct lateness *lateness, double usual_s)
{
    unsigned late;
    double late_s = longest_late_s(lateness, usual_s, &late);
    bool doubtful = lateness->doubtful >= (lateness->count == 0 ? 1 : DOUBTFUL);
    if (lateness->trying && (doubtful || late_s > 0))
        late_s = fmax(late_s, lateness->at_most_s);
    return late_s > 0 ? fmax(usual_s, fmin(wait_for(late_s), LATENESS_MOST_S)) : usual_s;
}
