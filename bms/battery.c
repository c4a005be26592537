// SPDX-License-Identifier: MIT
/*
 * The numbers are those of ordinary prismatic cells and of the usual settings of a BMS. The model does
 * not predict a real battery; it only has to look and behave like one on the wire.
 */
#include "battery.h"

#include "prng.h"

#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PI 3.14159265358979323846
#define SUBSTEP_S 10.0
#define LONGEST_S 86400.0
#define RATE_C 0.2  /* current of the profiles where none is given, in capacities per hour */
#define LIMIT_C 0.5 /* current limits that the BMS reports, in capacities per hour */
#define CHARGE_TO_MV 3500.0 /* the charger of the cycle holds the highest cell at this ... */
#define TAIL_C 0.02 /* ... until the current has fallen to this, in capacities per hour: full */
#define DISCHARGE_TO 8.0 /* percent, in the cycle */
#define REST_S 600.0
#define BALANCE_FROM_MV 3400.0
#define BALANCE_ABOVE_MV 20.0 /* mV above the lowest cell */
#define BALANCE_C 0.005
#define HEAT_S 1800.0 /* time constants of cells and MOS */
#define MOS_HEAT_S 300.0

const char *const battery_profile_names[BATTERY_PROFILES] = {
    [BATTERY_CYCLE] = "cycle",         [BATTERY_IDLE] = "idle",   [BATTERY_CHARGE] = "charge",
    [BATTERY_DISCHARGE] = "discharge", [BATTERY_FIXED] = "fixed",
};

/* Open-circuit voltage of an LFP cell: flat in the middle, steep at both ends and beyond them. */
static const struct ocv_point {
    double percent, mv;
} ocv[] = {
    {-4, 2000}, {0, 2700},  {2, 2900},  {5, 3050},   {10, 3180},  {15, 3220},  {20, 3245},
    {30, 3280}, {40, 3292}, {50, 3298}, {60, 3308},  {70, 3328},  {80, 3335},  {90, 3342},
    {95, 3352}, {98, 3385}, {99, 3420}, {100, 3480}, {102, 3700}, {104, 4000},
};

// clang-format off
/* Measures that the BMS watches. */
enum measure {
    HIGHEST_MV, LOWEST_MV, AVERAGE_MV, SPREAD_MV, SOC, HOTTEST_C, COLDEST_C, MOS_C, MEASURES
};

enum opens { OPENS_NONE, OPENS_CHARGE, OPENS_DISCHARGE };

/* An alarm begins at `at` and ends at `until`, which leaves a hysteresis. */
static const struct limit {
    enum pack_alarm alarm;
    enum alarm_level level;
    enum measure measure;
    double at, until;
    enum opens opens;
} limits[] = {
    /* alarm                     level             measure      at     until */
    {CELL_OVER_VOLTAGE,           ALARM_WARNING,    HIGHEST_MV,  3550,  3500,  OPENS_NONE},
    {CELL_OVER_VOLTAGE,           ALARM_PROTECTION, HIGHEST_MV,  3650,  3450,  OPENS_CHARGE},
    {CELL_UNDER_VOLTAGE,          ALARM_WARNING,    LOWEST_MV,   2800,  2900,  OPENS_NONE},
    {CELL_UNDER_VOLTAGE,          ALARM_PROTECTION, LOWEST_MV,   2500,  3000,  OPENS_DISCHARGE},
    {PACK_OVER_VOLTAGE,           ALARM_WARNING,    AVERAGE_MV,  3520,  3480,  OPENS_NONE},
    {PACK_OVER_VOLTAGE,           ALARM_PROTECTION, AVERAGE_MV,  3660,  3450,  OPENS_CHARGE},
    {PACK_UNDER_VOLTAGE,          ALARM_WARNING,    AVERAGE_MV,  2850,  2950,  OPENS_NONE},
    {PACK_UNDER_VOLTAGE,          ALARM_PROTECTION, AVERAGE_MV,  2490,  3000,  OPENS_DISCHARGE},
    {CELL_IMBALANCE,              ALARM_WARNING,    SPREAD_MV,    400,   300,  OPENS_NONE},
    {SOC_LOW,                     ALARM_WARNING,    SOC,           10,    12,  OPENS_NONE},
    {SOC_LOW,                     ALARM_PROTECTION, SOC,            3,     5,  OPENS_NONE},
    {CHARGE_OVER_TEMPERATURE,     ALARM_WARNING,    HOTTEST_C,     50,    47,  OPENS_NONE},
    {CHARGE_OVER_TEMPERATURE,     ALARM_PROTECTION, HOTTEST_C,     55,    50,  OPENS_CHARGE},
    {DISCHARGE_OVER_TEMPERATURE,  ALARM_WARNING,    HOTTEST_C,     60,    55,  OPENS_NONE},
    {DISCHARGE_OVER_TEMPERATURE,  ALARM_PROTECTION, HOTTEST_C,     65,    60,  OPENS_DISCHARGE},
    {CHARGE_UNDER_TEMPERATURE,    ALARM_WARNING,    COLDEST_C,      3,     5,  OPENS_NONE},
    {CHARGE_UNDER_TEMPERATURE,    ALARM_PROTECTION, COLDEST_C,      0,     3,  OPENS_CHARGE},
    {DISCHARGE_UNDER_TEMPERATURE, ALARM_WARNING,    COLDEST_C,    -15,   -12,  OPENS_NONE},
    {DISCHARGE_UNDER_TEMPERATURE, ALARM_PROTECTION, COLDEST_C,    -20,   -15,  OPENS_DISCHARGE},
    {MOS_OVER_TEMPERATURE,        ALARM_WARNING,    MOS_C,         80,    70,  OPENS_NONE},
};
// clang-format on
_Static_assert(COUNT(limits) <= 32, "one bit of `tripped` for each row");

