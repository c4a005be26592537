// SPDX-License-Identifier: MIT
/* Builds the status of the running gateway. */
#include "status.h"

#include "packs/json.h"
#include "packs/limits.h"
#include "registers/value.h"
#include "bms/count.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Converts a clock_now time to Unix seconds; null: never. */
static json_t *wall_time(double at, double now)
{
    return isnan(at) ? json_null() : json_number((double) time(NULL) - (now - at), 0);
}

static json_t *seconds(double s)
{
    return isnan(s) ? json_null() : json_number(round(s * 10) / 10, 1);
}

static void add_member(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value);
}

/* The last error and its time; left out if there was none. */
static void add_error(json_t *object, const char *words, double at, double now)
{
    if (!words || !words[0])
        return;
    add_member(object, "error", json_string(words));
    add_member(object, "error_at", wall_time(at, now));
}

static void add_packs_of(json_t *object, const struct polling *polling,
                         const struct line_config *line)
{
    uint64_t polls = 0, timeouts = 0, checksum_errors = 0;
    unsigned reconnects = 0;
    json_t *names = json_array();
    const struct bms_driver *driver = NULL;
    for (unsigned p = 0; p < polling->pack_count; p++) {
        const struct poller *poller = polling->pollers[p];
        if (!poller || polling->config->packs[p].line != line)
            continue;
        json_array_append_new(names, json_string(poller->config->name));
        driver = driver ? driver : poller->config->driver;
        polls += poller->counters.polls;
        timeouts += poller->counters.timeouts;
        checksum_errors += poller->counters.damaged;
        if (poller->counters.reconnects > reconnects)
            reconnects = poller->counters.reconnects;
    }
    if (driver)
        add_member(object, "protocol", json_string(driver->name));
    add_member(object, "packs", names);
    json_count(object, "polls", polls);
    json_count(object, "timeouts", timeouts);
    json_count(object, "checksum_errors", checksum_errors);
    json_count(object, "reconnects", reconnects);
}

static json_t *line_object(const struct polling *polling, unsigned l, double now)
{
    static const char *const states[] = {
        [LINE_IS_CLOSED] = "closed", [LINE_IS_OPENING] = "opening", [LINE_IS_OPEN] = "open"};
    const struct line_config *config = &polling->config->lines[l];
    json_t *object = json_object();
    add_member(object, "name", json_string(config->name));
    add_member(object, "port", json_string(config->port));
    if (polling->lines[l]) {
        struct line_facts facts = line_facts(polling->lines[l]);
        add_member(object, "state", json_string(states[facts.state]));
        add_member(object, "since", wall_time(facts.since, now));
        json_count(object, "received", facts.received);
        json_count(object, "sent", facts.sent);
        json_count(object, "requests", facts.requests);
        json_count(object, "openings", facts.openings);
        json_count(object, "errors", facts.troubles);
        add_error(object, facts.trouble, facts.trouble_at, now);
        if (facts.late_s > 0)
            add_member(object, "late_s", seconds(facts.late_s));
        if (facts.signal_dbm != 0)
            add_member(object, "signal_dbm", json_integer(facts.signal_dbm));
    } else {
        /* A line whose pack is still being searched, or that has no pack. */
        add_member(object, "state", json_string("searching"));
    }
    add_packs_of(object, polling, config);
    return object;
}

/* The main values of a pack. */
static const struct {
    const char *name;
    int decimals;
} shown[] = {{"soc_percent", 1},    {"voltage_v", 2},       {"current_a", 2},
             {"power_w", 0},        {"temp_max_c", 1},      {"cell_delta_mv", 0},
             {"remaining_ah", 1},   {"charge_mos", 0},      {"discharge_mos", 0},
             {"packs_missing", 0},  {"packs_current_a", 2}, {"packs_soc_percent", 1},
             {"time_to_full_s", 0}, {"time_to_empty_s", 0}};

static json_t *heading_of(const struct source *source, double now)
{
    json_t *object = json_object();
    const char *driver = source->status.driver;
    add_member(object, "pack", json_string(source->name));
    if (strcmp(source->title, source->name) != 0)
        add_member(object, "name", json_string(source->title));
    add_member(object, "kind", json_string(source->members ? "bank" : "pack"));
    json_count(object, "unit", source->unit);
    if (source->line)
        add_member(object, "line", json_string(source->line));
    if (driver && !source->members)
        add_member(object, "protocol", json_string(driver));
    const bool fresh = source_fresh(source, now);
    const enum map_state state = fresh ? MAP_STATE_FRESH : source_status(source, false).state;
    add_member(object, "state", json_string(map_state_name(state)));
    json_count(object, "fresh", fresh);
    if (!isnan(source->read_at))
        add_member(object, "age_s", seconds(now - source->read_at));
    return object;
}

