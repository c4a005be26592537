// SPDX-License-Identifier: MIT
/* A message to people, and its fields for programs. Pure. */
#pragma once

#include "config/config.h"
#include "packs/source.h"
#include "base/text.h"

#define MESSAGE_TITLE_SIZE (160 + TITLE_SIZE)
#define MESSAGE_TEXT_SIZE 4000 /* ntfy turns longer texts than 4096 bytes into a file */

/* 0: a piece of news, an end or a report; else enum alarm_level. */
struct message {
    enum notify_event event;
    char pack[OUTLET_NAME_SIZE]; /* empty: several, or the gateway itself */
    int alarm;                   /* enum pack_alarm; -1: none */
    int level;
    bool active; /* the event continues; false: it is over, or was only a moment */
    double time; /* Unix seconds */
    char title[MESSAGE_TITLE_SIZE];
    char text[MESSAGE_TEXT_SIZE];
    char *values; /* the pack's values at that moment, as JSON; NULL: none. On the heap */
};

enum phase { PHASE_BEGAN, PHASE_LASTS, PHASE_ENDED };

/* An event of a pack. */
struct happening {
    enum notify_event event;
    int alarm; /* enum pack_alarm; -1: none */
    int level; /* enum alarm_level; 0: news */
    enum phase phase;
    double began;    /* Unix seconds; NaN: unknown */
    double lasted_s; /* PHASE_ENDED; NaN: unknown */
    unsigned watch;  /* of events.h, for its note */
};

/** Composes the text: what, where, which cell, how much, since when. `time` is now in Unix seconds,
 * `gateway` the name of the host. Values are those of the source, and only included while `fresh`. */
void message_of(struct message *message, const struct happening *happening,
                const struct source *source, const struct notify_config *config,
                const char *gateway, bool fresh, double time);

/** A message about an order. Values as above, and what the BMS has confirmed, which no poll has read yet. */
void message_switched(struct message *message, const struct source *source,
                      const struct order_report *report, const char *gateway, bool fresh,
                      double time);

/** "warning", "protection"; "info" for news. */
const char *message_level(const struct message *message);

/** JSON for webhooks and commands, on one line, to be freed. NULL: a text is not UTF-8. */
char *message_json(const struct message *message, const char *gateway);

/** Appends a name such as "cell_over_voltage" as words. */
void message_words(struct text *text, const char *name);

/** "13:05", with the day if it is not that of `now`. */
void message_clock(double time, double now, char *out, size_t size);
