// SPDX-License-Identifier: MIT
/*
 * What there is to tell of the running gateway, as JSON: built here and nowhere else, for `packgate
 * status`, for the page and for whoever asks the control socket. docs/status.md describes it.
 */
#ifndef PACKGATE_CONTROL_STATUS_H
#define PACKGATE_CONTROL_STATUS_H

#include "overview.h"
#include "trouble.h"

#include <jansson.h>

/** Everything. NULL: out of memory; the caller gives it up. */
json_t *status_of(const struct overview *overview, const struct troubles *troubles, double now);

/** An array: the packs and banks with these names (a JSON array of strings; NULL: the packs), each
 * with its values as `packgate read` prints them as long as they are fresh. NULL with the name that
 * there is not in `missing`; "" when memory ran out. */
json_t *status_values(const struct overview *overview, const struct troubles *troubles,
                      const json_t *names, double now, const char **missing);

/** The configuration's text without secrets, and its mistakes. NULL: out of memory. */
json_t *status_configuration(const struct overview *overview, double now);

/** One line for `systemctl status`: "3 of 4 packs fresh, 2 clients". */
#define STATUS_WORDS 160
void status_words(const struct overview *overview, double now, char out[STATUS_WORDS]);

#endif
