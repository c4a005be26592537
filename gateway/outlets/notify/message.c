// SPDX-License-Identifier: MIT
#include "message.h"

#include "packs/json.h"
#include "config/outlet_config.h"
#include "base/duration.h"

#include <math.h>
#include <time.h>

/* The values that help a person with this alarm. */
enum detail {
    DETAIL_NONE,
    DETAIL_CELL_HIGH,
    DETAIL_CELL_LOW,
    DETAIL_CELLS,
    DETAIL_TEMPERATURE,
    DETAIL_CURRENT
};

static const enum detail details[PACK_ALARM_COUNT] = {
    [CELL_OVER_VOLTAGE] = DETAIL_CELL_HIGH,
    [CELL_UNDER_VOLTAGE] = DETAIL_CELL_LOW,
    [CELL_IMBALANCE] = DETAIL_CELLS,
    [CHARGE_OVER_CURRENT] = DETAIL_CURRENT,
    [DISCHARGE_OVER_CURRENT] = DETAIL_CURRENT,
    [SHORT_CIRCUIT] = DETAIL_CURRENT,
    [CHARGE_OVER_TEMPERATURE] = DETAIL_TEMPERATURE,
    [CHARGE_UNDER_TEMPERATURE] = DETAIL_TEMPERATURE,
    [DISCHARGE_OVER_TEMPERATURE] = DETAIL_TEMPERATURE,
    [DISCHARGE_UNDER_TEMPERATURE] = DETAIL_TEMPERATURE,
    [MOS_OVER_TEMPERATURE] = DETAIL_TEMPERATURE,
    [TEMPERATURE_IMBALANCE] = DETAIL_TEMPERATURE,
};

void message_clock(double time, double now, char *out, size_t size)
{
    const time_t at = (time_t) time, today = (time_t) now;
    struct tm local, other;
    localtime_r(&at, &local);
    localtime_r(&today, &other);
    const bool same = local.tm_yday == other.tm_yday && local.tm_year == other.tm_year;
    strftime(out, size, same ? "%H:%M" : "%Y-%m-%d %H:%M", &local);
}

const char *message_level(const struct message *message)
{
    return message->level ? pack_alarm_level_name(message->level) : "info";
}

void message_words(struct text *text, const char *name)
{
    for (; *name; name++)
        text_format(text, "%c", *name == '_' ? ' ' : *name);
}

/* In a bank, names the pack that the cell belongs to. */
static void add_cell(struct text *text, const char *which, const struct source *source,
                     enum pack_value at, enum pack_value index, unsigned member)
{
    const struct pack *values = source->values;
    if (isnan(values->value[at]))
        return;
    text_format(text, ", %s cell", which);
    text_known(text, " %.0f", values->value[index]);
    if (source->members && member > 0 && member <= source->member_count)
        text_format(text, " of %s", source->members[member - 1]->title);
    text_format(text, " %.3f V", values->value[at] / 1000);
}

static void add_temperatures(struct text *text, const struct pack *values)
{
    int high = -1, low = -1;
    for (int i = 0; i < MAX_TEMPS; i++) {
        const double value = values->value[TEMP_C + i];
        if (isnan(value))
            continue;
        high = high < 0 || value > values->value[TEMP_C + high] ? i : high;
        low = low < 0 || value < values->value[TEMP_C + low] ? i : low;
    }
    if (high >= 0)
        text_format(text, ", sensor %d %.1f °C", high + 1, values->value[TEMP_C + high]);
    if (high >= 0 && low != high)
        text_format(text, ", sensor %d %.1f °C", low + 1, values->value[TEMP_C + low]);
    text_known(text, ", MOS %.1f °C", values->value[MOS_TEMP_C]);
}

/* ", highest cell 7 3.652 V, SOC 98.0 %, 54.20 V, 12.3 A": begins with a comma. */
static void add_values(struct text *text, const struct source *source, enum detail detail)
{
    const struct pack *values = source->values;
    const struct map_bank *bank = source->status.bank;
    const bool cells = detail == DETAIL_CELLS;
    if (cells || detail == DETAIL_CELL_HIGH)
        add_cell(text, "highest", source, CELL_MAX_MV, CELL_MAX_INDEX,
                 bank ? bank->cell_max_pack : 0);
    if (cells || detail == DETAIL_CELL_LOW)
        add_cell(text, "lowest", source, CELL_MIN_MV, CELL_MIN_INDEX,
                 bank ? bank->cell_min_pack : 0);
    if (cells)
        text_known(text, ", difference %.0f mV", values->value[CELL_DELTA_MV]);
    if (detail == DETAIL_TEMPERATURE)
        add_temperatures(text, values);
    if (detail == DETAIL_CURRENT)
        text_known(text, ", %.1f A", values->value[CURRENT_A]);
    text_known(text, ", SOC %.1f %%", values->value[SOC_PERCENT]);
    text_known(text, ", %.2f V", values->value[VOLTAGE_V]);
    if (detail != DETAIL_CURRENT)
        text_known(text, ", %.1f A", values->value[CURRENT_A]);
}

