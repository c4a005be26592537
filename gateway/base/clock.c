// SPDX-License-Identifier: MIT
/* The clock of everything that waits or ages. */
#include "clock.h"

#include <time.h>

double clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}
