// SPDX-License-Identifier: MIT
/*
 * packgate-outlet-NAME: started by packgate, one process for each section of an outlet. This file
 * is compiled once for each kind (OUTLET), so that every program is linked only with the libraries
 * that it needs. It needs no special rights, and drops those that it was started with.
 */
#include "names.h"
#include "outlet.h"
#include "rights.h"

#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define PIPE_FD 3

extern const struct outlet_kind OUTLET;
static const struct outlet_kind *const kind = &OUTLET;

static void print_help(FILE *out)
{
    fprintf(
        out,
        "packgate-outlet-%1$s %2$s, a part of packgate\n"
        "\n"
        "usage: packgate-outlet-%1$s %1$s [SECTION]\n"
        "\n"
        "Passes values on, in a process of its own. packgate starts one for each section of its\n"
        "configuration that needs it; it cannot be started by hand.\n",
        kind->name, PACKGATE_VERSION);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("packgate-outlet-%s %s\n", kind->name, PACKGATE_VERSION);
        return 0;
    }
    for (const struct outlet_command *command = kind->commands; command && command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command->run(argc - 1, argv + 1);
    if (kind->test && strcmp(name, "test") == 0 && argc == 3)
        return outlet_test(kind, argv[2]);
    if (strcmp(kind->name, name) != 0) {
        print_help(stderr);
        return 2;
    }
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(PIPE_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
        fprintf(stderr, "packgate-outlet-%s: expected to be started by packgate\n", kind->name);
        return 2;
    }
    if (getenv("PACKGATE_DEBUG"))
        log_set_level(LOG_LEVEL_DEBUG);
    log_with_time();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (kind->connects && !names_begin()) {
        log_error("packgate-outlet %s: out of memory or processes", kind->name);
        return 1;
    }
    rights_give_up(kind);
    return outlet_run(kind, PIPE_FD);
}
