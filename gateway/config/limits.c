// SPDX-License-Identifier: MIT
/* The section [limits NAME]: its keys, and curves that must make sense. */
#include "draft.h"
#include "types.h"

#include "bms/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "3.40:0.25" */
static bool parse_point(const struct config_key *key, const char *text, void *field)
{
    static const struct config_key share = {.max = 1};
    struct curve *curve = field;
    struct curve_point point;
    char at[64];
    snprintf(at, sizeof at, "%.*s", (int) strcspn(text, ":"), text);
    text += strlen(at);
    if (curve->count == CURVE_POINTS || *text != ':' || !type_number.parse(key, at, &point.at) ||
        !type_number.parse(&share, text + 1, &point.share))
        return false;
    curve->points[curve->count++] = point;
    return true;
}

static void describe_point(const struct config_key *key, struct text *text)
{
    text_format(
        text,
        "VALUE:SHARE such as %g:0.5, values from %g to %g and shares from 0 to 1, at most %d of "
        "them with commas between",
        (key->min + key->max) / 2, key->min, key->max, CURVE_POINTS);
}

static const struct config_type type_curve = {
    .parse = parse_point, .describe = describe_point, .list = true};

static int by_value(const void *a, const void *b)
{
    const struct curve_point *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* At which ends of the curve the current must reach 0, and its slope. */
enum shape { ENDS_HIGH = 1, ENDS_LOW = 2, FALLS = 4, RISES = 8 };

static const struct {
    const char *key;
    unsigned shape;
    const char *reason;
} curves[] = {
    {"cell_high", ENDS_HIGH | FALLS, "a cell with a higher voltage must not be charged"},
    {"cell_low", ENDS_LOW | RISES, "a cell with a lower voltage must not be discharged"},
    {"temperature", ENDS_HIGH | ENDS_LOW, "a hotter or colder battery must not be used"},
    {"mos_temperature", ENDS_HIGH | FALLS, "hotter MOS must not carry current"},
    {"soc_high", FALLS, NULL},
    {"soc_low", RISES, NULL},
};

/* A curve that rises towards its danger has values and shares swapped. */
static void check_curve(const struct config_draft *draft, size_t n)
{
    const char *key = curves[n].key;
    const unsigned shape = curves[n].shape;
    struct curve *curve =
        (void *) ((char *) draft->as.any + config_key_of(draft->section->word, key)->offset);
    if (!config_draft_usable(draft, key) || curve->count == 0)
        return;
    const struct curve_point *points = curve->points;
    qsort(curve->points, curve->count, sizeof *points, by_value);
    for (unsigned i = 1; i < curve->count; i++) {
        const double change = points[i].share - points[i - 1].share;
        if (points[i].at <= points[i - 1].at)
            config_mistake(draft, key, "'%s' has %g twice; expected each value once", key,
                           points[i].at);
        else if ((shape & FALLS && change > 0) || (shape & RISES && change < 0))
            config_mistake(draft, key,
                           "'%s' %s from %g to %g; expected shares that %s with the value", key,
                           shape & FALLS ? "rises" : "falls", points[i - 1].at, points[i].at,
                           shape & FALLS ? "fall" : "rise");
        else
            continue;
        return;
    }
    const bool low = shape & ENDS_LOW && points[0].share > 0;
    if (low || (shape & ENDS_HIGH && points[curve->count - 1].share > 0))
        config_mistake(draft, key,
                       "'%s' does not end at 0; expected the share 0 at its %s point, as %s", key,
                       low ? "lowest" : "highest", curves[n].reason);
}

static void check_cells(const struct config_draft *draft)
{
    const struct limits_config *limits = draft->as.limits;
    if (config_draft_usable(draft, "cell_full") && config_draft_usable(draft, "cell_float") &&
        limits->cell_float_v > limits->cell_full_v)
        config_mistake(draft, "cell_float",
                       "'cell_float' is %g; expected at most 'cell_full', which is %g",
                       limits->cell_float_v, limits->cell_full_v);
    if (config_draft_usable(draft, "cell_float") && isnan(limits->soc_again_percent) &&
        !config_draft_given(draft, "soc_again"))
        config_mistake(draft, "cell_float",
                       "'cell_float' does not say when to charge to 'cell_full' again; expected a "
                       "state of charge behind it, as in 'cell_float = %g, 90%%'",
                       limits->cell_float_v);
    const struct curve *high = &limits->cell_high;
    if (config_draft_usable(draft, "cell_full") && config_draft_usable(draft, "cell_high") &&
        high->count > 0 && high->points[high->count - 1].at < limits->cell_full_v)
        config_mistake(
            draft, "cell_full",
            "'cell_full' is %g, where 'cell_high' allows no current any more; expected at "
            "most %g",
            limits->cell_full_v, high->points[high->count - 1].at);
}

static void check_limits(struct config_draft *draft)
{
    struct limits_config *limits = draft->as.limits;
    /* [limits house] applies to the pack or bank house. */
    if (!config_draft_given(draft, "of"))
        memcpy(limits->of, limits->name, sizeof limits->of);
    config_draft_refer(draft, "of", NULL, limits->of);
    for (CONFIG_BEFORE(other, draft))
        if (strcmp(other->as.limits->of, limits->of) == 0)
            config_mistake(
                draft, "of",
                "'%s' has its limits in [limits %s] already; expected one section for each",
                limits->of, other->name);
    for (size_t i = 0; i < COUNT(curves); i++)
        check_curve(draft, i);
    check_cells(draft);
    const struct gateway_config *gateway = &draft->drafts->config->gateway;
    if (limits->full_every_s > 0 && !gateway->state_file[0])
        config_mistake(draft, "soc_ceiling",
                       "'soc_ceiling' with a time needs a state file; expected a 'state_file' in "
                       "[gateway], which stores when the cells were last full");
    const struct config_draft *bank =
        config_drafts_find(draft->drafts, NULL, &bank_section, limits->of);
    unsigned count = 0;
    while (bank && config_draft_text(bank, "packs", count))
        count++;
    /* A missing pack is still wired in parallel, where nothing limits it. */
    if (bank && bank->as.bank->min_packs < count)
        config_warn(bank, "min_packs",
                    "with this 'min_packs' the [limits] of [bank %s] continue without a missing "
                    "pack, which still carries its share of the current unless it disconnects "
                    "itself; leave 'min_packs' out",
                    bank->name);
}

// clang-format off
#define LIMITS(member) CONFIG_FIELD(limits_config, member)

static const struct config_key limits_keys[] = {
    {.name = "charge_current", LIMITS(charge_current_a), .type = &type_number, .min = 0, .max = 10000, .unit = 'A',
     .help = "The maximum charge current in A of cables, fuses and cells. For a bank: all packs together, each with "
             "an equal share."},
    {.name = "discharge_current", LIMITS(discharge_current_a), .type = &type_number, .min = 0, .max = 10000, .unit = 'A',
     .help = "The maximum discharge current in A of cables, fuses and cells. For a bank: as charge_current."},
    {.name = "cells", LIMITS(cells), .type = &type_whole, .min = 1, .max = MAX_CELLS,
     .help = "The number of cells in series. Nothing is allowed while a pack reports another number, or not all of "
             "them."},
    {.name = "sensors", LIMITS(sensors), .type = &type_whole, .min = 1, .max = MAX_TEMPS,
     .help = "The number of temperature sensors of each pack. Nothing is allowed while fewer are known."},
    {.name = "cell_full", LIMITS(cell_full_v), .type = &type_number, .min = 1, .max = 5, .unit = 'V',
     .help = "The charge voltage in V of a cell. `packgate limits --example lfp` prints this key and those below."},
    {.name = "cell_float",
     CONFIG_PARTS(limits_config, {LIMITS(cell_float_v), .type = &type_number, .min = 1, .max = 5, .unit = 'V', .required = true},
                  {LIMITS(soc_again_percent), .type = &type_number, .max = 100, .unit = '%', .unknown = true}),
     .help = "The float voltage in V of a cell, after the cells were full and balanced for 15 minutes. Behind a comma, "
             "such as 3.375, 90%: the state of charge below which the battery is charged to cell_full again."},
    {.name = "cell_high", LIMITS(cell_high), .type = &type_curve, .min = 1, .max = 5,
     .help = "The share of charge_current as a function of the highest cell's voltage in V. It is linear between two "
             "points and constant outside of them; the last one must be 0."},
    {.name = "cell_low", LIMITS(cell_low), .type = &type_curve, .min = 1, .max = 5,
     .help = "The share of discharge_current as a function of the lowest cell's voltage in V. The lowest point must "
             "be 0."},
    {.name = "temperature", LIMITS(temperature), .type = &type_curve, .min = -60, .max = 100, /* not 131 °F */
     .help = "The share of both currents as a function of the temperature in °C, of the coldest and of the hottest "
             "sensor. The first and the last point must be 0."},
    {.name = "mos_temperature", LIMITS(mos_temperature), .type = &type_curve, .min = -60, .max = 200,
     .otherwise = "no limit",
     .help = "The share of both currents as a function of the temperature of the MOS in °C. Nothing is allowed while "
             "it is unknown."},
    {.name = "soc_high", LIMITS(soc_high), .type = &type_curve, .min = 0, .max = 100,
     .otherwise = "no limit",
     .help = "The share of charge_current as a function of the state of charge in %. Nothing is allowed while it is "
             "unknown."},
    {.name = "soc_low", LIMITS(soc_low), .type = &type_curve, .min = 0, .max = 100,
     .otherwise = "no limit",
     .help = "The share of discharge_current as a function of the state of charge in %. Nothing is allowed while it "
             "is unknown."},
    {.name = "soc_ceiling",
     CONFIG_PARTS(limits_config, {LIMITS(soc_ceiling_percent), .type = &type_number, .min = 1, .max = 100, .unit = '%', .required = true},
                  {LIMITS(full_every_s), .type = &type_duration, .min = 86400, .max = 365 * 86400}),
     .otherwise = "none",
     .help = "The state of charge in % at which charging stops, so that the cells age less. Charging is not allowed "
             "while it is unknown. Behind a comma, such as 90, 14d: after this time without full cells the ceiling is "
             "lifted until they are full, so that the BMS balances them and corrects its state of charge."},
    {.name = "on_stale", LIMITS(on_stale), .type = &type_choice, CONFIG_WORDS("stop", "discharge"),
     .preset = "stop",
     .help = "What stale values allow: nothing, or discharging as before for 10 s. Charging stops in either case."},
    {.name = "soc_again", LIMITS(soc_again_percent), .type = &type_number, .min = 0, .max = 100, .unit = '%',
     CONFIG_FOLDED("write it in 'cell_float', as in 'cell_float = 3.375, 90%'")},
    {.name = "full_every", LIMITS(full_every_s), .type = &type_duration, .min = 86400, .max = 365 * 86400,
     CONFIG_FOLDED("write it in 'soc_ceiling', as in 'soc_ceiling = 90, 14d'")},
    {.name = "of", LIMITS(of), .type = &type_name,
     CONFIG_FOLDED("write its value into the heading, [limits NAME], and leave it out")},
};

const struct config_section limits_section = {
    .word = "limits", .heading = "[limits NAME]", CONFIG_NAMED(limits_config, limits, limits_count),
    .help = "The charge and discharge limits of the pack or bank NAME, for inverters and chargers that read them. They "
            "replace neither the BMS nor fuses. Only on_stale has a default: `packgate limits --example lfp` prints "
            "a section to start from.",
    CONFIG_KEYS(limits_keys), .explains = true,
    .check = check_limits,
};
// clang-format on
