// SPDX-License-Identifier: MIT
/* A pack's known values as one flat JSON object, with the value names of the exchange files. */
#pragma once

#include "bms/pack.h"

#include <jansson.h>
#include <stdio.h>

/** Creates an object; NULL: out of memory. */
json_t *json_of_pack(const struct pack *pack);

/** An integer without decimals, else rounded to the resolution of the protocols. 0 has no sign. */
json_t *json_number(double value, int decimals);

/** Adds a member that is a whole number. */
void json_count(json_t *object, const char *name, uint64_t count);

/** The alarms that one of the bit masks has: [{"name", "level": "warning" or "protection"}]. */
json_t *json_alarms(uint32_t warning, uint32_t protection);

/** {"error": "…"}: why a request is refused. */
json_t *json_refusal(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Returns it on one line, which the caller frees, and releases it. NULL: out of memory. */
char *json_text(json_t *object);

/** Prints the object on one line or indented, with a newline, and releases it. */
void json_print(FILE *out, json_t *object, bool indented);

/** A string of text from elsewhere: where it is not UTF-8, each byte beyond ASCII is a '?'. */
json_t *json_printable(const char *text);
