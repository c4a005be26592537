// SPDX-License-Identifier: MIT
#include "points.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define DECIMALS 4 /* finer than any protocol is; averages have no end */

/* Escapes comma, blank and equals sign in a tag's value. A line end cannot be escaped. */
static void add_tag(struct text *text, const char *name, const char *value)
{
    if (!value[0])
        return;
    text_format(text, ",%s=", name);
    const size_t size = strlen(value);
    for (size_t i = 0; i < size; i++) {
        const char c = value[i];
        /* A backslash at the end would escape what follows. */
        if (c == '\n' || c == '\r' || (c == '\\' && i + 1 == size))
            text_add(text, "_");
        else
            text_format(text, strchr(",= ", c) ? "\\%c" : "%c", c);
    }
}

bool points_tags(const char *gateway, const struct source *source, char out[POINTS_TAGS])
{
    struct text text = text_in(out, POINTS_TAGS);
    text_add(&text, "packgate");
    add_tag(&text, "gateway", gateway);
    if (source && source->line)
        add_tag(&text, "line", source->line);
    if (source)
        add_tag(&text, "pack", source->name);
    return !text.cut;
}

#define TIME_SIZE 32

struct writing {
    struct text *text;
    const struct points *points;
    bool begun; /* the line has a field */
    char end[TIME_SIZE];
};

static struct writing begin_line(struct text *text, const struct points *points)
{
    struct writing writing = {text, points, false, ""};
    snprintf(writing.end, sizeof writing.end, " %" PRId64 "000000000\n", points->t);
    return writing;
}

static void add_field(struct writing *writing, const char *name, double number)
{
    if (isnan(number) || isinf(number))
        return;
    if (!writing->begun)
        text_add(writing->text, writing->points->tags);
    text_add(writing->text, writing->begun ? "," : " ");
    text_add(writing->text, name);
    text_add(writing->text, "=");
    text_number(writing->text, number, DECIMALS);
    writing->begun = true;
}

static void end_line(struct writing *writing)
{
    if (writing->begun)
        text_add(writing->text, writing->end);
    writing->begun = false;
}

/* One of several alike: a line of its own, or one more field. */
static void add_indexed(struct writing *writing, const char *label, const char *name, unsigned n,
                        double number)
{
    struct text *text = writing->text;
    char field[VALUE_NAME_SIZE + 8];
    if (isnan(number))
        return;
    if (writing->points->layout == INFLUX_FIELDS) {
        snprintf(field, sizeof field, "%s_%02u", name, n);
        add_field(writing, field, number);
        return;
    }
    end_line(writing);
    text_add(text, writing->points->tags);
    text_add(text, ",");
    text_add(text, label);
    text_add(text, "=");
    text_number(text, n, 0);
    text_add(text, " ");
    text_add(text, name);
    text_add(text, "=");
    text_number(text, number, DECIMALS);
    text_add(text, writing->end);
}

/* Writes what is known of a silent pack, too. */
static void add_states(struct writing *writing, const struct points *points)
{
    add_field(writing, "fresh", points->fresh);
    add_field(writing, "age_s", points->age_s);
    const struct map_allowed *allowed = &points->allowed;
    if (allowed->configured) {
        add_field(writing, "allowed_charge_voltage_v", allowed->charge_voltage_v);
        add_field(writing, "allowed_charge_current_a", allowed->charge_current_a);
        add_field(writing, "allowed_discharge_current_a", allowed->discharge_current_a);
        add_field(writing, "charge_limited_by", allowed->charge_limited_by);
        add_field(writing, "discharge_limited_by", allowed->discharge_limited_by);
    }
    if (!points->facts)
        return;
    const struct map_status *status = &points->facts->status;
    const struct map_bank *bank = status->bank;
    add_field(writing, "charged_wh_total", status->charged_wh);
    add_field(writing, "discharged_wh_total", status->discharged_wh);
    if (bank) {
        add_field(writing, "packs_present", bank->present);
        add_field(writing, "packs_missing", bank->missing);
        add_field(writing, "packs_needed", bank->needed);
        return;
    }
    add_field(writing, "polls_total", status->polls);
    add_field(writing, "timeouts_total", status->timeouts);
    add_field(writing, "checksum_errors_total", status->checksum_errors);
    add_field(writing, "reconnects_total", status->reconnects);
}

