// SPDX-License-Identifier: MIT
/*
 * The messages of the SmartBMS data extractor, so that dashboards made for it work unchanged: one
 * pack, one topic. Keys are in the order of the device; unknown values are omitted. Pure.
 */
#pragma once

#include "base/text.h"
#include "config/outlet_config.h"
#include "packs/source.h"

#include <time.h>

/** {"Status":1,"ts":…}: always sent, and with Status 0 as the last will. `local` is the local time,
 * `seconds` the counter of the map, 0…65535. */
void smartbms_status(struct text *text, bool answers, const struct tm *local, unsigned seconds,
                     double memory_bytes);

/** {"SCM":27,…}: extremes. */
void smartbms_extremes(struct text *text, const struct source *source);

/** {"bat":{…},"SOC":…} or, with LAYOUT_SMARTBMS_B, {"b0":…,"SOC":…}. */
void smartbms_values(struct text *text, const struct source *source, enum mqtt_layout layout);

/** The flat form: returns the name of value n below the topic, from 0, with its text in `text`;
 * NULL: no more. Empty text: unknown. */
const char *smartbms_flat(struct text *text, const struct source *source, unsigned n);
