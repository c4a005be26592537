// SPDX-License-Identifier: MIT
/* `packgate check`: whether a configuration is right, without starting anything. */
#include "command.h"

#include "config/config.h"
#include "config/keys_manual.h"

#include <getopt.h>
#include <string.h>

static const char usage[] = "usage: packgate check [FILE]\n"
                            "       packgate check --keys[=man]\n\n"
                            "Checks a configuration (" CONFIG_DEFAULT
                            " by default, '-' for standard input) and prints what is wrong as\n"
                            "file:line: what is wrong and what was expected.\n"
                            "  -c, --config FILE  the same as FILE\n"
                            "      --keys[=man]   prints all sections and keys with their ranges, "
                            "defaults and meanings; as text, or as the\n"
                            "                     part of packgate.ini(5) that they are\n"
                            "Exit status: 0 it is right, 1 it is not, 2 for a wrong call.\n";

static int print_keys(const char *format)
{
    if (!format) {
        config_print_keys(stdout);
        return EXIT_DONE;
    }
    if (strcmp(format, "man") == 0) {
        keys_manual_print(stdout);
        return EXIT_DONE;
    }
    fprintf(stderr, "packgate: unknown format '%s'\n\n%s", format, usage);
    return EXIT_USAGE;
}

static void print_count(unsigned count, const char *what)
{
    printf("%u %s%s, ", count, what, count == 1 ? "" : "s");
}

int command_check(int argc, char **argv)
{
    static const struct option options[] = {{"keys", optional_argument, NULL, 'k'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *path = CONFIG_DEFAULT;
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'c') {
            path = optarg;
        } else if (option == 'k') {
            return print_keys(optarg);
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? EXIT_DONE : EXIT_USAGE;
        }
    }
    if (argc - optind > 1) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (optind < argc)
        path = argv[optind];
    struct config *config = config_load(path, stderr);
    if (!config)
        return EXIT_FAILED;
    printf("%s: ", path);
    print_count(config->line_count, "line");
    print_count(config->pack_count, "pack");
    if (config->bank_count)
        print_count(config->bank_count, "bank");
    if (config->push_count)
        print_count(config->push_count, "push target");
    printf("no mistakes\n");
    config_free(config);
    return EXIT_DONE;
}
