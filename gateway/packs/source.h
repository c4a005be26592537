// SPDX-License-Identifier: MIT
/*
 * A pack or a bank as everybody sees it who passes its values on (Modbus units, push, outlets), and
 * how they hear of changes. In the process of an outlet the same struct comes out of a pipe.
 */
#ifndef PACKGATE_PACKS_SOURCE_H
#define PACKGATE_PACKS_SOURCE_H

#include "base/queue.h"
#include "lines/order.h"
#include "registers/map.h"

#include <stdbool.h>
#include <stdint.h>

struct source {
    const char *name;                    /* as configured */
    const char *line;                    /* name of its line; NULL: a bank */
    uint8_t unit;                        /* Modbus unit id */
    bool writable;                       /* its MOS may be switched, by whom the way in allows to */
    bool settable;                       /* its settings may be written, in the same way */
    double capacity_ah;                  /* as configured; 0: not given */
    const struct source *const *members; /* packs of a bank; NULL: a pack */
    unsigned member_count;
    const struct pack *values; /* of one poll cycle, published last; all unknown before the first */
    struct map_status status;  /* of the same moment: state, age, counters */
    double good_until;         /* clock_now until which the values are fresh; NaN: never were */
    double settle_s;           /* for so long after the start, silence is not yet worth a word */
};

/** Whether its values are fresh at this moment. */
static inline bool source_fresh(const struct source *source, double now)
{
    return now <= source->good_until;
}

enum source_change {                            /* bits; one turn can bring several */
                     SOURCE_PUBLISHED = 1 << 0, /* new values, a whole cycle */
                     SOURCE_AGED = 1 << 1,      /* a second has passed: age and counters went on */
                     SOURCE_STATE = 1 << 2,     /* fresh or not */
                     SOURCE_FLOW = 1 << 3,      /* idle, charging or discharging */
                     SOURCE_SWITCHES = 1 << 4,  /* charge or discharge MOS */
                     SOURCE_ALARMS = 1 << 5,    /* warning or protection alarms */
                     SOURCE_IDENTITY =
                         1 << 6 /* serial, model, firmware, number of cells or sensors */
};

/* An order for a pack, and whom its end is reported to. */
struct order_request {
    struct switches ordered;
    const char
        *from; /* for the log and the observers: "client 192.0.2.7:4711", "mqtt home", "web" */
    void (*done)(void *data, uint64_t ticket, enum order_result result);
    void *data;
    uint64_t ticket; /* of whoever gives it */
};

/* What became of an order to switch, or to set something. */
struct order_report {
    struct switches ordered;
    const char *from; /* "client 192.0.2.7:4711", "mqtt home", "web" */
    enum order_result result;
};

/* Embedded in whoever looks. It is never called from within packs_observe, and must not take itself
 * off the list from within a call. */
struct observer {
    /** One or more of enum source_change, of a pack or a bank. */
    void (*changed)(void *data, const struct source *source, unsigned changes, double now);
    /** An order is over. NULL: of no interest. */
    void (*ordered)(void *data, const struct source *source, const struct order_report *report);
    /** A reload: the sources before are gone, look for them anew. NULL: whoever looks is renewed
     * itself. */
    void (*renewed)(void *data, double now);
    void *data;
    TAILQ_ENTRY(observer) entry;
};

#endif
