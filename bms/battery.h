// SPDX-License-Identifier: MIT
/*
 * A model of an LFP battery with its BMS, for simulated packs: cells that differ, a charger and a
 * load that follow a profile, temperatures that follow the current, alarms, and protections that
 * open the MOS switches. Pure: time is an argument and chance comes from a seed, so that the same
 * steps give the same packs.
 */
#ifndef PACKGATE_BMS_BATTERY_H
#define PACKGATE_BMS_BATTERY_H

#include "pack.h"

/* What the charger and the load do. */
enum battery_profile {
    BATTERY_CYCLE,     /* discharge, rest, charge, rest, with some ripple */
    BATTERY_IDLE,      /* nothing flows */
    BATTERY_CHARGE,    /* 0.2 C, until the BMS opens its charge MOS */
    BATTERY_DISCHARGE, /* 0.2 C, until the BMS opens its discharge MOS */
    BATTERY_FIXED,     /* nothing moves, not even the noise of measuring; only the switches work */
    BATTERY_PROFILES
};

/** "cycle" and so on. */
extern const char *const battery_profile_names[BATTERY_PROFILES];

struct battery_settings {
    unsigned cells;     /* 1 … MAX_CELLS */
    unsigned temps;     /* 0 … MAX_TEMPS */
    double capacity_ah; /* rated, above 0 */
    double soc_percent; /* at the start */
    double ambient_c;   /* around the pack */
    enum battery_profile profile;
    uint64_t seed; /* of what differs from pack to pack and from cell to cell */
};

struct battery_cell {
    double capacity_ah,
        charge_ah; /* a little less than 0 and more than its capacity can be in it */
    double resistance_ohm;
    double offset_mv; /* of its measurement: no two cells read the same, even at rest */
};

enum battery_phase {
    BATTERY_DISCHARGING,
    BATTERY_RESTING_EMPTY,
    BATTERY_CHARGING,
    BATTERY_RESTING_FULL
};

struct battery_switch {
    bool wanted; /* by whoever commands the BMS */
    bool closed; /* wanted, and no protection has opened it */
};

/* Members are the model's own; what is to be seen of it is in the pack that battery_step writes. */
struct battery {
    struct battery_settings settings;
    uint64_t random;
    double clock_s;
    struct battery_cell cells[MAX_CELLS];
    double temp_above_c[MAX_TEMPS]; /* above ambient, of a sensor at rest */
    double heat_c, mos_heat_c;      /* what the current adds to that */
    double current_a;
    double rated_ah, full_ah, remaining_ah; /* as the BMS counts them */
    double discharged_ah;                   /* since battery_init */
    double cycles_before;
    double soh_percent;
    enum battery_phase phase;
    double rest_s; /* left of a resting phase */
    uint64_t balance_mask;
    uint32_t tripped; /* bit n: row n of the table of limits */
    struct battery_switch charge, discharge;
    bool balances;  /* its balancer is switched on */
    bool published; /* a pack was written: its switches can have been moved */
};

/** Settings beyond their range are brought into it. */
void battery_init(struct battery *battery, const struct battery_settings *settings);

/** Somebody writes a setting of the BMS: what it counts as SOC, its capacity, its balancer. Others are
 * left as they are. */
void battery_set(struct battery *battery, enum pack_value id, double value);

/** Moves the model on (by at most a day; 0 is allowed) and writes everything that a BMS can know
 * into `pack`. A MOS that was switched in `pack` since the last call, as emulators do for a control
 * request, is taken as a command: that direction of current stops, or flows again as far as no
 * protection is against it. Cell voltages are whole mV and add up to the pack's voltage. */
void battery_step(struct battery *battery, double seconds, struct pack *pack);

#endif
