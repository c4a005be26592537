// SPDX-License-Identifier: MIT
/*
 * Writes a pack at one moment in InfluxDB's line protocol. The names are those of the metrics (`GET
 * /metrics`): a database that makes a series of measurement and field, as VictoriaMetrics does, has
 * packgate_voltage_v{pack="shed"} and packgate_cell_mv{pack="shed",cell="1"}, so that dashboards
 * fit both. Pure.
 *
 *     packgate,gateway=hut,line=a,pack=shed voltage_v=53.12,current_a=-12.5,fresh=1 1763800000000000000
 *     packgate,gateway=hut,line=a,pack=shed,cell=1 cell_mv=3331 1763800000000000000
 *
 * Layout "fields" has one line per pack and time, with cell_mv_01 and alarm_soc_low as fields.
 */
#pragma once

#include "config/outlet_config.h"
#include "past/health.h"
#include "past/rows.h"
#include "packs/source.h"

#include "base/text.h"

#define POINTS_ROOM (64 * 1024) /* no pack at one moment needs more */
#define POINTS_TAGS 512

/** "packgate,gateway=hut,line=a,pack=shed", escaped; `source` NULL: of the gateway. False: does not fit. */
bool points_tags(const char *gateway, const struct source *source, char out[POINTS_TAGS]);

struct points {
    const char *tags;
    enum influx_layout layout;
    int64_t t;                  /* UTC in seconds */
    const struct pack *values;  /* NULL: none, the pack is silent */
    const struct source *facts; /* of the moment: state, age, counters, texts; NULL: a past row */
    struct map_allowed allowed;
    bool fresh;
    double age_s;    /* NaN: not known */
    bool all_alarms; /* also inactive alarms, and the pack's identity */
};

/** Appends all their lines. Unknown values are omitted. */
void points_write(struct text *text, const struct points *points);

/** Appends two lines about the gateway itself: how far the database is behind (`behind_s`),
 * and, with `version`, the running version (`build_info`). */
void points_gateway(struct text *text, const char *tags, int64_t t, int64_t behind_s, bool version);

/** Appends the findings of a day (docs/health.md), at its midnight. */
void points_health(struct text *text, const char *tags, enum influx_layout layout,
                   const struct health_day *day);
/** Appends the findings of many days, at the midnight of the last (UTC seconds). */
void points_findings(struct text *text, const char *tags, enum influx_layout layout, int64_t t,
                     const struct health_finding *findings, unsigned count);

/** Converts a row of the history to values, and derives what follows; switches and alarms are known
 * as far as `now` knows them. With `moment`, `now` has what the row lacks. */
void points_of_row(const struct history_row *row, const struct pack *now, bool moment,
                   struct pack *values);

/** The limits of such a row. */
struct map_allowed points_allowed(const struct history_row *row);
