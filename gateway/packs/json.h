// SPDX-License-Identifier: MIT
/*
 * A pack's values as JSON: one flat object with the value names of the exchange files. What is not
 * known is left out.
 */
#ifndef PACKGATE_PACKS_JSON_H
#define PACKGATE_PACKS_JSON_H

#include "bms/pack.h"

#include <jansson.h>
#include <stdio.h>

/** A new object; NULL: out of memory. */
json_t *json_of_pack(const struct pack *pack);

/** A number: whole without decimals, else rounded to what any protocol has; 0 has no sign. */
json_t *json_number(double value, int decimals);

/** As text on one line, which the caller frees, and gives the object up. NULL: out of memory. */
char *json_text(json_t *object);

/** Prints an object with a newline behind it, on one line or indented, and gives it up. */
void json_print(FILE *out, json_t *object, bool indented);

#endif
