// SPDX-License-Identifier: MIT
/* The limits in the answers to a master. */
#include "told_limits.h"

#include "base/text.h"
#include "bms/count.h"
#include "registers/rows.h"
#include "registers/value.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    size_t at;
} names[] = {
    {"allowed_charge_voltage_v", offsetof(struct told_limits, charge_v)},
    {"allowed_charge_current_a", offsetof(struct told_limits, charge_a)},
    {"allowed_discharge_current_a", offsetof(struct told_limits, discharge_a)},
    {"charge_voltage_limit_v", offsetof(struct told_limits, charge_v)},
    {"charge_current_limit_a", offsetof(struct told_limits, charge_a)},
    {"discharge_current_limit_a", offsetof(struct told_limits, discharge_a)},
};

static void set_limit(struct told_limits *told, size_t n, double value)
{
    double *field = (void *) ((char *) told + names[n].at);
    told->any = true;
    if (isnan(*field))
        *field = value;
}

/* Index of a name; COUNT(names): not a limit. */
static size_t find_name(const char *name)
{
    size_t n = 0;
    while (n < COUNT(names) && strcmp(names[n].name, name) != 0)
        n++;
    return n;
}

static bool range_has(const struct mbap_range *range, unsigned address, unsigned size)
{
    return address >= range->address && address + size <= range->address + range->count;
}

static void read_map(const struct unit *unit, const struct mbap_range *range,
                     struct told_limits *told)
{
    for (size_t n = 0; n < COUNT(names); n++)
        for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++) {
            const unsigned address = (unsigned) unit->settings->base + row->offset;
            if (strcmp(row->name, names[n].name) == 0 &&
                range_has(range, address, map_row_size(row)))
                set_limit(told, n,
                          row->scale * map_number_of(row->type,
                                                     unit->mapping.tab_registers + address,
                                                     map_row_high_first(unit->settings, row)));
        }
}

/* The first limit among the terms of a register. */
static size_t limit_of(const struct register_row *entry)
{
    char name[VALUE_NAME_SIZE];
    size_t n = COUNT(names);
    for (unsigned i = 0; entry->bit < 0 && i < entry->term_count && n == COUNT(names); i++)
        if (entry->terms[i].what == ROW_VALUE && entry->type != REG_STRING)
            n = find_name(value_format(&entry->terms[i].value, name));
    return n;
}

static bool range_has_copy(const struct view_copies *copies, const struct mbap_range *range,
                           const struct register_row *entry)
{
    for (const struct view_copy *copy = copies->list; copy < copies->list + copies->count; copy++)
        if (entry->address >= copy->first && entry->address <= copy->last &&
            range_has(range, entry->address - copy->first + copy->to, entry->size))
            return true;
    return false;
}

static void read_view(struct view *view, const struct mbap_range *range, struct told_limits *told)
{
    const struct view_config *config = view_config(view);
    for (unsigned i = 0; i < config->register_count; i++) {
        const struct register_row *entry = &config->registers[i];
        const size_t n = limit_of(entry);
        if (n == COUNT(names) || (!range_has(range, entry->address, entry->size) &&
                                  !range_has_copy(&config->copies, range, entry)))
            continue;
        const double shown =
            map_number_of(entry->type, view_registers(view) + entry->address, entry->big_words);
        set_limit(told, n, (shown - entry->offset) / entry->scale);
    }
}

struct told_limits told_limits_read(const struct unit *unit, const struct mbap_range *range)
{
    struct told_limits told = {false, NAN, NAN, NAN, NAN, NAN};
    if (range->count == 0)
        return told;
    if (unit->view)
        read_view(unit->view, range, &told);
    else
        read_map(unit, range, &told);
    return told;
}

struct told_limits told_limits_of(const struct pack *decoded)
{
    const double *value = decoded->value;
    struct told_limits told = {.charge_v = value[CHARGE_VOLTAGE_LIMIT_V],
                               .charge_a = value[CHARGE_CURRENT_LIMIT_A],
                               .discharge_a = value[DISCHARGE_CURRENT_LIMIT_A],
                               .charge_switch = value[CHARGE_MOS],
                               .discharge_switch = value[DISCHARGE_MOS]};
    told.any = !isnan(told.charge_v) || !isnan(told.charge_a) || !isnan(told.discharge_a) ||
               !isnan(told.charge_switch) || !isnan(told.discharge_switch);
    return told;
}

static const char *on_or_off(double on)
{
    return on > 0 ? "on" : "off";
}

void told_limits_format(const struct told_limits *told, char out[TOLD_LIMITS_TEXT])
{
    struct text text = text_in(out, TOLD_LIMITS_TEXT);
    if (!isnan(told->charge_a))
        text_format(&text, "charge %.5g A", told->charge_a);
    else if (!isnan(told->charge_switch))
        text_format(&text, "charging %s", on_or_off(told->charge_switch));
    if (!isnan(told->charge_v))
        text_format(&text, "%sup to %.5g V", text.size > 0 ? " " : "charge ", told->charge_v);
    const char *comma = text.size > 0 ? ", " : "";
    if (!isnan(told->discharge_a))
        text_format(&text, "%sdischarge %.5g A", comma, told->discharge_a);
    else if (!isnan(told->discharge_switch))
        text_format(&text, "%sdischarging %s", comma, on_or_off(told->discharge_switch));
    if (text.size == 0)
        text_add(&text, "unknown");
}
