// SPDX-License-Identifier: MIT
/* `packgate notify --test NAME`: one message by a section, from the command line. */
#ifndef PACKGATE_OUTLETS_NOTIFY_TRY_H
#define PACKGATE_OUTLETS_NOTIFY_TRY_H

/** argv[1] is the configuration, argv[2] the name of the section. Returns the exit status. */
int notify_try(int argc, char **argv);

#endif
