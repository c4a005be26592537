// SPDX-License-Identifier: MIT
/*
 * The running outlets, each in a process of its own, as the gateway sees them: the state that the files of its side
 * share, and what they do for one another. outlets.c decides which processes run.
 */
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
    struct feed {      /* of each */
        unsigned owed; /* enum source_change; 0: nothing */
        uint32_t sequence;
        double published; /* time of day of its last poll cycle; 0: none since the section exists */
    } * feeds;
    unsigned owed_count, turn;
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

/*
 * process.c: the life cycle of an outlet process.
 */

/** Prepares a zeroed struct: not running. */
void process_init(struct process *process);
/** Closes its pipe, so that it ends, without waiting. NULL is fine. */
void process_free(struct process *process);
/** Removes it from the list. */
void process_unlink(struct process *process);

void process_start(struct process *process);
/** Starts the processes that wait, for their predecessor or for one that withdraws. Two sections can use the same client id at a broker, where a new
 * connection replaces the old: what the old one withdraws must not be what the new one has just
 * announced. */
void process_start_waiting(struct outlets *outlets);

/** Asks it to end, by end of file; `gone`: it first withdraws what it published. It receives no
 * more values, and is not restarted. */
void process_leave(struct process *process, bool gone);
/** The packs were freed: it receives no more values. */
void process_forget_sources(struct process *process);

/*
 * tell.c sends messages to outlets.
 *
 * Each outlet is owed at most one message per pack: the changes since the last accepted message,
 * with the values at the time when the next one is accepted. A change of state, switches or alarms
 * is an event, however, and must not be merged into the next one: as long as there is room such
 * messages wait in their order.
 */

/** Callback of an observer of the packs; `data` is struct outlets. */
void tell_changed(void *data, const struct source *source, unsigned changes, double now);
void tell_ordered(void *data, const struct source *source, const struct order_report *report);

/** Sends a message. False: the pipe does not accept it. Never waits. */
bool tell_send(struct process *process, const struct pipe_message *message);
/** The same for a message that must not be lost: it is queued behind those that wait. */
void tell_event(struct process *process, const struct pipe_message *message);
/** Marks changes of its n-th pack, to be sent with the next change of any pack. */
void tell_owe(struct process *process, unsigned n, unsigned changes);

/*
 * hear.c handles the messages of outlets: orders, notes, reports, questions.
 */

/** Handles what is in the pipe. An outlet that floods it gets its turn, then a pause, so that it
 * cannot keep the gateway busy. */
void hear_on_readable(struct ev_loop *loop, ev_io *io, int revents);
void hear_on_rested(struct ev_loop *loop, ev_timer *timer, int revents);

/** A turn of the loop begins late (base/late_turn.h): of the messages in the pipe, orders are
 * refused and questions are not answered. */
void hear_late(struct process *process);

/** The process of a ticket, whose upper half is the pid; NULL: it has ended, and maybe been replaced. */
struct process *hear_asker(const struct outlets *outlets, uint64_t ticket);

/** Handles the outlet's last messages, after it ended or before its pipe is closed. */
void hear_last(struct process *process);
/** Answers a question; NULL: there is no answer. */
void hear_answer(struct process *process, uint64_t ticket, const char *text);
/** Closes the pipe; it may be closed already. */
void hear_no_more(struct process *process);
