// SPDX-License-Identifier: MIT
/*
 * The table of keys: every key of the configuration with its section, type, range, default and
 * meaning. Reading, checking, messages and the manual walk the same rows.
 */
#ifndef PACKGATE_CONFIG_KEYS_H
#define PACKGATE_CONFIG_KEYS_H

#include "config.h"

#include "base/suggest.h"

#define CONFIG_KEYS_MAX 96 /* rows of the table */

enum config_section {
    SECTION_GATEWAY,
    SECTION_LINE,
    SECTION_PACK,
    SECTION_BANK,
    SECTION_PUSH,
    CONFIG_SECTIONS
};

/* Of a section: its word in the heading, how to write the heading, and what it is. */
struct config_section_info {
    const char *word;
    bool named;
    const char *heading;
    const char *help;
};

/* [pack] while it is read: what the configuration will hold, and the words that stand for other
 * things in the file. */
struct pack_draft {
    struct pack_config pack;
    char line[NAME_SIZE];
    char variant[NAME_SIZE];
};

struct pack_names {
    char list[MAX_BANK_PACKS][NAME_SIZE];
    unsigned count;
};

/* [bank] while it is read. */
struct bank_draft {
    struct bank_config bank;
    struct pack_names packs;
};

/* [push] while it is read. Its writes can be taken apart only when all packs are known. */
struct push_text {
    char *text;
    unsigned line;
};
struct push_draft {
    struct push_config push; /* `writes` is the draft's own */
    struct push_text *texts;
    unsigned text_count;
    unsigned line; /* of the key that is read */
};

struct config_key;

struct config_type {
    /** Puts the value at `field`. False: the text is no such value, or out of range; `field` is
     * then left alone. */
    bool (*parse)(const struct config_key *key, const char *text, void *field);
    /** What is expected, as "a whole number from 1 to 247". */
    void (*describe)(const struct config_key *key, char *out, size_t size);
    /** Offers the words that the value can be; NULL: it is no word. */
    void (*offer)(const struct config_key *key, struct suggest *suggest);
    bool list; /* several with commas between, also on several lines; `parse` gets one at a time */
};

struct config_key {
    enum config_section section;
    const char *name;
    const struct config_type *type;
    size_t offset;            /* in gateway_config, line_config, or the draft of a section */
    double min, max;          /* numbers; durations in seconds */
    const char *const *words; /* choices, NULL at the end, in the order of their enum */
    const char *preset;       /* what holds when the key is not given */
    const char
        *otherwise; /* the same in words, where it depends; without both the key must be given */
    const char *help;
};

extern const struct config_key config_keys[];
extern const unsigned config_key_count;

const struct config_section_info *config_section_info(enum config_section section);

/** Row number of a key in config_keys, or -1. */
int config_key_find(enum config_section section, const char *name);

/** The name of the key that is meant by one that other programs have ("baudrate"), or NULL. */
const char *config_key_alias(enum config_section section, const char *name);

/** Where a value's mistakes are explained: what is expected. Writes into `out` and returns it. */
#define EXPECTED_SIZE 320
const char *config_key_expected(const struct config_key *key, char out[EXPECTED_SIZE]);

#endif
