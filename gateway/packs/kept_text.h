// SPDX-License-Identifier: MIT
/* The state as the text of its file: INI with a checksum at its end. */
#pragma once

#include "kept_state.h"

/** Whether a text can be the id of a gateway. */
bool kept_text_is_id(const char *text);

/** Composes the content of the file. NULL: out of memory. The caller frees it. */
char *kept_text_compose(const struct kept *kept);

/** Reads the content of a file into an empty state. False: it is damaged, and nothing was read. */
bool kept_text_parse(struct kept *kept, const char *text, size_t size);
