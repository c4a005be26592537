// SPDX-License-Identifier: MIT
/* How old it is what a device says that talks unasked. */
#include "talk.h"

#include <math.h>

#define SILENT_S 1.75 /* without a byte: a set is missing */
#define LATE_S 1.1    /* the same behind an opening: what comes is late */
#define SLACK_S 0.25  /* in when a set is said */
#define PACED 3       /* sets that come at the usual pace: nothing has piled up */
#define AGE_UNKNOWN_S 1e6

void talk_init(struct talk *talk)
{
    *talk = (struct talk){.held_at = NAN,
                          .said_at = NAN,
                          .gap_s = NAN,
                          .silent_at = NAN,
                          .silent_till = NAN,
                          .first_s = NAN};
}

void talk_opened(struct talk *talk, bool forgets, double now)
{
    talk->forgets = forgets;
    talk->held_at = talk->said_at = talk->news_at = talk->gap_s = NAN;
    talk->opened_at = now;
    talk->paced = talk->sets = 0;
    talk->behind_s = 0;
    talk->spread = false;
    if (!forgets && talk->heard_at > 0)
        return;
    talk->heard_at = now;
    talk->lag_s = 0;
}

bool talk_heard(struct talk *talk, double now)
{
    double silence_s = now - talk->heard_at;
    talk->heard_at = now;
    bool silent = silence_s >= (talk->forgets && talk->sets == 0 ? LATE_S : SILENT_S);
    if (silent && talk->sets > 0) {
        talk->silent_at = talk->said_at + TALK_S;
        talk->silent_till = now;
    }
    if (silent)
        talk->paced = 0;
    if (talk->sets == 0 && (silent || talk->lag_s == 0)) {
        talk->constant = silent && fabs(silence_s - talk->first_s) <= TALK_S + SLACK_S;
        talk->first_s = silent ? silence_s : NAN;
    }
    /* Right behind an opening it may be a delay that is always there: opened anew, it is silent for as long again. */
    if (silent && (!talk->forgets || talk->sets == 0))
        talk->lag_s = fmax(talk->lag_s, silence_s);
    else if (silent)
        talk->behind_s = fmax(talk->behind_s, silence_s);
    bool may_end = talk->behind_s > 0 || (talk->lag_s > 0 && !talk->constant);
    return talk->forgets && talk->disorder_s == 0 && may_end;
}

static double late_s(const struct recall *recall, uint32_t hash, double at, double now)
{
    return now - recall_asked_for(recall, 0, at, now, hash);
}

double talk_late(const struct talk *talk, const struct recall *recall, uint32_t hash, double now)
{
    /* What has piled up comes all at once, too, but not behind sets at the usual pace. */
    bool piled_up = talk->forgets ? (talk->behind_s > 0 && talk->paced < PACED) ||
                                        (talk->lag_s > 0 && !talk->spread)
                                  : talk->paced < PACED;
    double since_s = now - talk->said_at;
    bool extra = since_s < TALK_SOON_S && since_s + talk->gap_s < TALK_S + TALK_SOON_S;
    if (!extra || (piled_up && talk->disorder_s == 0))
        return NAN;
    double late = isnan(talk->held_at) ? NAN : late_s(recall, talk->held_hash, talk->held_at, now);
    if (recall_suspects_talk(recall, now, hash))
        late = fmax(late, late_s(recall, hash, now, now));
    return late;
}

/* What stood still comes behind the silence, and again for as long as anything takes: what was to be said again when the
 * silence began, too. */
static double said_first(const struct talk *talk, const struct recall *recall, uint32_t hash,
                         double now)
{
    double window_s = 2 * talk->disorder_s;
    if (talk->disorder_s == 0)
        return now;
    double first = recall_first(recall, 0, now - window_s, now, hash);
    return now < talk->silent_till + window_s ? fmin(first, talk->silent_at - talk->disorder_s)
                                              : first;
}

double talk_said(struct talk *talk, struct recall *recall, uint32_t hash, double now)
{
    bool soon = now - talk->said_at < TALK_SOON_S;
    bool news = !recall_knows(recall, 0, now, hash);
    bool suspect = recall_suspects_talk(recall, now, hash);
    /* What is said twice fills the place of what is missing. */
    double before = isnan(talk->said_at)   ? talk->opened_at
                    : talk->disorder_s > 0 ? talk->news_at
                                           : talk->said_at;
    if (now - before > SILENT_S)
        recall_ask(recall, 0, before + TALK_S);
    double said_at = said_first(talk, recall, hash, now);
    recall_ask(recall, 0, now);
    recall_answer(recall, 0, now, hash);
    talk->paced = soon ? 0 : talk->paced + 1;
    talk->spread |= talk->sets > 0 && !soon;
    talk->sets++;
    if (!talk->forgets && soon && talk->sets == 2)
        talk->lag_s = AGE_UNKNOWN_S;
    if (!talk->forgets && talk->paced >= PACED)
        talk->lag_s = 0;
    /* What stood still may be late by as much ever after. Where the port forgets, it is opened anew as soon as that is
     * allowed, and nothing else ends it. */
    if (talk->paced >= PACED && (!talk->forgets || talk->disorder_s > 0))
        talk->behind_s = 0;
    talk->gap_s = now - talk->said_at;
    talk->said_at = now;
    if (news)
        talk->news_at = now;
    bool hold = (suspect && talk->disorder_s == 0) || (talk->sets == 1 && !talk->forgets);
    return hold ? NAN : said_at;
}

void talk_hold(struct talk *talk, const struct pack *set, uint32_t hash, double now)
{
    talk->held = *set;
    talk->held_hash = hash;
    talk->held_at = now;
}

double talk_until(const struct talk *talk)
{
    return talk->held_at + TALK_SOON_S;
}

double talk_release(struct talk *talk, const struct recall *recall, struct pack *set)
{
    double said_at = said_first(talk, recall, talk->held_hash, talk->held_at);
    *set = talk->held;
    talk->held_at = NAN;
    return said_at;
}

double talk_age_s(const struct talk *talk, double said_at, double now)
{
    double behind_s = talk->disorder_s > 0 ? 0 : talk->behind_s;
    return fmax(talk->lag_s + behind_s, now - said_at);
}
