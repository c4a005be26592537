// SPDX-License-Identifier: MIT
/* Tests an outlet before its configuration is saved, for set-up in the browser. */
#pragma once

#include "edits.h"

/** Tests the outlet [kind name] of the text with all edits, with the outlet's own program. Prints {"steps": [{"name", "ok",
 * "text"}]} as one line of JSON after each step. Returns NULL when the test has ended, or an error if the request is wrong. */
json_t *setup_try(struct setup_edits *edits, const char *kind, const char *name);
