// SPDX-License-Identifier: MIT
/*
 * Turns a pack or a port given by command-line options into a configuration, so that the same
 * rules check it.
 */
#ifndef PACKGATE_COMMANDS_OPTIONS_H
#define PACKGATE_COMMANDS_OPTIONS_H

#include "config/config.h"

/* One line of the configuration. */
struct option_line {
    const char *option; /* "--baud", as messages name it; NULL: not given by the user */
    const char *key;    /* NULL: `value` is the whole line */
    const char *value;  /* NULL: the line is left out */
};

/** Prints mistakes to standard error, "packgate read: --baud: mistake", and returns NULL. Otherwise
 * the caller frees the configuration. */
struct config *options_config(const char *command, const struct option_line *lines, unsigned count);

/** A port as users type it: the path of a device becomes a serial port. Returns `out`. */
const char *options_port(const char *port, char out[PORT_SIZE]);

/** A file as users type it, also relative to the current folder. Returns `out`; NULL for NULL. */
const char *options_file(const char *path, char out[PORT_SIZE]);

#endif
