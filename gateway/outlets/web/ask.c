// SPDX-License-Identifier: MIT
/* Parses the arguments of a request for history. */
#include "past.h"

#include "past/when.h"

#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_SIZE 4096
#define TIME_SIZE 64

/* An unencoded + of a time zone is decoded as a blank. */
static bool parse_time(char *text, int64_t *at)
{
    char *blank = strrchr(text, ' ');
    if (blank && strchr(text, 'T') && strchr(text, 'T') < blank)
        *blank = '+';
    return strlen(text) < TIME_SIZE && when_parse(text, at);
}

static bool parse_to(char *text, struct ask *ask)
{
    return parse_time(text, &ask->query.to);
}

static bool parse_from(char *text, struct ask *ask)
{
    return parse_time(text, &ask->query.from);
}

static bool parse_level(char *text, struct ask *ask)
{
    return ask->level_given = history_level_find(text, &ask->query.level);
}

static bool parse_day(char *text, struct ask *ask)
{
    if (strlen(text) != 10 || !when_parse(text, &ask->query.from))
        return false;
    /* A day may have 23 or 25 hours. */
    ask->query.to = history_start(LEVEL_DAY, ask->query.from + DAY_S + DAY_S / 2);
    if (!ask->level_given)
        ask->query.level = LEVEL_MINUTE;
    return ask->level_given = true;
}

static bool parse_points(char *text, struct ask *ask)
{
    if (!text[0] || text[strspn(text, "0123456789")] || strlen(text) >= 9)
        return false;
    ask->points = (unsigned) strtoul(text, NULL, 10);
    return ask->points >= 4 && ask->points <= ASK_POINTS_MAX;
}

static bool parse_values(char *text, struct ask *ask)
{
    char own[HISTORY_NAME_SIZE];
    bool good = text[0] != '\0';
    ask->all = false;
    for (char *name; good && (name = strsep(&text, ",")) != NULL;) {
        good = false;
        for (enum history_value v = 0; v < ROW_FIELDS && !good; v++)
            if (history_field(v)->name && strcmp(history_value_name(v, 0, own), name) == 0)
                good = ask->query.wanted[v] = true;
    }
    return good;
}

#define TIME_EXPECTED "a time such as 2026-11-22T13:05 or seconds since 1970"

_Static_assert(ASK_POINTS_MAX == 20000, "named below");

/* In the order in which they depend on one another. */
static const struct {
    const char *name;
    bool (*parse)(char *text, struct ask *ask);
    const char *expected;
} parameters[] = {
    {"to", parse_to, TIME_EXPECTED},
    {"from", parse_from, TIME_EXPECTED},
    {"level", parse_level, "recent, minute, hour or day"},
    {"day", parse_day, "a day such as 2026-11-22"},
    {"points", parse_points, "a number from 4 to 20000"},
    {"values", parse_values,
     "names of the history, such as soc_percent,power_w,cell_mv.1,charged_wh"},
};

static bool reject_parameter(struct http_request *request, const char *name, const char *expected)
{
    char text[200];
    snprintf(text, sizeof text, "'%s': expected %s", name, expected);
    return http_error(request, MHD_HTTP_BAD_REQUEST, text);
}

bool ask_parse(struct http_request *request, const char *pack, double wall, struct ask *ask)
{
    char text[VALUES_SIZE];
    *ask = (struct ask){
        .query = {.pack = pack, .to = (int64_t) ceil(wall)}, .points = ASK_POINTS, .all = true};
    ask->query.extremes =
        http_argument(request, "extremes", text, sizeof text) && strcmp(text, "1") == 0;
    for (size_t i = 0; i < COUNT(parameters); i++) {
        const char *name = parameters[i].name;
        if (parameters[i].parse == parse_from)
            ask->query.from = ask->query.to - DAY_S;
        if (MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name) &&
            !(http_argument(request, name, text, sizeof text) && parameters[i].parse(text, ask)))
            return reject_parameter(request, name, parameters[i].expected);
    }
    return ask->query.from < ask->query.to ||
           reject_parameter(request, "from", "a time before 'to'");
}
