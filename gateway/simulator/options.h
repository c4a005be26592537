// SPDX-License-Identifier: MIT
/*
 * The options of a simulated bus, "cells=16,soc=55,voltage_v=53.2": of the battery model, of the
 * line, of its faults, and fixed values.
 */
#pragma once

#include "bms/battery.h"

#include <stdio.h>

/* Values that are fixed, whatever the battery model computes. */
struct simulator_fixed {
    bool is_fixed[PACK_VALUES];
    double value[PACK_VALUES]; /* NaN: fixed as unknown */
    uint32_t alarms;           /* the fixed alarms, at these levels: */
    uint32_t alarms_warning, alarms_protection;
    bool text_is_fixed[PACK_TEXTS];
    char text[PACK_TEXTS][TEXT_SIZE];
};

/* Numbers are double, switches too (0 or 1), so that one table describes them all. */
struct simulator_options {
    double cells, temps, capacity_ah, soc_percent, lag_percent, ambient_c, seed;
    enum battery_profile profile;
    double rate_c;
    double speed;          /* factor of the model's time */
    double delay_ms, baud; /* baud 0: no pacing */
    double echo, split, first_lost, silent, close;
    double noise, cut, flip, drop, late; /* probabilities */
    double late_ms;
    double stall_s, stall_every_s; /* replies stall for stall_s, every stall_every_s */
    double repeat_ms;              /* each reply is repeated after this time; 0: never */
    double clock;                  /* the cell voltages encode the time: simulator_clock_cell_mv */
    double every_s;                /* the script of "+N:" begins again after this time; 0: never */
    struct simulator_fixed fixed;
};

/** Parses the options of the BMS at an address, including its own ("@3:soc=20"); address -1:
 * without those. Options with a time ("+30:silent=1") are only checked. False: `error` describes
 * the wrong option, even of another BMS, and what was expected. */
bool simulator_options_parse(const char *text, int address, struct simulator_options *options,
                             char *error, size_t error_size);

/** Sets the timed options ("+30:silent=1") of a text that was parsed before, whose time is after
 * `after_s` and not after `until_s`, in seconds since the start. */
void simulator_options_change(const char *text, int address, double after_s, double until_s,
                              struct simulator_options *options);

/** Settings of the model for the n-th pack of the bus (from 0): each has its own seed. */
struct battery_settings simulator_options_battery(const struct simulator_options *options,
                                                  unsigned n);

/** The voltage of each cell of a BMS with `clock`: SIMULATOR_CLOCK_FROM_MV at first, ten millivolts
 * more every quarter of a second, restarting every SIMULATOR_CLOCK_S. The pack's voltage is the
 * sum. It shows a test when values were measured. */
#define SIMULATOR_CLOCK_S 50.0
#define SIMULATOR_CLOCK_FROM_MV 1900
double simulator_clock_cell_mv(double at);

/** Prints one line per option: key, range, default, meaning. */
void simulator_options_print(FILE *out);
