// SPDX-License-Identifier: MIT
#include "messages.h"

#include "config/config.h"
#include "bms/count.h"

#include <math.h>
#include <stdio.h>

#define CELLS_MOST 24 /* that the reader knows */
#define TEMPS_MOST 4
#define DECIMALS 3
#define BIT(alarm) (1u << (alarm))

struct told {
    struct text *text;
    const struct source *source;
    struct map_status status;
    struct map_allowed allowed;
    bool fresh;
};

static void put_value(const struct told *told, const char *key, double number)
{
    text_key(told->text, key);
    text_number(told->text, number, DECIMALS); /* NaN: null */
}

static double value_now(const struct told *told, enum pack_value id)
{
    return told->fresh ? told->source->values->value[id] : (double) NAN;
}

static double mapped(const struct told *told, const char *name)
{
    return told->fresh ? map_number_named(name, told->source->values, &told->status) : (double) NAN;
}

static double alarm_level_of(const struct told *told, uint32_t alarms)
{
    const struct pack *pack = told->source->values;
    if (!told->fresh || !(pack->alarms_known & alarms))
        return NAN;
    if (pack->alarms_protection & alarms)
        return ALARM_PROTECTION;
    return pack->alarms_warning & alarms ? ALARM_WARNING : 0;
}

static void put_alarms(const struct told *told)
{
    static const struct {
        const char *key;
        uint32_t alarms;
    } rows[] = {
        {"LowVoltage", BIT(PACK_UNDER_VOLTAGE)},
        {"HighVoltage", BIT(PACK_OVER_VOLTAGE)},
        {"LowCellVoltage", BIT(CELL_UNDER_VOLTAGE)},
        {"HighCellVoltage", BIT(CELL_OVER_VOLTAGE)},
        {"LowSoc", BIT(SOC_LOW)},
        {"HighChargeCurrent", BIT(CHARGE_OVER_CURRENT)},
        {"HighDischargeCurrent", BIT(DISCHARGE_OVER_CURRENT) | BIT(SHORT_CIRCUIT)},
        {"CellImbalance", BIT(CELL_IMBALANCE)},
        {"HighChargeTemperature", BIT(CHARGE_OVER_TEMPERATURE)},
        {"LowChargeTemperature", BIT(CHARGE_UNDER_TEMPERATURE)},
        {"HighTemperature", BIT(DISCHARGE_OVER_TEMPERATURE)},
        {"LowTemperature", BIT(DISCHARGE_UNDER_TEMPERATURE)},
        {"HighInternalTemperature", BIT(MOS_OVER_TEMPERATURE)},
        {"InternalFailure", BIT(TEMP_SENSOR_FAULT) | BIT(VOLTAGE_SENSOR_FAULT) |
                                BIT(CHARGE_MOS_FAULT) | BIT(DISCHARGE_MOS_FAULT) |
                                BIT(HARDWARE_FAULT)},
    };
    text_json(told->text, "Alarms", "{");
    for (size_t i = 0; i < COUNT(rows); i++)
        put_value(told, rows[i].key, alarm_level_of(told, rows[i].alarms));
    put_value(told, "BmsCable",
              told->fresh ? alarm_level_of(told, BIT(COMMUNICATION_FAULT)) : ALARM_PROTECTION);
    text_add(told->text, "}");
}

static void put_reason(const struct told *told, const char *key, enum limit_reason reason)
{
    if (told->fresh && told->allowed.configured)
        text_member(told->text, key, map_limit_reason_name(reason));
    else
        text_json(told->text, key, "null");
}

static double may_flow(double mos, double most)
{
    if (mos == 0 || most == 0)
        return 0;
    return isnan(mos) && isnan(most) ? (double) NAN : 1;
}

/* Whether a pack blocks a direction; NaN: unknown. */
static double is_blocking(double mos)
{
    return isnan(mos) ? (double) NAN : mos == 0;
}

/* "C7", of a bank "house-1 C7". */
static void put_cell(const struct told *told, const char *key, enum pack_value index,
                     const char *pack)
{
    const double cell = value_now(told, index), place = mapped(told, pack);
    char name[NAME_SIZE + 8];
    if (isnan(cell)) {
        text_json(told->text, key, "null");
        return;
    }
    const bool of_member = place >= 1 && place <= told->source->member_count;
    const char *member = of_member ? told->source->members[(unsigned) place - 1]->name : "";
    snprintf(name, sizeof name, "%s%sC%.0f", member, of_member ? " " : "", cell);
    text_member(told->text, key, name);
}

