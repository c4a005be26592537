// SPDX-License-Identifier: MIT
/*
 * Polls one pack: walks its driver's plan, repeats what stays unanswered, slows down when the pack
 * is silent, puts the parts of a cycle together and counts. Pure: the line sends and receives, and
 * time is an argument.
 *
 * A cycle is published whole or not at all. A step that fails although it used to be answered holds
 * the cycle back, so that nobody reads a mixture; after a few such cycles the step is given up for
 * a while and its values become unknown. What was never answered, or is given up, is tried when the
 * rest is published: once, less and less often, and not while others on the line wait. One that stays unanswered
 * ends the cycle if there is no time for the next one.
 *
 * Replies carry no number, and one that stood still on its way looks like the answer to the same
 * request of now. So a value is as old as the first request that its reply can answer: the oldest
 * one of this step since the line was opened, until that is settled. A line keeps the order of what
 * passes: once a request has its answer, nothing asked before it will be answered any more. That
 * settles it where a pack, or its neighbour, is asked different things: the cycle is walked through
 * once more then, and so never holds old beside new. Where nothing else is asked, the line is opened
 * anew, or the pack is left in peace for as long as a reply can have been on its way: what is still
 * under way comes meanwhile, and is thrown away. Where most replies are late, they are waited for longer (lateness.h).
 *
 * Some lines say things twice or out of order (radio, UDP). They show it, since then more comes than
 * was asked for: a reply although nobody waits for one, or two to one request. By its bytes it is
 * known when it was asked for at the latest, and so how late such a line is: its disorder. Three rules
 * make ages true in spite of it:
 *
 * - Until a line has shown it, a reply that can be an old one (the same bytes came before, or an
 *   earlier request stayed unanswered) is believed only when the time in which this step is usually
 *   answered is over and the line was quiet since, so that the true one shows beside it; when it comes
 *   at an unusual time, it is thrown away and the same is asked once more; if that comes at an unusual time, too, it is
 *   taken for as old as it can be; and a step that never said the same twice
 *   is asked once more when it does.
 * - When it shows, all that was believed is older by the disorder from that moment on.
 * - From then on a cycle begins only when so much time has passed since the last request that all
 *   has come that can come of it, and nothing is published that was not asked for in this cycle:
 *   whatever is read then was asked for within it, be it said once or twice, soon or late. As a line
 *   may have stood still while it was left in peace, the first answer is thrown away: what was held
 *   up comes before it or with it. A reply that comes late, or for which another request is unanswered in twice
 *   the disorder, does not count as one of this cycle.
 *
 * That is sufficient as long as nothing is later than the line was seen to be. What is left is the first reply of a
 * line that overtakes others: if one comes late by whole polls, the answer that it overtook settled what it
 * belongs to, and the answer to the request in flight is lost or late as well, then it stands where the true one would, at
 * its time, and no byte tells them apart. Only asking everything twice for as long as a reply can be late, after each
 * one that stays away, would tell; that would make each line on which something is lost now and then half as fast, for the sake of
 * lines that show what they are with the next such reply: it comes beside another one, and all that was believed is
 * older from then on. Serial lines and TCP do not overtake; radio and UDP behind a serial server do.
 */
#ifndef PACKGATE_LINES_POLLER_H
#define PACKGATE_LINES_POLLER_H

#include "lateness.h"
#include "recall.h"
#include "reply.h"
#include "spike.h"

#include "config/config.h"

/* One step of the driver's plan for this pack. */
struct poller_step {
    struct pack part;  /* what it brought last */
    double at;         /* when it was asked for; NaN: part is empty */
    double open_since; /* the first request that may still be answered; NaN: all are settled */
    double asked_at;   /* the last request */
    bool heard;        /* something of what is open was answered, maybe not the last request */
    uint32_t asked;    /* what that was, as a hash */
    struct bms_request request;
    double quick_s;    /* the shortest time in which it was answered of late; 0: not known */
    bool sure;         /* the last request was answered, which settles nothing yet */
    bool late;         /* in this cycle its reply may have been that to an earlier request */
    double due;        /* not before */
    unsigned misses;   /* in a row */
    uint32_t odd;      /* the reply that it is asked once more for; 0: none */
    bool repeats;      /* it is known to come back to what it said before */
    bool answers;      /* it was answered once at least */
    unsigned refusals; /* in a row, which may have been damage */
};

struct poller_counters {
    uint32_t polls;    /* cycles published */
    uint32_t timeouts; /* requests unanswered after all repeats */
    uint32_t repeats;  /* requests sent again */
    uint32_t refused;
    uint32_t implausible;
    uint32_t spikes; /* readings thrown away, because the next one said otherwise */
};

/* A cycle asks what is known to be answered, once more if an answer was late, and then what may be
 * answered. */
