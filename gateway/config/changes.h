// SPDX-License-Identifier: MIT
/*
 * Compares two configurations by the table of keys, for a reload, which changes as little as
 * possible and logs what it changes.
 */
#pragma once

#include "keys.h"

/** Whether two structs of a section are equal, name included, in all keys whose change needs
 * `change`. */
bool config_same(const struct config_section *section, const void *a, const void *b,
                 enum config_change change);

/** Reports each key that has another value and each section that was added or removed, in the order
 * of config_sections: one text each, such as "[pack house-1] poll: 1s, was 5s". */
void config_tell_changes(const struct config *old, const struct config *fresh,
                         void (*tell_one)(void *data, enum config_change change, const char *text),
                         void *data);
