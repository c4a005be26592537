// SPDX-License-Identifier: MIT
/*
 * Exchange files (*.exch): the bytes between a host and a BMS, and the expected values of the pack.
 * They are regression tests, fuzzer seeds and bug reports; `packgate read --record` writes them,
 * `packgate decode` reads them.
 */
#pragma once

#include "lines/reply.h"
#include "bms/driver.h"

#include <stdio.h>

enum exchange_kind { EXCHANGE_REQUEST, EXCHANGE_REPLY, EXCHANGE_VALUE };

/* One line of the file. */
struct exchange_item {
    enum exchange_kind kind;
    unsigned line;  /* in the file, from 1 */
    uint8_t *bytes; /* requests and replies */
    size_t size;
    char *name; /* expected values: name, value as written, tolerance (0: exact) */
    char *value;
    double tolerance;
};

struct exchange {
    const struct bms_driver *driver;
    int variant; /* index, as the comment "# variant: NAME" says; 0: the first one */
    struct exchange_item *items;
    size_t count;
};

/** Parses a file's text. NULL on the first mistake, which `error` then describes as "line N: …".
 * Free with exchange_free. */
struct exchange *exchange_parse(const char *text, size_t size, char *error, size_t error_size);
void exchange_free(struct exchange *exchange);

/** The same for a file, "-" for standard input. NULL: the error was printed. */
struct exchange *exchange_load(const char *path);

/** Runs all requests and replies of an exchange through the driver, as a line would, and stores the
 * values in `pack`, including those of `finish` and the derived ones. bms_init must have been
 * called on `bms`. */
void exchange_replay(const struct exchange *exchange, struct bms *bms, struct pack *pack,
                     struct reply_counters *counters);

/** Writes the head of a new file and one line of bytes ('>' or '<'). */
void exchange_write_head(FILE *out, const char *protocol, const char *source);
void exchange_write_bytes(FILE *out, char direction, const uint8_t *bytes, size_t size);
