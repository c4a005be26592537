// SPDX-License-Identifier: MIT
/*
 * The types of values in the configuration: from text to a field of a struct, with a range check,
 * and what to expect in words. A type knows nothing of the keys that use it beyond the range and
 * the words in their row.
 */
#pragma once

#include "keys.h"

/** What follows the first word of a text, "pace" of "topbms pace"; NULL: nothing. `word` gets the word, cut to its room. */
const char *config_split(const char *text, char word[NAME_SIZE]);

/** What follows one of the schemes of an address such as "https://HOST/path": a host, and no user or password, which would
 * be logged, nor characters that do not belong into an address. NULL: it is something else. `schemes` ends with NULL. */
const char *config_address_host(const char *text, const char *const *schemes);

/** Copies a text that fits. False: it does not. */
bool config_copy(const char *text, char *out, size_t size);

/* Proposals for values that a type rejects: "; did you mean '5s'?" for the end of a message. */
#define HINT_SIZE 256

/** For a text that the type of `key` rejected; empty if there is no proposal. Returns `out`. */
const char *config_hint(const struct config_key *key, const char *text, char out[HINT_SIZE]);

// clang-format off
/*                                                field                      text */
extern const struct config_type type_whole;    /* int, unsigned, uint16_t, uint8_t   "12", "0x0C", "-1"; or one of the words: -1 and so on */
extern const struct config_type type_number;   /* double                     "12", "-12.5", and the key's unit */
extern const struct config_type type_duration; /* double in s, unsigned in ms  "500ms", "1.5s", "2m" */
extern const struct config_type type_choice;   /* an enum, or bool: the second of two words   one of the words */
extern const struct config_type type_listen;   /* struct listen_list         "[::]:502"; a list */
extern const struct config_type type_allow;    /* struct allow_list          "10.0.0.0/8"; a list */
extern const struct config_type type_path;     /* char[PORT_SIZE]            "/a/path", "none" or one of the words; at most .max bytes */
extern const struct config_type type_port;     /* char[PORT_SIZE]            "tcp://host:port" */
extern const struct config_type type_framing;  /* char[4]                    "8N1" */
extern const struct config_type type_protocol; /* const struct bms_driver *  "daly" */
extern const struct config_type type_map;      /* struct pack_map            "/a/path" */
extern const struct config_type type_real;     /* double                     the same, "1e-3", "0x10": in maps, any */
extern const struct config_type type_target;   /* char[PORT_SIZE]            "tcp://host:port" */
extern const struct config_type type_write;    /* struct push_config         "house-1.soc_percent -> 40 u16"; a list, later */
extern const struct config_type type_substitute; /* struct substitute   "skip", "unknown", "-1" */
extern const struct config_type type_register; /* struct view_config         "soc_percent -> 843 u16"; a list, later */
extern const struct config_type type_name;     /* char[NAME_SIZE]            "house-1" */
extern const struct config_type type_line;     /* struct line_config *       the same, later */
extern const struct config_type type_variant;  /* int                        the same, later */
extern const struct config_type type_packs;    /* struct bank_config         the same; a list of at most .max, later */
extern const struct config_type type_parts;    /* .parts                    "9600 8N1 rs485": each at most once, with blanks or commas between */
extern const struct config_type type_ignored;  /* none                      anything: of a key without effect */
extern const struct config_type type_title;    /* char[TITLE_SIZE]           a name for people */
extern const struct config_type type_text;     /* char[.size]                any text that fits */
// clang-format on
