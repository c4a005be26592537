// SPDX-License-Identifier: MIT
/*
 * What a value that is none was probably meant to be: "; did you mean '5s'?" for the end of a
 * message.
 */
#ifndef PACKGATE_CONFIG_HINTS_H
#define PACKGATE_CONFIG_HINTS_H

#include "keys.h"

#define HINT_SIZE 256

/** For a text that the type of `key` refused; empty where there is nothing to propose. Returns
 * `out`. */
const char *config_hint(const struct config_key *key, const char *text, char out[HINT_SIZE]);

/** For a word that is no protocol, such as "pylontech" or "JK": the protocols of that make, with
 * the variant where it is one. Returns `out`. */
const char *config_hint_protocol(const char *word, char out[HINT_SIZE]);

#endif