static double clamp(double value, double low, double high)
{
    return value >= low ? fmin(value, high) : low; /* NaN: low */
}

static double round_to(double value, double step)
{
    return round(value / step) * step + 0.0; /* + 0.0: never minus zero */
}

static double cell_mv(const struct battery_cell *cell, double current_a)
{
    const double percent = 100 * cell->charge_ah / cell->capacity_ah;
    size_t i = 1;
    while (i < COUNT(ocv) - 1 && percent > ocv[i].percent)
        i++;
    const struct ocv_point *a = &ocv[i - 1], *b = &ocv[i];
    double share = (clamp(percent, ocv[0].percent, ocv[COUNT(ocv) - 1].percent) - a->percent) /
                   (b->percent - a->percent);
    double open_circuit_mv = a->mv + share * (b->mv - a->mv);
    return open_circuit_mv + 1000 * current_a * cell->resistance_ohm + cell->offset_mv;
}

static double soc_percent(const struct battery *battery)
{
    return 100 * battery->remaining_ah / battery->full_ah;
}

static double sensor_c(const struct battery *battery, unsigned i)
{
    return battery->settings.ambient_c + battery->temp_above_c[i] + battery->heat_c;
}

static double mos_c(const struct battery *battery)
{
    return battery->settings.ambient_c + 4 + battery->mos_heat_c;
}

static void measure(const struct battery *battery, double measured[MEASURES])
{
    double highest = -INFINITY, lowest = INFINITY, sum = 0;
    for (unsigned i = 0; i < battery->settings.cells; i++) {
        double mv = cell_mv(&battery->cells[i], battery->current_a);
        highest = fmax(highest, mv);
        lowest = fmin(lowest, mv);
        sum += mv;
    }
    measured[HIGHEST_MV] = highest;
    measured[LOWEST_MV] = lowest;
    measured[AVERAGE_MV] = sum / battery->settings.cells;
    measured[SPREAD_MV] = highest - lowest;
    measured[SOC] = soc_percent(battery);
    measured[HOTTEST_C] = measured[COLDEST_C] = NAN; /* fmax and fmin ignore it */
    for (unsigned i = 0; i < battery->settings.temps; i++) {
        measured[HOTTEST_C] = fmax(measured[HOTTEST_C], sensor_c(battery, i));
        measured[COLDEST_C] = fmin(measured[COLDEST_C], sensor_c(battery, i));
    }
    measured[MOS_C] = mos_c(battery);
}

