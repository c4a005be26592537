// SPDX-License-Identifier: MIT
/* Prints text in columns. */
#pragma once

/** Prints lines whose cells are separated by tabs, each column as wide as its longest cell. */
void table_print(const char *text);
