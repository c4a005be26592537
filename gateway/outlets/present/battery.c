// SPDX-License-Identifier: MIT
/*
 * A BMS's own protocol on the port of a [present] section: the inverter sees the pack or bank as a
 * battery that it supports. bms/inverter/dialect.h composes the replies; this file decides when to
 * send them, and checks that no other device replies.
 */
#include "present.h"

#include "bms/inverter/dialect.h"
#include "bms/inverter/pylon_system.h"
#include "base/alloc.h"

#include <string.h>

struct battery {
    struct present *present;
    struct dialect dialect;
    bool stacked; /* also answers Pylontech's system-level requests for the whole stack */
    struct bms_request request;  /* the last one that we can answer; size 0: none yet */
    struct bms_output out, sent; /* the last answer; sent.size 0: its echo can no longer come */
    struct shown told;           /* decoded from `out` */
};

static size_t answer_inverter(struct battery *battery, const struct shown *shown,
                              const uint8_t *bytes, size_t size)
{
    const uint8_t address = (uint8_t) bms_address(&battery->dialect.board);
    struct bms_request shorter;
    shown_clear(&battery->told);
    pack_clear(&battery->told.values);
    size_t used = battery->stacked ? pylon_system_answer(address, shown, bytes, size, &battery->out,
                                                         &battery->told)
                                   : 0;
    if (used > 0)
        return used;
    used = battery->stacked ? pylon_system_shorten(bytes, size, &shorter) : 0;
    if (used == 0)
        return dialect_answer(&battery->dialect, shown, bytes, size, &battery->out,
                              &battery->told.values);
    dialect_answer(&battery->dialect, shown, shorter.bytes, shorter.size, &battery->out,
                   &battery->told.values);
    return used;
}

/* Whether the bytes begin with another device's answer to the last request. Returns its size. */
static size_t find_foreign(struct battery *battery, const uint8_t *bytes, size_t size)
{
    const struct bms_driver *driver = battery->dialect.board.driver;
    struct bms reader = battery->dialect.reader;
    struct pack pack;
    if (battery->request.size == 0)
        return 0;
    const struct bms_span span = driver->frame(&reader, &battery->request, bytes, size);
    const bool repeated =
        span.size == battery->request.size && memcmp(bytes, battery->request.bytes, span.size) == 0;
    if (span.kind != BMS_FRAME || repeated)
        return 0;
    pack_clear(&pack);
    const enum bms_result result =
        driver->decode(&reader, &battery->request, bytes, span.size, &pack);
    return result == BMS_DONE || result == BMS_PARTIAL ? span.size : 0;
}

static size_t heard(void *self, struct bus_link *link, const uint8_t *bytes, size_t size,
                    bool quiet, double now)
{
    struct battery *battery = self;
    struct present *present = battery->present;
    struct shown shown;
    const bool shared = bus_is_shared(link);
    size_t over = 0;
    if (shared && !quiet) /* replies on a shared line wait until it is quiet */
        return 0;
    if (shared) {
        /* A two-wire adapter echoes what is sent. */
        const size_t sent = battery->sent.size, known = size < sent ? size : sent;
        const bool same = known > 0 && memcmp(bytes, battery->sent.bytes, known) == 0;
        if (same && known < sent) /* the rest may follow */
            return 0;
        battery->sent.size = 0;
        over = same ? sent : 0;
    }
    present_fill_shown(present, &shown, now);
    for (size_t n = 1; n > 0 && over < size; over += n) {
        if (shared && (n = find_foreign(battery, bytes + over, size - over)) > 0) {
            present_note_duplicate(present, "its protocol", now);
            continue;
        }
        battery->out.size = 0;
        n = answer_inverter(battery, &shown, bytes + over, size - over);
        if (battery->out.size == 0)
            continue;
        battery->request.size = n < BMS_REQUEST_MAX ? n : BMS_REQUEST_MAX;
        memcpy(battery->request.bytes, bytes + over, battery->request.size);
        if (present_answers(present, present->pack, now)) {
            bus_send(link, battery->out.bytes, battery->out.size);
            battery->sent = battery->out;
            /* A switch is not reported if another answer of this protocol has the limit. */
            const bool *carried = battery->dialect.carried;
            struct pack decoded = battery->told.values;
            if (carried[CHARGE_CURRENT_LIMIT_A])
                pack_unset(&decoded, CHARGE_MOS);
            if (carried[DISCHARGE_CURRENT_LIMIT_A])
                pack_unset(&decoded, DISCHARGE_MOS);
            present_answered(present, link, "", present_limits(&decoded), now);
        }
    }
    return over;
}

static void *start_battery(struct present *present, double now)
{
    const struct present_config *config = present->config;
    const struct bms_driver *driver = bms_driver_find(config->protocol);
    struct battery *battery = alloc_zeroed(1, sizeof *battery);
    battery->present = present;
    struct bms_options options = {
        .address = config->address, .adr = -1, .variant = config->variant};
    battery->stacked = pylon_system_answers(driver, config->variant);
    if (battery->stacked && options.address < 0)
        options.address = PYLON_SYSTEM_ADDRESS;
    dialect_init(&battery->dialect, driver, &options);
    return battery;
}

const struct speaker battery_speaker = {.start = start_battery, .events = {.heard = heard}};
