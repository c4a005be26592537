// SPDX-License-Identifier: MIT
/*
 * Discovery messages, from which Home Assistant creates devices: one message per device, or one per
 * component for programs that only support those (`single`). Pure.
 *
 * Root, `dev` and `o` contain only keys that Home Assistant knows: one unknown key there rejects
 * the whole message. In a component, older releases ignore unknown keys.
 */
#pragma once

#include "entities.h"
#include "topics.h"

/* What all messages of a section share. */
struct announcer {
    const char *id;     /* of the gateway */
    const char *prefix; /* "homeassistant" */
    const char *topic;  /* "packgate" */
    const char *version;
    const char *title; /* of the gateway; "": packgate */
    const char *url;   /* of the web page, with a '/' at its end; NULL or empty: none */
    unsigned expire_s; /* 0: values do not expire */
    bool single;
};

/** "PREFIX/device/packgate_ID_PACK/config"; without a pack the gateway's. Returns `out`. */
const char *announce_topic(const struct announcer *announcer, const char *pack,
                           char out[TOPIC_SIZE]);

/** Of one component in the single form: "PREFIX/sensor/packgate_ID_PACK_KEY/config". */
const char *announce_single_topic(const struct announcer *announcer, const char *pack,
                                  const char *key, enum entity_platform platform,
                                  char out[TOPIC_SIZE]);

/** A pack or a bank (NULL: the gateway: whether it is connected, how many packs are fresh, its version) with the components of
 * `set`; those of `gone` are removed. */
void announce_device(struct text *text, const struct announcer *announcer,
                     const struct source *source, struct entity_set set, struct entity_set gone);

/** One component in the single form. */
void announce_single(struct text *text, const struct announcer *announcer,
                     const struct source *source, unsigned n);

/** The number of components, and component n, from 0: of the gateway, or the rows of entities.h. */
#define GATEWAY_COMPONENTS 3
unsigned announce_count(bool gateway);
void announce_describe(bool gateway, unsigned n, struct entity *entity);

/** Seconds after which Home Assistant marks a value unavailable that is sent each `interval_s`. */
unsigned announce_expiry(double interval_s);
