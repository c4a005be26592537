// SPDX-License-Identifier: MIT
/*
 * Changes single keys in the text of a configuration. Comments, order, blank lines, line ends and a byte order mark are preserved.
 * Mistakes elsewhere in the text do not matter.
 */
#pragma once

#define EDIT_WHY 240 /* bytes of a reason, and the NUL */

enum edit_kind {
    EDIT_VALUE, /* sets the key; NULL: removes it */
    EDIT_SECRET, /* writes a new file with this secret and sets the key to its path; NULL: removes the key */
    EDIT_SECTION, /* removes its headings, its keys, everything between them, and a blank line after its last key */
    EDIT_ORDER /* moves the section before the one that `value` names, with the comments above its heading and those below */
};

/* One change. */
struct edit {
    enum edit_kind kind;
    const char *section; /* the word of the heading, such as "pack" */
    const char *name;    /* "" for sections without one */
    const char *key, *value;
};

/** Returns `text` after a change, on the heap; of EDIT_SECRET the value is the path. An existing key keeps its line with indentation and
 * comment; if several lines set it, only the first remains. A new key is added after the last key of its section, a new section at the
 * end. Comments behind the last key of a section stay, because they may belong to the next one, and so do blank lines between
 * sections. NULL, with the reason in `why`: the value cannot be written on a line, or a section to be moved does not exist or has several
 * headings. */
char *config_edited(const char *text, const struct edit *edit, char why[EDIT_WHY]);

/** Returns the value that a key has in its section, on the heap; NULL: none. */
char *config_value(const char *text, const char *section, const char *name, const char *key);
