// SPDX-License-Identifier: MIT
#include "report.h"
#include "sun.h"

#include "base/duration.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

void tally_look(struct tally *tally, const struct source *source, bool fresh, int day,
                double elapsed_s, double time)
{
    const struct map_status *status = &source->status;
    if (tally->day != day) {
        *tally = (struct tally){.day = day,
                                .since = time,
                                .charged_wh = status->charged_wh,
                                .discharged_wh = status->discharged_wh};
        elapsed_s = 0;
    }
    /* The counters are set by the first values. */
    if (isnan(tally->charged_wh))
        tally->charged_wh = status->charged_wh;
    if (isnan(tally->discharged_wh))
        tally->discharged_wh = status->discharged_wh;
    if (fresh)
        tally->alarms |= source->values->alarms_warning | source->values->alarms_protection;
    else
        tally->silent_s += elapsed_s;
}

void tally_note(const struct tally *tally, char *out, size_t size)
{
    snprintf(out, size, "%d %.0f %.1f %.1f %.0f %x", tally->day, tally->since, tally->charged_wh,
             tally->discharged_wh, tally->silent_s, (unsigned) tally->alarms);
}

bool tally_take_note(struct tally *tally, const char *text)
{
    struct tally found;
    unsigned alarms;
    if (sscanf(text, "%d %lf %lf %lf %lf %x", &found.day, &found.since, &found.charged_wh,
               &found.discharged_wh, &found.silent_s, &alarms) != 6)
        return false;
    found.alarms = alarms;
    *tally = found;
    return true;
}

static void add_alarms(struct text *text, const char *when, uint32_t alarms)
{
    unsigned count = 0;
    text_format(text, "%s: ", when);
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        if (!(alarms >> i & 1))
            continue;
        text_add(text, count++ ? ", " : "");
        message_words(text, pack_alarm_name((enum pack_alarm) i));
    }
    text_add(text, count ? ".\n" : "none.\n");
}

static void add_state(struct text *text, const struct source *source)
{
    const double *value = source->values->value, current = value[CURRENT_A];
    const struct map_soc_peak *peak = &source->status.peak;
    text_known(text, "SOC %.1f %%", value[SOC_PERCENT]);
    if (peak->percent >= 0)
        text_format(text, ", highest today %d %% at %02d:%02d", peak->percent, peak->hour,
                    peak->minute);
    if (!isnan(current))
        text_format(text, ". %s",
                    current > 0   ? "Charging"
                    : current < 0 ? "Discharging"
                                  : "Resting");
    text_known(text, ", %.2f V", value[VOLTAGE_V]);
    text_known(text, ", %.1f A", current);
    text_known(text, ", %.0f W", value[POWER_W]);
    text_known(text, ", %.1f Ah left", value[REMAINING_AH]);
    text_add(text, ".\n");
}

static void add_energy(struct text *text, const struct source *source, const struct tally *tally,
                       double time)
{
    const double in = source->status.charged_wh - tally->charged_wh;
    const double out = source->status.discharged_wh - tally->discharged_wh;
    const time_t since = (time_t) tally->since;
    struct tm local;
    char clock[32];
    if (isnan(in) || isnan(out) || in < 0 || out < 0)
        return;
    text_format(text, "Energy in %.2f kWh, out %.2f kWh", in / 1000, out / 1000);
    localtime_r(&since, &local);
    message_clock(tally->since, time, clock, sizeof clock);
    /* If the day was not counted from its beginning, say since when. */
    if (local.tm_hour * 60 + local.tm_min > 1)
        text_format(text, " since %s", clock);
    else
        text_add(text, " today");
    text_add(text, ".\n");
}

static void add_cell(struct text *text, const char *which, const struct pack *values,
                     enum pack_value at, enum pack_value index)
{
    text_format(text, "%s %.0f mV", which, values->value[at]);
    text_known(text, " (cell %.0f)", values->value[index]);
}

