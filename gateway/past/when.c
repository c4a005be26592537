// SPDX-License-Identifier: MIT
#include "when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "Z", "+01:00", "+0100" behind a time. False: none of these. */
static bool parse_zone(const char *text, long *seconds)
{
    int hours, minutes, used = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
        *seconds = 0;
        return true;
    }
    if ((text[0] != '+' && text[0] != '-') ||
        (sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 &&
         sscanf(text + 1, "%2d%2d%n", &hours, &minutes, &used) != 2) ||
        text[1 + used] || hours > 14 || minutes > 59)
        return false;
    *seconds = (text[0] == '-' ? -1 : 1) * (hours * 3600l + minutes * 60l);
    return true;
}

bool when_parse(const char *text, int64_t *at)
{
    int year, month, day, hour = 0, minute = 0, second = 0, used = 0, more = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3) {
        char *end;
        const long long seconds = strtoll(text, &end, 10);
        if (end == text || *end || seconds < 0 || seconds > 253402300799)
            return false;
        *at = seconds;
        return true;
    }
    const char *rest = text + used;
    if ((*rest == 'T' || *rest == ' ') &&
        sscanf(rest + 1, "%2d:%2d%n", &hour, &minute, &more) == 2) {
        rest += 1 + more;
        if (*rest == ':' && sscanf(rest + 1, "%2d%n", &second, &more) == 1)
            rest += 1 + more;
    }
    struct tm time = {.tm_year = year - 1900,
                      .tm_mon = month - 1,
                      .tm_mday = day,
                      .tm_hour = hour,
                      .tm_min = minute,
                      .tm_sec = second,
                      .tm_isdst = -1};
    /* The 30th of February, which mktime takes for a day in March, is none. */
    struct tm date = {.tm_year = time.tm_year, .tm_mon = time.tm_mon, .tm_mday = day};
    timegm(&date);
    long zone;
    if (year < 1970 || date.tm_mon != time.tm_mon || date.tm_mday != day || hour < 0 || hour > 24 ||
        (hour == 24 && minute + second > 0) || minute < 0 || minute > 59 || second < 0 ||
        second > 60)
        return false;
    if (!*rest) {
        *at = mktime(&time);
        return true;
    }
    if (!parse_zone(rest, &zone))
        return false;
    *at = timegm(&time) - zone;
    return true;
}
