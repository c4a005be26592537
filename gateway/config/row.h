// SPDX-License-Identifier: MIT
/*
 * Rows that put a value into registers: the `register` of a view and the `write` of a push.
 *
 *   house-1.current_a -> 17 s16 scale 100
 *   name    value        |  |    options, each with its value
 *                 register  type
 *
 * A name may hold dots: the existing names decide which dot ends one.
 */
#pragma once

#include "draft.h"

/* What the rows of a key may contain, and what holds where they say nothing. */
struct row_rules {
    const char *key;    /* "register" */
    const char *thing;  /* "a register" */
    const char *source; /* of values without one; empty: none */
    bool write;         /* one value that changes, in one or two registers */
    bool big_words;
    struct substitute on_unknown, on_stale;
};

/** Parses all rows of a section, reports their mistakes, and sorts those that are good by address.
 * The caller frees `*rows`. Call when all packs and banks are known. */
void config_rows_read(const struct row_rules *rules, const struct config_draft *draft,
                      struct register_row **rows, unsigned *count);

/** Whether two rows have a register in common. */
bool config_rows_overlap(const struct register_row *a, const struct register_row *b);

/** Whether a row has the same content whatever the packs report. */
bool config_row_is_constant(const struct register_row *row);
