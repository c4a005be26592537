// SPDX-License-Identifier: MIT
/*
 * The outlet that answers masters on a port, by the rule of present_state. The process outlives the gateway for as long as it has to send
 * a stop. It checks the age of the values itself, so the rule holds even if the gateway hangs, dies or is stopped.
 */
#include "present.h"

#include "outlets/rights.h"

#include "bms/inverter/can.h"
#include "packs/show.h"
#include "packs/untold.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "bms/count.h"

#include <stdio.h>
#include <string.h>

bool present_has_gateway(const struct present *present, double now)
{
    return !present->ending && outlet_hears(present->outlet, now);
}

static enum present_state state_of(const struct present *present, const struct outlet_pack *pack,
                                   double now)
{
    return present_state(present->until[pack->index], now);
}

bool present_speaks(const struct present *present, const struct outlet_pack *pack, double now)
{
    const enum present_state state = state_of(present, pack, now);
    return state == PRESENT_RUNNING || state == PRESENT_STOPPING;
}

static bool has_duplicate(const struct present *present, double now)
{
    return now - present->duplicate_at <= PRESENT_STOP_S;
}

bool present_answers(const struct present *present, const struct outlet_pack *pack, double now)
{
    return present_speaks(present, pack, now) && !has_duplicate(present, now);
}

static const char *const states[] = {"waiting for the first values", "answers",
                                     "sending stop, its values are stale",
                                     "silent, its values are stale"};

/* On CAN nothing is asked: an inverter only acknowledges. */
static void write_asked(const struct present *present, double now, struct text *text)
{
    const bool is_can = present->speaker == &can_speaker;
    const char *asked = is_can ? "acknowledged" : "asked";
    const double ago_s = now - present->asked.at;
    if (present->asked.count == 0) {
        text_add(text, is_can ? "; no frame of an inverter yet" : "; no request yet");
        return;
    }
    if (ago_s > PRESENT_STOP_S)
        text_format(text, "; last %s %.0f s ago", asked, ago_s);
    else if (present->asked.count == 1)
        text_format(text, "; %s", asked);
    else
        text_format(text, "; %s every %.1f s", asked, present->asked.every_s);
    text_format(text, " by %s", present->asked.who);
    if (present->asked.what[0])
        text_format(text, ": %s", present->asked.what);
    const double told_ago_s = now - present->asked.told_at;
    if (told_ago_s > PRESENT_STOP_S)
        text_format(text, "; told %.0f s ago: %s", told_ago_s, present->asked.told);
    else if (!isnan(told_ago_s))
        text_format(text, "; told: %s", present->asked.told);
}

static void report_present(void *self, struct pipe_report *report)
{
    const struct present *present = self;
    const double now = clock_now();
    const bool answers = bus_is_open(present->bus) && !has_duplicate(present, now);
    struct text text = text_in(report->words, sizeof report->words);
    report->connected = answers && present->said == PRESENT_RUNNING;
    report->sent = present->asked.count;
    text_add(&text, answers                      ? states[present->said]
                    : !bus_is_open(present->bus) ? "the port is not open"
                                                 : "silent, another device answers in its place");
    if (answers && present->said == PRESENT_RUNNING && present->untold[0])
        text_format(&text, "; not reported: %s", present->untold);
    write_asked(present, now, &text);
}

const struct pack *present_limits(const struct pack *decoded)
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

void present_answered(struct present *present, const struct bus_link *link, const char *what,
                      const struct pack *told, double now)
{
    const struct sockaddr *client = link ? bus_client(link) : NULL;
    if (client)
        address_format(client, present->asked.who);
    else
        snprintf(present->asked.who, sizeof present->asked.who, "%.*s",
                 (int) sizeof present->asked.who - 1, present->config->port);
    snprintf(present->asked.what, sizeof present->asked.what, "%s", what);
    if (told) {
        /* "charge 30 A up to 54 V, discharge 80 A", with all digits that such protocols have, or, for protocols that report a
         * switch rather than a current, "charging on, discharging off" */
        struct text text = text_in(present->asked.told, PRESENT_LIMITS);
        const double *value = told->value, charge_v = value[CHARGE_VOLTAGE_LIMIT_V];
        add_limit(&text, "", value[CHARGE_CURRENT_LIMIT_A], value[CHARGE_MOS]);
        if (!isnan(charge_v))
            text_format(&text, "%sup to %.5g V", text.size > 0 ? " " : "charge ", charge_v);
        add_limit(&text, text.size > 0 ? ", dis" : "dis", value[DISCHARGE_CURRENT_LIMIT_A],
                  value[DISCHARGE_MOS]);
        if (text.size == 0)
            text_add(&text, "unknown");
        present->asked.told_at = now;
    }
    const double took_s = now - present->asked.at;
    if (present->asked.count > 0)
        present->asked.every_s += (took_s - present->asked.every_s) /
                                  (present->asked.count < 10 ? present->asked.count : 10);
    present->asked.count++;
    present->asked.at = now;
}

/* A stop is a current of 0 at the last voltage, because some protocols need a voltage to express it. The limits may still
 * allow discharging while values are stale (`on_stale` of [limits]). */
void present_fill_shown(struct present *present, struct shown *shown, double now)
{
    struct shown *last = &present->shown;
    show_source(shown, &present->pack->source, now);
    /* An alarm ends only when the BMS reports so, not when it could not be read. */
    shown->values.alarms_warning |= present->alarms.warning;
    shown->values.alarms_protection |= present->alarms.protection;
    shown->values.alarms_can_warn |= present->alarms.warning;
    shown->values.alarms_can_protect |= present->alarms.protection;
    shown->values.alarms_known |= present->alarms.warning | present->alarms.protection;
    if (!shown->stopping) {
        show_settings(shown, present->config);
        *last = *shown;
    } else {
        const double discharge_a = shown->values.value[DISCHARGE_CURRENT_LIMIT_A];
        *shown = *last;
        shown_stop(shown, discharge_a);
    }
}

