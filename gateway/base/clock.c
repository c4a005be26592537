// SPDX-License-Identifier: MIT
#include "clock.h"

#include <time.h>

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

double clock_now(void)
{
    return seconds_of(CLOCK_BOOTTIME);
}

double clock_wall(void)
{
    return seconds_of(CLOCK_REALTIME);
}

long clock_zone(double wall)
{
    const time_t at = (time_t) wall;
    struct tm local;
    return localtime_r(&at, &local) ? local.tm_gmtoff : 0;
}
