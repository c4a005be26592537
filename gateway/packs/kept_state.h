// SPDX-License-Identifier: MIT
/* The state in memory, and as the text of its file. For kept*.c only. */
#ifndef PACKGATE_PACKS_KEPT_STATE_H
#define PACKGATE_PACKS_KEPT_STATE_H

#include "kept.h"

struct kept {
    struct kept_entry *first;
    struct kept_note *notes;
    unsigned note_count;
    bool look_only; /* the file of a running gateway is only read */
    char id[KEPT_ID_SIZE];
    char *saved;  /* content of the file; NULL: not known */
    char *saving; /* content that a child process is writing; NULL: none */
    bool failing; /* the last attempt to save failed, and that was logged */
    int lock;     /* descriptor of PATH.lock; -1: not locked */
    bool foreign; /* another gateway has locked the file: it is neither read nor written here */
};

/** Whether a text can stand in a heading or as a key, in less than `room` bytes. */
bool kept_text_is_plain(const char *text, size_t room);

/** Whether a line of the file has room for both. */
bool kept_text_fits(const char *key, const char *text);

/** Whether a text can be the id of a gateway. */
bool kept_text_is_id(const char *text);

/** Composes the content of the file. NULL: out of memory. The caller frees it. */
char *kept_text_compose(const struct kept *kept);

/** Reads the content of a file into an empty state. False: it is damaged, and nothing was read. */
bool kept_text_parse(struct kept *kept, const char *text, size_t size);

#endif
