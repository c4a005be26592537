// SPDX-License-Identifier: MIT
#include "entities.h"

#include "bms/checksum.h"
#include "bms/count.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    OF_VALUE,   /* id: enum pack_value */
    OF_ALARM,   /* id: enum pack_alarm */
    OF_MAPPED,  /* a value that the gateway adds, by its name in the map */
    OF_PEAK,    /* the day's highest state of charge */
    OF_AGE,     /* of the values */
    OF_TIME,    /* of the message */
    OF_FAILURE, /* any alarm */
    OF_EVENT,   /* alarms as they come and go, by the topic `event` */
    OF_SWITCH,  /* id: enum pack_value of its position */
    OF_FRESH    /* by the topic `status` */
};

struct row {
    enum kind kind;
    int id;
    const char *name; /* NULL: that of the value */
    enum mqtt_entities level;
    bool disabled;
    enum entity_platform platform;
    const char *device_class, *title; /* NULL: as in the map; the name */
};

// clang-format off
/* Entities that are not values of the pack itself. */
static const struct row others[] = {
    /* kind      id             name                           level            disabled platform device class    title */
    {OF_FRESH,   0,             "fresh",                       ENTITIES_FEW,    false, BINARY_SENSOR, "connectivity", "connection"},
    {OF_FAILURE, 0,             "alarm",                       ENTITIES_FEW,    false, BINARY_SENSOR, "problem",      NULL},
    {OF_EVENT,   0,             "alarm_event",                 ENTITIES_NORMAL, false, EVENT,         NULL,           NULL},
    {OF_MAPPED,  0,             "charged_wh",                  ENTITIES_FEW,    false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "discharged_wh",               ENTITIES_FEW,    false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "temp_max_c",                  ENTITIES_NORMAL, false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "temp_min_c",                  ENTITIES_NORMAL, false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "allowed_charge_voltage_v",    ENTITIES_NORMAL, false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "allowed_charge_current_a",    ENTITIES_NORMAL, false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "allowed_discharge_current_a", ENTITIES_NORMAL, false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "charge_limited_by",           ENTITIES_ALL,    false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "discharge_limited_by",        ENTITIES_ALL,    false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "packs_current_a",             ENTITIES_ALL,    false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "packs_soc_percent",           ENTITIES_ALL,    false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "time_to_full_s",              ENTITIES_NORMAL, false, SENSOR,        NULL,           NULL},
    {OF_MAPPED,  0,             "time_to_empty_s",             ENTITIES_NORMAL, false, SENSOR,        NULL,           NULL},
    {OF_SWITCH,  CHARGE_MOS,    "charge_switch",               ENTITIES_FEW,    false, SWITCH,        "switch",       NULL},
    {OF_SWITCH,  DISCHARGE_MOS, "discharge_switch",            ENTITIES_FEW,    false, SWITCH,        "switch",       NULL},
    {OF_PEAK,    0,             "soc_peak_percent",            ENTITIES_ALL,    false, SENSOR,        NULL,           "highest state of charge today"},
    {OF_AGE,     0,             "age_s",                       ENTITIES_ALL,    false, SENSOR,        NULL,           NULL},
    {OF_TIME,    0,             "time",                        ENTITIES_ALL,    true,  SENSOR,        NULL,           NULL},
};

/* Values of the pack that are published at fewer settings than `all`. */
static const struct row levels[] = {
    {OF_VALUE, VOLTAGE_V,     NULL, ENTITIES_FEW,    false, SENSOR,        NULL,      NULL},
    {OF_VALUE, CURRENT_A,     NULL, ENTITIES_FEW,    false, SENSOR,        NULL,      NULL},
    {OF_VALUE, POWER_W,       NULL, ENTITIES_FEW,    false, SENSOR,        NULL,      NULL},
    {OF_VALUE, SOC_PERCENT,   NULL, ENTITIES_FEW,    false, SENSOR,        NULL,      NULL},
    {OF_VALUE, SOH_PERCENT,   NULL, ENTITIES_NORMAL, false, SENSOR,        NULL,      NULL},
    {OF_VALUE, REMAINING_AH,  NULL, ENTITIES_NORMAL, false, SENSOR,        NULL,      NULL},
    {OF_VALUE, FULL_AH,       NULL, ENTITIES_NORMAL, false, SENSOR,        NULL,      NULL},
    {OF_VALUE, CYCLES,        NULL, ENTITIES_NORMAL, false, SENSOR,        NULL,      NULL},
    {OF_VALUE, CELL_MAX_MV,   NULL, ENTITIES_NORMAL, false, SENSOR,        NULL,      NULL},
    {OF_VALUE, CELL_MIN_MV,   NULL, ENTITIES_NORMAL, false, SENSOR,        NULL,      NULL},
    {OF_VALUE, CELL_DELTA_MV, NULL, ENTITIES_NORMAL, false, SENSOR,        NULL,      NULL},
    {OF_VALUE, MOS_TEMP_C,    NULL, ENTITIES_NORMAL, false, SENSOR,        NULL,      NULL},
    {OF_VALUE, CHARGE_MOS,    NULL, ENTITIES_NORMAL, false, BINARY_SENSOR, "power",   NULL},
    {OF_VALUE, DISCHARGE_MOS, NULL, ENTITIES_NORMAL, false, BINARY_SENSOR, "power",   NULL},
    {OF_VALUE, BALANCING,     NULL, ENTITIES_NORMAL, false, BINARY_SENSOR, "running", NULL},
};
// clang-format on

