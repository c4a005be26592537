// SPDX-License-Identifier: MIT
/* One request to the database: compressed lines with credentials; and the meaning of the response. */
#pragma once

#include "config/outlet_config.h"
#include "outlets/pipe.h"
#include "outlets/transfer.h"

#include <stdint.h>

#define POST_WORDS 160

enum post_result {
    POST_TAKEN,   /* all of it was written, except for what was `dropped` */
    POST_REFUSED, /* something in it was rejected, or it is too large */
    POST_FAILED   /* not now: no answer, not allowed, busy */
};

struct post_outcome {
    enum post_result result;
    char words[POST_WORDS]; /* the error; empty: none */
    double again_s;         /* how long the database asks to wait; 0: not given */
    bool died;              /* no answer, or a server error: what it confirmed before may be lost */
    bool connected;         /* by a new connection */
    uint32_t dropped;       /* points that it reports as dropped */
};

/* One request at a time. */
struct post {
    const struct influx_config *config;
    const char *who; /* for the log */
    void (*done)(void *data);
    void *data;
    struct post_outcome outcome; /* of the last one */
    struct transfer transfer;
    uint8_t *body;
    bool access_told;
};

/** Zeroed, with its first four members, which it keeps by reference. */
void post_init(struct post *post, struct transfers *transfers);

/** Sends lines, which are copied. `done` follows, never from within. False: `outcome` has the
 * error, and `done` is not called. */
bool post_send(struct post *post, const char *lines, size_t size);

/** Frees the memory of the last request. Not while it is busy. */
void post_release(struct post *post);

void post_judge(long status, const char *answer, struct post_outcome *outcome);

/** Tries a database before its section is saved: sends a comment, which is line protocol without any point, and
 * prints "write ok" or "write failed TEXT". Returns the exit status. */
int influx_test(const struct pipe_config *config);
