// SPDX-License-Identifier: MIT
/*
 * Changes of the configuration from a browser: each is checked against the rules of its key, and
 * all together yield a new text. Only this text is ever saved, so a browser cannot change anything
 * else.
 */
#ifndef PACKGATE_CONFIG_EDITS_H
#define PACKGATE_CONFIG_EDITS_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>

enum edit_kind {
    EDIT_VALUE, /* the key gets this value; NULL: it is removed */
    EDIT_SECRET, /* the key names a file with a secret: a new file with this content; NULL: it is removed */
    EDIT_SECTION /* the whole section is removed */
};

struct edit {
    enum edit_kind kind;
    const char *section, *name; /* name: "" where there is only one */
    const char *key, *value;
};

#define EDITS_WHY 240
#define EDITS_HASH 17 /* 16 hex digits and the NUL */

/** Returns the text after all edits, in their order, on the heap. Files of secrets are named "SECTION-NAME-KEY" behind `secrets`
 * ("/etc/packgate/7-"). NULL: an edit is not for a browser, or cannot be written; `why` says which. */
char *edits_apply(const char *text, const struct edit *edits, size_t count, const char *secrets,
                  char why[EDITS_WHY]);

/** The path of the file that an edit of kind EDIT_SECRET fills. False: too long. */
bool edits_secret_path(const struct edit *edit, const char *secrets, char out[PORT_SIZE]);

/** Returns `text` with this value (NULL: none) for the key of an edit, which is not judged; as edits_apply. */
char *edits_with_value(const char *text, const struct edit *edit, const char *value,
                       char why[EDITS_WHY]);

/** Whether `name` is one that edits_secret_path gives to a file. `*number` is what precedes its first '-'. */
bool edits_is_secret_file(const char *name, unsigned *number);

/** Whether a browser may name this port: of the files of this host, the devices only. */
bool edits_is_port_good(const char *port);

/** False for values that browsers must not set: a path in place of an address or of a device, and messages by a command. */
bool edits_is_value_good(const char *value);

/** Whether the key of the section [word] names a file whose secret may be typed in a browser. */
bool edits_is_secret(const char *word, const char *key);

/** A hash to compare texts. */
void edits_hash(const char *text, char out[EDITS_HASH]);

#endif
