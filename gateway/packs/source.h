// SPDX-License-Identifier: MIT
/* A pack or a bank as seen by all that passes its values on (Modbus units, push, outlets), and how
 * these observe changes. The process of an outlet builds the same struct from a pipe. */
#pragma once

#include "base/queue.h"
#include "bms/switching.h"
#include "registers/map.h"

#include <stdbool.h>
#include <stdint.h>

struct source {
    const char *name;                    /* of its section */
    const char *title;                   /* name for people: the key `name`, else the same */
    const char *line;                    /* name of its line; NULL: a bank */
    uint8_t unit;                        /* Modbus unit id */
    bool writable;                       /* its MOS may be switched, by clients that may write */
    bool settable;                       /* its settings may be written, by the same clients */
    double capacity_ah;                  /* as configured; 0: not configured */
    const struct source *const *members; /* packs of a bank; NULL: a pack */
    unsigned member_count;
    const struct pack *values; /* of the last published poll cycle; all unknown before the first */
    struct map_status status;  /* of the same moment: state, age, counters */
    double good_until; /* clock_now until which the values are fresh; NaN: there were none */
    double read_at;    /* clock_now when they were read; NaN: there were none */
    double settle_s;   /* s after the start during which silence is not reported */
    /* For the status, in the gateway only. */
    const char *trouble; /* the last one, in words; NULL: none so far */
    double trouble_at;
};

/** Whether its values are fresh at `now`. */
static inline bool source_fresh(const struct source *source, double now)
{
    return now <= source->good_until;
}

/** Its status. The stored one may say fresh for too long, because the values can expire, or the
 * gateway hang, before it is updated: `fresh` decides. */
static inline struct map_status source_status(const struct source *source, bool fresh)
{
    struct map_status status = source->status;
    if (!fresh && status.state == MAP_STATE_FRESH)
        status.state = MAP_STATE_STALE;
    return status;
}

/** The same of one moment, with the ages of the values and of the limits then. */
static inline struct map_status source_status_at(const struct source *source, double now)
{
    struct map_status status = source_status(source, source_fresh(source, now));
    status.age_s = now - source->read_at;
    status.allowed.age_s += status.age_s - source->status.age_s;
    return status;
}

/** Finds a pack or a bank by its configured name. */
typedef const struct source *source_find(const void *data, const char *name);

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

/* An order for a pack, and the receiver of its result. */
struct order_request {
    struct switches ordered;
    const char *from; /* for log and observers: "client 192.0.2.7:4711", "mqtt home", "web" */
    void (*done)(void *data, uint64_t ticket, enum order_result result);
    void *data;
    uint64_t ticket; /* chosen by the caller */
};

/* The result of an order to switch or to write a setting. */
struct order_report {
    struct switches ordered;
    const char *from; /* "client 192.0.2.7:4711", "mqtt home", "web" */
    enum order_result result;
};

/* Embedded in the observer. Never called from packs_observe; must not unobserve from within. */
struct observer {
    /** One or more of enum source_change, of a pack or a bank. */
    void (*changed)(void *data, const struct source *source, unsigned changes, double now);
    /** An order has ended. NULL: ignored. */
    void (*ordered)(void *data, const struct source *source, const struct order_report *report);
    /** A reload: look up the new sources. NULL: the observer itself is created again. */
    void (*renewed)(void *data, double now);
    void *data;
    TAILQ_ENTRY(observer) entry;
};
