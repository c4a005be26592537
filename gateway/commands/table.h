// SPDX-License-Identifier: MIT
/* Text in columns. */
#ifndef PACKGATE_COMMANDS_TABLE_H
#define PACKGATE_COMMANDS_TABLE_H

/** Prints lines whose cells are separated by tabs, each column as wide as it must be. */
void table_print(const char *text);

#endif
