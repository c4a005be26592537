// SPDX-License-Identifier: MIT
/* Health as JSON. */
#include "past.h"

#include "past/checkup.h"
#include "packs/json.h"
#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAYS_PRESET 186
#define NAME_ROOM 24

/* A number of each day, null if it is unknown; left out if no day has it. `offset`: in struct health_day. */
static void set_column(json_t *object, const char *name, const struct health_day *days,
                       unsigned count, size_t offset, double scale)
{
    json_t *column = json_array();
    bool any = false;
    for (unsigned n = 0; n < count; n++) {
        const void *at = (const char *) &days[n] + offset;
        const double number = scale * *(const double *) at;
        any |= !isnan(number);
        json_array_append_new(column,
                              isnan(number) ? json_null() : json_real(round(number * 1000) / 1000));
    }
    if (any)
        json_object_set(object, name, column);
    json_decref(column);
}

static void put_days(json_t *object, const struct health_day *days, unsigned count)
{
    static const struct {
        const char *name;
        size_t offset;
        double scale;
    } columns[] = {{"charged_wh", offsetof(struct health_day, charged_wh), 1},
                   {"discharged_wh", offsetof(struct health_day, discharged_wh), 1},
                   {"silent_s", offsetof(struct health_day, silent_s), 1},
                   {"efficiency_percent", offsetof(struct health_day, efficiency), 100},
                   {"capacity_seen_ah", offsetof(struct health_day, capacity_ah), 1}},
      of_cells[] = {{"load_mv", offsetof(struct health_day, load_mv), 1},
                    {"rest_mv", offsetof(struct health_day, rest_mv), 1},
                    {"milliohm", offsetof(struct health_day, milliohm), 1}};
    json_t *t = json_array(), *names = json_array();
    for (unsigned n = 0; n < count; n++) {
        char name[HISTORY_NAME_SIZE];
        json_array_append_new(t, json_integer(days[n].from));
        json_array_append_new(names, json_string(history_day_name(days[n].day, name)));
    }
    json_object_set_new(object, "t", t);
    json_object_set_new(object, "day", names);
    for (size_t i = 0; i < COUNT(columns); i++)
        set_column(object, columns[i].name, days, count, columns[i].offset, columns[i].scale);
    for (unsigned cell = 0; cell < MAX_CELLS; cell++)
        for (size_t i = 0; i < COUNT(of_cells); i++) {
            char name[NAME_ROOM];
            snprintf(name, sizeof name, "%s.%u", of_cells[i].name, cell + 1);
            set_column(object, name, days, count, of_cells[i].offset + cell * sizeof(double),
                       of_cells[i].scale);
        }
}

char *past_health(struct past_asked *asked, struct query *query, struct worker_result *result)
{
    char text[20];
    const bool given = http_argument(asked->request, "days", text, sizeof text);
    const long wanted = given ? strtol(text, NULL, 10) : DAYS_PRESET;
    const unsigned most = wanted < 1 ? 1 : wanted > CHECKUP_DAYS ? CHECKUP_DAYS : (unsigned) wanted;
    struct health_finding findings[HEALTH_FINDINGS];
    if (!query) {
        result->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        return strdup("the history cannot be read");
    }
    struct health_day *days = alloc_zeroed(most, sizeof *days);
    const char *pack = asked->pack->source.name;
    const int64_t now = (int64_t) floor(asked->wall);
    json_t *object = json_object();
    put_days(object, days, query_health(query, pack, now - (most + 1) * DAY_S, now, days, most));
    json_t *list = json_array();
    const unsigned count = checkup_judge(query, pack, now, findings);
    for (unsigned i = 0; i < count; i++) {
        char words[300];
        struct text sentence = text_in(words, sizeof words);
        health_sentence(&sentence, &findings[i]);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o*, s:f, s:I}", "kind",
                                        health_kind_name(findings[i].kind), "text", words, "cell",
                                        findings[i].cell ? json_integer(findings[i].cell) : NULL,
                                        "number", round(findings[i].number * 100) / 100, "days",
                                        (json_int_t) lround(findings[i].days)));
    }
    json_object_set_new(object, "findings", list);
    return json_text(object);
}
