// SPDX-License-Identifier: MIT
/*
 * Sections while a configuration is read and checked: their values, and where in the file each
 * stands.
 */
#pragma once

#include "keys.h"
#include "mistakes.h"

struct config_drafts;

struct config_draft {
    const struct config_drafts *drafts; /* it is one of these */
    const struct config_section *section;
    char name[NAME_SIZE];
    unsigned heading;                 /* its line; 0: no such section in the file */
    unsigned given[SECTION_KEYS_MAX]; /* by row: line of the key, 0: not in the file */
    bool usable[SECTION_KEYS_MAX];    /* has a value: a good one from the file, or the preset */
    union {
        void *any;
        struct line_config *line;
        struct pack_config *pack;
        struct bank_config *bank;
        struct limits_config *limits;
        struct push_config *push;
        struct view_config *view;
        struct mqtt_config *mqtt;
        struct present_config *present;
        struct outlet_config *outlet; /* what each outlet begins with */
    } as;                             /* the section's struct */
    struct config_entry *texts;       /* in the order in which they were read */
    unsigned text_count;
    const struct config_draft *line; /* of a pack; NULL: its line is not known */
};

struct config_drafts {
    struct config_draft *list; /* in the order of the file, behind those that are always there */
    unsigned count;
    struct mistakes *mistakes; /* of the file */
    struct config *config;     /* has their structs, once all sections are read */
};

/** Appends a section; the earlier ones may move. */
struct config_draft *config_drafts_add(struct config_drafts *drafts,
                                       const struct config_section *section, const char *name,
                                       unsigned heading);
/** The first one behind `after` (NULL: of all), or NULL. `section` NULL: packs and banks. `name` NULL: any. */
struct config_draft *config_drafts_find(const struct config_drafts *drafts,
                                        const struct config_draft *after,
                                        const struct config_section *section, const char *name);
/* For `for`: all drafts of a section (NULL: packs and banks), and those of the same section before `draft`. */
#define CONFIG_EACH(other, draft, section)                                                         \
    const struct config_draft *other = config_drafts_find((draft)->drafts, NULL, section, NULL);   \
    other;                                                                                         \
    other = config_drafts_find((draft)->drafts, other, section, NULL)
#define CONFIG_BEFORE(other, draft)                                                                \
    const struct config_draft *other =                                                             \
        config_drafts_find((draft)->drafts, NULL, (draft)->section, NULL);                         \
    other != (draft);                                                                              \
    other = config_drafts_find((draft)->drafts, other, (draft)->section, NULL)
/** To be called when `config` has the structs. */
void config_drafts_free(struct config_drafts *drafts);

/** Sets row `row` from `line` of the file; text NULL: the key is there, but could not be read. */
void config_draft_set(struct config_draft *draft, unsigned row, const char *text, unsigned line);

/** At the end of the file: fills in presets, and reports missing required keys. */
void config_draft_complete(struct config_draft *draft);

/** Whether the key is in the file, valid or not. */
bool config_draft_given(const struct config_draft *draft, const char *key);
/** Whether the key has a valid value or a preset. */
bool config_draft_usable(const struct config_draft *draft, const char *key);
/** The line to report a mistake at: that of the key, or of the section's heading; key NULL: of the heading. */
unsigned config_draft_line(const struct config_draft *draft, const char *key);
/** Item `n` of a key, counted from 0, or NULL. */
const struct config_entry *config_draft_text(const struct config_draft *draft, const char *key,
                                             unsigned n);

/** Reports a mistake, or with `warning` what has no effect, at the line of a key (config_draft_line) or at another one. */
void config_report(const struct config_draft *draft, unsigned line, bool warning,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
#define config_mistake_at(draft, line, ...) config_report(draft, line, false, __VA_ARGS__)
#define config_warn_at(draft, line, ...) config_report(draft, line, true, __VA_ARGS__)
#define config_mistake(draft, key, ...)                                                            \
    config_mistake_at(draft, config_draft_line(draft, key), __VA_ARGS__)
#define config_warn(draft, key, ...)                                                               \
    config_warn_at(draft, config_draft_line(draft, key), __VA_ARGS__)

/** The section that a key names. `section` NULL: a pack or a bank. NULL: there is none, which is reported with a proposal. */
struct config_draft *config_draft_refer(const struct config_draft *draft, const char *key,
                                        const struct config_section *section, const char *name);

/* Checks that involve several keys (check.c): references between sections, numbers that must differ, and requirements of the
 * protocols. */

/** Finds the line, the protocol and the variant of each pack, resolves its poll interval and
 * stale_after, and checks all sections against each other. Call after config_draft_complete of
 * each draft. `last_line` is where a missing section is reported. Consequences of a reported
 * mistake are not reported again. */
void config_check(const struct config_drafts *drafts, unsigned last_line);

/* The check of each section, for config_sections. */
void config_check_gateway(struct config_draft *draft);
void config_check_line(struct config_draft *line);
void config_check_pack(struct config_draft *pack);
void config_check_bank(struct config_draft *bank);
void config_check_tunnel(struct config_draft *tunnel);

/** Whether two listen addresses conflict: the kernel gives an address and a port to one socket,
 * 0.0.0.0 is every IPv4 address, [::] every IPv6 one. */
bool config_listen_collide(const char *text, const char *other);

/** The pack or bank whose unit id this is, or NULL. */
const struct config_draft *config_unit_owner(const struct config_draft *draft, int unit);

/** Finds the variant of a protocol that the value of `key` names. False: it has none such, which is reported. */
bool config_variant_find(const struct config_draft *draft, const char *key, const char *protocol,
                         const char *const *variants, const char *text, int *variant);

/** Checks the value of 'address', if the file has one. least >= most: the protocol has none. */
void config_address_check(const struct config_draft *draft, const char *protocol, int address,
                          int least, int most);