enum poller_pass { PASS_KNOWN, PASS_AGAIN, PASS_TRIALS };

struct poller {
    const struct pack_config *config;
    struct bms bms;
    struct poller_step *steps; /* driver->steps of them; one for a device that talks unasked */
    struct pack incoming;      /* the reply under way, */
    uint32_t reply;            /* its bytes, as a hash, and when they came; 0: not known */
    double replied_at;
    struct recall recall;
    struct lateness lateness;
    double
        disorder_s; /* the line says things twice or out of order, by up to so long; 0: it does not */
    struct pack values;  /* the last cycle published */
    struct spike spike;  /* what of the readings is in doubt */
    struct bms before;   /* as its driver knew it before it built the request under way */
    double noisy_until;  /* damage was seen not long before */
    double sure_at;      /* on such a line, the last request that has its own answer */
    bool probed;         /* and it was asked something to see whether it moves */
    double published_at; /* when the oldest of its parts was asked; NaN: never */
    double due;          /* next cycle */
    double cycle_started;
    double last_started; /* of the cycle before; NaN: it was not published */
    double round_s; /* from one published cycle to the next, the shorter one of two; 0: not known */
    double last_round_s;
    uint32_t repeats_before; /* this cycle */
    double
        took_s; /* the last published cycle in which nothing was asked again or paused; 0: not known */
    double expected_s;  /* a round of the line, by what its packs take; 0: not known */
    double clear_at;    /* what is in doubt will not be answered any more then; NaN: nothing is */
    double answer_s;    /* the longest that answers took of late; 0: not known */
    double last_answer; /* any; NaN: never */
    unsigned step;
    unsigned tries;             /* of the current request so far */
    struct bms_request request; /* the next one, */
    bool built;                 /* if it is made already */
    bool in_cycle;
    bool vital_missed; /* in this cycle, which is over then */
    enum poller_pass pass;
    bool retimed; /* the step in flight is asked once more, as its reply came at an unusual time */
    bool paused;  /* an answer of this cycle took much longer than those before */
    bool stopped; /* so was the process in this cycle */
    bool garbled; /* something came that was no answer to it, now or a short while ago */
    bool skipped; /* some steps were, as the pack was silent */
    bool told;    /* this cycle is published, maybe without what is tried */
    bool tried;   /* something that was tried was answered */
    unsigned trials_from;   /* where the trials of the cycle before ended, as its time was over */
    bool trials_over;       /* so did those of this one */
    bool busy;              /* set by the line: others wait, nothing is to be tried */
    unsigned hurries;       /* since a cycle came to its end, or it was heard */
    bool complete;          /* all that there is to ask was asked once, or had time to be */
    double first_at;        /* when it was published for the first time; NaN: never */
    bool forgotten;         /* nothing is remembered of the device */
    bool incomplete;        /* a step that used to be answered was missed in this cycle */
    bool woken;             /* its line is back: it is asked twice */
    unsigned silent_cycles; /* in a row without the vital step */
    struct poller_counters counters;
    unsigned foreign;     /* replies that may be to somebody else's requests, */
    double foreign_until; /* until then */
    double
        surplus_until; /* until then an answer may come more than is waited for, for that reason */
    double
        order_open_until; /* the answer to an order that was left unanswered may come till then */
    uint32_t damaged;     /* frames with a wrong checksum, or malformed; counted by the line */
    uint32_t reconnects;  /* of its line */
};

/** For a pack of the configuration, which must outlive it. NULL: out of memory. */
struct poller *poller_new(const struct pack_config *config);
void poller_free(struct poller *poller);

/** Forgets everything about the device, as it may be another one when the line comes back, and
 * reads it anew at once. The published values stay until they are stale, and one that was silent
 * is not trusted to answer before it does. */
void poller_reset(struct poller *poller, double now);

/** The process was stopped, or the host slept: how long that took says nothing of the line's pace. */
void poller_stood_still(struct poller *poller);

/** The line was opened anew: what was asked before will not be answered any more. */
void poller_reopened(struct poller *poller, double now);

/** Takes the next request of the cycle, or the same once more; `*published` tells whether there are new values
 * before it. False: the cycle is over, and `*published` tells whether it was published. */
bool poller_request(struct poller *poller, double now, struct bms_request *request,
                    bool *published);

/** Whether the cycle under way is over: nothing of it is left to be asked. `*published` tells whether
 * there are new values, which can be before its end. For after a reply: the next request may have to
 * wait until the line was quiet, new values need not. */
bool poller_over(struct poller *poller, double now, bool *published);

/** The reply is complete in poller->incoming; when it is in doubt, the next poller_request asks the
 * same again. True: it can be that to the last request only, so that nothing asked before it on
 * this line will be answered any more (poller_settle). */
