// SPDX-License-Identifier: MIT
/*
 * "did you mean": finds the known word that is nearest to a mistyped one.
 */
#pragma once

struct suggest {
    const char *word;  /* as typed */
    const char *best;  /* NULL: no word is near enough to be proposed */
    unsigned distance; /* of `best`; without one, the first distance that is too far */
};

void suggest_init(struct suggest *suggest, const char *word);

/** Compares with a known word and keeps it if it is nearer than those before. The word must outlive
 * `suggest`. */
void suggest_offer(struct suggest *suggest, const char *candidate);

/** Writes "; did you mean 'baud'?" for the end of a message, or an empty text. Returns `out`. */
#define SUGGEST_HINT_SIZE 64
const char *suggest_hint(const struct suggest *suggest, char out[SUGGEST_HINT_SIZE]);