static void protect(struct battery *battery)
{
    double measured[MEASURES];
    measure(battery, measured);
    bool may_charge = true, may_discharge = true;
    for (unsigned i = 0; i < COUNT(limits); i++) {
        uint32_t bit = 1u << i;
        bool before = battery->tripped & bit;
        double line = before ? limits[i].until : limits[i].at;
        bool tripped = limits[i].at > limits[i].until ? measured[limits[i].measure] >= line
                                                      : measured[limits[i].measure] <= line;
        battery->tripped = tripped ? battery->tripped | bit : battery->tripped & ~bit;
        if (tripped && !before) {
            /* A real BMS corrects its counter when the cells are full or empty. */
            if (limits[i].alarm == CELL_OVER_VOLTAGE && limits[i].opens)
                battery->remaining_ah = battery->full_ah;
            if (limits[i].alarm == CELL_UNDER_VOLTAGE && limits[i].opens)
                battery->remaining_ah = 0;
        }
        may_charge &= !(tripped && limits[i].opens == OPENS_CHARGE);
        may_discharge &= !(tripped && limits[i].opens == OPENS_DISCHARGE);
    }
    battery->charge.closed = battery->charge.wanted && may_charge;
    battery->discharge.closed = battery->discharge.wanted && may_discharge;
    battery->balance_mask = 0;
    const bool balances = battery->balances && battery->current_a >= 0;
    for (unsigned i = 0; i < battery->settings.cells && balances; i++) {
        double mv = cell_mv(&battery->cells[i], battery->current_a);
        if (mv >= BALANCE_FROM_MV && mv >= measured[LOWEST_MV] + BALANCE_ABOVE_MV)
            battery->balance_mask |= UINT64_C(1) << i;
    }
}

static bool protection_opened(const struct battery_switch *mos)
{
    return mos->wanted && !mos->closed;
}

/* ---- charger and load ---- */

/* The current of a charger that keeps the highest cell at its end voltage. */
static double charger_a(const struct battery *battery)
{
    double least = INFINITY;
    for (unsigned i = 0; i < battery->settings.cells; i++) {
        const struct battery_cell *cell = &battery->cells[i];
        least = fmin(least, (CHARGE_TO_MV - cell_mv(cell, 0)) / 1000 / cell->resistance_ohm);
    }
    return clamp(least, 0, battery->settings.rate_c * battery->rated_ah);
}

static void enter(struct battery *battery, enum battery_phase phase)
{
    battery->phase = phase;
    battery->rest_s = REST_S;
}

static double cycle_a(struct battery *battery)
{
    const double rated = battery->rated_ah;
    const bool rested = battery->rest_s <= 0;
    if (battery->phase == BATTERY_RESTING_EMPTY && rested) {
        enter(battery, BATTERY_CHARGING);
    } else if (battery->phase == BATTERY_RESTING_FULL && rested) {
        enter(battery, BATTERY_DISCHARGING);
    } else if (battery->phase == BATTERY_DISCHARGING) {
        if (soc_percent(battery) <= DISCHARGE_TO || protection_opened(&battery->discharge))
            enter(battery, BATTERY_RESTING_EMPTY);
    } else if (battery->phase == BATTERY_CHARGING) {
        /* Voltage reached and hardly any current left: a BMS takes this as full, whatever it has
         * counted. */
        const bool full = charger_a(battery) <= TAIL_C * rated;
        if (full)
            battery->remaining_ah = battery->full_ah;
        if (full || protection_opened(&battery->charge))
            enter(battery, BATTERY_RESTING_FULL);
    }
    const double ripple =
        1 + 0.03 * sin(2 * PI * battery->clock_s / 37) + 0.01 * prng_unit(&battery->random);
    if (battery->phase == BATTERY_CHARGING)
        return charger_a(battery) * (ripple - 0.04);
    return battery->phase == BATTERY_DISCHARGING ? -battery->settings.rate_c * rated * ripple : 0;
}

/* Applies the current of the profile, as far as the switches permit. */
static void set_current(struct battery *battery)
{
    const enum battery_profile profile = battery->settings.profile;
    const double steady = battery->settings.rate_c * battery->rated_ah;
    const double wanted = profile == BATTERY_CYCLE       ? cycle_a(battery)
                          : profile == BATTERY_CHARGE    ? steady
                          : profile == BATTERY_DISCHARGE ? -steady
                                                         : 0;
    bool passes = wanted > 0 ? battery->charge.closed : battery->discharge.closed;
    battery->current_a = passes ? wanted : 0;
}

static void move(struct battery *battery, double seconds)
{
    double ah = battery->current_a * seconds / 3600;
    double bleed_ah = BALANCE_C * battery->rated_ah * seconds / 3600;
    for (unsigned i = 0; i < battery->settings.cells; i++)
        battery->cells[i].charge_ah += ah - (battery->balance_mask >> i & 1 ? bleed_ah : 0);
    battery->remaining_ah = clamp(battery->remaining_ah + ah, 0, battery->full_ah);
    battery->discharged_ah += ah < 0 ? -ah : 0;
    const double rate = fabs(battery->current_a) / battery->rated_ah;
    battery->heat_c +=
        (25 * rate + 20 * rate * rate - battery->heat_c) * (1 - exp(-seconds / HEAT_S));
    battery->mos_heat_c += (60 * rate - battery->mos_heat_c) * (1 - exp(-seconds / MOS_HEAT_S));
    battery->rest_s -= seconds;
    battery->clock_s += seconds;
}

