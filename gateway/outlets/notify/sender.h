// SPDX-License-Identifier: MIT
/*
 * Sends one message at a time in the loop, by libcurl or, for `type = command`, by a program that gets it on its standard input:
 * without a shell, and killed after 30 seconds with all that it has started. Nothing here waits.
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

/** Programs work on the default loop only, as the end of a child is a signal. */
struct sender *sender_new(struct ev_loop *loop, const struct sender_settings *settings);
/** Kills the program that is under way. */
void sender_end(const struct sender *sender);

/** Begins; not before `done` of the previous one. */
void sender_send(struct sender *sender, const struct message *message);