#define OTHERS COUNT(others)
_Static_assert(PACK_VALUES + PACK_ALARM_COUNT + OTHERS <= ENTITIES_MAX, "ENTITIES_MAX");

/* Pack values, alarms, others, in this order; those without a name are not published. */
unsigned entity_count(void)
{
    return PACK_VALUES + PACK_ALARM_COUNT + OTHERS;
}

static bool is_cell(int id)
{
    return id >= CELL_MV && id < TEMP_C;
}

static struct row row_of(unsigned n)
{
    if (n < PACK_VALUES) {
        for (size_t i = 0; i < COUNT(levels); i++)
            if (levels[i].id == (int) n)
                return levels[i];
        return (struct row){.id = (int) n,
                            .level = is_cell((int) n) ? ENTITIES_NORMAL : ENTITIES_ALL};
    }
    n -= PACK_VALUES;
    if (n < PACK_ALARM_COUNT)
        return (struct row){.kind = OF_ALARM,
                            .id = (int) n,
                            .level = ENTITIES_ALL,
                            .disabled = true,
                            .platform = BINARY_SENSOR,
                            .device_class = "problem",
                            .name = pack_alarm_name((enum pack_alarm) n)};
    return others[n - PACK_ALARM_COUNT];
}

static bool is_published(const struct row *row)
{
    return row->kind != OF_VALUE || pack_value_info((enum pack_value) row->id)->name;
}

/* Its title and its classes; `stem` is its name if it is in the map. */
static void describe_meaning(const struct row *row, const char *stem, struct meaning *meaning)
{
    meaning->unit = "";
    if (!stem || !meaning_find(stem, meaning))
        snprintf(meaning->title, sizeof meaning->title, "%s", row->title ? row->title : row->name);
    /* "cell_over_voltage" */
    for (char *c = meaning->title; *c; c++)
        *c = *c == '_' ? ' ' : *c;
    meaning->title[0] = (char) toupper((unsigned char) meaning->title[0]);
    const size_t size = strlen(meaning->title);
    if (row->kind == OF_VALUE && row->id >= CELL_MV)
        snprintf(meaning->title + size, sizeof meaning->title - size, " %d",
                 1 + row->id - (is_cell(row->id) ? CELL_MV : TEMP_C));
    if (row->kind == OF_AGE)
        meaning->decimals = 1;
    if (row->kind == OF_PEAK) {
        meaning->unit = "%";
        meaning->state_class = "measurement";
    }
    if (row->device_class)
        meaning->device_class = row->device_class;
}

void entity_describe(unsigned n, struct entity *entity)
{
    const struct row row = row_of(n);
    const bool of_value = row.kind == OF_VALUE || row.kind == OF_SWITCH;
    const char *value = of_value ? pack_value_info((enum pack_value) row.id)->name : NULL;
    *entity = (struct entity){.platform = row.platform, .disabled = row.disabled};
    if (!is_published(&row))
        return;
    entity->diagnostic = row.level == ENTITIES_ALL || row.kind == OF_FRESH ||
                         (row.kind == OF_VALUE && is_cell(row.id));
    if (row.kind == OF_VALUE)
        pack_value_name((enum pack_value) row.id, entity->key);
    else
        snprintf(entity->key, sizeof entity->key, "%s%s", row.kind == OF_ALARM ? "alarm_" : "",
                 row.name);
    for (char *c = entity->key; *c; c++)
        *c = *c == '.' ? '_' : *c;
    if (row.kind != OF_FRESH && row.kind != OF_EVENT)
        snprintf(entity->field, sizeof entity->field, "%s",
                 row.kind == OF_SWITCH ? value : entity->key);
    const bool is_mapped = row.kind == OF_MAPPED || row.kind == OF_AGE;
    describe_meaning(&row, is_mapped ? row.name : value, &entity->meaning);
}

