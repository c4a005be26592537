// SPDX-License-Identifier: MIT
/*
 * "did you mean": the known word that is nearest to a mistyped one.
 */
#ifndef PACKGATE_BASE_SUGGEST_H
#define PACKGATE_BASE_SUGGEST_H

struct suggest {
    const char *word;  /* as it was typed */
    const char *best;  /* NULL: nothing is near enough to be worth proposing */
    unsigned distance; /* of best; without one, the first that is too far */
};

void suggest_init(struct suggest *suggest, const char *word);

/** Takes a known word, which must outlive `suggest`, if it is nearer than those before it. */
void suggest_offer(struct suggest *suggest, const char *candidate);

/** "; did you mean 'baud'?" for the end of a message, or an empty text. Returns `out`. */
#define SUGGEST_HINT_SIZE 64
const char *suggest_hint(const struct suggest *suggest, char out[SUGGEST_HINT_SIZE]);

#endif
