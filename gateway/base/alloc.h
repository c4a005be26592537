// SPDX-License-Identifier: MIT
/*
 * Memory for a configuration and for what it asks for, got at the start and at a reload; in an outlet all memory. Without it the
 * process ends, since half a gateway must not go on; the service manager, or the gateway for an outlet, starts it again.
 */
#pragma once

#include "log.h"

#include <stdlib.h>

/** Returns what an allocating function has returned; where that is NULL, ends the process with a message. */
static inline void *alloc_checked(void *memory)
{
    if (memory)
        return memory;
    log_error("out of memory");
    abort();
}

/** An array of `count` elements of `size` bytes, all zeros, which the caller frees. Never NULL. */
static inline void *alloc_zeroed(size_t count, size_t size)
{
    return alloc_checked(calloc(count > 0 ? count : 1, size));
}
