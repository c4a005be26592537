// SPDX-License-Identifier: MIT
/*
 * A process that passes values on, as the gateway sees it: its life, and what the files around it share. tell.h has what it
 * is sent, hear.h what it says, outlets.c which processes there are to be.
 */
#ifndef PACKGATE_OUTLETS_PROCESS_H
#define PACKGATE_OUTLETS_PROCESS_H

#include "outlets.h"
#include "pipe.h"

#define EVENTS_MAX 64                    /* waiting for an outlet's pipe */
#define PROCESS_END_S (OUTLET_END_S + 1) /* one that was told to end is killed after that */

/* A section of the configuration that is an outlet. */
struct kind {
    const char *name;
    size_t list_at, count_at, size; /* where its structs are in struct config */
    bool tells_page;                /* where the page is: it is restarted when that changes */
};

struct event {
    size_t size;
    uint8_t bytes[PIPE_SMALL_MAX];
};

struct process {
    struct outlets *outlets;
    const struct kind *kind;
    char section[NAME_SIZE];
    char title[2 * NAME_SIZE]; /* "mqtt home" */
    uint8_t *config;           /* the message that tells it all */
    size_t config_size;
    const struct source **sources; /* the packs and banks it gets */
    unsigned source_count;
    unsigned *owed; /* of each: enum source_change; 0: nothing */
    unsigned owed_count, turn;
    uint32_t *sequences;
    struct event *events; /* a ring of EVENTS_MAX */
    unsigned first_event, event_count;
    bool lost_events; /* said */
    int fd;           /* -1: none */
    pid_t pid;        /* 0: none */
    bool leaving;     /* its section is gone or has changed: not to be started again */
    bool gone;        /* the section: what it has left with others is to be withdrawn */
    bool waits;       /* to be started, after those of its kind that withdraw */
    bool doubted;     /* the log has said that it ended */
    bool deaf;        /* it has ended: nobody hears answers */
    double started_at, pause_s;
    unsigned ended;
    uint64_t sent, refused;
    struct pipe_report report;
    ev_io readable;
    ev_child child;
    ev_timer timer; /* to start it, or to kill it */
    ev_timer rest;  /* until it is listened to again */
    struct process *next;
    struct process *successor; /* starts when this one has ended */
};

struct outlets {
    struct ev_loop *loop;
    struct packs *packs;
    struct kept *kept;
    struct observer observer;
    struct process *first;
    outlets_answer *answer; /* NULL: nobody answers */
    void *answer_data;
    uint8_t *room;
};

/** Of one that is all zeros: it does not run. */
void process_init(struct process *process);
/** Lets it end by itself, without waiting for it. NULL is fine. */
void process_free(struct process *process);
/** Takes it out of the list. */
void process_unlink(struct process *process);

void process_start(struct process *process);
/** Starts those that wait. Two sections can be one and the same to a broker, where one takes the place of the other: what
 * the old one withdraws must not be what the new one has just announced. */
void process_start_waiting(struct outlets *outlets);

/** Tells it to end, by the end of its file; `gone`: to withdraw before that what it has left with others. It gets no more
 * values, and is not started again. */
void process_leave(struct process *process, bool gone);
/** The packs are gone, and it gets no more values. */
void process_forget_sources(struct process *process);

#endif
