// SPDX-License-Identifier: MIT
/*
 * How old it is what a device says that talks unasked, one set of values each second. Pure.
 *
 * Nothing can be asked, so the pace has to tell. A silence in between means that something stood still or was lost: what comes
 * behind it may be as old as the silence was long. What has piled up comes faster than it was said: once sets come at their
 * usual pace, nothing of it is left. A port that forgets (TCP) is opened anew instead, as what stood still may stay late at
 * the usual pace. So it is where nothing comes right behind the opening. If it is silent
 * then once more, it is a delay that is always there, and no pace ends it. A port that does not forget (a pty whose other
 * end keeps what nobody took, a serial server behind it) may bring what has piled up before it was opened: its first
 * set is held until it is clear that none follows at once.
 *
 * A line that says things twice or out of order brings more than one set in a second. One that comes soon behind a late one is in
 * its time: somebody was busy. Sets that are suspected of that, because the same bytes
 * came before with others behind them, or because one is missing, are held until it is clear that no other one follows at once. When one does, the line is known for
 * it: from then on a set is as old as the first time that it was said, or as the last one that is missing.
 */
#ifndef PACKGATE_LINES_TALK_H
#define PACKGATE_LINES_TALK_H

#include "recall.h"

#include "bms/pack.h"

#define TALK_S 1.0       /* from one set to the next, */
#define TALK_SOON_S 0.75 /* and no less than this */

struct talk {
    bool forgets; /* nothing comes that was under way before the port was opened */
    double opened_at;
    double silent_at,
        silent_till; /* the last silence, from the set that is missing on; NaN: none yet */
    double heard_at; /* the last byte, or the opening */
    double first_s;  /* the silence behind the last opening, if it was too long; NaN: it was not */
    bool constant;   /* and so it was at the one before */
    double said_at;  /* the last set; NaN: none since the opening */
    double gap_s;    /* between the last two; NaN: there were none since the opening */
    double news_at;  /* the last one that was not said before */
    double lag_s;    /* what comes may be so old */
    double behind_s; /* or so old, since it was silent; 0: it comes at its usual pace again */
    double
        disorder_s; /* the line says things twice or out of order, by up to so long; 0: it does not */
    unsigned sets;  /* since the opening */
    bool spread;    /* of them, some did not come all at once */
    unsigned paced; /* of them, in a row, came at the usual pace */
    double held_at; /* when the set that is held came; NaN: none is */
    uint32_t held_hash;
    struct pack held;
};

void talk_init(struct talk *talk);

/** The port is open, maybe again. */
void talk_opened(struct talk *talk, bool forgets, double now);

/** Bytes come. True: they may be old, and the port is to be opened anew, as it forgets. */
bool talk_heard(struct talk *talk, double now);

/** A set is complete. How late this one, or the one that is held, was at least if the line says things twice or out of order; NaN: nothing says so. To be called
 * before talk_said. */
double talk_late(const struct talk *talk, const struct recall *recall, uint32_t hash, double now);

/** When that set was said at the earliest. NaN: it is to be held with talk_hold first. */
double talk_said(struct talk *talk, struct recall *recall, uint32_t hash, double now);

void talk_hold(struct talk *talk, const struct pack *set, uint32_t hash, double now);

/** When nothing followed the set that is held: it is believed then. NaN: none is held. */
double talk_until(const struct talk *talk);

/** Takes the one that is held; when it was said at the earliest. */
double talk_release(struct talk *talk, const struct recall *recall, struct pack *set);

/** How old a set is that was said at that time at the earliest. */
double talk_age_s(const struct talk *talk, double said_at, double now);

#endif