void present_note_duplicate(struct present *present, const char *what, double now)
{
    if (!has_duplicate(present, now))
        log_error("%s: another device answers on %s (%s); two devices must not have the same "
                  "address. Not answering until it has been quiet for %.0f s",
                  present->title, present->config->port, what, PRESENT_STOP_S);
    present->duplicate_at = now;
}

static void on_changed(void *self, struct outlet_pack *pack, unsigned changes, double now)
{
    struct present *present = self;
    /* While the gateway is silent, no values are fresh, whatever their age. */
    struct source *source = &pack->source;
    if (!present_has_gateway(present, now) && source->good_until > now)
        source->good_until = now;
    present_update(&present->until[pack->index], source_fresh(source, now), source->good_until,
                   now);
    if (pack == present->pack) {
        /* One that cannot be read after a restart does not count as ended. */
        present->alarms =
            alarms_after(present->alarms, pack->source.values, pack->source.status.bms);
        outlet_keep_alarms(present->outlet, pack->source.name, present->alarms);
    }
    if (present->speaker->changed)
        present->speaker->changed(present->self, pack, changes, now);
}

static void on_second(void *self, double now)
{
    struct present *present = self;
    struct shown shown;
    bool known[SHOWN_NUMBERS + 1];
    /* Keeps the last limits, whether a master asks or not. */
    present_fill_shown(present, &shown, now);
    for (unsigned id = 0; id < SHOWN_NUMBERS; id++)
        known[id] = !isnan(shown_number(&shown, id));
    known[SHOWN_NUMBERS] = shown.values.alarms_known != 0;
    /* Only if other values are known than before, because it takes a while. */
    if (!shown.stopping && present->speaker != &modbus_speaker &&
        memcmp(known, present->known, sizeof known) != 0) {
        memcpy(present->known, known, sizeof known);
        untold_now(present->config, &shown, present->untold, sizeof present->untold);
    }
    if (present->speaker->second)
        present->speaker->second(present->self, present->bus, now);
    /* Logs each change of the state: after an inverter has stopped, the log must show why. */
    const enum present_state state = state_of(present, present->pack, now);
    if (state != present->said && bus_is_open(present->bus)) {
        present->said = state;
        log_message(state == PRESENT_RUNNING ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "%s: %s",
                    present->title, states[state]);
    }
}

static void on_end(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct present *present = timer->data;
    log_info("%s: stops sending, and exits", present->title);
    outlet_over(present->outlet);
}

/* Closing a serial port waits for what its adapter has not accepted, up to half a minute, and that would still be sent. */
static void end_present(void *self)
{
    bus_drop_unsent(((struct present *) self)->bus);
}

static bool open_present(struct present *present)
{
    const unsigned count = outlet_config(present->outlet)->pack_count;
    present->until = alloc_zeroed(count, sizeof *present->until);
    for (unsigned i = 0; i < count; i++)
        present->until[i] = NAN;
    const char *name = present->config->outlet.packs[0];
    present->pack = outlet_find(present->outlet, name, strlen(name));
    if (!present->pack)
        return false;
    present->alarms = outlet_alarms(present->outlet, present->pack->source.name);
    present->self = present->speaker->start(present, clock_now());
    if (!present->self)
        return false;
    present->bus = bus_new(outlet_loop(present->outlet), present->config, present->title,
                           &present->speaker->events, present->self);
    return present->bus != NULL;
}

static void *start_present(struct outlet *outlet)
{
    struct present *present = alloc_zeroed(1, sizeof *present);
    present->outlet = outlet;
    present->config = outlet_config(outlet)->settings;
    present->speaker = strcmp(present->config->protocol, PRESENT_MODBUS) == 0 ? &modbus_speaker
                       : can_table_find(present->config->protocol)            ? &can_speaker
                                                                              : &battery_speaker;
    present->duplicate_at = present->asked.at = present->asked.told_at = NAN;
    present->title = outlet_title(outlet);
    if (strncmp(present->config->port, "serial:", 7) != 0)
        rights_give_up_devices();
    shown_clear(&present->shown);
    ev_timer_init(&present->end, on_end, PRESENT_STOP_S, 0);
    present->end.data = present;
    if (!open_present(present)) {
        log_error("%s: cannot start: there is no such pack, or its port cannot be used",
                  present->title);
        return NULL;
    }
    return present;
}

/* Masters get a stop, whatever the reason of the end, unless they have had no values yet. */
static void stop_present(void *self, bool gone)
{
    struct present *present = self;
    const double now = clock_now();
    const bool waits = state_of(present, present->pack, now) == PRESENT_WAITING;
    present->ending = true;
    for (unsigned i = 0; outlet_pack(present->outlet, i); i++)
        on_changed(present, outlet_pack(present->outlet, i), SOURCE_STATE, now);
    if (waits)
        outlet_over(present->outlet);
    else
        ev_timer_start(outlet_loop(present->outlet), &present->end);
}

const struct outlet_kind outlet_present = {
    .name = "present",
    .settings_size = sizeof(struct present_config),
    .network = true,
    .devices = true,
    .lingers = true,
    .start = start_present,
    .changed = on_changed,
    .second = on_second,
    .report = report_present,
    .stop = stop_present,
    .end = end_present,
};
