// SPDX-License-Identifier: MIT
/*
 * The types of values in the configuration: from text to a field of a struct, with a range check,
 * and what to expect in words. A type knows nothing of the keys that use it beyond the range and
 * the words in their row.
 */
#pragma once

#include "keys.h"

/** The variant behind a protocol, "pace" of "topbms pace", NULL: none. `name` is the protocol alone. */
const char *config_variant_of(const char *protocol, char name[NAME_SIZE]);

// clang-format off
/*                                                field                      text */
extern const struct config_type type_int;      /* int                        "12", "0x0C" */
extern const struct config_type type_unsigned; /* unsigned                   the same */
extern const struct config_type type_u16;      /* uint16_t                   the same */
extern const struct config_type type_u32;      /* uint32_t                   the same */
extern const struct config_type type_also_at;  /* int                        the same, or "none" */
extern const struct config_type type_decimal;  /* double                     "12", "12.5" */
extern const struct config_type type_seconds;  /* double, in s               "500ms", "1.5s", "2m" */
extern const struct config_type type_millis;   /* unsigned, in ms            the same */
extern const struct config_type type_gap;      /* unsigned, in ms, and bool  the same */
extern const struct config_type type_choice;   /* an enum                    one of the words */
extern const struct config_type type_flag;     /* bool                       one of two words */
extern const struct config_type type_listen;   /* struct listen_list         "[::]:502"; a list */
extern const struct config_type type_allow;    /* struct allow_list          "10.0.0.0/8"; a list */
extern const struct config_type type_path;     /* char[PORT_SIZE]            "/a/path", or "none" */
extern const struct config_type type_ca_file;  /* char[PORT_SIZE]            the same, or "any" */
extern const struct config_type type_socket;   /* char[PORT_SIZE]            the same, as short as a socket's must be */
extern const struct config_type type_port;     /* char[PORT_SIZE]            "tcp://host:port" */
extern const struct config_type type_framing;  /* char[4]                    "8N1" */
extern const struct config_type type_protocol; /* const struct bms_driver *  "daly" */
extern const struct config_type type_map;      /* struct pack_map            "/a/path" */
extern const struct config_type type_number;   /* double                     "12", "-12.5" */
extern const struct config_type type_real;     /* double                     the same, "1e-3", "0x10": in maps, any */
extern const struct config_type type_target;   /* char[PORT_SIZE]            "tcp://host:port" */
extern const struct config_type type_write;    /* struct push_config         "house-1.soc_percent -> 40 u16"; a list, later */
extern const struct config_type type_substitute; /* struct substitute   "skip", "unknown", "-1" */
extern const struct config_type type_register; /* struct view_config         "soc_percent -> 843 u16"; a list, later */
extern const struct config_type type_fill;     /* struct view_config         "256-331 0", or as type_copy; a list */
extern const struct config_type type_copy;     /* struct view_copies         "40000-40131 -> 0"; a list */
extern const struct config_type type_units;    /* struct view_units          "225"; a list */
extern const struct config_type type_name;     /* char[NAME_SIZE]            "house-1" */
extern const struct config_type type_line;     /* struct line_config *       the same, later */
extern const struct config_type type_variant;  /* int                        the same, later */
extern const struct config_type type_packs;    /* struct bank_config         the same; a list of at most .max, later */
extern const struct config_type type_parts;    /* .parts                    "9600 8N1 rs485": each at most once, with blanks or commas between */
extern const struct config_type type_ignored;  /* none                      anything: of a key without effect */
/* Up to as many as there are fields of the kind in the key's size, with commas between; those not named stay as they are. */
extern const struct config_type type_several_seconds, type_several_unsigned, type_several_int, type_several_u32,
    type_several_decimal, type_several_number, type_several_paths;
extern const struct config_type type_title;    /* char[TITLE_SIZE]           a name for people */
extern const struct config_type type_text;     /* char[.size]                any text that fits */
// clang-format on
