// SPDX-License-Identifier: MIT
/* The limits in the answers to a master. */
#include "told_limits.h"

#include "base/text.h"
#include "bms/count.h"
#include "registers/rows.h"
#include "registers/value.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    enum pack_value value;
} names[] = {
    {"allowed_charge_voltage_v", CHARGE_VOLTAGE_LIMIT_V},
    {"allowed_charge_current_a", CHARGE_CURRENT_LIMIT_A},
    {"allowed_discharge_current_a", DISCHARGE_CURRENT_LIMIT_A},
    {"charge_voltage_limit_v", CHARGE_VOLTAGE_LIMIT_V},
    {"charge_current_limit_a", CHARGE_CURRENT_LIMIT_A},
    {"discharge_current_limit_a", DISCHARGE_CURRENT_LIMIT_A},
};

static void set_limit(struct pack *told, size_t n, double number)
{
    if (!pack_known(told, names[n].value))
        told->value[names[n].value] = number;
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

static bool read_map(const struct unit *unit, const struct mbap_range *range, struct pack *told)
{
    bool any = false;
    for (size_t n = 0; n < COUNT(names); n++)
        for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++) {
            const unsigned address = (unsigned) unit->settings->base + row->offset;
            if (strcmp(row->name, names[n].name) == 0 &&
                range_has(range, address, map_row_size(row))) {
                any = true;
                set_limit(told, n,
                          row->scale * map_number_of(row->type,
                                                     unit->mapping.tab_registers + address,
                                                     map_row_high_first(unit->settings, row)));
            }
        }
    return any;
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

static bool read_view(struct view *view, const struct mbap_range *range, struct pack *told)
{
    bool any = false;
    const struct view_config *config = view_config(view);
    for (unsigned i = 0; i < config->register_count; i++) {
        const struct register_row *entry = &config->registers[i];
        const size_t n = limit_of(entry);
        if (n == COUNT(names) || (!range_has(range, entry->address, entry->size) &&
                                  !range_has_copy(&config->copies, range, entry)))
            continue;
        const double shown =
            map_number_of(entry->type, view_registers(view) + entry->address, entry->big_words);
        any = true;
        set_limit(told, n, (shown - entry->offset) / entry->scale);
    }
    return any;
}

bool told_limits_read(const struct unit *unit, const struct mbap_range *range, struct pack *told)
{
    pack_clear(told);
    return unit->view ? read_view(unit->view, range, told) : read_map(unit, range, told);
}

const struct pack *told_limits_of(const struct pack *decoded)
{
    static const enum pack_value limits[] = {CHARGE_VOLTAGE_LIMIT_V, CHARGE_CURRENT_LIMIT_A,
                                             DISCHARGE_CURRENT_LIMIT_A, CHARGE_MOS, DISCHARGE_MOS};
    for (size_t n = 0; n < COUNT(limits); n++)
        if (pack_known(decoded, limits[n]))
            return decoded;
    return NULL;
}

static void add_limit(struct text *text, const char *what, double current_a, double on)
{
    if (!isnan(current_a))
        text_format(text, "%scharge %.5g A", what, current_a);
    else if (!isnan(on))
        text_format(text, "%scharging %s", what, on > 0 ? "on" : "off");
}

void told_limits_format(const struct pack *told, char out[TOLD_LIMITS_TEXT])
{
    struct text text = text_in(out, TOLD_LIMITS_TEXT);
    const double *value = told->value, charge_v = value[CHARGE_VOLTAGE_LIMIT_V];
    add_limit(&text, "", value[CHARGE_CURRENT_LIMIT_A], value[CHARGE_MOS]);
    if (!isnan(charge_v))
        text_format(&text, "%sup to %.5g V", text.size > 0 ? " " : "charge ", charge_v);
    add_limit(&text, text.size > 0 ? ", dis" : "dis", value[DISCHARGE_CURRENT_LIMIT_A],
              value[DISCHARGE_MOS]);
    if (text.size == 0)
        text_add(&text, "unknown");
}
