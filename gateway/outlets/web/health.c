// SPDX-License-Identifier: MIT
/* Health as JSON. */
#include "health.h"

#include "past/checkup.h"
#include "packs/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAYS_PRESET 186
#define DAY_S 86400.0
#define NAME_ROOM 24

/* Appends a number; null if it is unknown. */
static void append_number(json_t *column, double number)
{
    json_array_append_new(column,
                          isnan(number) ? json_null() : json_real(round(number * 1000) / 1000));
}

static bool has_any_number(const json_t *column)
{
    size_t i;
    json_t *number;
    json_array_foreach(column, i, number)
    {
        if (!json_is_null(number))
            return true;
    }
    return false;
}

/* Leaves a column out if no day has a value. */
static void set_column(json_t *object, const char *name, json_t *column)
{
    if (has_any_number(column))
        json_object_set_new(object, name, column);
    else
        json_decref(column);
}

static void put_days(json_t *object, const struct health_day *days, unsigned count)
{
    json_t *t = json_array(), *in = json_array(), *out = json_array(), *silent = json_array(),
           *efficiency = json_array(), *capacity = json_array(), *names = json_array();
    for (unsigned n = 0; n < count; n++) {
        const int day = (int) days[n].day;
        json_array_append_new(t, json_integer(days[n].from));
        json_array_append_new(
            names, json_sprintf("%04d-%02d-%02d", day / 10000, day / 100 % 100, day % 100));
        append_number(in, days[n].charged_wh);
        append_number(out, days[n].discharged_wh);
        append_number(silent, days[n].silent_s);
        append_number(efficiency, 100 * days[n].efficiency);
        append_number(capacity, days[n].capacity_ah);
    }
    json_object_set_new(object, "t", t);
    json_object_set_new(object, "day", names);
    set_column(object, "charged_wh", in);
    set_column(object, "discharged_wh", out);
    set_column(object, "silent_s", silent);
    set_column(object, "efficiency_percent", efficiency);
    set_column(object, "capacity_seen_ah", capacity);
}

static void put_cells(json_t *object, const struct health_day *days, unsigned count)
{
    for (unsigned cell = 0; cell < MAX_CELLS; cell++) {
        json_t *load = json_array(), *rest = json_array(), *ohm = json_array();
        char name[NAME_ROOM];
        for (unsigned n = 0; n < count; n++) {
            append_number(load, days[n].load_mv[cell]);
            append_number(rest, days[n].rest_mv[cell]);
            append_number(ohm, days[n].milliohm[cell]);
        }
        snprintf(name, sizeof name, "load_mv.%u", cell + 1);
        set_column(object, name, load);
        snprintf(name, sizeof name, "rest_mv.%u", cell + 1);
        set_column(object, name, rest);
        snprintf(name, sizeof name, "milliohm.%u", cell + 1);
        set_column(object, name, ohm);
    }
}

static json_t *list_findings(const struct health_finding *findings, unsigned count)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++) {
        char words[300];
        struct text text = text_in(words, sizeof words);
        health_sentence(&text, &findings[i]);
        json_t *object =
            json_pack("{s:s, s:s}", "kind", health_kind_name(findings[i].kind), "text", words);
        if (findings[i].cell)
            json_object_set_new(object, "cell", json_integer(findings[i].cell));
        json_object_set_new(object, "number", json_real(round(findings[i].number * 100) / 100));
        json_object_set_new(object, "days", json_integer(lround(findings[i].days)));
        json_array_append_new(list, object);
    }
    return list;
}

static unsigned days_wanted(struct http_request *request)
{
    char text[20];
    const long days =
        http_argument(request, "days", text, sizeof text) ? strtol(text, NULL, 10) : DAYS_PRESET;
    return days < 1 ? 1 : days > CHECKUP_DAYS ? CHECKUP_DAYS : (unsigned) days;
}

/* The task of a worker. */
struct asked {
    const struct past *past;
    const char *pack;
    unsigned most;
    double wall;
};

static void examine_days(void *data, struct worker_result *result)
{
    const struct asked *asked = data;
    struct health_finding findings[HEALTH_FINDINGS];
    const int64_t now = (int64_t) floor(asked->wall);
    struct query *query = past_open(asked->past, result->why, sizeof result->why);
    struct health_day *days = query ? malloc(asked->most * sizeof *days) : NULL;
    if (!days) {
        query_close(query);
        result->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        result->text = strdup("the history cannot be read");
        return;
    }
    const unsigned count =
        checkup_days(query, asked->pack, (int64_t) (floor(asked->wall) - (asked->most + 1) * DAY_S),
                     now, days, asked->most);
    json_t *object = json_object();
    put_days(object, days, count);
    put_cells(object, days, count);
    json_object_set_new(object, "findings",
                        list_findings(findings, checkup_judge(query, asked->pack, now, findings)));
    free(days);
    query_close(query);
    result->status = MHD_HTTP_OK;
    result->text = json_text(object);
}

void health_answer(struct past *past, struct http_request *request, const struct outlet_pack *pack,
                   double wall)
{
    const struct asked asked = {past, pack->source.name, days_wanted(request), wall};
    worker_answer(past_workers(past), request, examine_days, &asked, sizeof asked);
}
