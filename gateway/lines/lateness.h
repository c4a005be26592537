// SPDX-License-Identifier: MIT
/*
 * How long the answers of one pack are on their way, and how long they are to be waited for. Pure.
 *
 * Where each answer comes later than it is waited for, each is taken for as old as the first request that it can belong
 * to, and the line is opened anew or left in peace again and again: nothing is wrong, but hardly anything is fresh. Only
 * an answer with a single request before it tells how long it took. So an answer that came with several open is
 * worth one try: the next request that has none before it is waited for as long as that one was on its way at most. If
 * it is answered late as well, all are waited for so long, until some are in time again. Where answers used to be in time,
 * that takes several doubtful ones in a row: on a line where some overtake others, to wait for the late ones would hide it.
 *
 * That is safe: who waits longer asks less, and an answer can belong to fewer requests. What it costs is time when a reply
 * is lost, and only where replies do come late.
 */
#ifndef PACKGATE_LINES_LATENESS_H
#define PACKGATE_LINES_LATENESS_H

#include <stdbool.h>

#define LATENESS_ANSWERS 16
#define LATENESS_MOST_S 30.0 /* nothing is waited for longer */

struct lateness {
    double took_s[LATENESS_ANSWERS]; /* the last answers of which it is known */
    unsigned next, count;
    unsigned doubtful; /* since then, of which it is not known, */
    double at_most_s;  /* and what the last of these took at most */
    bool wanted;       /* a try is worth its time */
    bool trying;       /* the request in flight is one */
};

/** A request is sent. `alone`: none before it can be answered any more. */
void lateness_ask(struct lateness *lateness, bool alone);

/** It was answered, so long after it was sent, and after the first request that the answer can belong to. */
void lateness_answer(struct lateness *lateness, double took_s, double at_most_s);

/** It was not, or not in time. */
void lateness_miss(struct lateness *lateness);

/** So long the request in flight is waited for, where `usual_s` would be usual. */
double lateness_wait_s(const struct lateness *lateness, double usual_s);

/** How long answers take where most of them come later than `usual_s` after their requests, so that a longer
 * reply_timeout would help; 0: they do not, or it is not clear yet. */
double lateness_regular_s(const struct lateness *lateness, double usual_s);

/** The reply_timeout that answers want which take so long. */
double lateness_timeout_s(double took_s);

#endif
