// SPDX-License-Identifier: MIT
/* Encodes a simulated battery, and decodes the messages. */
#include "untold.h"

#include "bank.h"
#include "show.h"

#include "config/keys.h"

#include "bms/battery.h"
#include "bms/count.h"
#include "bms/inverter/can.h"
#include "bms/inverter/dialect.h"
#include "bms/inverter/pylon_system.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

static void keep_carried(const struct bms_driver *driver, const struct bms_options *options,
                         struct pack *pack)
{
    static struct dialect dialect;
    dialect_init(&dialect, driver, options);
    for (int id = 0; id < PACK_VALUES; id++)
        if (!dialect.carried[id])
            pack_unset(pack, (enum pack_value) id);
}

/* A pack that reports each value of its protocol. `least`: of an unknown variant what all have.
 * One that only talks or has no emulator reports everything. */
static void model_pack(const struct pack_config *config, bool least, struct pack *pack)
{
    const struct bms_driver *driver = config->driver;
    struct bms_options options = config->options;
    battery_example(pack);
    if (!driver || bms_talks(driver) || !driver->emulate)
        return;
    const char *const *variants = driver->variants;
    keep_carried(driver, &options, pack);
    if (least && variants && strcmp(variants[options.variant], "auto") == 0)
        for (options.variant = 1; variants[options.variant]; options.variant++)
            keep_carried(driver, &options, pack);
    pack_derive(pack);
}

static void show_allowed(struct shown *shown, struct source *source)
{
    source->name = "";
    source->good_until = INFINITY;
    source->status.allowed = (struct map_allowed){.configured = true,
                                                  .charge_voltage_v = 54,
                                                  .charge_current_a = 10,
                                                  .discharge_current_a = 10};
    show_source(shown, source, 0);
}

static void model_source(const struct config *config, const struct present_config *present,
                         bool least, struct shown *shown)
{
    const char *of = present->outlet.packs[0];
    const struct bank_config *bank = config_struct_find(config, &bank_section, of);
    const struct pack_config *pack = config_struct_find(config, &pack_section, of);
    static struct pack packs[MAX_BANK_PACKS];
    struct bank_member members[MAX_BANK_PACKS];
    struct map_bank extras = {0};
    struct pack values;
    struct source source = {.values = &values};
    pack_clear(&values);
    for (unsigned i = 0; bank && i < bank->pack_count; i++) {
        model_pack(bank->packs[i], least, &packs[i]);
        members[i] = (struct bank_member){
            .pack = &packs[i], .capacity_ah = bank->packs[i]->options.capacity_ah, .fresh = true};
    }
    if (bank) {
        bank_combine(members, bank->pack_count, &values, &extras);
        source.status.bank = &extras;
    } else if (pack) {
        model_pack(pack, least, &values);
        source.capacity_ah = pack->options.capacity_ah;
    }
    show_allowed(shown, &source);
    show_settings(shown, present);
}

/* A table answers requests about a stack of batteries, a driver those about a single battery. */
enum level { LEVEL_TABLE, LEVEL_BATTERY, LEVELS };

static bool is_stacked(const struct present_config *present)
{
    const struct bms_driver *driver = bms_driver_find(present->protocol);
    return driver && pylon_system_answers(driver, present->variant);
}

static bool has_level(const struct present_config *present, enum level level)
{
    if (level == LEVEL_TABLE)
        return can_table_find(present->protocol) || is_stacked(present);
    return bms_driver_find(present->protocol) != NULL;
}

static void read_level(const struct present_config *present, enum level level,
                       const struct shown *shown, struct shown *told)
{
    shown_clear(told);
    pack_clear(&told->values);
    if (level == LEVEL_TABLE) {
        const struct table *table =
            is_stacked(present) ? &pylon_system_table : can_table_find(present->protocol);
        for (unsigned i = 0; i < table->message_count; i++) {
            uint8_t data[TABLE_MESSAGE_MAX];
            const unsigned message = table->messages[i].message;
            const unsigned size = table_write(table, message, shown, data);
            if (size > 0)
                table_read(table, message, data, size, told);
        }
        return;
    }
    static struct dialect dialect;
    const struct bms_options options = {
        .address = present->address, .adr = -1, .variant = present->variant};
    struct pack read;
    dialect_init(&dialect, bms_driver_find(present->protocol), &options);
    dialect_read(&dialect, shown, &read);
    pack_merge(&told->values, &read);
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
    {"cell temperatures", SHOWN_TEMP_MAX_C, TEMP_C},
    {"charge voltage", CHARGE_VOLTAGE_LIMIT_V, CHARGE_VOLTAGE_LIMIT_V},
    {"current limits", CHARGE_CURRENT_LIMIT_A, DISCHARGE_CURRENT_LIMIT_A},
};

