// SPDX-License-Identifier: MIT
#include "config.h"

#include <string.h>

bool config_name_good(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = strlen(name);
    return length > 0 && length < NAME_SIZE && strspn(name, allowed) == length;
}
