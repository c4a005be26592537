// SPDX-License-Identifier: MIT
#include "duration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"

const char *decimal_read(const char *text, double *value)
{
    size_t length = strspn(text, DIGITS);
    if (length == 0)
        return NULL;
    if (text[length] == '.') {
        size_t decimals = strspn(text + length + 1, DIGITS);
        if (decimals == 0)
            return NULL;
        length += 1 + decimals;
    }
    /* strtod must see these characters only: no sign, exponent, "inf" or 0x after them. */
    char digits[64];
    if (length >= sizeof digits)
        return NULL;
    memcpy(digits, text, length);
    digits[length] = 0;
    *value = strtod(digits, NULL);
    return text + length;
}

/* Milliseconds in each unit, the longest first: dividing by 1000 makes 100ms the same number as
 * 0.1. */
static const struct {
    const char *name;
    double ms;
} units[] = {{"d", 86400e3}, {"h", 3600e3}, {"m", 60e3}, {"s", 1e3}, {"ms", 1}};
#define UNITS (sizeof units / sizeof *units)

bool duration_read(const char *text, double *seconds)
{
    double number;
    const char *rest = decimal_read(text, &number);
    if (!rest)
        return false;
    rest += strspn(rest, " \t");
    for (size_t i = 0; i < UNITS; i++)
        if (strcmp(rest, units[i].name) == 0) {
            *seconds = number * units[i].ms / 1e3;
            return true;
        }
    return false;
}

void duration_format(double seconds, char *out, size_t size)
{
    size_t i = seconds > 86400 ? 0 : 1; /* a day is said in hours */
    double ms = seconds * 1e3;
    while (ms > 0 && i < UNITS - 1 && fmod(ms, units[i].ms) != 0)
        i++;
    snprintf(out, size, "%.0f%s", ms / units[i].ms, ms > 0 ? units[i].name : "");
}

const char *duration_words(double seconds, char out[DURATION_SIZE])
{
    const double minutes = round(seconds / 60);
    if (isnan(seconds))
        snprintf(out, DURATION_SIZE, "-");
    else if (seconds < 90)
        snprintf(out, DURATION_SIZE, "%.*f s", seconds < 10 && seconds != floor(seconds), seconds);
    else if (minutes < 120)
        snprintf(out, DURATION_SIZE, "%.0f min", minutes);
    else if (minutes < 48 * 60)
        snprintf(out, DURATION_SIZE, "%.0f h %.0f min", floor(minutes / 60), fmod(minutes, 60));
    else
        snprintf(out, DURATION_SIZE, "%.0f d %.0f h", floor(minutes / 1440),
                 fmod(floor(minutes / 60), 24));
    return out;
}
