// SPDX-License-Identifier: MIT
/*
 * What the broker retains for us (status, info, discovery), noted in the state file, so that it can
 * be withdrawn when it is no longer in the configuration.
 */
#pragma once

#include "mqtt.h"

/** The key of a pack's note: "pack.NAME". */
void note_key(const char *pack, char key[PIPE_KEY_SIZE]);
/** Notes the announced entities of a pack. */
void note_pack(struct mqtt *mqtt, const struct mqtt_pack *pack);
/** Parses a note: the set, with its protocol and identity. A note made with the table of another
 * version counts as everything announced. */
struct entity_set note_parse(const char *text, char protocol[NAME_SIZE], uint64_t *identity);

/** Reads the configuration of a removed section, as far as a withdrawal needs it, into `former`,
 * and points `config` to it. False: nothing is noted. */
bool note_read_config(struct mqtt *mqtt);
/** Notes that nothing is retained there. */
void note_forget_place(struct mqtt *mqtt);

/** Notes where retained messages are now, and how to reach the broker; the place before becomes the
 * same. */
void note_place(struct mqtt *mqtt);
/** Reads the noted place into `before`. */
void note_read_place(struct mqtt *mqtt);
/** Whether announcements are at the noted place, so that new ones replace the old ones. */
bool note_same_announcements(const struct mqtt *mqtt);
/** The same for all retained messages. */
bool note_same_place(const struct mqtt *mqtt);
