// SPDX-License-Identifier: MIT
/*
 * Changes of the configuration from a browser: each is checked against the rules of its key, and
 * all together yield a new text. Only this text is ever saved, so a browser cannot change anything
 * else.
 */
#pragma once

#include "config.h"
#include "ini/edit.h"

#include <stdbool.h>
#include <stddef.h>

#define EDITS_HASH 17 /* 16 hex digits and the NUL */

/** Applies all edits in order. Returns the new text on the heap. Paths of secret files are `secrets` ("/etc/packgate/7-") followed by
 * "SECTION-NAME-KEY". NULL: a browser must not make one of the edits, or it cannot be written; `why` says which. */
char *edits_apply(const char *text, const struct edit *edits, size_t count, const char *secrets,
                  char why[EDIT_WHY]);

/** Writes the path of the file that belongs to an edit of kind EDIT_SECRET. False: too long. */
bool edits_secret_path(const struct edit *edit, const char *secrets, char out[PORT_SIZE]);

/** Whether `name` has the form of a file name by edits_secret_path. `*number` is the number before its first '-'. */
bool edits_is_secret_file(const char *name, unsigned *number);

/** Whether a browser may set this port: of local files only devices below /dev, and no simulated packs, which an inverter would take for
 * real ones. */
bool edits_is_port_good(const char *port);

/** False for values that browsers must not set: a path in place of an address or of a device, and messages by a command. */
bool edits_is_value_good(const char *value);

/** A hash to compare texts. */
void edits_hash(const char *text, char out[EDITS_HASH]);
