// SPDX-License-Identifier: MIT
/*
 * What the programs of the server benchmark have in common: the registers that every server serves
 * and the generator expects, and how a server says where it is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define WORDS_MAX 125
#define REQUEST_SIZE 12
#define REPLY_HEAD 9
#define REPLY_MAX (REPLY_HEAD + 2 * WORDS_MAX)

/* Registers from `address` on. */
struct words {
    unsigned address, count;
    uint16_t word[WORDS_MAX];
};

/* * Reads "ADDRESS WORD WORD…", numbers as in C. Exits if they are malformed or too many. */
void words_parse(struct words *words, char *const *texts, int count);

/** Writes the reply of unit 1 to function 3 for all of the words, transaction id 0; returns its
 * size. */
size_t words_reply(const struct words *words, uint8_t reply[REPLY_MAX]);

/** Prints "listening on 127.0.0.1:PORT" for a listening socket. */
void announce(int listener);

/* * Prints the error and exits. */
void fail(const char *what);
