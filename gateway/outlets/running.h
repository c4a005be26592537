// SPDX-License-Identifier: MIT
/* The running outlets, each in a process of its own: state shared by the files in this folder. */
#pragma once

#include "pipe.h"

#include "config/keys.h"
#include "packs/packs.h"
#include "base/late_turn.h"

#include <ev.h>
#include <sys/types.h>

#define EVENTS_MAX 64                    /* waiting for an outlet's pipe */
#define PROCESS_END_S (OUTLET_END_S + 1) /* one that was asked to end is killed after that */

struct process {
    struct outlets *outlets;
    const struct config_section *kind; /* of config_sections */
    char section[NAME_SIZE];
    char title[2 * NAME_SIZE]; /* "mqtt home" */
    char *config;              /* the content of the config's file */
    size_t config_size;
    const struct source **sources; /* the packs and banks that it receives */
    unsigned source_count;
    unsigned *owed; /* of each: enum source_change; 0: nothing */
    unsigned owed_count, turn;
    uint32_t *sequences;
    double *
        published; /* time of day of each pack's last poll cycle; 0: none since the section exists */
    struct pipe_message *events; /* a ring of EVENTS_MAX */
    unsigned first_event, event_count;
    bool lost_events; /* it was logged */
    int fd;           /* -1: none */
    pid_t pid;        /* 0: none */
    bool leaving;     /* its section is gone or has changed: do not restart it */
    bool gone;        /* the section was removed: the outlet is to withdraw what it published */
    bool waits;       /* to be started when processes before it have ended: process_start_waiting */
    bool doubted;     /* the log has said that it ended */
    bool deaf;        /* it has ended: its questions are not answered */
    bool may_order;   /* its section permits orders */
    bool trespassed;  /* it was logged that it sent orders without permission */
    double started_at, pause_s;
    double read_at; /* when it had read everything that was sent */
    unsigned ended;
    uint64_t sent, refused;
    struct pipe_report report;
    ev_io readable;
    ev_child child;
    ev_timer timer; /* to start it, or to kill it */
    ev_timer rest;  /* until its messages are handled again */
    struct process *next;
};

struct outlets {
    struct ev_loop *loop;
    struct packs *packs;
    struct kept *kept;
    struct observer observer;
    struct late_turn_watcher watcher;
    struct process *first;
    double wall;       /* time of day of the change that is being sent */
    pipe_asked *asked; /* of outlets_serve; NULL: nobody answers */
    void *asked_data;
};
