// SPDX-License-Identifier: MIT
/*
 * The life of a line's port: opened, lost, opened again with growing pauses, and what the log, the status and whoever
 * looks on are told of it. It knows no pack: whose turn it is, and what the bytes mean, is for the line.
 */
#ifndef PACKGATE_LINES_WIRE_H
#define PACKGATE_LINES_WIRE_H

#include "port/intake.h"
#include "mask.h"
#include "port/port.h"

#include "base/queue.h"

/* Whoever looks on what passes, of ours and of loans, as far as it may be shown. */
struct line_tap {
    mask_show *passed;        /* may take this tap off, but no other one */
    void (*gone)(void *data); /* the line is freed, with the tap taken off; may be NULL */
    void *data;
    TAILQ_ENTRY(line_tap) entry;
};

/* How a line does, for whoever asks. */
struct line_facts {
    enum { LINE_IS_CLOSED, LINE_IS_OPENING, LINE_IS_OPEN } state;
    double since;            /* it is open, or is not; from the start if it never was */
    uint64_t received, sent; /* bytes */
    uint32_t requests;
    uint32_t loans; /* that somebody else sent */
    uint32_t openings;
    uint32_t troubles; /* it did not open, or was lost before anything useful came */
    char trouble[100]; /* the last of them in words; empty: there was none */
    double trouble_at;
    double late_s; /* replies take so long, and that is more than reply_timeout; 0: not so */
    int signal_dbm; /* of a radio link, as its device was found last; 0: not known, or it has a wire */
};

struct wire_events {
    /** The port is open. `away`: it was not for so long that another device may be there now. */
    void (*opened)(void *data, bool away, double now);
    void (*received)(void *data, const uint8_t *bytes, size_t size, double now);
    /** wire_wait is over. */
    void (*due)(void *data, double now);
    /** When there is something to ask; `now` while there is, or something is under way. */
    double (*next_due)(void *data, double now);
    /** The port was lost, or is closed to be opened anew: what was under way is over. */
    void (*closed)(void *data, double now);
    /** It could not be opened, or nothing useful came before it was lost. True: the log need not say it. */
    bool (*down)(void *data, const char *why, double now);
};

/* What is known of the port. */
struct wire_health {
    double backoff_s; /* 0: the port works, or was not tried yet */
    double started_at;
    double worked_at;     /* the last useful answer; NaN: none yet */
    double lost_at;       /* NaN: never, or closed when idle */
    double unheard_since; /* asked, and nothing at all was received since; NaN: not so */
    bool opened;          /* once at least */
    bool asked, answered; /* since it was opened; answered: something useful came */
    bool reported_down, reported_late;
};

struct wire {
    const struct line_config *config;
    const struct wire_events *events;
    void *data;
    struct port *port;
    struct intake intake;
    ev_timer timer; /* opens the port, or calls `due` */
    int fd;         /* -1: nothing can be written */
    unsigned baud;
    struct wire_health health;
    struct line_facts facts;
    struct mask mask;
    TAILQ_HEAD(, line_tap) taps;
};

/** The driver has the usual settings. `simulated`: the packs of a simulated port. False: out of memory. */
bool wire_init(struct wire *wire, struct ev_loop *loop, const struct line_config *config,
               const struct bms_driver *driver, const struct port_simulated *simulated,
               const struct wire_events *events, void *data);
void wire_free(struct wire *wire);

void wire_start(struct wire *wire, double now);

/** Calls `due` then, unless it is called again before; while the port is closed it does nothing. */
void wire_wait(struct wire *wire, double at, double now);

/** The same as wire_wait for now, also where a port is closed without being in trouble: it is opened at once. */
void wire_hurry(struct wire *wire, double now);

/** Sends a request; `shown` is what may be shown of it. False: not all of it could be sent. */
bool wire_send(struct wire *wire, const uint8_t *bytes, size_t size, const uint8_t *shown,
               double now);

/** Takes what has come and was not received yet. False: the port was lost over it. */
bool wire_receive(struct wire *wire, double now);

/** A useful answer came. True: the first one after a while. */
bool wire_answered(struct wire *wire, double now);

/** Nothing at all was received for so long while something was asked, or awaited, that the port is to be opened anew. */
bool wire_is_deaf(const struct wire *wire, double now);

/** The port is lost. */
void wire_lose(struct wire *wire, const char *why, double now);

/** Opens it anew by our own decision, at once. */
void wire_reopen(struct wire *wire, const char *why, double now);

/** How long so many bytes take. */
double wire_s(const struct wire *wire, size_t bytes);

struct line_facts wire_facts(const struct wire *wire);

#endif
