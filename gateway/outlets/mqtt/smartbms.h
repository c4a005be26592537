// SPDX-License-Identifier: MIT
/*
 * The messages of the SmartBMS data extractor, so that dashboards made for it go on unchanged: one
 * pack, one topic. Keys in the order of the device. What is not known is left out. Pure.
 */
#ifndef PACKGATE_OUTLETS_MQTT_SMARTBMS_H
#define PACKGATE_OUTLETS_MQTT_SMARTBMS_H

#include "base/text.h"
#include "config/outlet_config.h"
#include "packs/source.h"

#include <time.h>

/** {"Status":1,"ts":…}: sent always, and with Status 0 as the last will. `local` is the local time,
 * `seconds` the counter of the map, 0…65535. */
void smartbms_status(struct text *text, bool answers, const struct tm *local, unsigned seconds,
                     double memory_bytes);

/** {"SCM":27,…}: extremes. */
void smartbms_extremes(struct text *text, const struct source *source);

/** {"bat":{…},"SOC":…} or, with LAYOUT_SMARTBMS_B, {"b0":…,"SOC":…}. */
void smartbms_values(struct text *text, const struct source *source, enum mqtt_layout layout);

/** The flat form: the n-th value's name below the topic, from 0, its text in `text`; NULL: no more.
 * An empty text: not known. */
const char *smartbms_flat(struct text *text, const struct source *source, unsigned n);

#endif
