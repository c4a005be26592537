// SPDX-License-Identifier: MIT
/*
 * The parts of the running gateway that the control socket reports or controls.
 */
#pragma once

#include "modbus/push.h"
#include "modbus/server.h"
#include "outlets/outlets.h"
#include "packs/packs.h"
#include "packs/polling.h"
#include "config/load.h"

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