static void put_system(const struct told *told)
{
    char key[24];
    text_json(told->text, "System", "{");
    put_value(told, "MinCellVoltage", value_now(told, CELL_MIN_MV) / 1000);
    put_cell(told, "MinVoltageCellId", CELL_MIN_INDEX, "cell_min_pack");
    put_value(told, "MaxCellVoltage", value_now(told, CELL_MAX_MV) / 1000);
    put_cell(told, "MaxVoltageCellId", CELL_MAX_INDEX, "cell_max_pack");
    put_value(told, "MinCellTemperature", mapped(told, "temp_min_c"));
    put_value(told, "MaxCellTemperature", mapped(told, "temp_max_c"));
    put_value(told, "MOSTemperature", value_now(told, MOS_TEMP_C));
    put_value(told, "NrOfCellsPerBattery", value_now(told, CELL_COUNT));
    const struct map_bank *bank = told->status.bank;
    const bool known = bank && told->fresh;
    put_value(told, "NrOfModulesOnline", known ? (double) bank->present : told->fresh);
    put_value(told, "NrOfModulesOffline", known ? (double) bank->missing : !told->fresh);
    put_value(told, "NrOfModulesBlockingCharge",
              bank ? (double) NAN : is_blocking(value_now(told, CHARGE_MOS)));
    put_value(told, "NrOfModulesBlockingDischarge",
              bank ? (double) NAN : is_blocking(value_now(told, DISCHARGE_MOS)));
    for (unsigned i = 0; i < TEMPS_MOST; i++) {
        snprintf(key, sizeof key, "Temperature%u", i + 1);
        put_value(told, key, value_now(told, (enum pack_value)(TEMP_C + i)));
    }
    text_add(told->text, "}");
}

static void put_cells(const struct told *told)
{
    const double balanced = value_now(told, BALANCE_MASK);
    char key[12];
    text_json(told->text, "Voltages", "{");
    /* The reader sums up missing cells itself, and fails if a cell is null. */
    put_value(told, "Sum", told->source->members ? (double) NAN : value_now(told, VOLTAGE_V));
    put_value(told, "Diff", value_now(told, CELL_DELTA_MV) / 1000);
    for (unsigned i = 0; i < CELLS_MOST; i++) {
        snprintf(key, sizeof key, "Cell%u", i + 1);
        put_value(told, key, value_now(told, (enum pack_value)(CELL_MV + i)) / 1000);
    }
    text_add(told->text, "}");
    text_json(told->text, "Balances", "{");
    for (unsigned i = 0; i < CELLS_MOST; i++) {
        const bool has = i < value_now(told, CELL_COUNT) && !isnan(balanced);
        snprintf(key, sizeof key, "Cell%u", i + 1);
        put_value(told, key, has ? (double) ((uint64_t) balanced >> i & 1) : (double) NAN);
    }
    text_add(told->text, "}");
}

bool venus_values(struct text *text, const struct source *source, bool fresh,
                  const struct pack *last)
{
    const double *needed = last ? last->value : source->values->value;
    struct told told = {
        .text = text, .source = source, .status = source_status(source, !last), .fresh = !last};
    if (isnan(needed[POWER_W]) || isnan(needed[VOLTAGE_V]) || isnan(needed[SOC_PERCENT]))
        return false;
    told.status.allowed.discharges_stale &= !fresh;
    told.allowed = map_allowed(&told.status, told.fresh);
    /* From [limits], which include those of the BMS, or else from the BMS. */
    struct map_allowed *most = &told.allowed;
    if (!most->configured) {
        most->charge_voltage_v = value_now(&told, CHARGE_VOLTAGE_LIMIT_V);
        most->charge_current_a = last ? 0 : value_now(&told, CHARGE_CURRENT_LIMIT_A);
        most->discharge_current_a = last ? 0 : value_now(&told, DISCHARGE_CURRENT_LIMIT_A);
    }
    text_add(text, "{");
    text_json(text, "Dc", "{");
    put_value(&told, "Power", needed[POWER_W]);
    put_value(&told, "Voltage", needed[VOLTAGE_V]);
    put_value(&told, "Current", value_now(&told, CURRENT_A));
    put_value(&told, "Temperature", value_now(&told, TEMP_AVG_C));
    text_add(text, "}");
    put_value(&told, "Soc", needed[SOC_PERCENT]);
    put_value(&told, "Soh", value_now(&told, SOH_PERCENT));
    const double full = value_now(&told, FULL_AH), left = value_now(&told, REMAINING_AH);
    const double all = isnan(full) ? value_now(&told, RATED_AH) : full;
    put_value(&told, "InstalledCapacity", all);
    put_value(&told, "Capacity", left);
    put_value(&told, "ConsumedAmphours", all - left);
    put_value(&told, "TimeToGo", mapped(&told, "time_to_empty_s"));
    put_value(&told, "Balancing", value_now(&told, BALANCING));
    put_alarms(&told);
    text_json(text, "Info", "{");
    put_value(&told, "MaxChargeVoltage", most->charge_voltage_v);
    put_value(&told, "MaxChargeCurrent", most->charge_current_a);
    put_value(&told, "MaxDischargeCurrent", most->discharge_current_a);
    put_reason(&told, "ChargeLimitation", most->charge_limited_by);
    put_reason(&told, "DischargeLimitation", most->discharge_limited_by);
    text_add(text, "}");
    text_json(text, "Io", "{");
    put_value(&told, "AllowToCharge",
              may_flow(value_now(&told, CHARGE_MOS), most->charge_current_a));
    put_value(&told, "AllowToDischarge",
              may_flow(value_now(&told, DISCHARGE_MOS), most->discharge_current_a));
    text_add(text, "}");
    put_system(&told);
    put_cells(&told);
    text_json(text, "History", "{");
    put_value(&told, "ChargeCycles", value_now(&told, CYCLES));
    put_value(&told, "ChargedEnergy", mapped(&told, "charged_wh") / 1000);
    put_value(&told, "DischargedEnergy", mapped(&told, "discharged_wh") / 1000);
    text_add(text, "}");
    text_add(text, "}");
    return true;
}