static void add_subject(struct text *text, const struct happening *happening,
                        const struct notify_config *config)
{
    const bool over = happening->phase == PHASE_ENDED;
    switch (happening->event) {
    case NOTIFY_ALARM:
        message_words(text, pack_alarm_name((enum pack_alarm) happening->alarm));
        break;
    case NOTIFY_STALE:
    case NOTIFY_BACK:
        text_add(text, over ? "answers again" : "does not answer");
        return;
    case NOTIFY_SOC_BELOW:
        text_format(text,
                    over ? "state of charge is back above %g %%" : "state of charge is below %g %%",
                    config->soc_below);
        return;
    case NOTIFY_CELL_DELTA:
        text_format(text,
                    over ? "cells differ by less than %g mV again"
                         : "cells differ by more than %g mV",
                    config->cell_delta_mv);
        return;
    default:
        text_add(text, "is full");
        return;
    }
    if (over)
        text_add(text, " is over");
    else
        text_format(text, ", %s", pack_alarm_level_name(happening->level));
}

void message_of(struct message *message, const struct happening *happening,
                const struct source *source, const struct notify_config *config,
                const char *gateway, bool fresh, double time)
{
    const bool over = happening->phase == PHASE_ENDED;
    char clock[32], duration[DURATION_SIZE];
    *message = (struct message){.event = happening->event,
                                .alarm = happening->alarm,
                                .level = over ? 0 : happening->level,
                                .active = !over && happening->event != NOTIFY_FULL,
                                .time = time};
    snprintf(message->pack, sizeof message->pack, "%s", source->name);
    struct text title = text_in(message->title, sizeof message->title);
    text_format(&title, "%s: ", source->title);
    if (happening->phase == PHASE_LASTS)
        text_add(&title, "still: ");
    add_subject(&title, happening, config);
    struct text text = text_in(message->text, sizeof message->text);
    text_format(&text, "%s %s of gateway %s: ", source->members ? "Bank" : "Pack", source->title,
                gateway);
    add_subject(&text, happening, config);
    if (!isnan(happening->began)) {
        message_clock(happening->began, time, clock, sizeof clock);
        text_format(&text, over ? ", it began at %s" : ", since %s", clock);
    }
    if (over && !isnan(happening->lasted_s)) {
        text_format(&text, " and lasted %s", duration_words(round(happening->lasted_s), duration));
    } else if (happening->phase == PHASE_LASTS && !isnan(happening->began)) {
        const double lasts_s = fmax(round(time - happening->began), 0);
        text_format(&text, ", that is %s", duration_words(lasts_s, duration));
    }
    if (fresh)
        add_values(&text, source,
                   happening->event == NOTIFY_ALARM        ? details[happening->alarm]
                   : happening->event == NOTIFY_CELL_DELTA ? DETAIL_CELLS
                                                           : DETAIL_NONE);
    else
        text_known(&text, ", last known SOC %.1f %%", source->values->value[SOC_PERCENT]);
    text_add(&text, ".");
    if (fresh)
        message->values = json_text(json_of_pack(source->values));
}

void message_switched(struct message *message, const struct source *source,
                      const struct order_report *report, const char *gateway, bool fresh,
                      double time)
{
    static const enum pack_value ids[] = {
        [BMS_CHARGE_MOS] = CHARGE_MOS, [BMS_DISCHARGE_MOS] = DISCHARGE_MOS};
    const struct switches *ordered = &report->ordered;
    char what[SWITCHES_TEXT];
    switches_format(ordered, what);
    const bool done = report->result == ORDER_DONE;
    const char *outcome = done ? "done" : report->result == ORDER_REFUSED ? "refused" : "not done";
    *message = (struct message){.event = NOTIFY_SWITCHED, .alarm = -1, .time = time};
    snprintf(message->pack, sizeof message->pack, "%s", source->name);
    snprintf(message->title, sizeof message->title, "%s: %s by %s: %s", source->title, what,
             report->from, outcome);
    snprintf(message->text, sizeof message->text, "%s %s of gateway %s: %s ordered by %s: %s.",
             source->members ? "Bank" : "Pack", source->title, gateway, what, report->from,
             outcome);
    if (!fresh)
        return;
    struct pack values = *source->values;
    for (unsigned which = 0; done && which < ORDER_SWITCHES; which++)
        if (ordered->wanted[which])
            pack_set(&values, ids[which], ordered->on[which]);
    if (done && ordered->sets)
        pack_set(&values, ordered->setting, ordered->value);
    message->values = json_text(json_of_pack(&values));
}

char *message_json(const struct message *message, const char *gateway)
{
    json_t *values = message->values ? json_loads(message->values, 0, NULL) : NULL;
    json_t *object = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:o}", "time", (json_int_t) message->time,
        "gateway", gateway, "pack", message->pack, "event", notify_event_name(message->event),
        "level", message_level(message), "active", message->active, "title", message->title, "text",
        message->text, "values", values ? values : json_object());
    if (object && message->alarm >= 0)
        json_object_set_new(object, "alarm",
                            json_string(pack_alarm_name((enum pack_alarm) message->alarm)));
    return object ? json_text(object) : NULL;
}
