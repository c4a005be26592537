// SPDX-License-Identifier: MIT
/* Parses the arguments of a request for history. */
#include "ask.h"

#include "past/when.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400
#define VALUES_SIZE 4096

static bool reject_parameter(struct http_request *request, const char *name, const char *expected)
{
    char text[200];
    snprintf(text, sizeof text, "'%s': expected %s", name, expected);
    http_error(request, MHD_HTTP_BAD_REQUEST, text);
    return false;
}

static bool has_argument(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name) != NULL;
}

/* An unencoded + of a time zone is decoded as a blank. */
static bool parse_time(struct http_request *request, const char *name, int64_t *at)
{
    char text[64];
    if (!has_argument(request, name))
        return true;
    bool good = http_argument(request, name, text, sizeof text);
    char *blank = good ? strrchr(text, ' ') : NULL;
    if (blank && strchr(text, 'T') && strchr(text, 'T') < blank)
        *blank = '+';
    return (good && when_parse(text, at)) ||
           reject_parameter(request, name, "a time such as 2026-11-22T13:05 or seconds since 1970");
}

static bool parse_day(struct http_request *request, struct ask *ask)
{
    char text[24];
    if (!has_argument(request, "day"))
        return true;
    if (!http_argument(request, "day", text, sizeof text) || strlen(text) != 10 ||
        !when_parse(text, &ask->query.from))
        return reject_parameter(request, "day", "a day such as 2026-11-22");
    /* A day may have 23 or 25 hours. */
    ask->query.to = history_start(LEVEL_DAY, ask->query.from + DAY_S + DAY_S / 2);
    if (!ask->level_given)
        ask->query.level = LEVEL_MINUTE;
    return ask->level_given = true;
}

static bool parse_level(struct http_request *request, struct ask *ask)
{
    char text[24];
    if (!has_argument(request, "level"))
        return true;
    ask->level_given = true;
    return (http_argument(request, "level", text, sizeof text) &&
            history_level_find(text, &ask->query.level)) ||
           reject_parameter(request, "level", "recent, minute, hour or day");
}

static bool parse_points(struct http_request *request, struct ask *ask)
{
    char text[24], expected[60];
    ask->points = ASK_POINTS;
    if (!has_argument(request, "points"))
        return true;
    const bool good = http_argument(request, "points", text, sizeof text) && text[0] &&
                      strspn(text, "0123456789") == strlen(text) && strlen(text) < 9;
    ask->points = good ? (unsigned) strtoul(text, NULL, 10) : 0;
    if (ask->points >= 4 && ask->points <= ASK_POINTS_MAX)
        return true;
    snprintf(expected, sizeof expected, "a number from 4 to %d", ASK_POINTS_MAX);
    return reject_parameter(request, "points", expected);
}

static bool parse_column(struct ask *ask, const char *name)
{
    char own[HISTORY_NAME_SIZE];
    for (unsigned v = 0; v < ROW_VALUES; v++)
        if (strcmp(history_value_name((enum history_value) v, own), name) == 0)
            return ask->query.wanted[v] = true;
    if (strcmp(name, "charged_wh") == 0)
        return ask->charged = true;
    if (strcmp(name, "discharged_wh") == 0)
        return ask->discharged = true;
    return strcmp(name, "soc_peak_percent") == 0 && (ask->soc_peak = true);
}

static bool parse_values(struct http_request *request, struct ask *ask)
{
    char text[VALUES_SIZE];
    ask->all = !has_argument(request, "values");
    if (ask->all)
        return true;
    bool good = http_argument(request, "values", text, sizeof text) && text[0];
    char *rest = text;
    for (char *name; good && (name = strsep(&rest, ",")) != NULL;)
        good = parse_column(ask, name);
    return good || reject_parameter(
                       request, "values",
                       "names of the history, such as soc_percent,power_w,cell_mv.1,charged_wh");
}

bool ask_parse(struct http_request *request, const char *pack, double wall, struct ask *ask)
{
    char flag[8];
    *ask = (struct ask){.query = {.pack = pack, .to = (int64_t) ceil(wall)}};
    if (!parse_time(request, "to", &ask->query.to))
        return false;
    ask->query.from = ask->query.to - DAY_S;
    ask->query.extremes =
        http_argument(request, "extremes", flag, sizeof flag) && strcmp(flag, "1") == 0;
    if (!parse_time(request, "from", &ask->query.from) || !parse_level(request, ask) ||
        !parse_day(request, ask) || !parse_points(request, ask) || !parse_values(request, ask))
        return false;
    return ask->query.from < ask->query.to ||
           reject_parameter(request, "from", "a time before 'to'");
}
