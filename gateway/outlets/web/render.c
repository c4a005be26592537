// SPDX-License-Identifier: MIT
#include "render.h"

#include "base/clock.h"
#include "packs/limits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DECIMALS 4 /* finer than any protocol; averages would have any number of digits */

/* Active alarms, each with its beginning if that was seen. */
static void add_alarms(struct text *text, const struct render_pack *pack, bool values, double now)
{
    const struct source *source = &pack->pack->source;
    const struct alarms alarms = alarms_after(pack->alarms, source->values, source->status.bms);
    const bool bank = source->members != NULL;
    const char *comma = "";
    text_json(text, "alarms", "[");
    for (int i = 0; values && i < PACK_ALARM_COUNT; i++) {
        const enum pack_alarm alarm = (enum pack_alarm) i;
        const int level = alarms_level(alarms, i);
        if (!level)
            continue;
        text_format(text, "%s{\"name\":\"%s\",\"level\":\"%s\"", comma, pack_alarm_name(alarm),
                    pack_alarm_level_name(level));
        if (pack->alarm_since[i] > 0)
            text_format(text, ",\"since\":%.0f",
                        floor(clock_wall() - (now - pack->alarm_since[i])));
        /* Omitted for a bank, where a cell's number alone does not identify it. */
        const int cell = bank ? 0 : alarms_cell(alarm, source->values);
        const int sensor = bank ? 0 : alarms_sensor(alarm, source->values);
        if (cell)
            text_format(text, ",\"cell\":%d", cell);
        if (sensor)
            text_format(text, ",\"sensor\":%d", sensor);
        text_add(text, "}");
        comma = ",";
    }
    text_add(text, "]");
}

/* Adds the numbers that are in the register map, but not in struct pack. */
static void add_mapped(struct text *text, const struct source *source, const char *const names[])
{
    for (const char *const *name = names; *name; name++)
        text_member_number(text, *name, map_number_named(*name, source->values, &source->status),
                           DECIMALS);
}

static void add_values(struct text *text, const struct source *source)
{
    static const char *const worked_out[] = {
        "temp_max_c",      "temp_min_c",      "alarm_level",       "cell_max_pack",
        "cell_min_pack",   "temp_max_pack",   "temp_min_pack",     "time_to_full_s",
        "time_to_empty_s", "packs_current_a", "packs_soc_percent", NULL};
    const struct pack *pack = source->values;
    char name[VALUE_NAME_SIZE];
    for (int i = 0; i < PACK_VALUES; i++) {
        const struct pack_value_info *info = pack_value_info((enum pack_value) i);
        if (info->name && pack_known(pack, (enum pack_value) i))
            text_member_number(text, pack_value_name((enum pack_value) i, name), pack->value[i],
                               info->decimals == 0 ? 0 : DECIMALS);
    }
    add_mapped(text, source, worked_out);
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        if (!(pack->alarms_known >> i & 1))
            continue;
        snprintf(name, sizeof name, "alarm.%s", pack_alarm_name((enum pack_alarm) i));
        text_member_number(text, name, pack_alarm_active(pack, (enum pack_alarm) i), 0);
    }
}

static void add_brief_values(struct text *text, const struct source *source)
{
    static const enum pack_value values[] = {SOC_PERCENT, POWER_W, VOLTAGE_V, CURRENT_A,
                                             CELL_DELTA_MV};
    static const char *const worked_out[] = {"temp_max_c", "alarm_level", NULL};
    char name[VALUE_NAME_SIZE];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        text_member_number(text, pack_value_name(values[i], name), source->values->value[values[i]],
                           DECIMALS);
    add_mapped(text, source, worked_out);
}

static void add_limited(struct text *text, const char *way, struct limited limited)
{
    char name[40];
    snprintf(name, sizeof name, "allowed_%s_current_a", way);
    text_member_number(text, name, limited.amps, DECIMALS);
    snprintf(name, sizeof name, "%s_limited_by", way);
    text_member(text, name, map_limit_reason_name(limited.by));
    snprintf(name, sizeof name, "%s_limited_pack", way);
    text_member(text, name, limited.pack);
    snprintf(name, sizeof name, "%s_limited_cell", way);
    text_member_number(text, name, limited.cell > 0 ? (double) limited.cell : (double) NAN, 0);
    snprintf(name, sizeof name, "%s_limited_cell_v", way);
    text_member_number(text, name, limited.cell_v, DECIMALS);
}

/* What only whole objects have: identity, counters and limits. */
static void add_details(struct text *text, const struct source *source, bool fresh)
{
    static const char *const counters[] = {"packs_present", "packs_missing", "packs_needed",
                                           "polls",         "timeouts",      "checksum_errors",
                                           "reconnects",    "implausible",   "spikes",
                                           "charged_wh",    "discharged_wh", NULL};
    text_member_number(text, "unit", source->unit, 0);
    text_member(text, "line", source->line);
    text_member(text, "protocol", source->status.driver);
    text_json(text, "writable", source->writable ? "1" : "0");
    for (int i = 0; i < PACK_TEXTS; i++)
        text_member(text, pack_text_name((enum pack_text) i), source->values->text[i]);
    if (source->capacity_ah > 0)
        text_member_number(text, "capacity_ah", source->capacity_ah, DECIMALS);
    if (source->members) {
        text_json(text, "members", "[");
        for (unsigned i = 0; i < source->member_count; i++) {
            text_add(text, i > 0 ? "," : "");
            text_quote(text, source->members[i]->name);
        }
        text_add(text, "]");
    }
    add_mapped(text, source, counters);
    const struct map_soc_peak *peak = &source->status.peak;
    if (peak->percent >= 0) {
        text_member_number(text, "soc_peak_percent", peak->percent, 0);
        text_member_number(text, "soc_peak_hour", peak->hour, 0);
        text_member_number(text, "soc_peak_minute", peak->minute, 0);
    }
    /* Also for a silent pack: nothing is allowed then. */
    const struct map_allowed allowed = map_allowed(&source->status, fresh);
    if (allowed.configured) {
        text_member_number(text, "allowed_charge_voltage_v", allowed.charge_voltage_v, DECIMALS);
        add_limited(text, "charge", limited_of(source, &allowed, LIMITS_CHARGE));
        add_limited(text, "discharge", limited_of(source, &allowed, LIMITS_DISCHARGE));
    }
}

void render_pack(struct text *text, const struct render_pack *pack, bool whole, bool fresh,
                 double now)
{
    const struct source *source = &pack->pack->source;
    const double age = outlet_age(pack->pack, now);
    text_add(text, "{");
    text_member(text, "pack", source->name);
    if (strcmp(source->title, source->name) != 0)
        text_member(text, "name", source->title);
    text_member(text, "kind", source->members ? "bank" : "pack");
    text_member(text, "state", map_state_name(source_status(source, fresh).state));
    text_json(text, "fresh", fresh ? "1" : "0");
    text_member_number(text, "age_s", age, 1);
    text_member_number(text, "time", clock_wall() - age, 1);
    add_alarms(text, pack, fresh, now);
    if (whole)
        add_details(text, source, fresh);
    if (fresh) {
        (whole ? add_values : add_brief_values)(text, source);
    } else if (!isnan(source->status.age_s)) {
        text_json(text, "last", "{");
        (whole ? add_values : add_brief_values)(text, source);
        add_alarms(text, pack, true, now);
        text_add(text, "}");
    }
    text_add(text, "}");
}
