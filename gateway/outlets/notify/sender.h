// SPDX-License-Identifier: MIT
/*
 * Sends one message at a time, by libcurl or by a program, in the loop: nothing here waits.
 */
#pragma once

#include "delivery.h"

#include <ev.h>

struct sender;

struct sender_settings {
    const struct notify_config *config; /* kept by reference, as the texts are */
    const char *who;                    /* "notify phone", for the log */
    const char *gateway, *page;
    /** A try is over, never from within sender_send. `why` says what went wrong. */
    void (*done)(void *data, enum outcome outcome, const char *why);
    void *data;
};

/** NULL: out of memory. */
struct sender *sender_new(struct ev_loop *loop, const struct sender_settings *settings);
/** Breaks off what is under way. */
void sender_free(struct sender *sender);

bool sender_is_busy(const struct sender *sender);

/** Begins; not while it is busy. */
void sender_send(struct sender *sender, const struct message *message);

/*
 * program.c, for `type = command`: runs a program with the message on its standard input. Without a shell, one at a
 * time; after 30 seconds it is killed with all that it has started.
 */

struct program {
    struct ev_loop *loop;
    ev_child child;
    ev_timer deadline;
    bool killed;
    void (*over)(void *data, bool good, const char *why);
    void *data;
};

/** `over` follows each successful start. Works on the default loop only, as the end of a child is a
 * signal. */
void program_init(struct program *program, struct ev_loop *loop,
                  void (*over)(void *data, bool good, const char *why), void *data);
/** Kills it, if it runs. */
void program_stop(struct program *program);

/** Starts it. False: `why` has the error. */
bool program_start(struct program *program, const char *path, const struct message *message,
                   const char *json, char *why, size_t size);
