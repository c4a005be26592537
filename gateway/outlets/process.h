// SPDX-License-Identifier: MIT
/* A running outlet, in a process of its own, as the gateway sees it. outlets.c decides which processes run. */
#pragma once

#include "pipe.h"

#include "config/keys.h"
#include "packs/packs.h"
#include "base/late_turn.h"

#include <ev.h>
#include <sys/types.h>

#define EVENTS_MAX 64 /* waiting for an outlet's pipe */

struct process {
    struct outlets *outlets;
    const struct config_section *kind; /* of config_sections */
    char section[NAME_SIZE];
    char title[2 * NAME_SIZE]; /* "mqtt home" */
    char *config;              /* the content of the config's file */
    size_t config_size;
    const struct source **sources; /* the packs and banks that it receives */
    unsigned source_count;
    struct feed {      /* of each */
        unsigned owed; /* enum source_change; 0: nothing */
        uint32_t sequence;
        double published; /* time of day of its last poll cycle; 0: none since the section exists */
    } * feeds;
    unsigned turn;
    struct pipe_message events[EVENTS_MAX]; /* a ring */
    unsigned first_event, event_count;
    bool lost_events; /* it was logged */
    int fd;           /* -1: none */
    pid_t pid;        /* 0: none */
    bool leaving;     /* its section is gone or has changed: do not restart it */
    bool gone;        /* the section was removed: it withdraws what was published, once started */
    bool doubted;     /* the log has said that it ended */
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

/** Prepares a zeroed struct: not running. */
void process_init(struct process *process);
/** Closes its pipe, so that it ends, without waiting. NULL is fine. */
void process_free(struct process *process);
void process_unlink(struct process *process);

/** Whether it is to be started when processes before it have ended. */
static inline bool process_waits(const struct process *process)
{
    return process->pid == 0 && !ev_is_active(&process->timer);
}

/** Starts the processes that wait, for their predecessor or for one that withdraws. Two sections can use the same client id at a broker, where a new
 * connection replaces the old: what the old one withdraws must not be what the new one has just
 * announced. */
void process_start_waiting(struct outlets *outlets);

/** Asks it to end, by end of file; `gone`: it first withdraws what it published. It receives no
 * more values, and is not restarted. */
void process_leave(struct process *process, bool gone);

/** Callbacks of an observer of the packs; `data` is struct outlets. */
void process_tell_changed(void *data, const struct source *source, unsigned changes, double now);
void process_tell_ordered(void *data, const struct source *source,
                          const struct order_report *report);

/** Sends a message. False: the pipe does not accept it. Never waits. */
bool process_send(struct process *process, const struct pipe_message *message);

void process_answer(const struct outlets *outlets, uint64_t ticket, const char *text);

/** Handles what is in the pipe: a few messages, or up to one that took time; all, at the beginning of a turn that is late
 * (base/late_turn.h), where orders are refused and questions are not answered, or after the outlet ended or before its pipe is closed,
 * where nobody hears an answer. Returns as the last recv did. */
enum process_hearing { PROCESS_NOW, PROCESS_LATE, PROCESS_LAST };
ssize_t process_hear(struct process *process, enum process_hearing how);
