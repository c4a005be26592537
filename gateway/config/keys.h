// SPDX-License-Identifier: MIT
/*
 * The sections of the configuration and their keys: every key with its type, range, default, meaning
 * and what a change of it needs. Reading, checking, messages, the comparison at a reload and the
 * manual walk the same rows.
 */
#pragma once

#include "config.h"
#include "mistakes.h"

#include "base/suggest.h"
#include "base/text.h"

#define SECTION_KEYS_MAX 48 /* keys of one section */

struct config_key;
struct config_draft;
struct config_drafts;

struct config_type {
    /** Parses the text into `field`. False: the text is invalid or out of range; `field` is
     * unchanged. */
    bool (*parse)(const struct config_key *key, const char *text, void *field);
    /* What is expected, such as "a whole number from %l to %m": the least and the most of the key, as durations %f and %t; %s bytes
     * of a text; %w "a, b or c", its words, and %c with commas alone. NULL: as `describe` writes it. */
    const char *expects;
    void (*describe)(const struct config_key *key, struct text *text);
    /** The n-th of the words that the value can be, from 0; NULL: there is none. */
    const char *(*word)(const struct config_key *key, unsigned n);
    /** Whether two fields are equal; NULL: compare bytes. */
    bool (*same)(const void *a, const void *b);
    bool list;  /* several with commas between, also on several lines; `parse` gets one at a time */
    bool later; /* what it means is only known when all sections are read: `parse` looks at the form
                 * alone (its field is the one of `same`, to be left alone), and the section's check
                 * takes the texts from the draft */
};

/* What a reload does when the value of a key has changed. */
enum config_change {
    CHANGE_AT_ONCE, /* applied while running */
    CHANGE_LINE,    /* reopens the line with all its packs */
    CHANGE_SECTION, /* restarts what the section describes: reconnects, and so on */
    CHANGE_RESTART  /* logs that a restart is needed */
};

struct config_key {
    const char *name;
    const struct config_type *type;
    size_t offset, size; /* of the field in the section's struct */
    double min, max;     /* numbers; durations in seconds; lists of names: how many at most */
    char unit;           /* may follow the number; 0: none */
    /* The values of a key with several of them (type_parts), or the fields that a reload compares for another type, {0} at the end: a type
     * and field each, with offsets as in the whole struct, of which `offset` and `size` here are then. */
    const struct config_key *parts;
    bool required;            /* of the first part: a value without it is invalid */
    const char *const *words; /* choices, NULL at the end, in the order of their enum */
    const char *preset;       /* what holds when the key is not given */
    /* The default if it depends on others; without both, the key is required. */
    const char *otherwise;
    const char *start; /* what the field holds at first, if that is not 0; not listed as a value */
    bool unknown;      /* without the key the number is not known: -1 or NaN */
    enum config_change on_change;
    /* May be set from a browser: nothing that runs, reads or writes a file, or grants access. */
    bool web;
    bool secret; /* names a file whose content, a password or a key, may be typed in a browser */
    bool sends;  /* decides where the section's secret is sent */
    /* Of an older version: not listed, but accepted in files; `help` is a remark that names the
     * replacement. */
    bool folded;
    const char *help;
    const char *also; /* names that other programs use for it, with blanks between them */
};

/* The field of a key in `struct owner`. */
#define CONFIG_FIELD(owner, member)                                                                \
    .offset = offsetof(struct owner, member), .size = sizeof(((struct owner *) 0)->member)
#define CONFIG_WORDS(...)                                                                          \
    .words = (const char *const[])                                                                 \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define CONFIG_STARTS(text) .otherwise = (text), .start = (text)
/* The end of a row for a key of older versions; the whole row if the key has no effect. */
#define CONFIG_FOLDED(instead) .folded = true, .otherwise = "not in use", .help = (instead)
#define CONFIG_WITHOUT_EFFECT(key, reason)                                                         \
    {                                                                                              \
        .name = (key), .type = &type_ignored,                                                      \
        CONFIG_FOLDED("it has no effect any more, " reason "; leave it out")                       \
    }
#define CONFIG_PARTS(owner, ...) CONFIG_FIELDS(owner, __VA_ARGS__), .type = &type_parts
/* Of a type that fills several fields: those that a reload compares. */
#define CONFIG_FIELDS(owner, ...)                                                                  \
    .offset = 0, .size = sizeof(struct owner), .parts = (const struct config_key[])                \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
/* Of a serial port: speed, framing and RTS. */
#define CONFIG_SERIAL(owner)                                                                       \
    CONFIG_PARTS(owner,                                                                            \
                 {CONFIG_FIELD(owner, baud), .type = &type_whole, .min = 300, .max = 4000000},     \
                 {CONFIG_FIELD(owner, framing), .type = &type_framing},                            \
                 {CONFIG_FIELD(owner, rts), .type = &type_choice, CONFIG_WORDS(CONFIG_RTS)})
#define CONFIG_RTS "default", "on", "off", "rs485"
/* How often, and whether changes are sent at once. */
#define CONFIG_INTERVAL(owner, least, most)                                                        \
    CONFIG_PARTS(owner,                                                                            \
                 {CONFIG_FIELD(owner, interval_s), .type = &type_duration, .min = (least),         \
                  .max = (most), .required = true},                                                \
                 {CONFIG_FIELD(owner, on_change), .type = &type_choice,                            \
                  CONFIG_WORDS("steady", "on_change")})
