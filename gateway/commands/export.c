// SPDX-License-Identifier: MIT
/*
 * `packgate export`: the history as CSV. packgate knows no database; packgate-outlet-history does. Here it is
 * only found out where the history is.
 */
#include "command.h"

#include "outlets/outlets.h"
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Takes "-c FILE", "--config FILE" or "--config=FILE" out of the arguments. NULL: it is not there. */
static const char *take_config(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        const char *value = NULL;
        int taken = 1;
        if (strncmp(argv[i], "--config=", 9) == 0) {
            value = argv[i] + 9;
        } else if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) &&
                   i + 1 < *argc) {
            value = argv[i + 1];
            taken = 2;
        } else {
            continue;
        }
        memmove(argv + i, argv + i + taken, (size_t) (*argc - i - taken + 1) * sizeof *argv);
        *argc -= taken;
        return value;
    }
    return NULL;
}

static bool has_option(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, strlen(name)) == 0)
            return true;
    return false;
}

/* Where the configuration has its history. False: it has none; it was said. */
static bool find_history(const char *path, char file[OUTLET_PATH_SIZE])
{
    struct config *config = config_load(path, stderr);
    if (!config)
        return false;
    const bool has = config->history && config->history->file[0];
    if (has)
        snprintf(file, OUTLET_PATH_SIZE, "%s", config->history->file);
    else
        fprintf(stderr, "packgate: %s has no [history]\n", path);
    config_free(config);
    return has;
}

int command_export(int argc, char **argv)
{
    char program[PORT_SIZE], file[OUTLET_PATH_SIZE], option[] = "--file";
    const char *config = take_config(&argc, argv);
    char **list = calloc((size_t) argc + 4, sizeof *list);
    if (!list)
        return EXIT_FAILED;
    outlets_program("history", program);
    int count = 0;
    list[count++] = program;
    list[count++] = argv[0];
    if (!has_option(argc, argv, "--file") && !has_option(argc, argv, "--help") &&
        !has_option(argc, argv, "-h")) {
        if (!find_history(config ? config : CONFIG_DEFAULT, file)) {
            free(list);
            return EXIT_FAILED;
        }
        list[count++] = option;
        list[count++] = file;
    }
    memcpy(list + count, argv + 1, (size_t) argc * sizeof *list);
    execv(program, list);
    fprintf(stderr, "packgate: %s: %s\n", program, strerror(errno));
    free(list);
    return EXIT_FAILED;
}
