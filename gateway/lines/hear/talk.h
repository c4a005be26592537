// SPDX-License-Identifier: MIT
/*
 * How old it is what a device says that talks unasked, one set of values each second. Pure.
 *
 * Nothing is asked, so the pace has to tell. What comes behind a silence may be as old as the silence was long. What has
 * piled up comes faster than it was said: once sets come at their usual pace, nothing of it is left. A port that forgets
 * (TCP) is opened anew instead, as what stood still may stay late at the usual pace. So it is where nothing comes right
 * behind the opening; if it is silent then once more, the delay is always there, and no pace ends it. A port that does
 * not forget may bring what has piled up before it was opened: there the first set only shows when the next one is due.
 */
#ifndef PACKGATE_LINES_TALK_H
#define PACKGATE_LINES_TALK_H

#include <stdbool.h>

struct talk {
    bool forgets;    /* nothing comes that was under way before the port was opened */
    double heard_at; /* the last byte, or the opening */
    double said_at;  /* the last set; NaN: none since the opening */
    double first_s;  /* the silence behind the last opening, if it was too long; NaN: it was not */
    bool constant;   /* and so it was at the one before */
    double lag_s;    /* what comes may be so old */
    unsigned sets;   /* since the opening */
    unsigned paced;  /* of them, in a row, came at the usual pace */
};

void talk_init(struct talk *talk);

/** The port is open, maybe again. */
void talk_opened(struct talk *talk, bool forgets, double now);

/** Bytes come. True: they may be old, and the port is to be opened anew, as it forgets. */
bool talk_heard(struct talk *talk, double now);

/** A set is complete: how old it may be; infinity: that is not known. */
double talk_said(struct talk *talk, double now);

#endif
