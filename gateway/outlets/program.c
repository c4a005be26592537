// SPDX-License-Identifier: MIT
#include "program.h"

#include "pipe.h"

#include "base/child.h"
#include "config/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

void program_find(const char *kind, char out[PORT_SIZE])
{
    char self[PORT_SIZE - 64];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    self[size > 0 ? size : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    snprintf(out, PORT_SIZE, "%s/packgate-outlet-%s", self, kind);
    if (access(out, X_OK) < 0)
        snprintf(out, PORT_SIZE, "%s/../lib/packgate/packgate-outlet-%s", self, kind);
}

const char *program_why(int error)
{
    return error == ENOENT ? "it is not installed; install the package packgate-outlets"
                           : strerror(error);
}

void program_execute(const char *kind, const char **list, const char *who)
{
    char program[PORT_SIZE];
    program_find(kind, program);
    list[0] = program;
    execv(program, (char **) (uintptr_t) list);
    fprintf(stderr, "%s: %s: %s\n", who, program, program_why(errno));
}

FILE *program_open(const char *kind, const char **list, const char *who, bool errors, pid_t *pid)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return NULL;
    *pid = fork();
    if (*pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        if (errors)
            dup2(ends[1], STDERR_FILENO);
        child_reset_signals();
        program_execute(kind, list, who);
        _exit(127);
    }
    close(ends[1]);
    FILE *out = *pid > 0 ? fdopen(ends[0], "r") : NULL;
    if (!out)
        close(ends[0]);
    return out;
}

void program_put_file(const void *bytes, size_t size, char path[PROGRAM_FILE_SIZE])
{
    const int file = pipe_text_file(bytes, size);
    path[0] = '\0';
    if (file >= 0 && fchmod(file, 0600) == 0 && fcntl(file, F_SETFD, 0) == 0)
        snprintf(path, PROGRAM_FILE_SIZE, "/proc/self/fd/%d", file);
}

bool program_put_section(const struct config *config, const char *kind, const char *name,
                         char path[PROGRAM_FILE_SIZE])
{
    const struct config_section *of = config_section_find(kind);
    struct pipe_config section = {.settings = config_struct_find(config, of, name),
                                  .settings_size = of->size};
    if (!section.settings)
        return false;
    snprintf(section.kind, sizeof section.kind, "%s", kind);
    snprintf(section.section, sizeof section.section, "%s", name);
    snprintf(section.gateway, sizeof section.gateway, "%s", config->gateway.title);
    size_t size = 0;
    char *bytes = pipe_compose(&section, NULL, &size);
    program_put_file(bytes, size, path);
    free(bytes);
    return true;
}
