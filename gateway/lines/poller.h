// SPDX-License-Identifier: MIT
/*
 * The state of one polled pack: its values and their age. Pure, time is an argument. plan.h
 * selects the next request, ledger.h determines the age of an answer.
 *
 * The parts of a poll cycle are assembled to the values of a pack. A cycle is published whole or not
 * at all, so that clients never read a mixture: parts that were requested too far apart wait for
 * newer ones. Published values are as old as their oldest part.
 */
#pragma once

#include "patience.h"
#include "spike.h"

#include "bms/driver.h"
#include "config/config.h"

#define LATELY_S 60 /* an answer, damage, or values of a slow line are recent for so long */

/* One step of the driver's plan for this pack. */
struct poller_step {
    struct pack part;  /* values of its last answer */
    double at;         /* earliest time of its request; NaN: part is empty */
    double newest_at;  /* latest time of its request */
    double due;        /* not before */
    unsigned misses;   /* in a row */
    unsigned refusals; /* in a row, which may have been damage */
    bool answers;      /* it was answered at least once */
};

/* The poll cycle under way, or the last one. */
struct poller_cycle {
    bool under_way;
    double started;
    unsigned step;
    double asked_at;            /* its last request */
    unsigned tries;             /* of the current request so far */
    struct bms_request request; /* the next one; empty: not built yet */
    bool trials;       /* now tries steps that may stay unanswered; all others were requested */
    bool tried;        /* one was requested, */
    bool told;         /* and one was answered */
    bool over;         /* the others follow in the next cycle */
    bool vital_missed; /* a vital step was, which ends the cycle */
    bool incomplete;   /* a step that used to be answered was missed */
    bool skipped;      /* some steps were, as the pack was silent */
    bool published;    /* maybe without the trials */
    bool disturbed;    /* a request was repeated: its time is no measure */
};

/* When it is polled. */
struct poller_pace {
    double due;          /* the next cycle */
    bool resting;        /* no requests until `due` (asker.h) */
    bool awaited;        /* set by asker.c: others wait, so try no steps that may stay unanswered */
    bool interrupted;    /* since the last cycle began, the loop was late */
    double last_started; /* the cycle before; NaN: it was not published */
    double round_s; /* from one published cycle to the next, the shorter one of two; 0: not known */
    double last_round_s;
    double took_s;     /* the last published cycle without disturbance; 0: not known */
    double expected_s; /* a round of the line, by what its packs take; 0: not known */
    double first_at;   /* when it was published for the first time; NaN: never */
    struct patience patience;
    unsigned dropped; /* cycles in a row, for orders */
};

/* Whether it is there. */
struct poller_presence {
    unsigned silent_cycles; /* in a row without the vital step */
    double last_answer;     /* any answer; NaN: never */
    double vain_since;      /* the first request since the last answer; NaN: none */
    bool forgotten;         /* all notes about the device were dropped */
    bool woken;             /* its line is back: it gets two tries */
    double noisy_until;     /* damage was seen not long before */
    bool garbled;           /* while its step is asked, bytes that were no answer were received */
};

struct poller_counters {
    uint32_t polls;    /* cycles published */
    uint32_t timeouts; /* requests unanswered after all repeats */
    uint32_t repeats;  /* requests sent again */
    uint32_t refused;
    uint32_t implausible;
    uint32_t spikes;     /* readings discarded because the next one contradicted them */
    uint32_t damaged;    /* frames with a wrong checksum, or malformed */
    uint32_t reconnects; /* of its line */
};

struct poller {
    const struct pack_config *config;
    struct bms bms;
    struct bms before;         /* the driver's state before it built the request in flight */
    struct poller_step *steps; /* driver->steps of them; one for a device that sends by itself */
    struct pack incoming;      /* the reply that is being received, */
    uint32_t incoming_of;      /* and the number of its request */
    struct pack values;        /* the last cycle published */
    double published_at;       /* request time of its oldest part; NaN: never */
    bool complete;      /* each step was answered or refused once, or left unanswered twice */
    unsigned devices;   /* how often another device has answered than before */
    struct spike spike; /* readings that are not accepted yet */
    struct poller_cycle cycle;
    struct poller_pace pace;
    struct poller_presence presence;
    struct poller_counters counters;
};

/** For a pack of the configuration, which must outlive it. */
struct poller *poller_new(const struct pack_config *config);
void poller_free(struct poller *poller);

/** Drops all notes about the device, which may be another one after the line was away, and polls it
 * at once. Published values stay until they are stale, slow ones until they are read again. */
void poller_reset(struct poller *poller, double now);

/** Drops the values of a step. */
void poller_forget_step(struct poller_step *step);

/** The age at which its values are stale. Without `stale_after` in the configuration, values are
 * valid for two and a half rounds of the line, at most for a minute, because many packs on a slow
 * line have their turn less often than the configured interval. The first rounds are longer,
 * because some steps run only once: pace.expected_s is the time of a usual one. */
double poller_stale_after(const struct poller *poller);

bool poller_stale(const struct poller *poller, double now);

/** The first vital step of the plan. Those before it only prepare the pack. */
unsigned poller_first_vital(const struct bms_driver *driver);

/** Whether it does not answer, or never did. */
bool poller_is_silent(const struct poller *poller);

/** No cycle has ended without an answer yet, and none has brought one. */
bool poller_is_new(const struct poller *poller);

/** The time from one cycle of the line to the next. A single pause says nothing: the shorter of two counts. */
void poller_learn_round(struct poller_pace *pace, double round_s);

/** The longest time to its next cycle in seconds; silence makes it longer. */
double poller_interval(const struct poller *poller);

/** The last reading of a value requested since then, published or not; NaN: none. */
double poller_read_since(const struct poller *poller, enum pack_value id, double since);

/** Publishes the parts if all steps were answered, close enough together. */
bool poller_publish(struct poller *poller, double now);

/** No step is left: schedules the next cycle, and learns the pace of the line. */
void poller_end_cycle(struct poller *poller, double now);

/** Ends the cycle because its vital step is missing; the other steps are useless without it. */
void poller_abandon_cycle(struct poller *poller, double now);

/** Whether to accept the values in poller->incoming, the answer to a step's request, at once,
 * compared with the previous answer to the same request. `spike`: the doubtful readings so far. */
enum spike_verdict poller_judge(struct poller *poller, struct spike *spike, unsigned step,
                                double now);

/** Whether to accept an unsolicited reading. `before`: the last one, if it is still valid. */
bool poller_judge_heard(struct poller *poller, struct spike *spike, const struct pack *before,
                        const struct pack *reading, double now);

/** Publishes poller->incoming, an accepted unsolicited reading; it may be `age_s` old. */
void poller_publish_heard(struct poller *poller, double now, double age_s);

/** A pack that sends by itself has completed a set of values in poller->incoming, which may be
 * `age_s` old. Publishes it. False: it is doubtful until later sets confirm it. */
bool poller_heard(struct poller *poller, double now, double age_s);

/** A pack that sends by itself is silent: drops the incomplete set; another device may be next. */
void poller_unheard(struct poller *poller);
