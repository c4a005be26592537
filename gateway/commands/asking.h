// SPDX-License-Identifier: MIT
/*
 * What the commands have in common that ask a running gateway: how to find it, and what they say
 * when it is not there.
 */
#ifndef PACKGATE_COMMANDS_ASKING_H
#define PACKGATE_COMMANDS_ASKING_H

#include "control/client.h"

/* Which gateway: the one of a configuration, or that behind a socket. */
struct asking {
    const char *config;  /* its file */
    const char *control; /* the socket; NULL: where the configuration says */
    const char *command; /* "status", for messages */
};

/** Connects. False: nobody is there, which was said on standard error. */
bool asking_open(const struct asking *asking, struct control_link *link);

/** As control_ask; what is wrong goes to standard error. */
json_t *asking_ask(const struct asking *asking, struct control_link *link, json_t *request);

/** Texts and numbers of an answer; "" and NaN where there are none. */
const char *asking_text(const json_t *object, const char *name);
double asking_number(const json_t *object, const char *name);

/** "12 s", "3 min", "2.5 h", "5 d"; "-" for NaN. Returns `out`. */
#define ASKING_SPAN 24
const char *asking_span(double s, char out[ASKING_SPAN]);

#endif
