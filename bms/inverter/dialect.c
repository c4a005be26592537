// SPDX-License-Identifier: MIT
/*
 * Emulators encode unknown values as some number, mostly 0. Without knowing the protocol, this file
 * finds out which numbers of a reply are affected: it emulates the request again with other numbers in
 * their place.
 */
#include "dialect.h"

#include "bms/battery.h"

#include <math.h>
#include <string.h>

/* Polls until a driver has learned what it needs, such as the number of cells. */
#define CYCLES_READ 3

/* All other protocols are for apps and displays. */
static const char *const possible[] = {"topbms",    "daren",       "daly",  "daly-d2", "jbd",
                                       "seplos-v3", "pace-modbus", "jk-pb", "eg4-ll",  "felicity"};

bool dialect_possible(const struct bms_driver *driver)
{
    for (size_t i = 0; i < COUNT(possible); i++)
        if (strcmp(driver->name, possible[i]) == 0)
            return true;
    return false;
}

/* ---- an answer ---- */

/* Emulates on copies. No reply to a request that changes the battery. */
static size_t emulate_copy(const struct dialect *dialect, const struct pack *values,
                           const uint8_t *bytes, size_t size, struct bms_output *out)
{
    struct bms board = dialect->board;
    struct pack pack = *values;
    size_t used = bms_emulate(&board, &pack, bytes, size, out);
    if (!pack_same(&pack, values))
        out->size = 0;
    return used;
}

/* Decodes a reply with the driver. The last result counts; BMS_FOREIGN: there was no frame. */
static enum bms_result decode_answer(struct bms *reader, const struct bms_request *request,
                                     const struct bms_output *answer, struct pack *pack)
{
    enum bms_result result = BMS_FOREIGN;
    for (size_t at = 0; at < answer->size && result != BMS_DONE;) {
        struct bms_span span =
            reader->driver->frame(reader, request, answer->bytes + at, answer->size - at);
        if (span.kind == BMS_MORE)
            break;
        if (span.kind == BMS_FRAME)
            result = reader->driver->decode(reader, request, answer->bytes + at, span.size, pack);
        at += span.size;
    }
    return result;
}

/* ---- which numbers are in an answer ---- */

/* Numbers that are exact and have no unit. */
static bool is_exact(unsigned id)
{
    return id != CYCLES && pack_value_info(id)->unit[0] == '\0';
}

/* The numbers in question: the wrong ones, or those that allow something. */
static bool is_chosen(const struct dialect *dialect, bool allowing, unsigned id)
{
    return allowing ? shown_allows(id) : dialect->wrong[id];
}

/* Two numbers that no protocol rounds to the same value. */
static double filling(unsigned id, bool other)
{
    const struct pack_value_info *info = pack_value_info(id);
    if (is_exact(id))
        return info->max <= 1 ? other : 1 + other;
    if (strcmp(info->unit, "mV") == 0)
        return other ? 3200 : 3000;
    return other ? 20 : 10;
}

/* An emulator may count the cells and sensors that it finds, and a message may contain only the
 * last of them. */
static void fill_counted(struct pack *pack, enum pack_value count, enum pack_value first,
                         unsigned most)
{
    pack->value[count] = most;
    for (unsigned i = 0; i < most; i++)
        pack->value[first + i] = filling(first + i, false);
}

static void fill_in(const struct dialect *dialect, bool allowing, bool alarms, bool other,
                    struct pack *pack)
{
    *pack = dialect->shown.values;
    for (unsigned id = 0; id < PACK_VALUES; id++)
        if (is_chosen(dialect, allowing, id))
            pack->value[id] = filling(id, other);
    /* A count that is unknown itself. */
    const double *known = dialect->shown.values.value;
    if (other && isnan(known[CELL_COUNT]) && is_chosen(dialect, allowing, CELL_COUNT))
        fill_counted(pack, CELL_COUNT, CELL_MV, MAX_CELLS);
    if (other && isnan(known[TEMP_COUNT]) && is_chosen(dialect, allowing, TEMP_COUNT))
        fill_counted(pack, TEMP_COUNT, TEMP_C, MAX_TEMPS);
    if (alarms) {
        pack->alarms_known = (1u << PACK_ALARM_COUNT) - 1;
        pack->alarms_can_warn = pack->alarms_can_protect = pack->alarms_known;
        pack->alarms_warning = pack->alarms_protection = other ? pack->alarms_known : 0;
    }
}

/* Whether the reply to a request depends on such a number. */
static bool depends_on(const struct dialect *dialect, bool allowing, bool alarms,
                       const struct bms_request *request)
{
    struct pack one, other;
    struct bms_output first, second;
    fill_in(dialect, allowing, alarms, false, &one);
    fill_in(dialect, allowing, alarms, true, &other);
    emulate_copy(dialect, &one, request->bytes, request->size, &first);
    emulate_copy(dialect, &other, request->bytes, request->size, &second);
    return first.size != second.size || memcmp(first.bytes, second.bytes, first.size) != 0;
}

/* A reply without any values, such as an exception, may be sent unchanged. */
static bool may_send(struct dialect *dialect, const struct bms_request *request,
                     const struct bms_output *answer, struct pack *told)
{
    struct bms reader = dialect->reader;
    pack_clear(told);
    enum bms_result result = decode_answer(&reader, request, answer, told);
    if (result == BMS_INVALID || result == BMS_FOREIGN || told->implausible > 0)
        return false;
    if (depends_on(dialect, false, dialect->wrong_alarms, request))
        return false;
    return !dialect->shown.stopping || depends_on(dialect, true, false, request);
}

