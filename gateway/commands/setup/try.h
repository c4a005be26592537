// SPDX-License-Identifier: MIT
/* A trial of what is not saved yet, for set-up in the browser. */
#ifndef PACKGATE_COMMANDS_SETUP_TRY_H
#define PACKGATE_COMMANDS_SETUP_TRY_H

#include "edits.h"

/** Tries [kind name] of the text with all edits: the kind's own program does it. Prints {"steps": [{"name", "ok", "text"}]} as one line
 * of JSON after each step. Returns when it is over; NULL, or what is wrong with the request. */
json_t *setup_try(struct setup_edits *edits, const char *kind, const char *name);

#endif
