// SPDX-License-Identifier: MIT
/*
 * Metrics for Prometheus, text format 0.0.4. A metric is packgate_ and the name of the value in the
 * register map, so that a dashboard for the line protocol works on scraped data, too. While a pack is
 * silent its values are left out; packgate_fresh 0 stays.
 */
#include "web.h"

#include "registers/value.h"
#include "base/clock.h"
#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METRIC_SIZE (VALUE_NAME_SIZE + 8)

struct page {
    const struct web *web;
    FILE *out;
    double now;
    bool *fresh;              /* of each pack */
    char metric[METRIC_SIZE]; /* whose samples are being written */
};

/* The head of a metric, before its first sample. */
static void begin_metric(struct page *page, const char *name, const char *type, const char *help)
{
    if (strcmp(page->metric, name) == 0)
        return;
    snprintf(page->metric, sizeof page->metric, "%s", name);
    fprintf(page->out, "# HELP packgate_%s %s\n# TYPE packgate_%s %s\n", name, help, name, type);
}

static const char *pack_name(const struct page *page, unsigned n)
{
    return page->web->packs[n].pack->source.name;
}

/* Writes one series of a pack; names of packs need no escaping. */
static void put_sample(const struct page *page, const char *name, unsigned n, double number)
{
    if (!isnan(number))
        fprintf(page->out, "packgate_%s{pack=\"%s\"} %.10g\n", name, pack_name(page, n), number);
}

static void put_array(struct page *page, enum pack_value first, unsigned count, const char *label,
                      const char *help)
{
    const char *name = pack_value_info(first)->name;
    for (unsigned n = 0; n < page->web->count; n++)
        for (unsigned i = 0; page->fresh[n] && i < count; i++) {
            const double number = page->web->packs[n].pack->values.value[(unsigned) first + i];
            if (isnan(number))
                continue;
            begin_metric(page, name, "gauge", help);
            fprintf(page->out, "packgate_%s{pack=\"%s\",%s=\"%u\"} %.10g\n", name,
                    pack_name(page, n), label, i + 1, number);
        }
}

/* A value that any pack has. `always`: also of a silent pack. */
static void put_value(struct page *page, const char *name, const char *tail, bool always)
{
    struct value_ref ref;
    struct meaning meaning;
    char full[METRIC_SIZE];
    if (!value_find(name, &ref))
        return;
    const char *help = meaning_find(name, &meaning) ? meaning.title : name;
    snprintf(full, sizeof full, "%s%s", name, tail);
    for (unsigned n = 0; n < page->web->count; n++) {
        const struct source *source = &page->web->packs[n].pack->source;
        const struct map_status status = source_status(source, page->fresh[n]);
        const double number =
            always || page->fresh[n] ? value_of(&ref, source->values, &status) : NAN;
        if (isnan(number))
            continue;
        begin_metric(page, full, tail[0] ? "counter" : "gauge", help);
        put_sample(page, full, n, number);
    }
}

static void put_alarms(struct page *page)
{
    for (unsigned n = 0; n < page->web->count; n++) {
        const struct pack *values = &page->web->packs[n].pack->values;
        for (int i = 0; page->fresh[n] && i < PACK_ALARM_COUNT; i++) {
            if (!(values->alarms_known >> i & 1))
                continue;
            begin_metric(page, "alarm", "gauge", "Whether an alarm that the BMS knows is active");
            const struct {
                const char *level;
                uint32_t can, active;
            } levels[] = {{"warning", values->alarms_can_warn, values->alarms_warning},
                          {"protection", values->alarms_can_protect, values->alarms_protection}};
            for (size_t l = 0; l < COUNT(levels); l++)
                if (levels[l].can >> i & 1)
                    fprintf(page->out, "packgate_alarm{pack=\"%s\",alarm=\"%s\",level=\"%s\"} %u\n",
                            pack_name(page, n), pack_alarm_name((enum pack_alarm) i),
                            levels[l].level, levels[l].active >> i & 1);
        }
    }
}

/* Metrics that exist for a silent pack, too. */
static void put_states(struct page *page)
{
    static const struct {
        const char *name, *tail;
    } always[] = {{"packs_present", ""},
                  {"packs_missing", ""},
                  {"packs_needed", ""},
                  {"polls", "_total"},
                  {"timeouts", "_total"},
                  {"checksum_errors", "_total"},
                  {"reconnects", "_total"},
                  {"implausible", "_total"},
                  {"spikes", "_total"},
                  {"charged_wh", "_total"},
                  {"discharged_wh", "_total"},
                  {"allowed_charge_voltage_v", ""},
                  {"allowed_charge_current_a", ""},
                  {"allowed_discharge_current_a", ""},
                  {"charge_limited_by", ""},
                  {"discharge_limited_by", ""}};
    begin_metric(page, "fresh", "gauge", "Whether the values are fresh");
    for (unsigned n = 0; n < page->web->count; n++)
        put_sample(page, "fresh", n, page->fresh[n]);
    begin_metric(page, "age_s", "gauge", "Age of the values");
    for (unsigned n = 0; n < page->web->count; n++)
        put_sample(page, "age_s", n, outlet_age(page->web->packs[n].pack, page->now));
    for (size_t i = 0; i < COUNT(always); i++)
        put_value(page, always[i].name, always[i].tail, true);
    begin_metric(page, "pack_info", "gauge", "Properties of a pack");
    for (unsigned n = 0; n < page->web->count; n++) {
        const struct source *source = &page->web->packs[n].pack->source;
        const char *const labels[][2] = {{"protocol", source->status.driver},
                                         {"model", source->values->text[MODEL]},
                                         {"serial", source->values->text[SERIAL]},
                                         {"firmware", source->values->text[FIRMWARE]}};
        fprintf(page->out, "packgate_pack_info{pack=\"%s\"", source->name);
        for (size_t i = 0; i < COUNT(labels); i++) {
            fprintf(page->out, ",%s=\"", labels[i][0]);
            for (const char *c = labels[i][1] ? labels[i][1] : ""; *c; c++)
                if (*c != '\n')
                    fprintf(page->out, *c == '\\' || *c == '"' ? "\\%c" : "%c", *c);
            fputc('"', page->out);
        }
        fputs("} 1\n", page->out);
    }
}

