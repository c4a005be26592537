// SPDX-License-Identifier: MIT
/*
 * What the processes of set-up in the browser do. First of all they apply the edits to the text of a configuration: the review,
 * which only shows the result, and the program that saves it use the same code.
 */
#pragma once

#include "control/editing.h" /* setup_refusal */
#include "config/config.h"
#include "config/edits.h"

#include <jansson.h>

struct setup_edits {
    const char *path;        /* of the configuration */
    char *old, *fresh;       /* the current text, and the text with all edits */
    char secrets[PORT_SIZE]; /* prefix of the paths of new secret files */
    char hash[EDITS_HASH];   /* of `old` */
    struct edit *edits;
    size_t count;
    json_t *request; /* owns the strings of `edits` */
    json_t *refusal; /* the caller releases it */
};

/** Reads the configuration at `path`, or at `first` while it does not exist, and applies the edits of `request`, {"hash",
 * "edits": […]}, whose text it gets. With `tries` it is {"kind", "name", "edits"}, and the edits apply to the current text. False:
 * `refusal` is the answer to the request. Must be freed in any case. */
bool setup_edits_make(struct setup_edits *edits, const char *path, const char *first,
                      const char *request, bool tries);
void setup_edits_free(struct setup_edits *edits);

/** The text of `path`, or of `first` (NULL: none) while it does not exist. NULL with errno. The caller frees it. */
char *setup_read(const char *path, const char *first);

/** What `packgate check` reports about a text: a list of {"line", "level", "text"}. `*config` is the configuration, NULL
 * if it has errors. With `host`, also what this host lacks. */
json_t *setup_edits_remarks(const char *text, bool host, struct config **config);

/** Why the text with all edits cannot be used: its mistakes; NULL: it has none. */
json_t *setup_edits_refuse(const struct setup_edits *edits);

/** Undoes a configuration of a browser that was not kept: takes the lock of save_lock, and restores the previous file (`*undone`).
 * Returns the lock, which the caller closes; -1 with errno. */
int setup_recover(const char *path, bool *undone);
