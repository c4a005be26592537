// SPDX-License-Identifier: MIT
/*
 * The options of a simulated bus, "cells=16,soc=55,voltage_v=53.2": of the battery model, of the
 * line, of what goes wrong on it, and values that are held fixed whatever the model says.
 */
#ifndef PACKGATE_SIMULATOR_OPTIONS_H
#define PACKGATE_SIMULATOR_OPTIONS_H

#include "fixed.h"

#include "bms/battery.h"

#include <stdio.h>

/* Numbers are double, switches too (0 or 1): one table describes them all. */
struct simulator_options {
    double cells, temps, capacity_ah, soc_percent, ambient_c, seed;
    enum battery_profile profile;
    double speed;          /* of the model's time */
    double delay_ms, baud; /* baud 0: no pacing */
    double echo, split, first_lost, silent, close;
    double noise, cut, flip, drop, late; /* probabilities */
    double late_ms;
    double stall_s, stall_every_s; /* replies stand still for so long, each so many seconds */
    double repeat_ms;              /* each reply comes again so much later; 0: it does not */
    double clock;                  /* cells tell the time: simulator_clock_cell_mv */
    struct simulator_fixed fixed;
};

/** The options of the BMS at an address, with its own ("@3:soc=20"); address -1: without any
 * such. False: `error` says which option is wrong, be it this one's or another's, and what was
 * expected. */
bool simulator_options_parse(const char *text, int address, struct simulator_options *options,
                             char *error, size_t error_size);

/** Settings of the model for the n-th pack of the bus (from 0): each has a seed of its own. */
struct battery_settings simulator_options_battery(const struct simulator_options *options,
                                                  unsigned n);

/** What each cell of a BMS with `clock` has at a time: from SIMULATOR_CLOCK_FROM_MV on, ten
 * millivolts more each quarter of a second, and anew from the start each SIMULATOR_CLOCK_S. Its
 * voltage is the sum of them. A test sees by them when they were measured. */
#define SIMULATOR_CLOCK_S 50.0
#define SIMULATOR_CLOCK_FROM_MV 1900
double simulator_clock_cell_mv(double at);

/** One line for each option: key, range, default, meaning. */
void simulator_options_print(FILE *out);

#endif
