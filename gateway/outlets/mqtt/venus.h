// SPDX-License-Identifier: MIT
/*
 * What venus-os_dbus-mqtt-battery takes, so that a GX device has a pack or a bank as its battery: one object a message.
 * Pure.
 *
 * Oddities of the reader: it keeps what a message leaves out, so each message names every key that there ever was, and
 * what is not known is null. But power, voltage and state of charge must be numbers: null ends its updates for good. It
 * gives up its battery when no message came for its own `timeout`, by default 60 s.
 */
#ifndef PACKGATE_OUTLETS_MQTT_VENUS_H
#define PACKGATE_OUTLETS_MQTT_VENUS_H

#include "base/text.h"
#include "packs/source.h"

/** The values; or, unless they are `fresh`, that nothing may be charged and discharged, beside the three numbers as they
 * were in `last`. False: these are not known. */
bool venus_values(struct text *text, const struct source *source, bool fresh,
                  const struct pack *last);

#endif