/* Of a section: where its structs are, and its rows. */
#define CONFIG_NAMED(owner, list, number)                                                          \
    .times = SECTION_NAMED, .size = sizeof(struct owner), .at = offsetof(struct config, list),     \
    .count = offsetof(struct config, number)
#define CONFIG_KEYS(rows) .keys = (rows), .key_count = sizeof(rows) / sizeof *(rows)

enum config_times {
    SECTION_ALWAYS, /* one, which is there with its presets even when the file has none */
    SECTION_ONCE,   /* one or none */
    SECTION_NAMED   /* any number, each with a name of its own */
};

struct config_section {
    const char *word;    /* in the heading */
    const char *heading; /* how to write it: "[line NAME]" */
    const char *help;
    enum config_times times;
    size_t size;   /* of its struct; that of a named one begins with `char name[NAME_SIZE]` */
    size_t at;     /* in struct config: the struct (ALWAYS), a pointer to it that is NULL where the
                   * file has none (ONCE), or a pointer to an array in the order of the file (NAMED) */
    size_t count;  /* in struct config, NAMED: an unsigned, the number of structs in the array */
    bool explains; /* the mistake about a missing key includes its help */
    bool outlet;   /* each struct gets a process of its own, and begins with struct outlet_config */
    bool mentions_page; /* that process gets the page's address, and is restarted when it changes */
    bool lingers; /* that process outlives the gateway and its section by up to OUTLET_WITHDRAW_S */
    /* Offsets of a bool, or of a text, in its struct; 0: there is none. */
    size_t may_order; /* whether that process may switch packs for its clients; 0: it may not */
    size_t runs;      /* whether it gets a process; without: always */
    bool may_set;     /* its orders may also write settings */
    bool stores;      /* it writes values to a file, and at once on request */
    size_t owned;     /* offset of a pointer to what its struct holds on the heap; 0: nothing */
    const struct config_key *keys;
    unsigned key_count;

    /** Checks several keys or sections together, and sets what follows from others; NULL: there is nothing to check. All sections are
     * complete then, and are checked in the order of config_sections. */
    void (*check)(struct config_draft *draft);
};

/* In sections.c, limits.c, and of outlets in outlets.c and the folder outlets. */
extern const struct config_section gateway_section, line_section, pack_section, bank_section,
    limits_section, push_section, tunnel_section, view_section, mqtt_section, history_section,
    web_section, influx_section, notify_section, present_section, print_section;

/* All of them, in the order of the manual, NULL at the end. */
extern const struct config_section *const config_sections[];

/** The structs of a section in `config`: the first of them, NULL where there is none. */
void *config_structs(const struct config *config, const struct config_section *section);
unsigned config_struct_count(const struct config *config, const struct config_section *section);
/** The struct of [section NAME], or NULL. */
void *config_struct_find(const struct config *config, const struct config_section *section,
                         const char *name);
/** The line with this port, or NULL. */
const struct line_config *config_line_on(const struct config *config, const char *port);
/** The limits of a pack or bank, or NULL. */
const struct limits_config *config_limits_of(const struct config *config, const char *name);

/** The value of a key as written, or its preset; of a list the n-th item, from 0. `name` is the
 * section's name, "" if there is only one. NULL: none. */
const struct config_entry *config_entry_find(const struct config *config,
                                             const struct config_section *section, const char *name,
                                             const char *key, unsigned n);

/** The section with this word, or NULL. */
const struct config_section *config_section_find(const char *word);

/** Row number of a key in its section, or -1. */
int config_key_find(const struct config_section *section, const char *name);

/** The key of the section [word], or NULL. */
const struct config_key *config_key_of(const char *word, const char *name);

/** The key that another program's name ("baudrate") stands for, or NULL. */
const char *config_key_alias(const struct config_section *section, const char *name);

/** Room for a description of the expected value, which is written into `out` and returned. */
#define EXPECTED_SIZE 512
const char *config_key_expected(const struct config_key *key, char out[EXPECTED_SIZE]);

/** Appends it. */
void config_describe(const struct config_key *key, struct text *text);

/** Appends word `n` of `count` in "a, b or c". */
void config_list(struct text *text, unsigned n, unsigned count, const char *word);

/** Whether two structs of a section are equal, name included, in all keys whose change needs
 * `change`. */
bool config_same(const struct config_section *section, const void *a, const void *b,
                 enum config_change change);

/** Reports each key that has another value and each section that was added or removed, in the order
 * of config_sections: one text each, such as "[pack house-1] poll: 1s, was 5s". */
void config_tell_changes(const struct config *old, const struct config *fresh,
                         void (*tell_one)(void *data, enum config_change change, const char *text),
                         void *data);

/** Prints every section and key with type, range, default and meaning: as text (`packgate check --keys`), or for man(7) macros
 * (`packgate check --keys=man`), of which man/packgate.ini.5 consists. */
void keys_manual_print(bool manual, FILE *out);

/** A number that is a macro, for a text. */
#define CONFIG_SHOW(number) CONFIG_SHOW_VALUE(number)
#define CONFIG_SHOW_VALUE(number) #number
