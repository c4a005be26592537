// SPDX-License-Identifier: MIT
/*
 * The inside of an outlet: a process of its own (packgate-outlet-NAME) that passes values on. This
 * part is common to all outlets: the pipe to the gateway, the packs that come out of it, the loop and
 * the end. As in the gateway, an outlet has packs as struct source, and is notified of their changes.
 *
 * To add an outlet called NAME:
 *   1. its struct in config/outlet_config.h, which begins with struct outlet_config and has no pointers, because it is sent as it is;
 *      and where the structs are, in struct config (config/config.h);
 *   2. its keys and its section NAME_section with `.outlet = true` in config/outlets.c; the section is declared in config/keys.h
 *      and listed in config_sections (config/sections.c); each key is also in conf/packgate.ini. The gateway starts a process for each
 *      struct of such a section;
 *   3. a folder NAME here with a const struct outlet_kind called outlet_NAME;
 *   4. NAME, its libraries and their Debian packages in outlets.mk: each kind is a program of its own;
 *   5. a row in KINDS of tests/e2e/test_walls.py, with what it may do.
 * `make docs` adds the section to the manual page.
 * print/print.c is the smallest one and the pattern for others.
 *
 * An outlet may block for seconds: the gateway does not wait for it, and merges missed values into
 * later ones. It should not exit without need, because the gateway restarts it. Without memory it does (base/alloc.h).
 */
#pragma once

#include "pipe.h"

#include "packs/alarms.h"

#include <ev.h>
#include <stdio.h>

struct outlet;
struct outlet_pack;

/* A command that `packgate` delegates to an outlet, which has the libraries for it. */
struct outlet_command {
    const char *name;
    /** argv[0] is the name. Returns the exit status. */
    int (*run)(int argc, char **argv);
};

struct outlet_kind {
    const char *name;     /* of its section: "mqtt" */
    size_t settings_size; /* of the section's struct */
    bool network;         /* it uses sockets of the network (rights.h) */
    bool connects;        /* it also connects to a server, by names.h, instead of only answering */
    bool local;    /* it uses AF_UNIX sockets; an outlet that starts programs has them as well */
    bool programs; /* it may start other programs, if the section needs that */
    bool devices;  /* it may open a device; `start` drops that right if the section needs none */
    bool lingers;  /* it takes up to OUTLET_WITHDRAW_S to end, also when the gateway has died */
    /** Starts: all packs are known, none has values yet. Returns the argument for `stop`; NULL: it
     * cannot start, and has logged why. */
    void *(*start)(struct outlet *outlet);
    /** A message of the gateway about a pack: `changes` are enum source_change. With SOURCE_STATE also without
     * one, when values become stale. */
    void (*changed)(void *self, struct outlet_pack *pack, unsigned changes, double now);
    /** An order of any client has ended. NULL: ignored. */
    void (*ordered)(void *self, const struct outlet_pack *pack, const struct order_report *report);
    /** Each second, also while it ends. NULL: nothing to do. */
    void (*second)(void *self, double now);
    /** Fills in its state, for `packgate status`; called each second after `second`, and sent if it has changed. NULL: none. */
    void (*report)(void *self, struct pipe_report *report);
    /** Ends it: the gateway ends, or the section has changed or (`gone`) was removed. Calls
     * outlet_over when done, within OUTLET_END_S, or OUTLET_WITHDRAW_S when the section is gone or
     * its kind lingers; after that the process is killed. NULL: it ends at once. */
    void (*stop)(void *self, bool gone);
    /** Writes what is only in memory, and reports. NULL: nothing to write. */
    void (*commit)(void *self);
    /** The loop has ended, and the process follows, which frees and closes everything: does what is to be done beside that. NULL:
     * nothing. */
    void (*end)(void *self);
    /** Tries the section before it is saved, and prints what happened. Returns the exit status. NULL: nothing to try. */
    int (*test)(const struct pipe_config *config);
    const struct outlet_command *commands; /* the last one has no name; NULL: none */
};

#define OUTLET_DEAF_S 10.0 /* without a message for this time, the other side counts as hung */

/* The gateway answers each order within this time. */
#define OUTLET_ORDER_S 180.0

struct outlet_pack {
    struct source source; /* status.age_s counts to `at`: see outlet_age */
    struct pipe_pack facts;
    struct pipe_values last;                /* last message of the gateway; source points into it */
    struct pack values;                     /* last complete values */
    unsigned index;                         /* from 0, in the order of the configuration */
    struct source *members[MAX_BANK_PACKS]; /* of a bank; a stranger has only a name */
    struct source *strangers;               /* members that are not in the section */
    bool fresh;                             /* as last reported */
};

