// SPDX-License-Identifier: MIT
/*
 * A model of an LFP battery with its BMS, for simulated packs: cells that differ, a charger and a
 * load that follow a profile, temperatures that follow the current, alarms, and protections that
 * open the MOS switches. Pure: time is an argument and random numbers come from a seed, so that
 * the same steps give the same packs.
 */
#pragma once

#include "pack.h"

/* What the charger and the load do. */
enum battery_profile {
    BATTERY_CYCLE,     /* discharge, rest, charge, rest, with some ripple */
    BATTERY_IDLE,      /* no current */
    BATTERY_CHARGE,    /* charges until the BMS opens its charge MOS */
    BATTERY_DISCHARGE, /* discharges until the BMS opens its discharge MOS */
    BATTERY_FIXED,     /* nothing changes, not even by measurement noise; only the switches work */
    BATTERY_PROFILES
};

/** "cycle" and so on. */
extern const char *const battery_profile_names[BATTERY_PROFILES];

struct battery_settings {
    unsigned cells;     /* 1 … MAX_CELLS */
    unsigned temps;     /* 0 … MAX_TEMPS */
    double capacity_ah; /* rated, above 0 */
    double soc_percent; /* at the start */
    double lag_percent; /* by how much less one cell is charged, at the start */
    double ambient_c;   /* around the pack */
    enum battery_profile profile;
    double rate_c; /* current of the profiles, in capacities per hour; 0 at the start: 0.2 */
    uint64_t seed; /* of the differences between packs and between cells */
};

struct battery_cell {
    double capacity_ah, charge_ah; /* may be slightly below 0 or above its capacity */
    double resistance_ohm;
    double offset_mv; /* measurement error: no two cells read the same, even at rest */
};

enum battery_phase {
    BATTERY_DISCHARGING,
    BATTERY_RESTING_EMPTY,
    BATTERY_CHARGING,
    BATTERY_RESTING_FULL
};

struct battery_switch {
    bool wanted; /* as commanded */
    bool closed; /* wanted, and not opened by a protection */
};

/* Internal state of the model (ambient_c, profile and rate_c of `settings` may be changed between two steps); battery_step writes the visible values into a pack. */
struct battery {
    struct battery_settings settings;
    uint64_t random;
    double clock_s;
    struct battery_cell cells[MAX_CELLS];
    double temp_above_c[MAX_TEMPS]; /* above ambient, for a sensor at rest */
    double heat_c, mos_heat_c;      /* additional heat from the current */
    double current_a;
    double rated_ah, full_ah, remaining_ah; /* as the BMS counts them */
    double discharged_ah;                   /* since battery_init */
    double cycles_before;
    double soh_percent;
    enum battery_phase phase;
    double rest_s; /* rest of a resting phase, in seconds */
    uint64_t balance_mask;
    uint32_t tripped; /* bit n: the protection in row n of the table of limits is active */
    struct battery_switch charge, discharge;
    bool balances;  /* its balancer is switched on */
    bool published; /* a pack was written, so its switches can have been changed */
};

/** Starts the model. Settings out of range are limited to it. */
void battery_init(struct battery *battery, const struct battery_settings *settings);

/** Writes a setting of the BMS: its counted SOC, its capacity, its balancer. Ignores other
 * settings. */
void battery_set(struct battery *battery, enum pack_value id, double value);

/** Advances the model (by at most a day; 0 is allowed) and writes all values of the BMS into
 * `pack`. A MOS that an emulator has switched in `pack` since the last call is taken as a command:
 * current in that direction stops, or flows again if no protection prevents it. Cell voltages are
 * whole mV and add up to the pack's voltage. */
void battery_step(struct battery *battery, double seconds, struct pack *pack);

/** The pack of a battery of 8 cells that reports every value. */
void battery_example(struct pack *pack);
