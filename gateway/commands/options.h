// SPDX-License-Identifier: MIT
/*
 * The options of commands. A pack or a port that they describe becomes a configuration, so that the
 * same rules check it.
 */
#pragma once

#include "config/config.h"

#include <getopt.h>

/* An option and the fields that it sets. One with `text` has an argument, which is optional if it
 * has a `flag` as well. */
struct option_row {
    const char *name; /* without its dashes */
    char letter;      /* 0: it has none */
    const char **text;
    bool *flag;
    unsigned *count; /* if not NULL, it can be repeated: `text` is an array with room for all */
};

/** Parses the options of a command. The last of `rows` has no name; --help is among them by itself.
 * `optind` is then the first argument after them, of at most `most`. Prints `usage` and exits after
 * --help or a mistake. */
void options_parse(int argc, char **argv, const struct option_row *rows, int most,
                   const char *usage);

/** Reports a wrong call, and `usage` behind that unless it is NULL. Returns EXIT_USAGE. */
int options_refuse(const char *usage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** The same as options_parse, but returns the exit status then, and prints only what is wrong; -1: neither. */
int options_try(int argc, char **argv, const struct option_row *rows, int most);

/* A pack, or only its port, as users describe it by options; NULL: not given. */
struct option_pack {
    const char *port;      /* the path of a device is a serial port */
    const char *port_name; /* "--port", as messages name it */
    const char *baud, *framing, *key_file;
    const char *protocol, *variant, *map, *address;
};

/** The configuration of that pack, which the caller frees. Otherwise prints mistakes to standard error, "packgate read:
 * --baud: mistake", and returns NULL. */
struct config *options_config(const char *command, const struct option_pack *pack);

/** A port as users type it: the path of a device becomes a serial port. Returns `out`. */
const char *options_port(const char *port, char out[PORT_SIZE]);
