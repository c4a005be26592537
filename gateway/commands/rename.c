// SPDX-License-Identifier: MIT
/*
 * `packgate rename OLD NEW`: moves the stored data of a pack to a new name: counters and the day's
 * highest state of charge, its history, and the ids under which Home Assistant knows it. The
 * gateway must not run meanwhile, because it has all of that in memory.
 */
#include "command.h"

#include "outlets/program.h"
#include "packs/kept.h"
#include "config/load.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
    "usage: packgate rename [-c FILE] OLD NEW\n\n"
    "Moves the stored data of a pack or a bank to another name: energy counters, history, and\n"
    "the ids under which Home Assistant knows it. Data of the new name is added. First\n"
    "give it its new name in the configuration and stop the service:\n\n"
    "    sudo systemctl stop packgate && sudo packgate rename OLD NEW\n"
    "    sudo systemctl start packgate\n\n"
    "  -c, --config FILE    the configuration (default " CONFIG_DEFAULT ")\n"
    "Exit status: 0, 1 when something could not be renamed, 2 for a wrong call.\n";

static bool is_configured(const struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->pack_count; i++)
        if (strcmp(config->packs[i].name, name) == 0)
            return true;
    for (unsigned i = 0; i < config->bank_count; i++)
        if (strcmp(config->banks[i].name, name) == 0)
            return true;
    return false;
}

/* packgate-outlet-history changes the database. */
static bool rename_history(const char *file, const char *before, const char *after)
{
    char program[PORT_SIZE];
    int status;
    program_find("history", program);
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        execl(program, program, "rename", file, before, after, NULL);
        fprintf(stderr, "packgate: %s: %s\n", program, program_why(errno));
        _exit(EXIT_FAILED);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == EXIT_DONE;
}

/* Rewriting the file changes its owner; the service's user must be able to read it again. */
static bool give_back(const char *file, const struct stat *before)
{
    return geteuid() != 0 || chown(file, before->st_uid, before->st_gid) == 0;
}

static int rename_kept(struct kept *kept, const char *file, const char *before, const char *after)
{
    struct stat owner;
    if (stat(file, &owner) < 0 || !kept_rename(kept, before, after)) {
        printf("%s: nothing is stored for %s\n", file, before);
        return EXIT_DONE;
    }
    if (kept_save(kept, file) < 0 || !give_back(file, &owner)) {
        fprintf(stderr, "packgate: %s: %s\n", file, strerror(errno));
        return EXIT_FAILED;
    }
    printf("%s: %s is now %s\n", file, before, after);
    return EXIT_DONE;
}

/* Renames in the history first: if that fails, nothing has changed. */
static int carry_over(const struct config *config, const char *before, const char *after)
{
    const char *file = config->gateway.state_file;
    struct kept *kept = kept_load(file);
    if (!kept || !kept_is_ours(kept)) {
        fprintf(stderr, "packgate: stop the gateway first; nothing was renamed\n");
        kept_free(kept);
        return EXIT_FAILED;
    }
    int status = EXIT_DONE;
    if (config->history && config->history->file[0] &&
        !rename_history(config->history->file, before, after))
        status = EXIT_FAILED;
    if (status == EXIT_DONE && file[0])
        status = rename_kept(kept, file, before, after);
    kept_free(kept);
    return status;
}

static int rename_pack(const char *path, const char *before, const char *after)
{
    struct config *config = config_load(path, stderr);
    if (!config)
        return EXIT_FAILED;
    int status = EXIT_FAILED;
    if (is_configured(config, before))
        fprintf(stderr, "packgate: %s still has '%s'; give it its new name there first\n", path,
                before);
    else if (!is_configured(config, after))
        fprintf(stderr, "packgate: %s has no pack or bank '%s'\n", path, after);
    else
        status = carry_over(config, before, after);
    config_free(config);
    return status;
}

int command_rename(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *path = CONFIG_DEFAULT;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_DONE;
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    if (argc - optind != 2 || !config_name_good(argv[optind]) ||
        !config_name_good(argv[optind + 1]) || strcmp(argv[optind], argv[optind + 1]) == 0) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return rename_pack(path, argv[optind], argv[optind + 1]);
}
