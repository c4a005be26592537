// SPDX-License-Identifier: MIT
/*
 * The commands that programs of outlets carry out: `packgate export`, `notify` and `password`. packgate-outlet-history reads
 * the database, packgate-outlet-notify implements the services, packgate-outlet-web writes the password file.
 */
#include "asking.h"
#include "command.h"
#include "options.h"

#include "outlets/program.h"
#include "config/load.h"
#include "base/alloc.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define LOOKS 60 /* how often to check whether it has written */
#define PAUSE_MS 50

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

/* Without a gateway that answers, which is reported, only the rows in the file are exported. False: it has later ones,
 * and did not write them, which is reported, too. */
static bool await_commit(const char *config, const char *file)
{
    struct asking asking = {.config = config, .command = "export"};
    json_t *answer = asking_open(&asking, json_pack("{s:s}", "ask", "commit"));
    bool written = !json_is_true(json_object_get(answer, "asked"));
    const json_int_t before = count_written(answer);
    for (int i = 0; !written && i < LOOKS; i++) {
        poll(NULL, 0, PAUSE_MS);
        const json_int_t now = count_written(
            asking_request(&asking, json_pack("{s:s, s:I}", "ask", "commit", "since", before)));
        written = now >= 0 && now != before;
    }
    if (!written)
        fprintf(stderr,
                "packgate: the gateway did not write its latest rows in time; try again, or export "
                "only the earlier ones: --file %s\n",
                file);
    asking_close(&asking);
    return written;
}

int command_export(int argc, char **argv)
{
    const char *config = CONFIG_DEFAULT, *named = NULL, *other;
    char file[OUTLET_PATH_SIZE];
    bool extremes;
    const struct option_row rows[] = {
        {"config", 'c', .text = &config},   {"file", 0, .text = &named},
        {"pack", 0, .text = &other},        {"from", 0, .text = &other},
        {"to", 0, .text = &other},          {"level", 0, .text = &other},
        {"extremes", 0, .flag = &extremes}, {0}};
    opterr = 0; /* the program of the history reports what is wrong */
    const bool finds = options_try(argc, argv, rows, argc) < 0 && !named;
    if (finds && !(find_history(config, file) && await_commit(config, file)))
        return EXIT_FAILED;
    const char **list = alloc_zeroed((size_t) argc + 4, sizeof *list);
    int count = 1;
    list[count++] = argv[0];
    if (finds) {
        list[count++] = "--file";
        list[count++] = file;
    }
    memcpy(list + count, argv + 1, (size_t) argc * sizeof *list);
    program_execute("history", list, "packgate");
    free(list);
    return EXIT_FAILED;
}

static const char notify_usage[] =
    "usage: packgate notify --test NAME [-c FILE]\n\n"
    "Sends a test message by the section [notify NAME], as the gateway would, and reports whether "
    "the service\n"
    "has accepted it.\n\n"
    "  -t, --test NAME     the section\n"
    "  -c, --config FILE   the configuration, " CONFIG_DEFAULT " by default\n"
    "  -h, --help\n"
    "Exit status: 0 when it was sent, 1 when not, 2 for a wrong call.\n";

int command_notify(int argc, char **argv)
{
    const char *path = CONFIG_DEFAULT, *name = NULL;
    char file[PROGRAM_FILE_SIZE];
    const struct option_row rows[] = {
        {"test", 't', .text = &name}, {"config", 'c', .text = &path}, {0}};
    options_parse(argc, argv, rows, argc, notify_usage);
    if (!name || optind < argc)
        return options_refuse(
            notify_usage,
            "packgate notify: expected --test and the NAME of a section [notify NAME]");
    struct config *config = config_load(path, stderr);
    const bool found = config && program_put_section(config, "notify", name, file);
    if (config && !found) {
        fprintf(stderr, "packgate: %s has no [notify %s]%s", path, name,
                config->notify_count ? "; there is" : "\n");
        for (unsigned i = 0; i < config->notify_count; i++)
            fprintf(stderr, "%s %s%s", i ? "," : "", config->notifies[i].outlet.name,
                    i + 1 == config->notify_count ? "\n" : "");
    }
    config_free(config);
    if (found)
        program_execute("notify", (const char *[]){NULL, "test", file, NULL}, "packgate");
    return EXIT_FAILED;
}

int command_password(int argc, char **argv)
{
    const char *list[] = {NULL, argv[0], argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL,
                          NULL};
    program_execute("web", list, "packgate");
    return EXIT_FAILED;
}