static void put_one(struct page *page, const char *name, const char *type, const char *help,
                    double number)
{
    begin_metric(page, name, type, help);
    fprintf(page->out, "packgate_%s %.15g\n", name, number);
}

/* What the gateway reports of itself; nothing if it does not answer. */
static void put_status(struct page *page, const json_t *status)
{
    static const char *const modbus[][4] = {
        {"clients", "modbus_clients", "gauge", "Modbus clients that are connected"},
        {"requests", "modbus_requests_total", "counter", "Modbus requests"},
        {"exceptions", "modbus_exceptions_total", "counter",
         "Modbus requests that were answered with an exception"},
        {"refused", "modbus_refused_total", "counter", "Modbus clients that were rejected"},
        {"dropped", "modbus_dropped_total", "counter", "Modbus clients that were disconnected"},
    };
    for (size_t i = 0; i < COUNT(modbus); i++) {
        const json_t *number = json_object_get(json_object_get(status, "modbus"), modbus[i][0]);
        if (json_is_integer(number))
            put_one(page, modbus[i][1], modbus[i][2], modbus[i][3],
                    (double) json_integer_value(number));
    }
    size_t i;
    json_t *lines = json_object_get(status, "lines"), *line;
    json_array_foreach(lines, i, line)
    {
        const char *name = json_string_value(json_object_get(line, "name"));
        const char *state = json_string_value(json_object_get(line, "state"));
        begin_metric(page, "line_open", "gauge", "Whether the port of a line is open");
        if (name && state)
            fprintf(page->out, "packgate_line_open{line=\"%s\"} %d\n", name,
                    strcmp(state, "open") == 0);
    }
    json_t *outlets = json_object_get(status, "outlets"), *outlet;
    json_array_foreach(outlets, i, outlet)
    {
        const char *kind = json_string_value(json_object_get(outlet, "kind"));
        const char *name = json_string_value(json_object_get(outlet, "name"));
        begin_metric(page, "outlet_running", "gauge", "Whether an outlet runs");
        fprintf(page->out, "packgate_outlet_running{kind=\"%s\",name=\"%s\"} %d\n",
                kind ? kind : "", name ? name : "",
                json_is_true(json_object_get(outlet, "running")));
    }
}

static void on_told(struct web *web, struct web_request *request, const json_t *status)
{
    static const char type[] = "text/plain; version=0.0.4; charset=utf-8";
    static const char *const worked_out[] = {"temp_max_c", "temp_min_c", "alarm_level",
                                             "packs_current_a", "packs_soc_percent"};
    char *bytes = NULL;
    size_t size = 0;
    struct page page = {.web = web,
                        .now = clock_now(),
                        .out = alloc_checked(open_memstream(&bytes, &size)),
                        .fresh = alloc_zeroed(web->count, sizeof *page.fresh)};
    for (unsigned n = 0; n < web->count; n++)
        page.fresh[n] = outlet_fresh(web->outlet, web->packs[n].pack, page.now);
    for (int value = 0; value < CELL_MV; value++)
        if (pack_value_info((enum pack_value) value)->name)
            put_value(&page, pack_value_info((enum pack_value) value)->name,
                      value == CYCLES ? "_total" : "", false);
    put_array(&page, CELL_MV, MAX_CELLS, "cell", "Cell voltage");
    put_array(&page, TEMP_C, MAX_TEMPS, "sensor", "Temperature of a sensor");
    for (size_t i = 0; i < COUNT(worked_out); i++)
        put_value(&page, worked_out[i], "", false);
    put_alarms(&page);
    put_states(&page);
    begin_metric(&page, "build_info", "gauge", "The version of packgate");
    fprintf(page.out, "packgate_build_info{version=\"%s\"} 1\n", PACKGATE_VERSION);
    put_one(&page, "start_time_seconds", "gauge", "When the gateway was started, in Unix time",
            floor(clock_wall() - (page.now - outlet_config(web->outlet)->started_at)));
    put_status(&page, status);
    const struct http_counters counters = http_counters(web->http);
    put_one(&page, "web_clients", "gauge", "Connections to the page", counters.clients);
    put_one(&page, "web_streams", "gauge", "Open pages that receive updates", counters.streams);
    put_one(&page, "web_requests_total", "counter", "Requests to the page",
            (double) counters.requests);
    put_one(&page, "web_refused_total", "counter", "Connections to the page that were rejected",
            (double) counters.refused);
    put_one(&page, "web_dropped_total", "counter",
            "Connections to the page that were closed by packgate", (double) counters.dropped);
    free(page.fresh);
    alloc_checked(fclose(page.out) == 0 ? bytes : NULL);
    http_answer(request->http, MHD_HTTP_OK, compress_response(request->http, type, bytes, size));
}

void metrics_answer(struct web *web, struct web_request *request)
{
    setup_ask(web, request, on_told);
}
