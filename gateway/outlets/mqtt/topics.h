// SPDX-License-Identifier: MIT
/*
 * Topics, and the parsing of received ones. Pure.
 */
#pragma once

#include "base/text.h"
#include "bms/switching.h"

#include <stdbool.h>
#include <stddef.h>

#define TOPIC_SIZE 200 /* the longest: prefix, platform, two names, and what is between them */

/** Expands `topic` of the configuration: %h is the name of the host. Characters that are not
 * allowed in a topic become '_'. Truncated to `size`. */
void topic_expand(const char *topic, const char *host, char *out, size_t size);

/** "BASE/LEAF", with a pack "BASE/PACK/LEAF". Returns `out`. */
const char *topic_of(const char *base, const char *pack, const char *leaf, char out[TOPIC_SIZE]);

/* The topic of an order. */
enum order_topic {
    TOPIC_CHARGE_MOS = BMS_CHARGE_MOS,
    TOPIC_DISCHARGE_MOS = BMS_DISCHARGE_MOS,
    TOPIC_UNKNOWN,
    TOPIC_NOT_OURS
};

/** Parses "BASE/PACK/set/WHAT"; the pack's name is copied to `pack` (33 bytes). With `smartbms` it
 * parses "BASE/CMS" and "BASE/DMS", and `pack` is empty. */
enum order_topic topic_parse(const char *base, bool smartbms, const char *topic, char pack[33]);

/** 1 for 1, ON, true; 0 for 0, OFF, false; ignores case and surrounding blanks; -1: neither. */
int order_payload(const void *payload, size_t size);
