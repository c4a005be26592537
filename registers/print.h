// SPDX-License-Identifier: MIT
/*
 * The generators of map_print, one function per format, and their shared parts.
 */
#pragma once

#include "rows.h"

#define MEANING_SIZE 160

void print_json(const struct map_settings *settings, FILE *out);
void print_csv(const struct map_settings *settings, FILE *out);
void print_md(const struct map_settings *settings, FILE *out);

/** The packs of the client files: those of the settings, or an example. */
const struct map_clients *clients_of(const struct map_settings *settings);
/** Whether they are the example. */
bool clients_are_example(const struct map_settings *settings);

/** How many elements of a row a unit has: as many cells and temperature sensors as are known. */
unsigned unit_elements(const struct map_unit *unit, const struct map_row *row);

/** Name of element n of a row, counted from 0: "cell_mv.1", "soc_percent". Returns `out`. */
const char *element_name(const struct map_row *row, unsigned n, char out[VALUE_NAME_SIZE]);

/** Title of a row: its meaning up to the first comma. Returns `out`. */
const char *row_title(const struct map_row *row, char out[MEANING_SIZE]);

/** "compatibility", "extended" or "settings". */
const char *map_block_name(const struct map_row *row);

/** The meaning of a bit; for an alarm from its name: "cell over voltage". Returns `out`. */
const char *bit_meaning(const struct map_bit *bit, char out[MEANING_SIZE]);
