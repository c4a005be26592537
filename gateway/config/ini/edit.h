// SPDX-License-Identifier: MIT
/*
 * Changes of a configuration's text, line by line: comments, order, blank lines, line ends and a byte order mark stay as
 * they are. What else is wrong with the text does not matter.
 */
#ifndef PACKGATE_CONFIG_INI_EDIT_H
#define PACKGATE_CONFIG_INI_EDIT_H

#include <stddef.h>

#define CONFIG_EDIT_WHY 160 /* bytes of a reason, and the NUL */

/* One change. */
struct config_edit {
    const char *section; /* the word of the heading, such as "pack" */
    const char *name;    /* of a section with a name; "" */
    const char *key;
    const char *value; /* NULL: the key is removed */
};

/** Returns `text` after the change, NUL-terminated, on the heap; `*new_size` is without the NUL. A key that is there keeps
 * its line with indentation and comment; of one on several lines the first stays. A new key goes behind the last
 * key of its section, a new section to the end. NULL: the value does not fit into a line as it is, or there is no memory;
 * `why` says it. */
char *config_edited(const char *text, size_t size, const struct config_edit *edit, size_t *new_size,
                    char why[CONFIG_EDIT_WHY]);

/** Returns the value that a key has in its section, on the heap; NULL: none. */
char *config_value(const char *text, const char *section, const char *name, const char *key);

/** Returns `text` without the section, as above: its heading, its keys and what stands between them. Comments behind its last
 * key stay, as they may be about what follows; a blank line there goes. NULL: out of memory. */
char *config_without(const char *text, size_t size, const char *section, const char *name,
                     size_t *new_size);

#endif