/* ---- what is wrong ---- */

/* Polls like the driver. `checked`: only replies that may be sent count. `raw`: the values before the
 * driver's plausibility checks. */
static void poll_copy(struct dialect *dialect, bool checked, struct bms *reader, struct pack *read,
                      struct pack *raw)
{
    const struct bms_driver *driver = dialect->board.driver;
    bms_init(reader, driver);
    reader->options = dialect->board.options;
    reader->options.settable = true; /* settings are polled as well */
    for (int cycle = 0; cycle < CYCLES_READ; cycle++) {
        pack_clear(read);
        for (unsigned step = 0; step < driver->steps; step++) {
            struct bms_request request = {.size = 0};
            struct bms_output answer;
            struct pack part, told;
            if (!driver->build(reader, step, &request))
                continue;
            emulate_copy(dialect, &dialect->shown.values, request.bytes, request.size, &answer);
            if (checked && answer.size > 0 && !may_send(dialect, &request, &answer, &told))
                continue;
            pack_clear(&part);
            if (decode_answer(reader, &request, &answer, &part) == BMS_DONE)
                pack_merge(read, &part);
        }
        *raw = *read;
        if (driver->finish)
            driver->finish(reader, read);
    }
}

static const enum pack_value limits[] = {CHARGE_VOLTAGE_LIMIT_V, CHARGE_CURRENT_LIMIT_A,
                                         DISCHARGE_CURRENT_LIMIT_A};

_Static_assert(COUNT(limits) == COUNT((struct dialect){0}.limit_steps), "one step for each");

#define PROBE 24.4444 /* its rounded value reveals the resolution of a protocol */

/* The step of a protocol's number; 0: exact, or not in the protocol. */
static double step_of(double read)
{
    for (double step = 1; step > 1e-4; step /= 10)
        if (fabs(read - PROBE) > 0.3 * step)
            return step;
    return 0;
}

/* Emulators round to the nearest step, but a limit must never be exceeded: lowers it to the step
 * below. */
static struct shown lower_limits(const struct dialect *dialect, const struct shown *shown)
{
    struct shown lowered = *shown;
    for (size_t i = 0; i < COUNT(limits); i++) {
        double *value = &lowered.values.value[limits[i]];
        if (dialect->limit_steps[i] > 0)
            *value = floor(*value / dialect->limit_steps[i] + 1e-6) * dialect->limit_steps[i];
    }
    return lowered;
}

void dialect_init(struct dialect *dialect, const struct bms_driver *driver,
                  const struct bms_options *options)
{
    memset(dialect, 0, sizeof *dialect);
    bms_init(&dialect->board, driver);
    dialect->board.options = *options;
    /* Finds out which values the protocol carries, with a battery that has all. */
    struct pack read, raw;
    struct pack *values = &dialect->shown.values;
    battery_example(values);
    for (size_t i = 0; i < COUNT(limits); i++)
        pack_set(values, limits[i], PROBE);
    poll_copy(dialect, false, &dialect->reader, &read, &raw);
    for (unsigned id = 0; id < PACK_VALUES; id++)
        dialect->carried[id] = !isnan(read.value[id]);
    for (size_t i = 0; i < COUNT(limits); i++)
        dialect->limit_steps[i] = step_of(read.value[limits[i]]);
}

static void find_untellable(struct dialect *dialect, const struct shown *shown)
{
    struct pack read, raw;
    if (dialect->checked && pack_same(&dialect->shown.values, &shown->values))
        return;
    dialect->shown = *shown;
    dialect->checked = true;
    poll_copy(dialect, false, &dialect->reader, &read, &raw);
    for (unsigned id = 0; id < PACK_VALUES; id++) {
        double value = shown->values.value[id], got = read.value[id];
        /* The mask of balancing cells is not checked, because nothing is controlled by it: if it is
         * unknown or has no place it is sent as "none". */
        const bool ignored = id == BALANCING || id == BALANCE_MASK || id == FLOW;
        /* Protocols round; by more than that, the value did not fit into the protocol. */
        const double rounding = is_exact(id) ? 0 : fmax(1, fabs(value) / 50);
        dialect->wrong[id] = ignored        ? false
                             : isnan(value) ? !isnan(got) || !isnan(raw.value[id])
                             : isnan(got)   ? dialect->carried[id]
                                            : fabs(got - value) > rounding;
    }
    dialect->wrong_alarms = read.alarms_known && !shown->values.alarms_known;
}

size_t dialect_answer(struct dialect *dialect, const struct shown *shown, const uint8_t *bytes,
                      size_t size, struct bms_output *out, struct pack *told)
{
    struct bms_request request = {.size = 0};
    const struct shown lowered = lower_limits(dialect, shown);
    size_t used = emulate_copy(dialect, &lowered.values, bytes, size, out);
    if (out->size == 0)
        return used;
    find_untellable(dialect, &lowered);
    dialect->shown.stopping = shown->stopping;
    request.size = used < BMS_REQUEST_MAX ? used : BMS_REQUEST_MAX;
    memcpy(request.bytes, bytes, request.size);
    if (!may_send(dialect, &request, out, told))
        out->size = 0;
    return used;
}

void dialect_read(struct dialect *dialect, const struct shown *shown, struct pack *read)
{
    const struct shown lowered = lower_limits(dialect, shown);
    find_untellable(dialect, &lowered);
    dialect->shown.stopping = shown->stopping;
    struct bms reader;
    struct pack raw;
    poll_copy(dialect, true, &reader, read, &raw);
}
