// SPDX-License-Identifier: MIT
/*
 * Proposals for invalid values: "; did you mean '5s'?" for the end of a message.
 */
#pragma once

#include "keys.h"

#define HINT_SIZE 256

/** For a text that the type of `key` rejected; empty if there is no proposal. Returns `out`. */
const char *config_hint(const struct config_key *key, const char *text, char out[HINT_SIZE]);

/** For an unknown protocol, such as "pylontech" or "JK": the protocols of that make, with the
 * variant if there is one. Returns `out`. */
const char *config_hint_protocol(const char *word, char out[HINT_SIZE]);