static void add_extremes(struct writing *writing, const struct pack *pack)
{
    const struct map_bank *bank =
        writing->points->facts ? writing->points->facts->status.bank : NULL;
    double low = bank ? bank->temp_min_c : NAN, high = bank ? bank->temp_max_c : NAN;
    for (int i = 0; i < MAX_TEMPS; i++) {
        low = fmin(low, pack->value[TEMP_C + i]);
        high = fmax(high, pack->value[TEMP_C + i]);
    }
    add_field(writing, "temp_max_c", high);
    add_field(writing, "temp_min_c", low);
    if (pack->alarms_known)
        add_field(writing, "alarm_level",
                  pack->alarms_protection ? ALARM_PROTECTION
                  : pack->alarms_warning  ? ALARM_WARNING
                                          : 0);
}

static void add_alarm(struct writing *writing, const char *alarm, const char *level, bool active)
{
    text_format(writing->text, "%s,alarm=%s,level=%s alarm=%d%s", writing->points->tags, alarm,
                level, active, writing->end);
}

static void add_alarms(struct writing *writing, const struct pack *pack)
{
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        const bool warning = pack->alarms_warning >> i & 1;
        const bool protection = pack->alarms_protection >> i & 1;
        const char *name = pack_alarm_name((enum pack_alarm) i);
        const bool all = writing->points->all_alarms;
        if (warning || (all && pack->alarms_can_warn >> i & 1))
            add_alarm(writing, name, "warning", warning);
        if (protection || (all && pack->alarms_can_protect >> i & 1))
            add_alarm(writing, name, "protection", protection);
    }
}

static void add_arrays(struct writing *writing, const struct pack *pack)
{
    char name[VALUE_NAME_SIZE + 8];
    for (unsigned i = 0; i < MAX_CELLS; i++)
        add_indexed(writing, "cell", "cell_mv", i + 1, pack->value[CELL_MV + (int) i]);
    for (unsigned i = 0; i < MAX_TEMPS; i++)
        add_indexed(writing, "sensor", "temp_c", i + 1, pack->value[TEMP_C + (int) i]);
    if (writing->points->layout == INFLUX_SERIES) {
        add_alarms(writing, pack);
        return;
    }
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        snprintf(name, sizeof name, "alarm_%s", pack_alarm_name((enum pack_alarm) i));
        if (pack->alarms_known >> i & 1)
            add_field(writing, name, pack_alarm_active(pack, (enum pack_alarm) i));
    }
}

void points_write(struct text *text, const struct points *points)
{
    struct writing writing = begin_line(text, points);
    const struct pack *pack = points->values;
    const bool series = points->layout == INFLUX_SERIES;
    for (int i = 0; pack && i < CELL_MV; i++) {
        const char *name = pack_value_info((enum pack_value) i)->name;
        if (name)
            add_field(&writing, i == CYCLES ? "cycles_total" : name, pack->value[i]);
    }
    if (pack)
        add_extremes(&writing, pack);
    if (pack && !series)
        add_arrays(&writing, pack);
    add_states(&writing, points);
    end_line(&writing);
    if (!series)
        return;
    if (pack)
        add_arrays(&writing, pack);
    if (!points->facts || !points->all_alarms)
        return;
    const struct source *facts = points->facts;
    text_add(text, points->tags);
    add_tag(text, "protocol", facts->status.driver ? facts->status.driver : "");
    add_tag(text, "model", facts->values->text[MODEL]);
    add_tag(text, "serial", facts->values->text[SERIAL]);
    add_tag(text, "firmware", facts->values->text[FIRMWARE]);
    text_format(text, " pack_info=1%s", writing.end);
}

void points_gateway(struct text *text, const char *tags, int64_t t, int64_t behind_s, bool version)
{
    text_format(text, "%s behind_s=%" PRId64 " %" PRId64 "000000000\n", tags, behind_s, t);
    if (version)
        text_format(text, "%s,version=%s build_info=1 %" PRId64 "000000000\n", tags,
                    PACKGATE_VERSION, t);
}

void points_health(struct text *text, const char *tags, enum influx_layout layout,
                   const struct health_day *day)
{
    const struct points points = {.tags = tags, .layout = layout, .t = day->from};
    struct writing writing = begin_line(text, &points);
    static const char *const names[] = {"cell_load_mv", "cell_rest_mv", "cell_milliohm"};
    const double *const numbers[] = {day->load_mv, day->rest_mv, day->milliohm};
    add_field(&writing, "day_charged_wh", day->charged_wh);
    add_field(&writing, "day_discharged_wh", day->discharged_wh);
    add_field(&writing, "silent_s", day->silent_s);
    add_field(&writing, "efficiency_percent", 100 * day->efficiency);
    add_field(&writing, "capacity_seen_ah", day->capacity_ah);
    for (size_t k = 0; k < 3; k++)
        for (unsigned i = 0; i < day->cells; i++)
            add_indexed(&writing, "cell", names[k], i + 1, numbers[k][i]);
    end_line(&writing);
}

