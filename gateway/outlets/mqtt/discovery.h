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
#include "messages.h"

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

/** The topic of message n, from 0, of an announcement of a pack (NULL: of the gateway): of the device, which has one,
 * "PREFIX/device/packgate_ID_PACK/config", or in the single form of each component that it can have,
 * "PREFIX/sensor/packgate_ID_PACK_KEY/config". Empty: none for this n. False: there are no more. */
bool announce_topic(const struct announcer *announcer, const char *pack, unsigned n,
                    char out[TOPIC_SIZE]);

/** A pack or a bank (NULL: the gateway: whether it is connected, how many packs are fresh, its version) with the components of
 * `set`; those of `gone` are removed. */
void announce_device(struct text *text, const struct announcer *announcer,
                     const struct source *source, struct entity_set set, struct entity_set gone);

/** Component n in the single form: a row of entities.h, or of the gateway one of its three. */
#define GATEWAY_COMPONENTS 3
void announce_single(struct text *text, const struct announcer *announcer,
                     const struct source *source, unsigned n);

/** Seconds after which Home Assistant marks a value unavailable that is sent each `interval_s`. */
unsigned announce_expiry(double interval_s);
