// SPDX-License-Identifier: MIT
/* How old it is what a device says that talks unasked. */
#include "talk.h"

#include <math.h>

#define TALK_S 1.0       /* from one set to the next, */
#define TALK_SOON_S 0.75 /* and no less than this */
#define SILENT_S 1.75    /* without a byte: a set is missing */
#define LATE_S 1.1       /* the same behind an opening: what comes is late */
#define SLACK_S 0.25     /* in when a set is said */
#define PACED 3          /* sets that come at the usual pace: nothing has piled up */

void talk_init(struct talk *talk)
{
    *talk = (struct talk){.said_at = NAN, .first_s = NAN};
}

void talk_opened(struct talk *talk, bool forgets, double now)
{
    talk->forgets = forgets;
    talk->said_at = NAN;
    talk->paced = talk->sets = 0;
    if (!forgets && talk->heard_at > 0)
        return;
    talk->heard_at = now;
    talk->lag_s = 0;
}

bool talk_heard(struct talk *talk, double now)
{
    const double silence_s = now - talk->heard_at;
    const bool opening = talk->forgets && talk->sets == 0;
    const bool silent = silence_s >= (opening ? LATE_S : SILENT_S);
    talk->heard_at = now;
    if (opening && (silent || talk->lag_s == 0)) {
        talk->constant = silent && fabs(silence_s - talk->first_s) <= TALK_S + SLACK_S;
        talk->first_s = silent ? silence_s : NAN;
    }
    if (silent) {
        talk->paced = 0;
        talk->lag_s = fmax(talk->lag_s, silence_s);
    }
    return talk->forgets && talk->lag_s > 0 && !(talk->constant && talk->lag_s <= talk->first_s);
}

double talk_said(struct talk *talk, double now)
{
    const bool soon = now - talk->said_at < TALK_SOON_S;
    talk->paced = soon ? 0 : talk->paced + 1;
    talk->said_at = now;
    talk->sets++;
    if (talk->forgets)
        return talk->lag_s;
    if (talk->paced >= PACED)
        talk->lag_s = 0;
    return talk->sets == 1 || (soon && talk->lag_s == 0) ? INFINITY : talk->lag_s;
}
