// SPDX-License-Identifier: MIT
/*
 * Messages for venus-os_dbus-mqtt-battery, which presents a pack or a bank as the battery of a GX
 * device: one object per message. Pure.
 *
 * Oddities of the reader: it keeps values that a message omits, so each message contains every key
 * that was ever sent, with null for unknown values. But power, voltage and state of charge must be
 * numbers: null ends its updates for good. It drops its battery if no message arrives for its
 * `timeout`, by default 60 s.
 */
#pragma once

#include "base/text.h"
#include "packs/source.h"

/** Writes the values; or with `last`, its three numbers, and that nothing is allowed, or of stale values
 * what on_stale still allows. False: these numbers are unknown. */
bool venus_values(struct text *text, const struct source *source, bool fresh,
                  const struct pack *last);
