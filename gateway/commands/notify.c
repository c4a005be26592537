// SPDX-License-Identifier: MIT
/*
 * `packgate notify --test NAME`: sends one message by a section [notify NAME]. Executes packgate-
 * outlet-notify, which implements the services.
 */
#include "command.h"
#include "options.h"

#include "config/load.h"
#include "outlets/program.h"

#include <stdio.h>

static const char usage[] =
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
    options_parse(argc, argv, rows, argc, usage);
    if (!name || optind < argc) {
        fprintf(stderr,
                "packgate notify: expected --test and the NAME of a section [notify NAME]\n\n%s",
                usage);
        return EXIT_USAGE;
    }
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
