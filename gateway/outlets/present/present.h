// SPDX-License-Identifier: MIT
/*
 * The outlet that answers masters (inverters, PLCs) on a port. present.c runs the process and decides whether values are fresh,
 * bus.c handles the port. Each protocol is a `struct speaker`: modbus.c, battery.c, canbus.c.
 */
#pragma once

#include "bus.h"

#include "bms/inverter/shown.h"
#include "outlets/outlet.h"
#include "packs/limits.h"

#include <math.h>

/*
 * The rule of what masters get for a presented pack: no answer before its first whole fresh poll cycle; its values while they are
 * fresh; an explicit stop for PRESENT_STOP_S after they turned stale; then no answer. Pure: only the clock and the end of freshness
 * decide, so the rule holds without the gateway, without a timer, and after the host has slept.
 */
#define PRESENT_STOP_S LIMITS_STOP_S /* s; inverters wait about as long for a silent battery */

enum present_state { PRESENT_WAITING, PRESENT_RUNNING, PRESENT_STOPPING, PRESENT_SILENT };

/** Updates `*until`, the time until which the values are or were fresh; it starts as NaN. `fresh`: they are fresh now, and until
 * `good_until`. */
static inline void present_update(double *until, bool fresh, double good_until, double now)
{
    if (fresh)
        *until = good_until;
    else if (*until > now)
        *until = now;
}

static inline enum present_state present_state(double until, double now)
{
    if (isnan(until))
        return PRESENT_WAITING;
    if (now <= until)
        return PRESENT_RUNNING;
    return now <= until + PRESENT_STOP_S ? PRESENT_STOPPING : PRESENT_SILENT;
}

struct present;

struct speaker {
    /** NULL: it cannot start; the reason is logged. The result is `data` for `events`. */
    void *(*start)(struct present *present, double now);
    /** The values or the state of a pack have changed. May be NULL. */
    void (*changed)(void *self, struct outlet_pack *pack, unsigned changes, double now);
    struct bus_events events;
    /** Called each second. May be NULL. */
    void (*second)(void *self, struct bus *bus, double now);
};

/* Modbus RTU; a BMS's own protocol; CAN. */
extern const struct speaker modbus_speaker, battery_speaker, can_speaker;

#define PRESENT_UNTOLD 320 /* bytes; the list of all values has 139, of a stack or one battery */

#define PRESENT_LIMITS 64 /* bytes of the limits in an answer, as text */

struct present {
    struct outlet *outlet;
    const struct present_config *config;
    const char *title;        /* "present deye" */
    struct outlet_pack *pack; /* the presented pack or bank */
    /* The rest is of present.c. */
    const struct speaker *speaker;
    struct alarms alarms; /* of the presented pack or bank, as read last */
    void *self;           /* of the speaker */
    struct bus *bus;
    double *until; /* by pack: see present_state */
    bool ending;   /* the gateway is gone, or has asked this process to end */
    ev_timer end;
    enum present_state said;       /* the state of the presented pack that was logged last */
    struct shown shown;            /* of the last fresh values */
    char untold[PRESENT_UNTOLD];   /* those of them that the protocol cannot report */
    bool known[SHOWN_NUMBERS + 1]; /* values known when `untold` was written; the last: alarms */
    double duplicate_at; /* when another device last answered at our address; NaN: never */
    struct {
        char who[ADDRESS_TEXT], what[64], told[PRESENT_LIMITS];
        double at, told_at; /* NaN: not yet */
        double every_s;     /* smoothed time between two requests */
        uint32_t count;
    } asked;
};

/** Whether masters get values of a pack or a stop at this moment. */
bool present_speaks(const struct present *present, const struct outlet_pack *pack, double now);
/** The same, unless another device answers at our address. */
bool present_answers(const struct present *present, const struct outlet_pack *pack, double now);

/** Whether the gateway can carry out orders. */
bool present_has_gateway(const struct present *present, double now);

/** The values that were decoded from an answer in a BMS's own protocol, or NULL if no limit is among them. */
const struct pack *present_limits(const struct pack *decoded);

/** Records for the status that a master was answered: the request, such as "58 from 290 of unit 2" (empty if all requests are
 * alike), and the limits in the answer (NULL: it had none). */
void present_answered(struct present *present, const struct bus_link *link, const char *what,
                      const struct pack *told, double now);

/** Fills in the values that an inverter gets at this moment: the current ones, or a stop. */
void present_fill_shown(struct present *present, struct shown *shown, double now);

/** Records that another device has answered at our address: this outlet stays silent until that device has been silent for
 * PRESENT_STOP_S. `what` is its answer, for the log. */
void present_note_duplicate(struct present *present, const char *what, double now);
