// SPDX-License-Identifier: MIT
/* A pack in one line of the log. */
#include "summary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Around zero a current has no direction worth a line: it must rise above the one limit to
 * begin, fall below the other to end. */
#define FLOW_BEGINS_A 1.0
#define FLOW_ENDS_A 0.3

static enum pack_flow flow_of(const struct pack *pack, enum pack_flow before)
{
    double current = pack->value[CURRENT_A];
    double limit = before == FLOW_IDLE ? FLOW_BEGINS_A : FLOW_ENDS_A;
    if (isnan(current) || fabs(current) < limit)
        return FLOW_IDLE;
    return current > 0 ? FLOW_CHARGING : FLOW_DISCHARGING;
}

/* Two switch positions are the same when both are unknown, too. */
static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void append(char text[SUMMARY_SIZE], const char *format, double value)
{
    size_t used = strlen(text);
    if (!isnan(value))
        snprintf(text + used, SUMMARY_SIZE - used, format, value);
}

static void append_text(char text[SUMMARY_SIZE], const char *more)
{
    size_t used = strlen(text);
    snprintf(text + used, SUMMARY_SIZE - used, "%s", more);
}

static void append_switch(char text[SUMMARY_SIZE], const char *name, double on)
{
    if (isnan(on))
        return;
    append_text(text, name);
    append_text(text, on > 0 ? "on" : "OFF");
}

static void describe(const struct summary *summary, const struct pack *pack,
                     char text[SUMMARY_SIZE])
{
    static const char *const flows[] = {"idle", "charging", "discharging"};
    snprintf(text, SUMMARY_SIZE, "%s", flows[summary->flow]);
    append(text, ", %.2f V", pack->value[VOLTAGE_V]);
    append(text, ", %+.2f A", pack->value[CURRENT_A]);
    append(text, ", SOC %.1f %%", pack->value[SOC_PERCENT]);
    append(text, ", %.0f cells", pack->value[CELL_COUNT]);
    append(text, pack_known(pack, CELL_COUNT) ? " within %.0f mV" : ", cells within %.0f mV",
           pack->value[CELL_DELTA_MV]);
    append_switch(text, ", charge ", summary->charge_mos);
    append_switch(text, ", discharge ", summary->discharge_mos);
    for (int i = 0; i < PACK_ALARM_COUNT; i++)
        if (summary->alarms >> i & 1) {
            append_text(text, ", ALARM ");
            append_text(text, pack_alarm_name((enum pack_alarm) i));
        }
}

bool summary_changed(struct summary *summary, const struct pack *pack, bool fresh,
                     char text[SUMMARY_SIZE])
{
    /* Before the first values there is nothing to tell, and of old ones only that they are old. */
    if (!summary->told && !fresh)
        return false;
    struct summary now = {
        .told = true,
        .fresh = fresh,
        .flow = flow_of(pack, summary->flow),
        .charge_mos = pack->value[CHARGE_MOS],
        .discharge_mos = pack->value[DISCHARGE_MOS],
        .alarms = pack->alarms_warning | pack->alarms_protection,
    };
    bool changed = !summary->told || now.fresh != summary->fresh || now.flow != summary->flow ||
                   now.alarms != summary->alarms || !same(now.charge_mos, summary->charge_mos) ||
                   !same(now.discharge_mos, summary->discharge_mos);
    if (!changed)
        return false;
    *summary = now;
    if (fresh)
        describe(summary, pack, text);
    else
        snprintf(text, SUMMARY_SIZE, "values are too old");
    return true;
}