static void publish(struct battery *battery, struct pack *pack)
{
    pack_clear(pack);
    const unsigned count = battery->settings.cells;
    double sum_mv = 0;
    for (unsigned i = 0; i < count; i++) {
        double mv = cell_mv(&battery->cells[i], battery->current_a);
        if (battery->settings.profile != BATTERY_FIXED) /* two readings of a cell differ a little */
            mv += 2 * prng_unit(&battery->random) - 1;
        mv = round(mv);
        pack_set_cell(pack, i + 1, mv);
        sum_mv += mv;
    }
    const double limit_a = round_to(LIMIT_C * battery->rated_ah, 0.1);
    const struct {
        enum pack_value id;
        double value;
    } rows[] = {
        {CELL_COUNT, count},
        {VOLTAGE_V, sum_mv / 1000},
        {BALANCE_MASK, (double) battery->balance_mask},
        {CHARGE_VOLTAGE_LIMIT_V, round_to(3.55 * count, 0.01)},
        {DISCHARGE_VOLTAGE_LIMIT_V, round_to(2.8 * count, 0.01)},
        {CURRENT_A, round_to(battery->current_a, 0.01)},
        {CHARGE_MOS, battery->charge.closed},
        {DISCHARGE_MOS, battery->discharge.closed},
        {CHARGE_CURRENT_LIMIT_A, battery->charge.closed ? limit_a : 0},
        {DISCHARGE_CURRENT_LIMIT_A, battery->discharge.closed ? limit_a : 0},
        {SOC_PERCENT, round_to(soc_percent(battery), 0.1)},
        {SOH_PERCENT, battery->soh_percent},
        {REMAINING_AH, round_to(battery->remaining_ah, 0.01)},
        {FULL_AH, round_to(battery->full_ah, 0.01)},
        {RATED_AH, battery->rated_ah},
        {CYCLES, battery->cycles_before + floor(battery->discharged_ah / battery->rated_ah)},
        {TEMP_COUNT, battery->settings.temps},
        {MOS_TEMP_C, round_to(mos_c(battery), 0.1)},
        /* Typical settings of an installer for such a pack of LFP cells. */
        {SET_CELL_HIGH_MV, 3650},
        {SET_CELL_HIGH_RELEASE_MV, 3450},
        {SET_CELL_LOW_MV, 2600},
        {SET_CELL_LOW_RELEASE_MV, 2750},
        {SET_PACK_HIGH_V, round_to(3.65 * count, 0.1)},
        {SET_PACK_LOW_V, round_to(2.6 * count, 0.1)},
        {SET_CHARGE_CURRENT_A, round_to(LIMIT_C * battery->rated_ah, 1)},
        {SET_DISCHARGE_CURRENT_A, round_to(1.2 * LIMIT_C * battery->rated_ah, 1)},
        {SET_CHARGE_HOT_C, 60},
        {SET_CHARGE_HOT_RELEASE_C, 55},
        {SET_CHARGE_COLD_C, 1},
        {SET_CHARGE_COLD_RELEASE_C, 5},
        {SET_DISCHARGE_HOT_C, 65},
        {SET_DISCHARGE_HOT_RELEASE_C, 60},
        {SET_DISCHARGE_COLD_C, -20},
        {SET_DISCHARGE_COLD_RELEASE_C, -10},
        {SET_MOS_HOT_C, 90},
        {SET_MOS_HOT_RELEASE_C, 70},
        {SET_CELL_DIFFERENCE_MV, 300},
        {SET_BALANCE_START_MV, 3400},
        {SET_BALANCE_DIFFERENCE_MV, 10},
        {SET_BALANCER, battery->balances},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        pack_set(pack, rows[i].id, rows[i].value);
    pack_set(pack, FLOW, pack_flow(pack));
    for (unsigned i = 0; i < battery->settings.temps; i++)
        pack_set_temp(pack, i + 1, round_to(sensor_c(battery, i), 0.1));
    for (int i = 0; i < PACK_ALARM_COUNT; i++)
        pack_alarm(pack, (enum pack_alarm) i, 0);
    for (unsigned i = 0; i < COUNT(limits); i++)
        if (battery->tripped >> i & 1)
            pack_alarm(pack, limits[i].alarm, (int) limits[i].level);
    const struct battery_settings *settings = &battery->settings;
    snprintf(pack->text[SERIAL], TEXT_SIZE, "SIM%08u", (unsigned) (settings->seed % 100000000));
    snprintf(pack->text[MODEL], TEXT_SIZE, "SIM-%uS-%.0fAH", settings->cells,
             settings->capacity_ah);
    snprintf(pack->text[FIRMWARE], TEXT_SIZE, "1.08");
    pack_derive(pack);
    battery->published = true;
}

void battery_init(struct battery *battery, const struct battery_settings *settings)
{
    memset(battery, 0, sizeof *battery);
    battery->settings = *settings;
    battery->settings.cells = (unsigned) clamp(settings->cells, 1, MAX_CELLS);
    battery->settings.temps = (unsigned) clamp(settings->temps, 0, MAX_TEMPS);
    battery->settings.capacity_ah = clamp(settings->capacity_ah, 1, 10000);
    battery->settings.soc_percent = clamp(settings->soc_percent, 0, 100);
    battery->settings.ambient_c = clamp(settings->ambient_c, -40, 80);
    battery->settings.rate_c = settings->rate_c > 0 ? settings->rate_c : RATE_C;
    battery->random = settings->seed;
    battery->cycles_before = prng_range(&battery->random, 10, 250);
    battery->soh_percent = 100 - floor(battery->cycles_before / 100);
    battery->rated_ah = battery->settings.capacity_ah;
    battery->full_ah = battery->rated_ah * battery->soh_percent / 100;
    battery->remaining_ah = battery->full_ah * battery->settings.soc_percent / 100;
    uint64_t *random = &battery->random;
    for (unsigned i = 0; i < battery->settings.cells; i++) {
        struct battery_cell *cell = &battery->cells[i];
        double percent = battery->settings.soc_percent + prng_unit(random) - 0.5;
        if (i == battery->settings.cells / 2)
            percent -= battery->settings.lag_percent;
        cell->capacity_ah = battery->full_ah * (1 + 0.015 * prng_unit(random));
        cell->charge_ah = cell->capacity_ah * percent / 100;
        cell->resistance_ohm = 0.06 / battery->rated_ah * (0.85 + 0.3 * prng_unit(random));
        cell->offset_mv = 16 * prng_unit(random) - 8;
    }
    for (unsigned i = 0; i < battery->settings.temps; i++)
        battery->temp_above_c[i] = 1 + 2 * prng_unit(&battery->random);
    battery->phase = battery->settings.soc_percent > 30 ? BATTERY_DISCHARGING : BATTERY_CHARGING;
    battery->charge = battery->discharge = (struct battery_switch){true, true};
    battery->balances = true;
}

void battery_example(struct pack *pack)
{
    struct battery battery;
    battery_init(&battery, &(struct battery_settings){
                               .cells = 8, .temps = 4, .capacity_ah = 100, .soc_percent = 50});
    battery_step(&battery, 0, pack);
}

void battery_set(struct battery *battery, enum pack_value id, double value)
{
    if (id == SOC_PERCENT) {
        battery->remaining_ah = battery->full_ah * value / 100;
    } else if (id == RATED_AH) {
        double share = battery->remaining_ah / battery->full_ah;
        battery->rated_ah = value;
        battery->full_ah = value * battery->soh_percent / 100;
        battery->remaining_ah = share * battery->full_ah;
    } else if (id == SET_BALANCER) {
        battery->balances = value > 0;
    }
}

static void take_command(struct battery_switch *mos, const struct pack *pack, enum pack_value id)
{
    if (pack_known(pack, id) && (pack->value[id] != 0) != mos->closed)
        mos->wanted = pack->value[id] != 0;
}

void battery_step(struct battery *battery, double seconds, struct pack *pack)
{
    if (battery->published) {
        take_command(&battery->charge, pack, CHARGE_MOS);
        take_command(&battery->discharge, pack, DISCHARGE_MOS);
    }
    double left = battery->settings.profile == BATTERY_FIXED ? 0 : clamp(seconds, 0, LONGEST_S);
    for (; left > 0; left -= SUBSTEP_S) {
        protect(battery);
        set_current(battery);
        move(battery, fmin(left, SUBSTEP_S));
    }
    protect(battery);
    set_current(battery);
    publish(battery, pack);
}
