// SPDX-License-Identifier: MIT
/*
 * A pack or a port that is given by options of the command line, as a configuration, so that the
 * same rules check it.
 */
#ifndef PACKGATE_COMMANDS_OPTIONS_H
#define PACKGATE_COMMANDS_OPTIONS_H

#include "config/config.h"

/* One line of the configuration. */
struct option_line {
    const char
        *option;       /* "--baud", as it is named in what is wrong with it; NULL: not the user's */
    const char *key;   /* NULL: `value` is the whole line */
    const char *value; /* NULL: not given, the line is left out */
};

/** What is wrong goes to standard error: "packgate read: --baud: what is wrong". NULL then. The
 * caller frees the configuration. */
struct config *options_config(const char *command, const struct option_line *lines, unsigned count);

/** A port as one types it: the path of a device is a serial one. Returns `out`. */
const char *options_port(const char *port, char out[PORT_SIZE]);

/** A file as one types it: by a path from the current folder, too. Returns `out`; NULL for NULL. */
const char *options_file(const char *path, char out[PORT_SIZE]);

#endif
