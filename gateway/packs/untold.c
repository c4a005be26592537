// SPDX-License-Identifier: MIT
/* Finds the values that an inverter does not receive: encodes a random battery and decodes the
 * messages. */
#include "untold.h"

#include "bank.h"
#include "show.h"

#include "bms/battery_random.h"
#include "bms/inverter/can.h"
#include "bms/inverter/dialect.h"
#include "bms/inverter/pylon_system.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the battery ---- */

/* A pack that reports everything that its protocol has. For a pack that is not polled nothing is
 * known. */
static void model_pack(const struct pack_config *config, struct pack *pack)
{
    uint64_t seed = 1;
    battery_random(pack, &seed, 8, 4);
    if (!config->driver || bms_talks(config->driver) || !config->driver->emulate)
        return;
    static struct dialect dialect;
    dialect_init(&dialect, config->driver, &config->options);
    for (int id = 0; id < PACK_VALUES; id++)
        if (!dialect.carried[id])
            pack_unset(pack, (enum pack_value) id);
    pack_derive(pack);
}

static const struct bank_config *find_bank(const struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->bank_count; i++)
        if (strcmp(config->banks[i].name, name) == 0)
            return &config->banks[i];
    return NULL;
}

static void model_bank(const struct bank_config *config, struct pack *values,
                       struct map_bank *extras)
{
    static struct pack packs[MAX_BANK_PACKS];
    struct bank_member members[MAX_BANK_PACKS];
    for (unsigned i = 0; i < config->pack_count; i++) {
        model_pack(config->packs[i], &packs[i]);
        members[i] = (struct bank_member){
            .pack = &packs[i], .capacity_ah = config->packs[i]->options.capacity_ah, .fresh = true};
    }
    bank_combine(members, config->pack_count, values, extras);
}

static void model(const struct config *config, const struct present_config *present,
                  struct shown *shown)
{
    const char *of = present->outlet.packs[0];
    const struct bank_config *bank = find_bank(config, of);
    struct map_bank extras = {0};
    struct pack values;
    struct source source = {.name = of, .values = &values, .good_until = INFINITY};
    pack_clear(&values);
    source.status.allowed = (struct map_allowed){.configured = true,
                                                 .charge_voltage_v = 54,
                                                 .charge_current_a = 10,
                                                 .discharge_current_a = 10};
    if (bank) {
        model_bank(bank, &values, &extras);
        source.status.bank = &extras;
    }
    for (unsigned i = 0; !bank && i < config->pack_count; i++)
        if (strcmp(config->packs[i].name, of) == 0) {
            model_pack(&config->packs[i], &values);
            source.capacity_ah = config->packs[i].options.capacity_ah;
        }
    show_source(shown, &source, 0);
    if (!isnan(present->soh_percent) && !pack_known(&shown->values, SOH_PERCENT))
        pack_set(&shown->values, SOH_PERCENT, present->soh_percent);
    if (!isnan(present->discharge_voltage_v) &&
        !pack_known(&shown->values, DISCHARGE_VOLTAGE_LIMIT_V))
        pack_set(&shown->values, DISCHARGE_VOLTAGE_LIMIT_V, present->discharge_voltage_v);
}

/* ---- what is read of it ---- */

static void read_table(const struct table *table, const struct shown *shown, struct shown *told)
{
    uint8_t data[TABLE_MESSAGE_MAX];
    for (unsigned i = 0; i < table->message_count; i++) {
        const unsigned message = table->messages[i].message;
        const unsigned size = table_write(table, message, shown, data);
        if (size > 0)
            table_read(table, message, data, size, told);
    }
}

static void read_dialect(const struct present_config *present, const struct shown *shown,
                         struct shown *told)
{
    static struct dialect dialect;
    const struct bms_options options = {
        .address = present->address, .adr = -1, .variant = present->variant};
    struct pack read;
    dialect_init(&dialect, bms_driver_find(present->protocol), &options);
    dialect_read(&dialect, shown, &read);
    pack_merge(&told->values, &read);
}

static void read_all(const struct present_config *present, const struct shown *shown,
                     struct shown *told)
{
    const struct table *table = can_table_find(present->protocol);
    const struct bms_driver *driver = bms_driver_find(present->protocol);
    shown_clear(told);
    pack_clear(&told->values);
    if (table || !driver) {
        read_table(table, shown, told);
        return;
    }
    if (pylon_system_answers(driver, present->variant))
        read_table(&pylon_system_table, shown, told);
    read_dialect(present, shown, told);
}

/* A group counts as sent if one of its two values is. */
static const struct {
    const char *name;
    unsigned id, or_id;
} groups[] = {
    {"voltage", VOLTAGE_V, VOLTAGE_V},
    {"current", CURRENT_A, CURRENT_A},
    {"state of charge", SOC_PERCENT, REMAINING_AH},
    {"health", SOH_PERCENT, SOH_PERCENT},
    {"capacity", FULL_AH, RATED_AH},
    {"cycles", CYCLES, CYCLES},
    {"cell voltages", CELL_MAX_MV, CELL_MV},
    {"temperatures", SHOWN_TEMP_MAX_C, TEMP_C},
    {"charge voltage", CHARGE_VOLTAGE_LIMIT_V, CHARGE_VOLTAGE_LIMIT_V},
    {"current limits", CHARGE_CURRENT_LIMIT_A, DISCHARGE_CURRENT_LIMIT_A},
};

bool untold_list(const struct config *config, const struct present_config *present, char *out,
                 size_t size)
{
    struct shown shown, told;
    size_t used = 0;
    out[0] = '\0';
    model(config, present, &shown);
    read_all(present, &shown, &told);
    for (size_t i = 0; i < sizeof groups / sizeof *groups && used < size; i++)
        if (isnan(shown_number(&told, groups[i].id)) && isnan(shown_number(&told, groups[i].or_id)))
            used += (size_t) snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "",
                                      groups[i].name);
    if (!told.values.alarms_known && used < size)
        snprintf(out + used, size - used, "%salarms", used > 0 ? ", " : "");
    return pack_known(&told.values, CHARGE_CURRENT_LIMIT_A) || pack_known(&told.values, CHARGE_MOS);
}
