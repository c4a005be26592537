// SPDX-License-Identifier: MIT
/* `packgate password`: executes packgate-outlet-web, which writes the password file. */
#include "command.h"

#include "outlets/program.h"

#include <stddef.h>

int command_password(int argc, char **argv)
{
    const char *list[] = {NULL, argv[0], argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL,
                          NULL};
    program_execute("web", list, "packgate");
    return EXIT_FAILED;
}
