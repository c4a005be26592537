// SPDX-License-Identifier: MIT
/*
 * "did you mean": finds the known word that is nearest to a mistyped one.
 */
#pragma once

struct suggest {
    const char *word;  /* as typed */
    char best[44];     /* empty: no word is near enough to be proposed */
    unsigned distance; /* of `best`; without one, the first distance that is too far */
    char hint[64];
};

struct suggest suggest_for(const char *word);

/** Compares with a known word and keeps a copy of it if it is nearer than those before. */
void suggest_offer(struct suggest *suggest, const char *candidate);

/** Returns "; did you mean 'baud'?" for the end of a message, or an empty text. */
const char *suggest_hint(struct suggest *suggest);
