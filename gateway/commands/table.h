// SPDX-License-Identifier: MIT
/* Prints text in columns. */
#ifndef PACKGATE_COMMANDS_TABLE_H
#define PACKGATE_COMMANDS_TABLE_H

/** Prints lines whose cells are separated by tabs, each column as wide as its longest cell. */
void table_print(const char *text);

#endif
