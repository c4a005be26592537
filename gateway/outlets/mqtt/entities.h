// SPDX-License-Identifier: MIT
/*
 * The published values of a pack, one row per value: its place in the state message, and its
 * properties in Home Assistant. State message and discovery use the same rows, so that every
 * template finds its value. Pure.
 *
 * The dots of names become underscores ("cell_mv_3"), because Domoticz cuts a template at its dots.
 */
#pragma once

#include "config/outlet_config.h"
#include "packs/source.h"
#include "registers/value.h"

#define ENTITIES_MAX 192
#define ENTITY_KEY_SIZE VALUE_NAME_SIZE

enum entity_platform { SENSOR, BINARY_SENSOR, SWITCH, EVENT };

struct entity {
    char key[ENTITY_KEY_SIZE];   /* "soc_percent", "charge_switch"; never changes its platform */
    char field[ENTITY_KEY_SIZE]; /* in the state message: "charge_mos"; empty: not in it */
    enum entity_platform platform;
    bool diagnostic, disabled;
    struct meaning meaning;
};

struct entity_set {
    uint64_t bits[ENTITIES_MAX / 64];
};

/** Number of rows; below ENTITIES_MAX. */
unsigned entity_count(void);

void entity_describe(unsigned n, struct entity *entity);

/** Its value; NaN: unknown. Of a row that is not in the state message, whether it can be known is that of the value that it
 * stands for. `age_s` and `time` (Unix seconds) are those of the message. */
double entity_value(unsigned n, const struct source *source, double age_s, double time);

/** The rows that the settings permit for a pack: `entities`, and switches in place of the switch
 * positions if both may be switched. */
struct entity_set entity_allowed(enum mqtt_entities entities, bool switching);

/** The rows whose values are known: reported by the driver, or not dependent on it. */
struct entity_set entity_known(const struct source *source);

bool entity_in(const struct entity_set *set, unsigned n);
struct entity_set entity_and(struct entity_set a, struct entity_set b);
struct entity_set entity_or(struct entity_set a, struct entity_set b);
struct entity_set entity_without(struct entity_set a, struct entity_set b);
bool entity_same(struct entity_set a, struct entity_set b);

/** Writes a set as one word, and parses it; the word identifies the table that it was made with.
 * False: it was made with another table. */
#define ENTITY_WORD_SIZE (ENTITIES_MAX / 4 + 6)
const char *entity_word(struct entity_set set, char out[ENTITY_WORD_SIZE]);
bool entity_read(const char *word, struct entity_set *set);

/** "sensor", "binary_sensor", "switch", "event". */
extern const char *const entity_platforms[];
