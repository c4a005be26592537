// SPDX-License-Identifier: MIT
/* Today as JSON: an object for each pack and bank. */
#include "past.h"

#include "packs/json.h"

#include <math.h>

#define HALF_HOUR_S 1800
#define FINE_MOST 8 /* packs and banks whose minutes can be read within 20 ms */

static void set_value(json_t *object, const char *name, int32_t number, double scale)
{
    if (number != ROW_UNKNOWN)
        json_object_set_new(object, name, json_number(number / scale, 1));
}

/* The day so far. */
static void put_day(json_t *object, int64_t now, const struct history_row *row)
{
    const int64_t gap = now - row->from - row->fresh_s;
    /* If the power was never known, the energy is unknown rather than 0. */
    if (row->mean[ROW_POWER] != ROW_UNKNOWN) {
        json_object_set_new(object, "charged_wh", json_number((double) row->charged_mwh / 1000, 1));
        json_object_set_new(object, "discharged_wh",
                            json_number((double) row->discharged_mwh / 1000, 1));
    }
    json_object_set_new(object, "gap_s", json_integer(gap > 0 ? gap : 0));
    set_value(object, "soc_min_percent", row->min[ROW_SOC], 10);
    set_value(object, "soc_max_percent", row->max[ROW_SOC], 10);
    const int32_t *low = &row->min[ROW_CELL], *high = &row->max[ROW_CELL];
    int lowest = -1, highest = -1;
    for (int i = 0; i < MAX_CELLS; i++) {
        if (low[i] != ROW_UNKNOWN && (lowest < 0 || low[i] < low[lowest]))
            lowest = i;
        if (high[i] != ROW_UNKNOWN && (highest < 0 || high[i] > high[highest]))
            highest = i;
    }
    if (lowest < 0 || highest < 0)
        return;
    set_value(object, "cell_min_mv", low[lowest], 1);
    json_object_set_new(object, "cell_min_index", json_integer(lowest + 1));
    set_value(object, "cell_max_mv", high[highest], 1);
    json_object_set_new(object, "cell_max_index", json_integer(highest + 1));
}

/* The mean of the rows that begin in one step. */
struct power_curve {
    json_t *points;
    int64_t step, from;
    double sum;
    unsigned rows;
};

static void end_step(struct power_curve *curve)
{
    if (curve->rows > 0)
        json_array_append_new(curve->points, json_pack("[I, o]", (json_int_t) curve->from,
                                                       json_number(curve->sum / curve->rows, 0)));
    curve->rows = 0;
    curve->sum = 0;
}

/* Computes half hours from minutes. With many packs that would read too many rows, so hours are used. */
static bool put_power(const struct past_asked *asked, const struct outlet_pack *pack,
                      struct query *query, json_t *object)
{
    const int64_t now = (int64_t) floor(asked->wall);
    const bool fine = asked->count <= FINE_MOST;
    struct power_curve curve = {.points = json_array(),
                                .step = fine ? HALF_HOUR_S : 2 * HALF_HOUR_S};
    const struct query_ask ask = {.pack = pack->source.name,
                                  .level = fine ? LEVEL_MINUTE : LEVEL_HOUR,
                                  .from = now - DAY_S - now % curve.step,
                                  .to = now + 1,
                                  .wanted = {[ROW_POWER] = true}};
    struct recent_reader rows;
    past_begin(&rows, asked->past, pack->index, query, &ask);
    for (const struct history_row *row; (row = recent_next(&rows));) {
        const int64_t from = row->from - row->from % curve.step;
        if (row->mean[ROW_POWER] == ROW_UNKNOWN)
            continue;
        if (from != curve.from)
            end_step(&curve);
        curve.from = from;
        curve.sum += row->mean[ROW_POWER];
        curve.rows++;
    }
    end_step(&curve);
    json_object_set_new(object, "power_w", curve.points);
    return !rows.failed;
}

char *past_today(struct past_asked *asked, struct query *query, struct worker_result *result)
{
    const int64_t now = (int64_t) floor(asked->wall);
    json_t *all = json_object();
    struct query_ask ask = {
        .level = LEVEL_DAY, .from = history_start(LEVEL_DAY, now), .to = now + 1, .extremes = true};
    ask.wanted[ROW_SOC] = ask.wanted[ROW_POWER] = ask.wanted[ROW_FRESH_S] = true;
    ask.wanted[ROW_CHARGED] = ask.wanted[ROW_DISCHARGED] = true;
    for (unsigned i = 0; i < MAX_CELLS; i++)
        ask.wanted[ROW_CELL + i] = true;
    for (unsigned n = 0; n < asked->count; n++) {
        const struct outlet_pack *pack = asked->packs[n].pack;
        json_t *object = json_object();
        struct recent_reader rows;
        ask.pack = pack->source.name;
        past_begin(&rows, asked->past, pack->index, query, &ask);
        for (const struct history_row *row; (row = recent_next(&rows));)
            put_day(object, now, row);
        if (rows.failed || !put_power(asked, pack, query, object))
            return NULL;
        json_object_set_new(all, pack->source.name, object);
    }
    return json_text(all);
}
