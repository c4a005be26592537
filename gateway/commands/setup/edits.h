// SPDX-License-Identifier: MIT
/*
 * The edits that a browser sends, and the text that they make of a configuration: the same for the review, which
 * only shows it, and for the program that saves it.
 */
#ifndef PACKGATE_COMMANDS_SETUP_EDITS_H
#define PACKGATE_COMMANDS_SETUP_EDITS_H

#include "config/config.h"
#include "config/edits.h"

#include <jansson.h>

struct setup_edits {
    const char *path;        /* of the configuration */
    char *old, *fresh;       /* the text in force, and the one with all edits */
    char secrets[PORT_SIZE]; /* in front of the names of new files with secrets */
    char hash[EDITS_HASH];   /* of `old` */
    struct edit *edits;
    size_t count;
    json_t *request; /* has the edits' texts */
    json_t *refusal; /* the caller releases it */
};

/** Reads the configuration of `path`, or of `first` while there is none, and makes the edits of `request`, {"hash", "edits": […]},
 * which is released later. False: `refusal` is the answer to the request. To be freed in any case. */
bool setup_edits_make(struct setup_edits *edits, const char *path, const char *first,
                      json_t *request);
void setup_edits_free(struct setup_edits *edits);

/** The text of `path`, or of `first` (NULL: none) while it does not exist; NULL: errno. The caller frees it. */
char *setup_read(const char *path, const char *first);

/** The lines of the difference of the two texts, without secrets. */
json_t *setup_edits_diff(const char *old, const char *fresh);

/** What `packgate check` says of a text: a list of {"line", "level", "text"}. `*config` is the configuration, NULL if it
 * has errors. `host`: as well what this host lacks. */
json_t *setup_edits_remarks(const char *text, bool host, struct config **config);

/** {"error", "http"} */
json_t *setup_error(int http, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
