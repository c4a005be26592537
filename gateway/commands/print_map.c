// SPDX-License-Identifier: MIT
/* `packgate map`: the register map, for people and for programs. */
#include "command.h"

#include "config/config.h"

#include <getopt.h>

static const char usage[] =
    "usage: packgate map [--format FORMAT] [-c FILE]\n\n"
    "Prints the register map that every unit serves.\n"
    "  -f, --format FORMAT  md (the default), json or csv; for a client homeassistant,\n"
    "                       homeassistant-basic, homeassistant-cells, telegraf, nodered,\n"
    "                       evcc, tasmota, tasmota-display or mbpoll\n"
    "  -c, --config FILE    takes base, also_at, float_order and writable from a configuration;\n"
    "                       otherwise the defaults\n"
    "Exit status: 0, 1 when the configuration is wrong, 2 for a wrong call.\n";

static int print_map(const char *format, const char *path)
{
    struct map_settings settings = {.base = MAP_BASE_DEFAULT, .also_at = MAP_ALSO_AT_DEFAULT};
    if (path) {
        struct config *config = config_load(path, stderr);
        if (!config)
            return EXIT_FAILED;
        settings = config->gateway.map;
        for (unsigned i = 0; i < config->pack_count; i++)
            settings.writable |= config->packs[i].writable;
        config_free(config);
    }
    if (map_print(&settings, format, stdout))
        return EXIT_DONE;
    fprintf(stderr, "packgate: unknown format '%s'\n\n%s", format, usage);
    return EXIT_USAGE;
}

int command_map(int argc, char **argv)
{
    static const struct option options[] = {{"format", required_argument, NULL, 'f'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *format = "md", *path = NULL;
    for (int option; (option = getopt_long(argc, argv, "f:c:h", options, NULL)) != -1;) {
        if (option == 'f') {
            format = optarg;
        } else if (option == 'c') {
            path = optarg;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? EXIT_DONE : EXIT_USAGE;
        }
    }
    if (optind != argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return print_map(format, path);
}
