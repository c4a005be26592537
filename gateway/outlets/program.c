// SPDX-License-Identifier: MIT
/* The program files of outlets. */
#include "program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Beside the program in a build folder, else where both were installed. */
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
