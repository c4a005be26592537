// SPDX-License-Identifier: MIT
/*
 * `packgate export`: prints the history as CSV. packgate-outlet-history reads the database; this
 * command only finds the database, and asks a running gateway to write what it still has in
 * memory.
 */
#include "command.h"

#include "control/client.h"
#include "outlets/program.h"
#include "config/load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOKS 60 /* how often to check whether it has written */
#define PAUSE_MS 50

/* Removes "-c FILE", "--config FILE" or "--config=FILE" from the arguments and returns FILE. NULL:
 * there is none. */
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

/* Finds the history of the configuration. False: it has none, which is reported. */
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

/* How often the history has written; -1: no answer. */
static json_int_t ask_written(struct control_link *link, json_t *request, bool *asked)
{
    json_t *answer = control_ask(link, request);
    const json_t *written = json_object_get(answer, "written");
    const json_int_t count = json_is_integer(written) ? json_integer_value(written) : -1;
    *asked = json_is_true(json_object_get(answer, "asked"));
    json_decref(answer);
    return count;
}

/* Without a gateway that answers, only the rows in the file are exported. */
static void await_commit(const char *config)
{
    struct control_link link;
    char path[PORT_SIZE];
    bool asked = false, again;
    control_path(config, path);
    if (control_link_open(&link, path)) {
        const json_int_t before = ask_written(&link, json_pack("{s:s}", "ask", "commit"), &asked);
        json_int_t now = before;
        for (int i = 0; asked && i < LOOKS && now == before; i++) {
            poll(NULL, 0, PAUSE_MS);
            now = ask_written(&link, json_pack("{s:s, s:I}", "ask", "commit", "since", before),
                              &again);
        }
        if (asked && now == before)
            fputs("packgate: the gateway did not write its latest rows in time; they are missing "
                  "here\n",
                  stderr);
    }
    control_link_close(&link);
}

int command_export(int argc, char **argv)
{
    char program[PORT_SIZE], file[OUTLET_PATH_SIZE], option[] = "--file";
    const char *config = take_config(&argc, argv);
    char **list = calloc((size_t) argc + 4, sizeof *list);
    if (!list)
        return EXIT_FAILED;
    program_find("history", program);
    int count = 0;
    list[count++] = program;
    list[count++] = argv[0];
    if (!has_option(argc, argv, "--file") && !has_option(argc, argv, "--help") &&
        !has_option(argc, argv, "-h")) {
        if (!find_history(config ? config : CONFIG_DEFAULT, file)) {
            free(list);
            return EXIT_FAILED;
        }
        await_commit(config ? config : CONFIG_DEFAULT);
        list[count++] = option;
        list[count++] = file;
    }
    memcpy(list + count, argv + 1, (size_t) argc * sizeof *list);
    execv(program, list);
    fprintf(stderr, "packgate: %s: %s\n", program, program_why(errno));
    free(list);
    return EXIT_FAILED;
}