void points_findings(struct text *text, const char *tags, enum influx_layout layout, int64_t t,
                     const struct health_finding *findings, unsigned count)
{
    const struct points points = {.tags = tags, .layout = layout, .t = t};
    struct writing writing = begin_line(text, &points);
    for (unsigned i = 0; i < count; i++) {
        const char *kind = health_kind_name(findings[i].kind);
        char cell[VALUE_NAME_SIZE] = "";
        if (layout == INFLUX_FIELDS) {
            char name[2 * VALUE_NAME_SIZE];
            if (findings[i].cell > 0)
                snprintf(cell, sizeof cell, "_%02u", findings[i].cell);
            snprintf(name, sizeof name, "finding_%s%s", kind, cell);
            add_field(&writing, name, findings[i].number);
            continue;
        }
        if (findings[i].cell > 0)
            snprintf(cell, sizeof cell, ",cell=%u", findings[i].cell);
        text_format(text, "%s,finding=%s%s finding=", tags, kind, cell);
        text_number(text, findings[i].number, DECIMALS);
        text_add(text, writing.end);
    }
    end_line(&writing);
}

static void take_flags(const struct history_row *row, const struct pack *now, struct pack *values)
{
    const uint32_t alarms = (1u << PACK_ALARM_COUNT) - 1;
    static const struct {
        enum pack_value value;
        uint64_t flag;
    } switches[] = {{CHARGE_MOS, FLAG_CHARGE_MOS},
                    {DISCHARGE_MOS, FLAG_DISCHARGE_MOS},
                    {BALANCING, FLAG_BALANCING}};
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (row->flags & switches[i].flag || pack_known(now, switches[i].value))
            values->value[switches[i].value] = (row->flags & switches[i].flag) != 0;
    values->alarms_warning = (uint32_t) (row->flags & alarms);
    values->alarms_protection = (uint32_t) (row->flags >> 24 & alarms);
    values->alarms_can_warn = now->alarms_can_warn | values->alarms_warning;
    values->alarms_can_protect = now->alarms_can_protect | values->alarms_protection;
    values->alarms_known = now->alarms_known | values->alarms_warning | values->alarms_protection;
}

static double number_of_row(const struct history_row *row, enum history_value value)
{
    return row->mean[value] == ROW_UNKNOWN ? (double) NAN
                                           : row->mean[value] / history_field(value)->scale;
}

static enum limit_reason reason_of_row(const struct history_row *row, enum history_value value)
{
    const int32_t code = row->mean[value];
    return code >= 0 && code < LIMIT_REASON_COUNT ? (enum limit_reason) code : LIMITED_BY_UNKNOWN;
}

struct map_allowed points_allowed(const struct history_row *row)
{
    return (struct map_allowed){
        .configured = row->mean[ROW_ALLOWED_CHARGE] != ROW_UNKNOWN,
        .charge_voltage_v = number_of_row(row, ROW_ALLOWED_VOLTAGE),
        .charge_current_a = number_of_row(row, ROW_ALLOWED_CHARGE),
        .discharge_current_a = number_of_row(row, ROW_ALLOWED_DISCHARGE),
        .charge_limited_by = reason_of_row(row, ROW_CHARGE_LIMITED_BY),
        .discharge_limited_by = reason_of_row(row, ROW_DISCHARGE_LIMITED_BY),
        .age_s = NAN,
    };
}

void points_of_row(const struct history_row *row, const struct pack *now, bool moment,
                   struct pack *values)
{
    static const enum pack_value derived[] = {CELL_MAX_MV, CELL_MIN_MV, CELL_MAX_INDEX,
                                              CELL_MIN_INDEX, CELL_AVG_MV};
    if (moment) {
        *values = *now;
    } else {
        pack_clear(values);
        take_flags(row, now, values);
    }
    for (int i = 0; i < ROW_VALUES; i++) {
        if (history_is_limit((enum history_value) i))
            continue;
        const enum pack_value value = history_pack_value((enum history_value) i);
        if (row->mean[i] != ROW_UNKNOWN)
            values->value[value] = number_of_row(row, (enum history_value) i);
    }
    for (size_t i = 0; row->mean[ROW_CELL] != ROW_UNKNOWN && i < sizeof derived / sizeof *derived;
         i++)
        pack_unset(values, derived[i]);
    pack_derive(values);
}
