// SPDX-License-Identifier: MIT
/*
 * The gateway's side of outlets: a process for each section of the configuration that passes values
 * on (packgate-outlet-NAME), fed by an observer of the packs. An outlet cannot block the gateway:
 * values that its pipe does not accept at once are merged into later ones, and an outlet that ends
 * is restarted after growing pauses.
 */
#pragma once

#include "pipe.h"

#include "packs/packs.h"

#include <ev.h>
#include <sys/types.h>

struct outlets;

/** Starts the outlets of the configuration of `packs`, and follows its reloads: only outlets whose
 * section or packs have changed are restarted. All pointers must outlive it. */
struct outlets *outlets_new(struct ev_loop *loop, struct packs *packs, struct kept *kept);

/** Asks them to end, without waiting. */
void outlets_free(struct outlets *outlets);

/** Sets the function that receives questions, and answers now or later with outlets_answer. NULL:
 * outlets receive no answers. */
void outlets_serve(struct outlets *outlets, pipe_asked *asked, void *data);

/** Answers a question; NULL: there is no answer. An outlet that has ended meanwhile gets none. */
void outlets_answer(const struct outlets *outlets, uint64_t ticket, const char *text);

/** To be called once a second: outlets count a silent gateway as hung, and a gateway without packs has no values to send. */
void outlets_tick(const struct outlets *outlets);

/** Requests the history to write its rows in memory; `sent` of its report grows when it has
 * done so. False: there is no history, or its pipe is full. */
bool outlets_commit(const struct outlets *outlets);

/* The state of an outlet, for `packgate status`. */
struct outlet_state {
    const char *kind, *section;
    bool stores;    /* outlets_commit is for it; `sent` of its report counts how often it wrote */
    pid_t pid;      /* 0: it does not run */
    unsigned ended; /* how often it ended by itself */
    uint64_t sent;  /* messages that its pipe accepted */
    uint64_t owed; /* messages that the pipe had no room for and that were merged into later ones */
    const struct pipe_report *report; /* its own */
};

/** The n-th outlet from 0. False: no more. */
bool outlets_state(const struct outlets *outlets, unsigned n, struct outlet_state *state);
