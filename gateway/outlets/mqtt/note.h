// SPDX-License-Identifier: MIT
/*
 * What the broker keeps of us (status, info, discovery), noted in the state file: it can be withdrawn
 * when the configuration no longer has it.
 */
#ifndef PACKGATE_OUTLETS_MQTT_NOTE_H
#define PACKGATE_OUTLETS_MQTT_NOTE_H

#include "mqtt.h"

/** The key of a pack's note: "pack.NAME". */
void note_key(const char *pack, char key[PIPE_KEY_SIZE]);
/** Notes what of a pack is announced. */
void note_pack(struct mqtt *mqtt, const struct mqtt_pack *pack);
/** The set that such a note tells, with the protocol and the identity it was of. Of a table of
 * another version everything is taken for announced. */
struct entity_set note_parse(const char *text, char protocol[NAME_SIZE], uint64_t *identity);

/** The configuration of a section that is gone, as far as it takes to withdraw what it has left: into
 * `former`, which `config` points to from then on. False: nothing is noted. */
bool note_read_config(struct mqtt *mqtt);
/** Nothing is left there. */
void note_forget_place(struct mqtt *mqtt);

/** Notes where retained messages are now, and how to reach the broker; from then on that is also where they were before. */
void note_place(struct mqtt *mqtt);
/** Reads where they were, into `before`. */
void note_read_place(struct mqtt *mqtt);
/** Announcements are where they were: what is sent now takes the place of what was. */
bool note_same_announcements(const struct mqtt *mqtt);
/** The same of all that is retained. */
bool note_same_place(const struct mqtt *mqtt);

#endif
