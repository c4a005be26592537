// SPDX-License-Identifier: MIT
#include "units.h"

#include "base/alloc.h"
#include "bms/count.h"

#include <math.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>

void unit_open(struct unit *unit, uint8_t id, const struct source *source,
               const struct map_settings *settings, enum on_stale on_stale)
{
    *unit = (struct unit){.id = id,
                          .source = source,
                          .settings = settings,
                          .on_stale = on_stale,
                          .shown_age_s = NAN,
                          .registers = alloc_zeroed(map_size(settings), sizeof *unit->registers),
                          .refused_at = NAN};
    snprintf(unit->name, sizeof unit->name, "%s", source->name);
}

void unit_open_view(struct unit *unit, struct view *view)
{
    *unit =
        (struct unit){.view = view, .registers = view->registers, .known = true, .refused_at = NAN};
    snprintf(unit->name, sizeof unit->name, "%s", view->config->name);
}

void unit_update(struct unit *unit, bool whole, double now)
{
    const struct pack *values = unit->source->values;
    const struct map_status status = source_status_at(unit->source, now);
    /* Before the first values the fixed registers (version, self-check) are missing. */
    map_encode(unit->settings, whole || !unit->known ? values : NULL, &status, unit->registers);
    map_encode_bits(values, &status, unit->inputs, unit->coils);
    unit->known |= whole;
    unit->shown_state = status.state;
    unit->shown_age_s = status.age_s;
}

void unit_judge(struct unit *unit, double now)
{
    if (unit->view) {
        view_judge(unit->view, now);
        return;
    }
    const struct map_status status = source_status_at(unit->source, now);
    if (status.state != unit->shown_state || ceil(status.age_s) > ceil(unit->shown_age_s))
        unit_update(unit, false, now);
}

void unit_close(struct unit *unit)
{
    if (unit->view)
        view_free(unit->view);
    else
        free(unit->registers);
    unit->view = NULL;
    unit->registers = NULL;
}

/* The part of a range that lies in the table that a function reads or writes. */
static enum map_range touched_range(const struct unit *unit, uint8_t function,
                                    const struct mbap_range *range)
{
    switch (function) {
    case MODBUS_FC_READ_COILS:
    case MODBUS_FC_WRITE_SINGLE_COIL:
    case MODBUS_FC_WRITE_MULTIPLE_COILS:
        return map_coil_range(range->address, range->count);
    case MODBUS_FC_READ_DISCRETE_INPUTS:
        return map_input_range(range->address, range->count);
    default:
        return map_range(unit->settings, range->address, range->count);
    }
}

uint8_t unit_check(const struct unit *unit, const struct mbap_request *request)
{
    if (unit->view)
        return view_check(unit->view, request);
    const struct mbap_range *ranges[] = {&request->read, &request->write};
    enum map_range most = MAP_STATUS;
    for (size_t i = 0; i < COUNT(ranges); i++) {
        if (ranges[i]->count == 0)
            continue;
        const enum map_range range = touched_range(unit, request->function, ranges[i]);
        most = range > most ? range : most;
    }
    if (most == MAP_OUTSIDE)
        return MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
    /* With `on_stale = hold` stale values are served, for displays that cannot handle an exception;
     * before the first values there is nothing to hold. */
    bool refused =
        !unit->known || (unit->shown_state != MAP_STATE_FRESH && unit->on_stale == STALE_EXCEPTION);
    /* A switch cannot be read as off because the BMS has not reported it, not yet maybe. */
    for (unsigned i = 0; request->function == MODBUS_FC_READ_COILS && i < request->read.count; i++)
        refused |= unit->coils[request->read.address + i] == MAP_COIL_UNKNOWN;
    return most == MAP_VALUES && refused ? MODBUS_EXCEPTION_GATEWAY_TARGET : 0;
}

bool units_add(struct units *units, struct unit *unit)
{
    if (unit->id < UNIT_FIRST || unit->id > UNIT_LAST || units->by_id[unit->id])
        return false;
    units->by_id[unit->id] = unit;
    return true;
}

void units_add_view(struct units *units, struct unit *unit)
{
    const struct view_units *ids = &unit->view->config->units;
    for (unsigned i = 0; i < ids->count; i++)
        units->by_id[ids->id[i]] = unit;
}
