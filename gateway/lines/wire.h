// SPDX-License-Identifier: MIT
/*
 * The port of a line: opens it, reopens it after growing pauses, logs its state, and passes its
 * bytes to observers. It does not depend on packs or protocols.
 *
 * Bytes are received no faster than a wire could deliver them: a far end that sends endlessly must
 * neither keep the loop busy nor take the time of other lines. Further bytes wait in the kernel,
 * which makes their sender wait.
 */
#pragma once

#include "mask.h"
#include "ports/port.h"

#include "base/queue.h"

/* An observer of the bytes on the line, also of loans, as far as they may be shown. */
struct line_tap {
    mask_show *passed;        /* may remove this tap, but no other */
    void (*gone)(void *data); /* the line is freed, with the tap taken off; may be NULL */
    void *data;
    TAILQ_ENTRY(line_tap) entry;
};

/* The state of a line, for the status. */
struct line_facts {
    enum { LINE_IS_CLOSED, LINE_IS_OPENING, LINE_IS_OPEN } state;
    double since;            /* open, or closed, since then */
    uint64_t received, sent; /* bytes */
    uint32_t requests;
    uint32_t openings;
    uint32_t troubles; /* it did not open, or was lost before a useful answer */
    char trouble[100]; /* the last one in words; empty: none */
    double trouble_at;
    double late_s;  /* usual reply time, if longer than reply_timeout; else 0 */
    int signal_dbm; /* of a radio link; 0: not known, or a wire */
};

struct wire_events {
    /** The port is open. `away`: it was closed for so long that another device may be there now. */
    void (*opened)(void *data, bool away, double now);
    void (*received)(void *data, const uint8_t *bytes, size_t size, double now);
    /** wire_wait is over. */
    void (*due)(void *data, double now);
    /** When the next request is due; `now`: one is due or in flight. */
    double (*next_due)(void *data, double now);
    /** The port was lost, or is about to be reopened: ends exchanges. */
    void (*closed)(void *data, double now);
    /** It could not be opened, or was lost before anything useful came. True: do not log it. */
    bool (*down)(void *data, const char *why, double now);
};

/* What is known of the port. */
struct wire_health {
    double backoff_s; /* 0: the port works, or was not tried yet */
    double started_at;
    double worked_at;     /* the last useful answer; NaN: none yet */
    double lost_at;       /* NaN: never, or closed while idle */
    double unheard_since; /* the first request since bytes were received; NaN: none */
    bool asked, answered; /* since it was opened; answered: something useful came */
    bool reported_down, reported_late;
};

struct wire {
    const struct line_config *config;
    const struct wire_events *events;
    void *data;
    struct port *port;
    struct ev_loop *loop;
    ev_io readable;
    ev_timer pause; /* after a full block */
    ev_timer timer; /* opens the port, or calls `due` */
    int fd;         /* -1: the port is not open */
    unsigned baud;
    struct wire_health health;
    struct line_facts facts;
    struct mask mask;
    TAILQ_HEAD(, line_tap) taps;
};

/** The driver has the usual settings. `simulated`: the packs of a simulated port. */
void wire_init(struct wire *wire, struct ev_loop *loop, const struct line_config *config,
               const struct bms_driver *driver, const struct port_simulated *simulated,
               const struct wire_events *events, void *data);
void wire_free(struct wire *wire);

void wire_start(struct wire *wire, double now);

/** Calls `due` at that time, unless called again before. Does nothing while the port is closed. */
void wire_wait(struct wire *wire, double at, double now);

/** Calls `due` at once; opens a port that was closed while idle. */
void wire_hurry(struct wire *wire, double now);

/** Sends a request; observers get `shown`. False: not all of it could be sent. */
bool wire_send(struct wire *wire, const uint8_t *bytes, size_t size, const uint8_t *shown,
               double now);

/** Receives pending bytes at once, up to a limit. False: the port was lost. */
bool wire_receive(struct wire *wire, double now);

/** Notes a useful answer. True: the first one for some seconds. */
bool wire_answered(struct wire *wire, double now);

/** Whether the port should be reopened, because too many requests got not a single byte. */
bool wire_is_deaf(const struct wire *wire, double now);

/** Closes the lost port, and reopens it after a pause. */
void wire_lose(struct wire *wire, const char *why, double now);

/** Closes the port and reopens it at once. */
void wire_reopen(struct wire *wire, const char *why, double now);

/** How long that many bytes take on the wire, in seconds. */
double wire_s(const struct wire *wire, size_t bytes);