void report_pack(struct text *text, const struct source *source, const struct tally *tally,
                 bool fresh, double time)
{
    char silent[DURATION_SIZE];
    const struct pack *values = source->values;
    text_format(text, "%s: ", source->title);
    if (fresh)
        add_state(text, source);
    else
        text_add(text, "does not answer.\n");
    add_energy(text, source, tally, time);
    if (fresh && pack_known(values, CELL_MIN_MV) && pack_known(values, CELL_MAX_MV)) {
        text_add(text, "Cells: ");
        add_cell(text, "lowest", values, CELL_MIN_MV, CELL_MIN_INDEX);
        add_cell(text, ", highest", values, CELL_MAX_MV, CELL_MAX_INDEX);
        text_known(text, ", average %.0f mV", values->value[CELL_AVG_MV]);
        text_known(text, ", difference %.0f mV", values->value[CELL_DELTA_MV]);
        text_add(text, ".\n");
    }
    if (fresh) {
        unsigned count = 0;
        for (int i = 0; i < MAX_TEMPS; i++)
            if (!isnan(values->value[TEMP_C + i]))
                text_format(text, "%s%.1f",
                            count++ ? ", " : "Temperatures: ", values->value[TEMP_C + i]);
        if (pack_known(values, MOS_TEMP_C))
            text_format(text, "%sMOS %.1f",
                        count++ ? ", " : "Temperatures: ", values->value[MOS_TEMP_C]);
        text_add(text, count ? " °C.\n" : "");
        add_alarms(text, "Alarms now", values->alarms_warning | values->alarms_protection);
    }
    add_alarms(text, "Alarms today", tally->alarms);
    text_format(text, "Without data: %s.\n", duration_words(round(tally->silent_s), silent));
}

#define NOON (12 * 60) /* minutes */

/* Unix seconds of a minute of the local day of `time`. */
static double local_minute(double time, int minute)
{
    const time_t at = (time_t) time;
    struct tm local;
    localtime_r(&at, &local);
    local.tm_hour = minute / 60;
    local.tm_min = minute % 60;
    local.tm_sec = 0;
    local.tm_isdst = -1;
    return (double) mktime(&local);
}

void report_name(const struct notify_reports *reports, unsigned n, char *out, size_t size)
{
    static const char *const names[] = {
        [NOTIFY_AT_SUNRISE] = "sunrise", [NOTIFY_AT_SUNSET] = "sunset", [NOTIFY_AT_FULL] = "full"};
    const int minute = reports->at[n].minute;
    if (reports->at[n].when == NOTIFY_AT_TIME)
        snprintf(out, size, "%02d:%02d", minute / 60, minute % 60);
    else
        snprintf(out, size, "%s", names[reports->at[n].when]);
}

double report_due(const struct notify_config *config, unsigned n, double time)
{
    const enum notify_when when = config->reports.at[n].when;
    if (when == NOTIFY_AT_FULL)
        return NAN;
    if (when == NOTIFY_AT_TIME)
        return local_minute(time, config->reports.at[n].minute);
    const double noon = local_minute(time, NOON);
    const double at = sun_crosses(when == NOTIFY_AT_SUNRISE ? SUN_RISES : SUN_SETS, noon,
                                  config->latitude, config->longitude);
    return isnan(at) ? noon : at;
}

void report_sun(struct text *text, const struct notify_config *config, double time)
{
    const double noon = local_minute(time, NOON);
    const double rises = sun_crosses(SUN_RISES, noon, config->latitude, config->longitude);
    const double sets = sun_crosses(SUN_SETS, noon, config->latitude, config->longitude);
    char rise[32], set[32];
    if (isnan(rises) || isnan(sets))
        return;
    message_clock(rises, rises, rise, sizeof rise);
    message_clock(sets, sets, set, sizeof set);
    text_format(text, "Sunrise %s, sunset %s.", rise, set);
}