#define ALARMS COUNT(groups)
#define HEALTH 3

struct untold {
    bool missing[COUNT(groups) + 1]; /* by group; the last are the alarms */
    bool stops;
};

static struct untold find_untold(const struct present_config *present, enum level level,
                                 const struct shown *shown)
{
    struct untold untold;
    struct shown told;
    read_level(present, level, shown, &told);
    for (size_t i = 0; i < COUNT(groups); i++)
        untold.missing[i] =
            isnan(shown_number(&told, groups[i].id)) && isnan(shown_number(&told, groups[i].or_id));
    untold.missing[ALARMS] = !told.values.alarms_known;
    untold.stops =
        pack_known(&told.values, CHARGE_CURRENT_LIMIT_A) || pack_known(&told.values, CHARGE_MOS);
    return untold;
}

/* What is missing even if the battery reports everything. */
static struct untold find_unfit(const struct present_config *present, enum level level)
{
    struct pack values;
    struct source source = {.values = &values};
    struct shown full;
    battery_example(&values);
    show_allowed(&full, &source);
    return find_untold(present, level, &full);
}

/* Writes the groups that are missing, but not in `known`. Returns whether there are any. */
static bool write_names(const struct untold *untold, const struct untold *known,
                        const struct untold *unfit, const char *before, struct text *text)
{
    bool any = false;
    size_t count = 0;
    while (count <= ALARMS && untold->missing[count])
        count++;
    if (count > ALARMS && !known) {
        text_add(text, before);
        text_add(text, "everything");
        return true;
    }
    for (size_t i = 0; i <= ALARMS; i++) {
        if (!untold->missing[i] || (known && known->missing[i]))
            continue;
        text_add(text, any ? ", " : before);
        text_add(text, i == ALARMS ? "alarms" : groups[i].name);
        if (i == HEALTH && !unfit->missing[i])
            text_add(text, " (set soh)");
        any = true;
    }
    return any;
}

static const char *before_level(const struct text *text)
{
    return text->size > 0 ? "; " : "";
}

static void write_level(const struct present_config *present, enum level level, struct text *text)
{
    if (is_stacked(present))
        text_add(text, level == LEVEL_TABLE ? " (of the stack)" : " (of one battery)");
}

bool untold_list(const struct config *config, const struct present_config *present, char *out,
                 size_t size)
{
    struct shown shown, worst;
    struct text text = text_in(out, size);
    bool stops = false;
    model_source(config, present, false, &shown);
    model_source(config, present, true, &worst);
    for (enum level level = 0; level < LEVELS; level++) {
        if (!has_level(present, level))
            continue;
        const struct untold unfit = find_unfit(present, level),
                            untold = find_untold(present, level, &shown),
                            least = find_untold(present, level, &worst);
        const bool some = write_names(&untold, NULL, &unfit, before_level(&text), &text);
        const char *perhaps = text.size == 0 ? "perhaps " : some ? ", perhaps " : "; perhaps ";
        if (write_names(&least, &untold, &unfit, perhaps, &text) || some)
            write_level(present, level, &text);
        stops |= untold.stops;
    }
    return stops;
}

void untold_now(const struct present_config *present, const struct shown *shown, char *out,
                size_t size)
{
    struct text text = text_in(out, size);
    for (enum level level = 0; level < LEVELS; level++) {
        if (!has_level(present, level) || (is_stacked(present) && level == LEVEL_BATTERY &&
                                           !pack_known(&shown->values, CELL_COUNT)))
            continue;
        const struct untold unfit = find_unfit(present, level),
                            untold = find_untold(present, level, shown);
        if (write_names(&untold, &unfit, &unfit, before_level(&text), &text))
            write_level(present, level, &text);
    }
}
