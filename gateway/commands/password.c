// SPDX-License-Identifier: MIT
/* `packgate password`: executes packgate-outlet-web, which writes the password file. */
#include "command.h"

#include "outlets/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int command_password(int argc, char **argv)
{
    char program[PORT_SIZE];
    char *list[] = {program, argv[0], argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL, NULL};
    program_find("web", program);
    execv(program, list);
    fprintf(stderr, "packgate: %s: %s\n", program, program_why(errno));
    return EXIT_FAILED;
}