static void add_limit(json_t *object, const char *name, double value)
{
    if (!isnan(value))
        add_member(object, name, json_number(value, 3));
}

static void add_limited(json_t *object, const char *way, struct limited limited)
{
    char name[40];
    snprintf(name, sizeof name, "%s_limited_by", way);
    add_member(object, name, json_string(map_limit_reason_name(limited.by)));
    snprintf(name, sizeof name, "%s_limited_pack", way);
    if (limited.pack)
        add_member(object, name, json_string(limited.pack));
    snprintf(name, sizeof name, "%s_limited_cell", way);
    if (limited.cell > 0)
        json_count(object, name, limited.cell);
    snprintf(name, sizeof name, "%s_limited_cell_v", way);
    add_limit(object, name, limited.cell_v);
}

/* Also while the pack is silent: what was allowed is not any more. */
static void add_limits(json_t *object, const struct source *source, double now)
{
    const struct map_status status = source_status_at(source, now);
    const struct map_allowed allowed = map_allowed(&status, source_fresh(source, now));
    if (!allowed.configured)
        return;
    add_limit(object, "allowed_charge_voltage_v", allowed.charge_voltage_v);
    add_limit(object, "allowed_charge_current_a", allowed.charge_current_a);
    add_limit(object, "allowed_discharge_current_a", allowed.discharge_current_a);
    add_limited(object, "charge", limited_of(source, &allowed, LIMITS_CHARGE));
    add_limited(object, "discharge", limited_of(source, &allowed, LIMITS_DISCHARGE));
    add_limit(object, "limits_age_s", allowed.age_s);
}

/* `refs` are those of `shown`. */
static json_t *source_object(const struct source *source, const struct value_ref *refs, double now)
{
    json_t *object = heading_of(source, now);
    const struct map_status *status = &source->status;
    add_member(object, "writable", json_boolean(source->writable));
    add_member(object, "settable", json_boolean(source->settable));
    if (source->members) {
        json_t *members = json_array();
        for (unsigned i = 0; i < source->member_count; i++)
            json_array_append_new(members, json_string(source->members[i]->name));
        add_member(object, "members", members);
    }
    /* What client files need, also while the pack is silent. */
    if (pack_known(source->values, CELL_COUNT))
        json_count(object, "cells", (uint64_t) source->values->value[CELL_COUNT]);
    if (pack_known(source->values, TEMP_COUNT))
        json_count(object, "sensors", (uint64_t) source->values->value[TEMP_COUNT]);
    if (source_fresh(source, now)) { /* stale values are not shown */
        for (size_t i = 0; i < COUNT(shown); i++) {
            const double value = value_of(&refs[i], source->values, status);
            if (!isnan(value))
                add_member(object, shown[i].name, json_number(value, shown[i].decimals));
        }
        add_member(object, "alarms",
                   json_alarms(source->values->alarms_warning, source->values->alarms_protection));
    }
    add_limits(object, source, now);
    json_count(object, "polls", status->polls);
    json_count(object, "timeouts", status->timeouts);
    json_count(object, "checksum_errors", status->checksum_errors);
    json_count(object, "reconnects", status->reconnects);
    json_count(object, "implausible", status->implausible);
    json_count(object, "spikes", status->spikes);
    add_error(object, source->trouble, source->trouble_at, now);
    return object;
}

static json_t *values_object(const struct overview *overview, const struct source *source,
                             double now)
{
    json_t *object = heading_of(source, now);
    bool complete = true; /* nothing is left to ask it for the first time */
    for (unsigned i = 0; i < overview->polling->pack_count; i++) {
        const struct poller *poller = overview->polling->pollers[i];
        if (poller && strcmp(poller->config->name, source->name) == 0)
            complete = poller->complete;
    }
    json_count(object, "polls", source->status.polls);
    json_count(object, "complete", complete);
    json_t *values = source_fresh(source, now) ? json_of_pack(source->values) : NULL;
    if (values)
        json_object_update(object, values);
    json_decref(values);
    add_limits(object, source, now);
    return object;
}

json_t *status_values(const struct overview *overview, const json_t *names, double now,
                      const char **missing)
{
    json_t *list = json_array();
    const struct source *source;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        source = name ? packs_find(overview->packs, name) : NULL;
        if (!source) {
            *missing = name ? name : "?";
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, values_object(overview, source, now));
    }
    for (unsigned n = 0; !names && (source = packs_at(overview->packs, n)); n++)
        if (!source->members)
            json_array_append_new(list, values_object(overview, source, now));
    return list;
}

