// SPDX-License-Identifier: MIT
#include "messages.h"

#include "bms/count.h"

#include <math.h>
#include <string.h>

#define ALARM_BYTES 7

void smartbms_status(struct text *text, bool answers, time_t now, unsigned seconds,
                     double memory_bytes)
{
    char stamp[32];
    struct tm local;
    strftime(stamp, sizeof stamp, "%D %T", localtime_r(&now, &local));
    text_format(text, "{\"Status\":%d,\"ts\":\"%s\",\"cnt\":%u,\"mem\":%.0f}", answers, stamp,
                seconds, memory_bytes);
}

/* The numbers of both forms. */
// clang-format off
static const struct {
    const char *key, *flat;
    enum pack_value id;
    int decimals, flat_decimals;
    bool quoted;
} numbers[] = {
    /* key  flat          value    decimals, flat, quoted */
    {"SOC", "SOC",        SOC_PERCENT,   0, 0, false},
    {"PWT", "PWATTS",     POWER_W,       0, 0, false},
    {"PMV", "PMVOLT",     VOLTAGE_V,     2, 2, true},
    {"PMA", "PMAMPERE",   CURRENT_A,     2, 2, true},
    {"PDV", "PDELTAV",    CELL_DELTA_MV, 2, 0, false},
    {"AMV", "PAVERAGEMV", CELL_AVG_MV,   0, 0, false},
    {"TMP", "PTEMP",      TEMP_AVG_C,    0, 0, false},
};
// clang-format on
#define NUMBERS COUNT(numbers)

void smartbms_extremes(struct text *text, const struct source *source)
{
    const double *value = source->values->value;
    text_add(text, "{");
    if (source->status.peak.percent >= 0)
        text_member_number(text, "SCM", source->status.peak.percent, 0);
    text_member_number(text, "MIC", value[CELL_MIN_MV], 0);
    text_member_number(text, "MAC", value[CELL_MAX_MV], 0);
    text_member_number(text, "RCP", value[REMAINING_AH], 0);
    text_add(text, "}");
}

/* For Daly packs their own alarm bytes, in their order; for others zeros. */
static void put_alarm_bytes(struct text *text, const struct source *source)
{
    const struct pack *pack = source->values;
    const char *driver = source->status.driver;
    bool is_daly = driver && strcmp(driver, "daly") == 0 && pack->raw_alarm_count > 0;
    for (unsigned i = 0; i < ALARM_BYTES; i++) {
        bool has = is_daly && i / 2 < pack->raw_alarm_count;
        unsigned word = has ? pack->raw_alarms[i / 2] : 0;
        text_format(text, i > 0 ? ",%u" : "%u", word >> 8 * (i % 2) & 0xFF);
    }
}

static bool has_alarm(const struct source *source)
{
    return source->values->alarms_warning || source->values->alarms_protection;
}

static double cell_mv(const struct source *source, unsigned cell)
{
    return source->values->value[CELL_MV + cell];
}

static void put_cells(struct text *text, const struct source *source, const char *prefix)
{
    char key[8];
    for (unsigned i = 0; i < MAX_CELLS; i++) {
        struct text made = text_in(key, sizeof key);
        text_format(&made, "%s%u", prefix, i);
        text_member_number(text, key, cell_mv(source, i), 0);
    }
}

void smartbms_values(struct text *text, const struct source *source, enum mqtt_layout layout)
{
    const double *value = source->values->value;
    text_add(text, "{");
    if (layout == LAYOUT_SMARTBMS_BAT) {
        text_json(text, "bat", "{");
        put_cells(text, source, "");
        text_add(text, "}");
    } else {
        put_cells(text, source, "b");
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        const double number = value[numbers[i].id];
        if (isnan(number))
            continue;
        text_json(text, numbers[i].key, numbers[i].quoted ? "\"" : "");
        text_fixed(text, number, numbers[i].decimals);
        text_add(text, numbers[i].quoted ? "\"" : "");
    }
    text_json(text, "ALM", "\"");
    put_alarm_bytes(text, source);
    text_add(text, "\"");
    text_member_number(text, "ALMF", has_alarm(source), 0);
    text_member_number(text, "DMS", value[DISCHARGE_MOS], 0);
    text_member_number(text, "CMS", value[CHARGE_MOS], 0);
    text_add(text, "}");
}

const char *smartbms_flat(struct text *text, const struct source *source, unsigned n)
{
    if (n == 0) { /* "16;2947;…": the number of cells, then each */
        unsigned count = 0;
        while (count < MAX_CELLS && !isnan(cell_mv(source, count)))
            count++;
        if (count > 0)
            text_format(text, "%u", count);
        for (unsigned i = 0; i < count; i++)
            text_format(text, ";%.0f", cell_mv(source, i));
        return "BATT";
    }
    if (n == NUMBERS + 1) {
        put_alarm_bytes(text, source);
        return "PFAIL";
    }
    if (n == NUMBERS + 2) {
        text_format(text, "%d", has_alarm(source));
        return "PFAIF";
    }
    if (n > NUMBERS)
        return NULL;
    double number = source->values->value[numbers[n - 1].id];
    if (!isnan(number))
        text_fixed(text, number, numbers[n - 1].flat_decimals);
    return numbers[n - 1].flat;
}