double entity_value(unsigned n, const struct source *source, double age_s, double time)
{
    const struct row row = row_of(n);
    const struct pack *pack = source->values;
    const bool failure = pack->alarms_warning || pack->alarms_protection;
    if (!is_published(&row))
        return NAN;
    switch (row.kind) {
    case OF_VALUE:
    case OF_SWITCH:
        return pack->value[row.id];
    case OF_ALARM:
        return pack->alarms_known >> row.id & 1
                   ? (double) pack_alarm_active(pack, (enum pack_alarm) row.id)
                   : (double) NAN;
    case OF_MAPPED:
        return map_number_named(row.name, pack, &source->status);
    case OF_PEAK:
        return source->status.peak.percent < 0 ? NAN : (double) source->status.peak.percent;
    case OF_AGE:
        return age_s;
    case OF_TIME:
        return floor(time);
    case OF_FAILURE:
    case OF_EVENT:
        /* If a pack reports no alarms, whether there is one is unknown. */
        return pack->alarms_known || failure ? (double) failure : (double) NAN;
    default:
        return true;
    }
}

bool entity_in(const struct entity_set *set, unsigned n)
{
    return set->bits[n / 64] >> n % 64 & 1;
}

#define EACH_WORD(i) for (size_t i = 0; i < ENTITIES_MAX / 64; i++)

struct entity_set entity_and(struct entity_set a, struct entity_set b)
{
    EACH_WORD(i)
    a.bits[i] &= b.bits[i];
    return a;
}

struct entity_set entity_or(struct entity_set a, struct entity_set b)
{
    EACH_WORD(i)
    a.bits[i] |= b.bits[i];
    return a;
}

struct entity_set entity_without(struct entity_set a, struct entity_set b)
{
    EACH_WORD(i)
    a.bits[i] &= ~b.bits[i];
    return a;
}

bool entity_same(struct entity_set a, struct entity_set b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

struct entity_set entity_allowed(enum mqtt_entities entities, bool switching)
{
    struct entity_set set = {{0}};
    for (unsigned n = 0; n < entity_count(); n++) {
        const struct row row = row_of(n);
        bool position = row.kind == OF_VALUE && (row.id == CHARGE_MOS || row.id == DISCHARGE_MOS);
        bool wanted = row.kind == OF_SWITCH ? switching : !(position && switching);
        if (is_published(&row) && wanted && row.level <= entities)
            set.bits[n / 64] |= UINT64_C(1) << n % 64;
    }
    return set;
}

struct entity_set entity_known(const struct source *source)
{
    struct entity_set set = {{0}};
    for (unsigned n = 0; n < entity_count(); n++)
        if (!isnan(entity_value(n, source, 0, 0)))
            set.bits[n / 64] |= UINT64_C(1) << n % 64;
    return set;
}

/* Changes when the table does. */
static unsigned table_sum(void)
{
    char text[ENTITIES_MAX * 16];
    size_t size = 0;
    for (unsigned n = 0; n < entity_count(); n++) {
        struct entity entity;
        entity_describe(n, &entity);
        size +=
            (size_t) snprintf(text + size, sizeof text - size, "%.14s ",
                              entity.key + (strlen(entity.key) > 14 ? strlen(entity.key) - 14 : 0));
    }
    return crc16_modbus((const uint8_t *) text, size);
}

const char *entity_word(struct entity_set set, char out[ENTITY_WORD_SIZE])
{
    size_t size = (size_t) snprintf(out, ENTITY_WORD_SIZE, "%04x.", table_sum());
    EACH_WORD(i)
    size += (size_t) snprintf(out + size, ENTITY_WORD_SIZE - size, "%016llx",
                              (unsigned long long) set.bits[i]);
    return out;
}

bool entity_read(const char *word, struct entity_set *set)
{
    char digits[17], *end;
    unsigned long sum = strtoul(word, &end, 16);
    if (sum != table_sum() || *end != '.' || strlen(end + 1) != ENTITIES_MAX / 4)
        return false;
    EACH_WORD(i)
    {
        snprintf(digits, sizeof digits, "%.16s", end + 1 + 16 * i);
        set->bits[i] = strtoull(digits, NULL, 16);
    }
    return true;
}

const char *const entity_platforms[] = {"sensor", "binary_sensor", "switch", "event"};
