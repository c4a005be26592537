// SPDX-License-Identifier: MIT
#include "patience.h"

#include <math.h>

/* RFC 6298, section 2. */
#define USUAL_GAIN (1.0 / 8)
#define VARIES_GAIN (1.0 / 4)
#define VARIES_TIMES 4
#define MARGIN 1.5 /* on an upper bound: the next reply may take a little longer */

static double usual_wait_s(const struct patience *patience)
{
    return patience->usual_s + VARIES_TIMES * patience->varies_s;
}

void patience_suspect(struct patience *patience, double least_s, double most_s, double waited_s)
{
    const bool late = least_s > (patience->usual_s > 0 ? usual_wait_s(patience) : waited_s);
    patience->at_most_s = late && !patience->in_vain ? MARGIN * most_s : 0;
}

void patience_learn(struct patience *patience, double took_s)
{
    patience->at_most_s = 0;
    patience->in_vain = false;
    if (patience->usual_s == 0) {
        patience->usual_s = took_s;
        patience->varies_s = took_s / 2;
        return;
    }
    double off_s = fabs(took_s - patience->usual_s);
    patience->varies_s += VARIES_GAIN * (off_s - patience->varies_s);
    patience->usual_s += USUAL_GAIN * (took_s - patience->usual_s);
}

void patience_miss(struct patience *patience, double waited_s, double most_s)
{
    if (patience->at_most_s == 0 || waited_s < fmin(patience->at_most_s, most_s))
        return;
    patience->at_most_s = 0;
    patience->in_vain = true;
}

double patience_wait_s(const struct patience *patience, double most_s)
{
    return fmin(fmax(usual_wait_s(patience), patience->at_most_s), most_s);
}