static json_t *outlets_array(const struct overview *overview)
{
    json_t *list = json_array();
    struct outlet_state outlet;
    for (unsigned n = 0; overview->outlets && outlets_state(overview->outlets, n, &outlet); n++) {
        json_t *object = json_object();
        add_member(object, "kind", json_string(outlet.kind));
        add_member(object, "name", json_string(outlet.section));
        add_member(object, "running", json_boolean(outlet.pid > 0));
        if (outlet.pid > 0)
            json_count(object, "pid", (uint64_t) outlet.pid);
        add_member(object, "connected", json_boolean(outlet.report->connected));
        json_count(object, "published", outlet.report->sent);
        json_count(object, "dropped", outlet.report->dropped);
        json_count(object, "failed", outlet.report->failed);
        json_count(object, "refused", outlet.report->refused);
        json_count(object, "queued", outlet.report->queued);
        json_count(object, "behind_s", outlet.report->behind_s);
        json_count(object, "ended", outlet.ended);
        json_count(object, "messages", outlet.sent);
        json_count(object, "merged", outlet.owed);
        if (outlet.report->words[0])
            add_member(object, "error", json_string(outlet.report->words));
        json_array_append_new(list, object);
    }
    return list;
}

json_t *status_of(const struct overview *overview, double now)
{
    json_t *object = json_object(), *lines = json_array(), *packs = json_array();
    const double started_at = packs_started_at(overview->packs);
    /* Finding the values by name takes longer than everything else, so it is done once. */
    struct value_ref refs[COUNT(shown)];
    for (size_t i = 0; i < COUNT(shown); i++)
        value_find(shown[i].name, &refs[i]);
    add_member(object, "version", json_string(PACKGATE_VERSION));
    if (packs_config(overview->packs)->gateway.title[0])
        add_member(object, "name", json_string(packs_config(overview->packs)->gateway.title));
    json_count(object, "map_version", MAP_VERSION);
    json_count(object, "pid", (uint64_t) getpid());
    add_member(object, "time", json_integer((json_int_t) time(NULL)));
    add_member(object, "started", wall_time(started_at, now));
    add_member(object, "uptime_s", seconds(now - started_at));
    add_member(object, "configuration", json_string(overview->file->path));
    add_member(object, "configured", wall_time(overview->file->read_at, now));
    add_member(object, "configuration_in_force", json_boolean(overview->file->in_force));
    for (unsigned l = 0; l < overview->polling->line_count; l++)
        json_array_append_new(lines, line_object(overview->polling, l, now));
    add_member(object, "lines", lines);
    const struct source *source;
    for (unsigned n = 0; (source = packs_at(overview->packs, n)); n++)
        json_array_append_new(packs, source_object(source, refs, now));
    add_member(object, "packs", packs);
    add_member(object, "pushes", pushes_status(overview->pushes));
    add_member(object, "outlets", outlets_array(overview));
    add_member(object, "modbus",
               server_status(overview->server, &packs_config(overview->packs)->gateway, now));
    return object;
}

json_t *status_configuration(const struct overview *overview, double now)
{
    json_t *object = json_object();
    const struct config_file *file = overview->file;
    add_member(object, "path", json_string(file->path));
    add_member(object, "read", wall_time(file->read_at, now));
    add_member(object, "in_force", json_boolean(file->in_force));
    /* JSON requires UTF-8. */
    json_t *text = file->text ? json_string(file->text) : NULL;
    add_member(object, "text", text ? text : json_null());
    json_t *mistakes = json_array();
    for (unsigned i = 0; i < file->mistakes.listed; i++) {
        const struct mistake *mistake = &file->mistakes.list[i];
        json_array_append_new(mistakes, json_pack("{s:i, s:o}", "line", (int) mistake->line, "text",
                                                  json_string_nocheck(mistake->text)));
    }
    add_member(object, "mistakes", mistakes);
    return object;
}

void status_words(const struct overview *overview, double now, char out[STATUS_WORDS])
{
    unsigned packs = 0, fresh = 0, clients = server_clients(overview->server);
    const struct source *source;
    for (unsigned n = 0; (source = packs_at(overview->packs, n)); n++) {
        packs += !source->members;
        fresh += !source->members && source_fresh(source, now);
    }
    if (packs == 0) {
        snprintf(out, STATUS_WORDS, "no pack is configured, %u client%s", clients,
                 clients == 1 ? "" : "s");
        return;
    }
    snprintf(out, STATUS_WORDS, "%u of %u pack%s fresh, %u stale, %u client%s", fresh, packs,
             packs == 1 ? "" : "s", packs - fresh, clients, clients == 1 ? "" : "s");
}
