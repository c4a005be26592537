// SPDX-License-Identifier: MIT
/*
 * Sections while a configuration is read and checked: their values, and where in the file each
 * stands.
 */
#ifndef PACKGATE_CONFIG_DRAFT_H
#define PACKGATE_CONFIG_DRAFT_H

#include "keys.h"
#include "mistakes.h"

struct config_draft {
    enum config_section section;
    char name[NAME_SIZE];
    unsigned heading;                /* its line; 0: no such section in the file */
    unsigned given[CONFIG_KEYS_MAX]; /* by row of the table: line of the key, 0: not in the file */
    bool usable[CONFIG_KEYS_MAX];    /* has a value: a good one from the file, or the preset */
    union {
        struct gateway_config gateway;
        struct line_config line;
        struct pack_draft pack;
        struct bank_draft bank;
        struct push_draft push;
    } as;
    const struct config_draft *line; /* of a pack; NULL: its line is not known */
};

struct config_drafts {
    struct config_draft *list; /* in the order of the file; the first is [gateway] */
    unsigned count;
};

/** Appends a section; the earlier ones may move. NULL: out of memory. */
struct config_draft *config_drafts_add(struct config_drafts *drafts, enum config_section section,
                                       const char *name, unsigned heading);
struct config_draft *config_drafts_find(const struct config_drafts *drafts,
                                        enum config_section section, const char *name);
void config_drafts_free(struct config_drafts *drafts);

/** Takes the value of row `row` from `line` of the file. */
void config_draft_set(struct config_draft *draft, unsigned row, const char *text, unsigned line,
                      struct mistakes *mistakes);

/** At the end of the file: presets for what was not given, mistakes for what must be. */
void config_draft_complete(struct config_draft *draft, struct mistakes *mistakes);

/** In the file, with a good value or a bad one. */
bool config_draft_given(const struct config_draft *draft, const char *key);
/** There is a value to go by. */
bool config_draft_usable(const struct config_draft *draft, const char *key);
/** The line to name in a mistake: where the key stands, or the heading of its section. */
unsigned config_draft_line(const struct config_draft *draft, const char *key);

#endif