bool poller_answered(struct poller *poller, double now);

/** Whether the reply in poller->incoming could be another one than that to the request in flight, if the line were to
 * say things twice or out of order: then it is to be believed only at the time that is returned, if no
 * other one follows until then. NaN: it cannot, or it is taken for old enough as it is. `quiet_s` is how long the line
 * has to be quiet in any case. */
double poller_suspects(const struct poller *poller, double now, double quiet_s);

/** Another reply to the same request follows. Since when the first one was on its way, at least; NaN: it says the
 * same. */
double poller_late(const struct poller *poller, double now, uint32_t reply);

/** It says something else: nothing of this cycle is published. */
void poller_contradicted(struct poller *poller);

/** What these frames, for which nobody waited, are: a reply of this pack that shows that the line says things twice or out of order. Since
 * when it was on its way, at least; NaN: it is none. */
double poller_recognize(const struct poller *poller, double now, const struct reply *frames);

/** Whether these frames, for which nobody waited, are a reply of this pack that came too late. A pack that has no values
 * because of that is left in peace until what it was asked before is through. */
bool poller_overhears(struct poller *poller, double now, const struct reply *frames);

/** The line says things twice or out of order, by up to so long: what was believed may be older by that. 0: it does
 * not any more. */
void poller_distrust(struct poller *poller, double now, double disorder_s);

/** Another pack on the line has answered what it was asked at `asked_at`: what was asked before will
 * not be answered any more. */
void poller_settle(struct poller *poller, double asked_at);

/** Somebody else has asked these words at that time, and not all of the answer came, or maybe not: it may still
 * come, and look like that to a request of ours, be it the same or another one, as many replies do not say what they
 * answer. So often, the next reply is thrown away, and the same is asked once more: either that was it, or nothing
 * that was asked before is answered any more. Until then no acknowledgement of an order is believed either. */
void poller_note_foreign(struct poller *poller, const uint8_t *bytes, size_t size, double asked_at);

/** Whether such an answer may still come: what nobody has asked for is that, and no sign of a line that says things twice. */
bool poller_awaits_foreign(const struct poller *poller, double now);

/** Whether a reply of the cycle that has just ended may have been that to an earlier request and
 * the line should be opened anew, if that helps. Otherwise the pack is left in peace. */
bool poller_doubts(const struct poller *poller);

/** The BMS refused; that may be in doubt as well. */
void poller_refused(struct poller *poller, double now);

/** No reply. The next poller_request repeats the request or goes on. */
void poller_unanswered(struct poller *poller, double now);

/** Something came that was no whole frame, or none that was intact. */
void poller_disturbed(struct poller *poller, double now);

/** One that talks unasked has completed a set of values in poller->incoming, which may be so old.
 * False: they are in doubt, and its next ones will tell; else they are published. */
bool poller_heard(struct poller *poller, double now, double age_s);

/** It has not for so long that its values are stale. Half a set is dropped, and who speaks next may
 * be another device. */
void poller_unheard(struct poller *poller);

/** Reads everything anew at once, the slow values too: something was switched. The cycle under way
 * is dropped. */
void poller_hurry(struct poller *poller, double now);

/** Reads one value anew at once, with what each cycle brings: the order that it waits for is about to be sent,
 * or was. The cycle under way is dropped. */
void poller_look(struct poller *poller, enum pack_value id, double now);

/** Whether that came so often that the pack has to be polled before it is given another order:
 * somebody who gives orders without end would leave everybody with old values. */
bool poller_is_due_first(const struct poller *poller);

/** An earlier request of this pack may still be answered, and another answer would settle that: its cycle comes now, with all
 * that it is known to answer where a cycle has but one kind of answer. */
void poller_tell_apart(struct poller *poller, double now);

/** What was read of a value that was asked for at that time or later, published or not; NaN: nothing. */
double poller_read_since(const struct poller *poller, enum pack_value id, double since);
/** One that is silent is asked now, twice, and soon again: its line is back. */
void poller_wake(struct poller *poller, double now);

/** How old its values may get. Many packs on a slow line have their turn less often than the
 * configured interval: unless the file says how long values are good, they are for two and a
 * half rounds of the line, at most for a minute. The first rounds are of different lengths, as much is asked once only: the
 * line tells (`expected_s`) when the next one will be longer. */
double poller_stale_after(const struct poller *poller);

bool poller_stale(const struct poller *poller, double now);

/** Whether the request in flight may well stay unanswered: its pack is silent, or was never heard to
 * answer this one. */
bool poller_is_unsure(const struct poller *poller);

/** The longest time to its next cycle in seconds, with what silence adds. */
double poller_interval(const struct poller *poller);

#endif
