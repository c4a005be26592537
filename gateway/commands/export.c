// SPDX-License-Identifier: MIT
/*
 * `packgate export`: prints the history as CSV. packgate-outlet-history reads the database; this
 * command only finds the database, and asks a running gateway to write what it still has in
 * memory.
 */
#include "asking.h"
#include "command.h"

#include "outlets/program.h"
#include "config/load.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS 60 /* how often to check whether it has written */
#define PAUSE_MS 50

/* Removes "-c FILE", "--config FILE" or "--config=FILE" from the arguments and returns FILE. NULL:
 * there is none. */
static const char *take_config(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        const bool joined = strncmp(argv[i], "--config=", 9) == 0;
        if (!joined &&
            ((strcmp(argv[i], "-c") != 0 && strcmp(argv[i], "--config") != 0) || i + 1 == *argc))
            continue;
        const char *value = joined ? argv[i] + 9 : argv[i + 1];
        const int taken = joined ? 1 : 2;
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

/* How often the history has written, by an answer, which is released; -1: there is no answer. */
static json_int_t count_written(json_t *answer)
{
    const json_t *written = json_object_get(answer, "written");
    const json_int_t count = json_is_integer(written) ? json_integer_value(written) : -1;
    json_decref(answer);
    return count;
}

/* Without a gateway that answers, only the rows in the file are exported. */
static void await_commit(const char *config)
{
    struct asking asking = {.config = config};
    json_t *answer = asking_open(&asking, json_pack("{s:s}", "ask", "commit"));
    const bool asked = json_is_true(json_object_get(answer, "asked"));
    const json_int_t before = count_written(answer);
    json_int_t now = before;
    for (int i = 0; asked && i < LOOKS && now == before; i++) {
        poll(NULL, 0, PAUSE_MS);
        now = count_written(
            asking_request(&asking, json_pack("{s:s, s:I}", "ask", "commit", "since", before)));
    }
    if (asked && now == before)
        fputs("packgate: the gateway did not write its latest rows in time; they are missing "
              "here\n",
              stderr);
    asking_close(&asking);
}

int command_export(int argc, char **argv)
{
    char file[OUTLET_PATH_SIZE];
    const char *named = take_config(&argc, argv), *config = named ? named : CONFIG_DEFAULT;
    const char **list = calloc((size_t) argc + 4, sizeof *list);
    if (!list)
        return EXIT_FAILED;
    int count = 1;
    list[count++] = argv[0];
    bool good = true;
    if (!has_option(argc, argv, "--file") && !has_option(argc, argv, "--help") &&
        !has_option(argc, argv, "-h")) {
        good = find_history(config, file);
        if (good)
            await_commit(config);
        list[count++] = "--file";
        list[count++] = file;
    }
    memcpy(list + count, argv + 1, (size_t) argc * sizeof *list);
    if (good)
        program_execute("history", list, "packgate");
    free(list);
    return EXIT_FAILED;
}