struct ev_loop *outlet_loop(const struct outlet *outlet);

/** The section, and the identity of the gateway. */
const struct pipe_config *outlet_config(const struct outlet *outlet);

/** For the log: "mqtt home". */
const char *outlet_title(const struct outlet *outlet);

/** The packs and banks of the section, from 0; NULL: no more. They stay where they are. */
struct outlet_pack *outlet_pack(struct outlet *outlet, unsigned n);

/** The one with a name of `size` bytes; NULL: it is not in the section. */
struct outlet_pack *outlet_find(struct outlet *outlet, const char *name, size_t size);

/** Whether its values may be passed on as current: they are fresh, and the gateway responds. */
bool outlet_fresh(const struct outlet *outlet, const struct outlet_pack *pack, double now);
/** Age of the values now; NaN: there are none. */
double outlet_age(const struct outlet_pack *pack, double now);

/** Whether a message of the gateway arrived within OUTLET_DEAF_S. */
bool outlet_hears(const struct outlet *outlet, double now);

/** Orders the gateway to switch, or to write a setting, which only sections with `may_set` may do. `done` follows, never
 * from within; a lost answer is ORDER_UNANSWERED after OUTLET_ORDER_S. False: the pipe is full, or this turn of the loop
 * has become late (base/late_turn.h); `done` does not follow. */
bool outlet_order(struct outlet *outlet, const struct outlet_pack *pack,
                  const struct switches *what,
                  void (*done)(void *data, uint64_t ticket, enum order_result result), void *data,
                  uint64_t ticket);

/** The line that this outlet has stored in the state file under a key, valid until outlet_keep; NULL: none. */
const char *outlet_note(const struct outlet *outlet, const char *key);
/** The n-th note from 0, its key in `*key`; NULL: no more. */
const char *outlet_note_at(const struct outlet *outlet, unsigned n, const char **key);
/** Stores a line over restarts, or removes it (NULL). Key and text as in struct pipe_note. */
void outlet_keep(struct outlet *outlet, const char *key, const char *text);

/** Stores the alarms of a pack that this outlet has reported: it reports each once, also over a restart. */
static inline void outlet_keep_alarms(struct outlet *outlet, const char *pack, struct alarms alarms)
{
    char key[PIPE_KEY_SIZE], text[PIPE_NOTE_SIZE];
    snprintf(key, sizeof key, "alarms.%s", pack);
    snprintf(text, sizeof text, "%x %x %x", (unsigned) alarms.warning, (unsigned) alarms.protection,
             (unsigned) alarms.bms);
    outlet_keep(outlet, key, alarms.warning | alarms.protection ? text : NULL);
}

/** These alarms; none if they were not stored. */
static inline struct alarms outlet_alarms(const struct outlet *outlet, const char *pack)
{
    char key[PIPE_KEY_SIZE];
    unsigned warning, protection, bms = 0; /* version 0.1.0 did not store the last one */
    snprintf(key, sizeof key, "alarms.%s", pack);
    const char *text = outlet_note(outlet, key);
    if (!text || sscanf(text, "%x %x %x", &warning, &protection, &bms) < 2)
        return (struct alarms){0};
    return (struct alarms){warning, protection, (int32_t) bms};
}

/** Queries the gateway: "status" (the JSON of `packgate status`), "configuration" (its text without secrets, and its
 * mistakes), or, for the web outlet only, "tunnel NAME SECONDS WHO" (opens a tunnel, 0 closes it; WHO is for the log; the
 * answer describes the tunnel, or is {"error": "…"}). `done` follows with the text, which is valid during the call and
 * ends with a NUL, or with NULL if there is no answer within OUTLET_ANSWER_S. False: as with outlet_order. */
bool outlet_ask(struct outlet *outlet, const char *what, void (*done)(void *data, const char *text),
                void *data);

/** Reports its state at once. */
void outlet_report(struct outlet *outlet);

/** The outlet has finished ending: the loop stops. */
void outlet_over(struct outlet *outlet);

/** Tries the section in a file of program_put_section. Returns the exit status. */
int outlet_test(const struct outlet_kind *kind, const char *path);

/** Runs an outlet on descriptor `fd` until it ends. Returns the exit status. */
int outlet_run(const struct outlet_kind *kind, int fd);
