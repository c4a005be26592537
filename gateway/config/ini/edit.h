// SPDX-License-Identifier: MIT
/*
 * Changes single keys in the text of a configuration. Comments, order, blank lines, line ends and a byte order mark are preserved.
 * Mistakes elsewhere in the text do not matter.
 */
#pragma once

#define CONFIG_EDIT_WHY 160 /* bytes of a reason, and the NUL */

/* One change. */
struct config_edit {
    const char *section; /* the word of the heading, such as "pack" */
    const char *name;    /* "" for sections without one */
    const char *key;
    const char *value; /* NULL: removes the key */
};

/** Returns `text` after the change, on the heap. An existing key keeps its line with indentation and comment; if several lines set it,
 * only the first remains. A new key is added after the last key of its section, a new section at the end. NULL: the value cannot be
 * written on a line, or out of memory; the reason is in `why`. */
char *config_edited(const char *text, const struct config_edit *edit, char why[CONFIG_EDIT_WHY]);

/** Returns the value that a key has in its section, on the heap; NULL: none. */
char *config_value(const char *text, const char *section, const char *name, const char *key);

/** Returns `text` without the section, as above: removes its heading, its keys and everything between them, and a blank line
 * after its last key. Comments there stay, because they may belong to the next section. NULL: out of memory. */
char *config_without(const char *text, const char *section, const char *name);

/** Returns `text` with the section [section name] before [section before], as above: moves its heading and keys with the comments
 * directly above the heading and those below. Blank lines between sections stay. NULL: one of them does not exist or has several
 * headings, or out of memory. */
char *config_moved(const char *text, const char *section, const char *name, const char *before);
