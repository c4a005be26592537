// SPDX-License-Identifier: MIT
#include "lag.h"

#include <math.h>

#define TOO_LONG 1.5 /* times the usual pause */

void lag_init(struct lag *lag, double usual_s, bool learns)
{
    *lag =
        (struct lag){.usual_s = usual_s, .learns = learns, .pause_ended_at = NAN, .first_s = NAN};
}

void lag_opened(struct lag *lag, double now)
{
    lag->heard_at = now;
    lag->opening = true;
    lag->late_s = 0;
}

static void learn_pause(struct lag *lag, double pause_s, double now)
{
    if (!lag->learns || pause_s < lag->usual_s)
        return;
    if (now - pause_s - lag->pause_ended_at < pause_s)
        lag->usual_s = fmax(lag->usual_s, fmin(pause_s, lag->pause_s));
    lag->pause_s = pause_s;
    lag->pause_ended_at = now;
    if (lag->late_s < TOO_LONG * lag->usual_s)
        lag->late_s = 0;
}

bool lag_heard(struct lag *lag, double now)
{
    const double silence_s = now - lag->heard_at;
    learn_pause(lag, silence_s, now);
    const bool silent = silence_s >= TOO_LONG * lag->usual_s;
    if (lag->opening) {
        const bool again = silent && fabs(silence_s - lag->first_s) < TOO_LONG * lag->usual_s;
        lag->constant_s = again ? fmax(silence_s, lag->first_s) : 0;
        lag->first_s = silent ? silence_s : NAN;
    }
    if (silent)
        lag->late_s = fmax(lag->late_s, silence_s);
    lag->heard_at = now;
    lag->opening = false;
    return lag->late_s > lag->constant_s;
}
