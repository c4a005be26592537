// SPDX-License-Identifier: MIT
/*
 * The parts of the running gateway that the control socket reports or controls, and their status as JSON, for `packgate status`,
 * the web page and other clients of the control socket. docs/status.md describes it.
 */
#pragma once

#include "modbus/push.h"
#include "modbus/server.h"
#include "outlets/outlets.h"
#include "packs/packs.h"
#include "packs/polling.h"
#include "config/load.h"

#include <jansson.h>
#include <string.h>

/* What set-up in the browser needs from the program that runs the gateway. */
struct overview_host {
    const char *first;  /* the file to read while the configuration does not exist; NULL: none */
    const char *helper; /* socket of the program that may write the configuration; NULL: none */
    /** Reloads the configuration. False: it was rejected, and the reason logged. */
    bool (*reload)(void *data);
    void *data;
};

/* The owner updates it on a reload. */
struct overview {
    const struct packs *packs;
    const struct polling *polling;
    const struct server *server;
    const struct pushes *pushes;
    const struct outlets *outlets; /* NULL: none */
    const struct config_file *file;
    const struct overview_host *host;
};

/** The running line of that name; NULL: there is none, or it is not polled yet. Only valid within
 * the current callback: a reload replaces lines. */
static inline struct line *overview_line(const struct overview *overview, const char *name)
{
    const struct polling *polling = overview->polling;
    for (unsigned l = 0; l < polling->line_count; l++)
        if (strcmp(polling->config->lines[l].name, name) == 0)
            return polling->lines[l];
    return NULL;
}

/** The whole status. NULL: out of memory; the caller releases it. */
json_t *status_of(const struct overview *overview, double now);

/** An array of the packs and banks with these names (a JSON array of strings; NULL: all packs),
 * each with its values as `packgate read` prints them, if they are fresh. NULL with the first
 * unknown name in `missing`. */
json_t *status_values(const struct overview *overview, const json_t *names, double now,
                      const char **missing);

/** The text of the configuration without secrets, and its mistakes. NULL: out of memory. */
json_t *status_configuration(const struct overview *overview, double now);

/** One line for `systemctl status`: "3 of 4 packs fresh, 2 clients". */
#define STATUS_WORDS 160
void status_words(const struct overview *overview, double now, char out[STATUS_WORDS]);
