// SPDX-License-Identifier: MIT
#include "summary.h"

#include "base/log.h"
#include "base/text.h"
#include "bms/count.h"

#include <math.h>
#include <string.h>

#define LINE_SIZE 600

/* Hysteresis: a current flows from the upper limit on, and until it falls below the lower one. */
#define FLOW_BEGINS_A 1.0
#define FLOW_ENDS_A 0.3

/* Two unknown switch positions are equal, too. */
static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void describe_pack(const struct summary *summary, const struct pack *pack, struct text *text)
{
    static const char *const flows[] = {"idle", "charging", "discharging"};
    text_add(text, flows[summary->flow]);
    text_known(text, ", %.2f V", pack->value[VOLTAGE_V]);
    text_known(text, ", %+.2f A", pack->value[CURRENT_A]);
    text_known(text, ", SOC %.1f %%", pack->value[SOC_PERCENT]);
    text_known(text, ", %.0f cells", pack->value[CELL_COUNT]);
    text_known(text, pack_known(pack, CELL_COUNT) ? " within %.0f mV" : ", cells within %.0f mV",
               pack->value[CELL_DELTA_MV]);
    if (!isnan(summary->charge_mos))
        text_add(text, summary->charge_mos > 0 ? ", charge on" : ", charge OFF");
    if (!isnan(summary->discharge_mos))
        text_add(text, summary->discharge_mos > 0 ? ", discharge on" : ", discharge OFF");
    for (int i = 0; i < PACK_ALARM_COUNT; i++)
        if (alarms_level(summary->alarms, i))
            text_format(text, ", ALARM %s", pack_alarm_name((enum pack_alarm) i));
}

static uint64_t mix_hash(uint64_t hash, const void *bytes, size_t size)
{
    for (const uint8_t *byte = bytes; size > 0; size--, byte++)
        hash = (hash ^ *byte) * 0x100000001B3;
    return hash;
}

/* A hash of the pack's identity: its texts and its numbers of cells and sensors. */
static uint64_t identify(const struct source *source)
{
    const struct pack *pack = source->values;
    const double counts[] = {pack->value[CELL_COUNT], pack->value[TEMP_COUNT]};
    uint64_t hash = 0xCBF29CE484222325;
    for (int i = 0; i < PACK_TEXTS; i++)
        hash = mix_hash(hash, pack->text[i], strlen(pack->text[i]) + 1);
    for (size_t i = 0; i < COUNT(counts); i++) {
        const int count = isnan(counts[i]) ? -1 : (int) counts[i];
        hash = mix_hash(hash, &count, sizeof count);
    }
    return hash;
}

static unsigned changed_parts(const struct summary *before, const struct summary *now)
{
    const bool first = !before->told;
    const bool switched = !same_number(now->charge_mos, before->charge_mos) ||
                          !same_number(now->discharge_mos, before->discharge_mos);
    return (first || now->fresh != before->fresh ? SOURCE_STATE : 0) |
           (first || now->flow != before->flow ? SOURCE_FLOW : 0) |
           (first || switched ? SOURCE_SWITCHES : 0) |
           (alarms_changed(before->alarms, now->alarms) ? SOURCE_ALARMS : 0) |
           (first || now->identity != before->identity ? SOURCE_IDENTITY : 0);
}

unsigned summary_update(struct summary *summary, const char *kind, const struct source *source,
                        double now)
{
    bool fresh = source_fresh(source, now);
    /* Nothing is reported before the first values; of stale ones only that they are. */
    if (!summary->told && !fresh)
        return 0;
    const struct pack *pack = source->values;
    const double amps = pack->value[CURRENT_A];
    const double limit = summary->flow == FLOW_IDLE ? FLOW_BEGINS_A : FLOW_ENDS_A;
    const struct summary latest = {
        .told = true,
        .fresh = fresh,
        .flow = isnan(amps) || fabs(amps) < limit ? FLOW_IDLE
                : amps > 0                        ? FLOW_CHARGING
                                                  : FLOW_DISCHARGING,
        .charge_mos = pack->value[CHARGE_MOS],
        .discharge_mos = pack->value[DISCHARGE_MOS],
        .alarms = alarms_after(summary->alarms, pack, source->status.bms),
        .identity = identify(source),
    };
    const struct summary before = *summary;
    const unsigned changes = changed_parts(&before, &latest);
    *summary = latest;
    if (!(changes & ~(unsigned) SOURCE_IDENTITY))
        return changes;
    char bytes[LINE_SIZE];
    struct text text = text_in(bytes, sizeof bytes);
    if (fresh)
        describe_pack(summary, pack, &text);
    else
        text_add(&text, "values are too old");
    /* With the priority of the worst new alarm. */
    log_message(latest.alarms.protection & ~before.alarms.protection       ? LOG_LEVEL_ERROR
                : latest.alarms.warning & ~before.alarms.warning || !fresh ? LOG_LEVEL_WARN
                                                                           : LOG_LEVEL_INFO,
                "%s %s: %s", kind, source->name, bytes);
    return changes;
}
