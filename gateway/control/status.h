// SPDX-License-Identifier: MIT
/*
 * The status of the running gateway as JSON, for `packgate status`, the web page and other clients
 * of the control socket. docs/status.md describes it.
 */
#pragma once

#include "overview.h"

#include <jansson.h>

/** The whole status. NULL: out of memory; the caller releases it. */
json_t *status_of(const struct overview *overview, double now);

/** An array of the packs and banks with these names (a JSON array of strings; NULL: all packs),
 * each with its values as `packgate read` prints them, if they are fresh. NULL with the first
 * unknown name in `missing`. */
json_t *status_values(const struct overview *overview, const json_t *names, double now,
                      const char **missing);

/** The text of the configuration without secrets, and its mistakes. NULL: out of memory. */
json_t *status_configuration(const struct overview *overview, double now);

/** One line for `systemctl status`: "3 of 4 packs fresh, 2 clients". */
#define STATUS_WORDS 160
void status_words(const struct overview *overview, double now, char out[STATUS_WORDS]);
