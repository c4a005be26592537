// SPDX-License-Identifier: MIT
/*
 * packgate-outlet: started by packgate, one process for each section of an outlet. It needs no
 * right that any user has not, and gives up what it was started with.
 */
#include "outlet.h"
#include "kinds.h"
#include "rights.h"
#include "history/export.h"
#include "notify/try.h"
#include "web/password.h"

#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIPE_FD 3

static const struct outlet_kind *const kinds[] = {
#ifdef WITH_HISTORY
    &outlet_history,
#endif
#ifdef WITH_INFLUX
    &outlet_influx,
#endif
#ifdef WITH_MQTT
    &outlet_mqtt,
#endif
#ifdef WITH_NOTIFY
    &outlet_notify,
#endif
#ifdef WITH_WEB
    &outlet_web,
#endif
    &outlet_print,
};

static void print_help(FILE *out)
{
    fprintf(out,
            "packgate-outlet %s, a part of packgate\n\nusage: packgate-outlet NAME [SECTION]\n\n"
            "Passes values on, in a process of its own. packgate starts one for each section of "
            "its\nconfiguration that wants one; started by hand it has nothing to say.\n\nNAME is "
            "one of:",
            PACKGATE_VERSION);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        fprintf(out, " %s", kinds[i]->name);
    fputc('\n', out);
}

static bool is_pipe(int fd)
{
    int type = 0;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("packgate-outlet %s\n", PACKGATE_VERSION);
        return 0;
    }
#ifdef WITH_HISTORY
    if (strcmp(name, "export") == 0)
        return history_export(argc - 1, argv + 1);
    if (strcmp(name, "rename") == 0)
        return history_rename(argc - 1, argv + 1);
#endif
#ifdef WITH_NOTIFY
    if (strcmp(name, "notify-test") == 0)
        return notify_try(argc - 1, argv + 1);
#endif
#ifdef WITH_WEB
    if (strcmp(name, "password") == 0)
        return password_command(argc - 1, argv + 1);
#endif
    const struct outlet_kind *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            kind = kinds[i];
    if (!kind) {
        if (*name)
            fprintf(stderr, "packgate-outlet: '%s' is not built in\n\n", name);
        print_help(stderr);
        return 2;
    }
    if (!is_pipe(PIPE_FD)) {
        fprintf(stderr, "packgate-outlet: is started by packgate, which is not there\n");
        return 2;
    }
    if (getenv("PACKGATE_DEBUG"))
        log_set_level(LOG_LEVEL_DEBUG);
    log_with_time();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    rights_give_up(kind);
    return outlet_run(kind, PIPE_FD);
}
