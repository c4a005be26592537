// SPDX-License-Identifier: MIT
#include "web.h"

#include "packs/json.h"
#include "registers/map.h"
#include "base/clock.h"
#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_HOLDS_S 1.0
#define MODBUS_PORT 502

static const struct {
    const char *name, *format, *type;
} files[] = {
    {"homeassistant.yaml", "homeassistant", "application/yaml"},
    {"homeassistant-basic.yaml", "homeassistant-basic", "application/yaml"},
    {"homeassistant-cells.yaml", "homeassistant-cells", "application/yaml"},
    {"evcc.yaml", "evcc", "application/yaml"},
    {"telegraf.conf", "telegraf", "text/plain; charset=utf-8"},
    {"nodered.json", "nodered", "application/json"},
    {"iobroker.tsv", "iobroker", "text/tab-separated-values; charset=utf-8"},
    {"tasmota.txt", "tasmota", "text/plain; charset=utf-8"},
    {"tasmota-display.txt", "tasmota-display", "text/plain; charset=utf-8"},
    {"mbpoll.txt", "mbpoll", "text/plain; charset=utf-8"},
    {"register-map.md", "md", "text/markdown; charset=utf-8"},
    {"map.csv", "csv", "text/csv; charset=utf-8"},
    {"map.json", "json", "application/json"},
};

/* What the client of an answer may see. */
struct asked {
    const struct web *web;
    bool trusted, has_session;
};

/* Hides the configuration and all that names a client, an orderer of events included. */
static void hide_clients(json_t *object)
{
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(object, "tunnels"), i, member)
    {
        json_object_del(member, "by");
        json_object_del(member, "client");
    }
    json_array_foreach(json_object_get(object, "events"), i, member)
    {
        json_object_del(member, "from");
    }
    /* Its report names the master that asks. */
    json_array_foreach(json_object_get(object, "outlets"), i, member)
    {
        if (strcmp(json_string_value(json_object_get(member, "kind")), "present") == 0)
            json_object_del(member, "error");
    }
    json_object_del(json_object_get(object, "modbus"), "connections");
    json_object_del(object, "configuration");
}

static char *compose(const struct asked *asked, json_t *events)
{
    const struct setup *setup = &asked->web->setup;
    json_t *object = json_deep_copy(setup->status);
    if (!object) {
        json_decref(events);
        return NULL;
    }
    json_object_set_new(object, "events", json_deep_copy(events));
    json_decref(events);
    if (!asked->trusted)
        hide_clients(object);
    else if (setup->configuration)
        json_object_set(object, "config", setup->configuration);
    json_object_set_new(object, "session", json_boolean(asked->has_session));
    const struct http_counters counters = http_counters(asked->web->http);
    json_object_set_new(
        object, "web",
        json_pack("{s:i, s:i, s:I, s:I, s:I}", "clients", (int) counters.clients, "streams",
                  (int) counters.streams, "requests", (json_int_t) counters.requests, "refused",
                  (json_int_t) counters.refused, "dropped", (json_int_t) counters.dropped));
    json_t *list = json_array();
    for (size_t i = 0; i < COUNT(files); i++)
        json_array_append_new(list, json_string(files[i].name));
    json_object_set_new(object, "files", list);
    return json_text(object);
}

/* Adds events of the history from before the start. */
static void read_events(void *data, struct worker_result *result)
{
    const struct asked *asked = data;
    json_t *events = json_copy(asked->web->news);
    news_add_past(asked->web, events, result->why, sizeof result->why);
    result->text = compose(asked, events);
}

/* Answers without the history if it cannot be read. */
static void on_composed(void *request, struct worker_result *result, const void *data)
{
    const struct asked *asked = data;
    past_worked(asked->web->past, result);
    compress_json(request, MHD_HTTP_OK,
                  result->text ? result->text : compose(asked, json_copy(asked->web->news)));
    result->text = NULL;
}

static void answer_setup(struct web *web, struct web_request *request, const json_t *status)
{
    const bool has_session = web_session(web, request, false) > 0;
    const struct asked asked = {web, has_session || web_is_this_host(request), has_session};
    if (!status) {
        http_error(request->http, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway does not answer");
        return;
    }
    if (web->past && json_array_size(web->news) < WEB_NEWS_KEPT)
        http_hold(request->http, worker_cancel,
                  worker_start(past_workers(web->past), read_events, &asked, sizeof asked,
                               on_composed, request->http));
    else
        on_composed(request->http, &(struct worker_result){0}, &asked);
}

static void answer_all(struct web *web)
{
    struct setup *setup = &web->setup;
    struct pending *pending;
    while ((pending = TAILQ_FIRST(&setup->waiting))) {
        TAILQ_REMOVE(&setup->waiting, pending, entry);
        if (pending->request.http)
            pending->told(web, &pending->request, setup->status);
        free(pending);
    }
}

static void on_configuration(void *data, const char *text)
{
    struct web *web = data;
    struct setup *setup = &web->setup;
    json_decref(setup->configuration);
    setup->configuration = text ? json_loads(text, 0, NULL) : NULL;
    answer_all(web);
}

static void on_status(void *data, const char *text)
{
    struct web *web = data;
    struct setup *setup = &web->setup;
    json_decref(setup->status);
    setup->status = text ? json_loads(text, 0, NULL) : NULL;
    setup->told_at = clock_now();
    if (!setup->status || !outlet_ask(web->outlet, "configuration", on_configuration, web))
        answer_all(web);
}

void setup_ask(struct web *web, struct web_request *request, setup_told *told)
{
    struct setup *setup = &web->setup;
    const double now = clock_now();
    const bool asking = !TAILQ_EMPTY(&setup->waiting);
    const bool is_new = setup->status && !asking && now - setup->told_at < ANSWER_HOLDS_S;
    if (is_new || !outlet_hears(web->outlet, now) ||
        (!asking && !outlet_ask(web->outlet, "status", on_status, web))) {
        told(web, request, is_new ? setup->status : NULL);
        return;
    }
    struct pending *pending = orders_hold(web, request);
    pending->told = told;
    TAILQ_INSERT_TAIL(&setup->waiting, pending, entry);
}

void setup_answer(struct web *web, struct web_request *request)
{
    setup_ask(web, request, answer_setup);
}

static unsigned count_of(const struct outlet_pack *pack, enum pack_value value, unsigned usual)
{
    const double count = pack->values.value[value];
    return pack->source.members ? 0 : isnan(count) ? usual : (unsigned) count;
}

void setup_answer_file(struct web *web, struct web_request *request)
{
    size_t i = 0, size = 0;
    while (i < COUNT(files) && strcmp(files[i].name, request->path) != 0)
        i++;
    if (i == COUNT(files)) {
        http_error(request->http, MHD_HTTP_NOT_FOUND, "there is no such file");
        return;
    }
    char *bytes = NULL, disposition[80];
    /* For the packs of the page, with the host name of the request as the address. */
    struct map_unit *units = alloc_zeroed(web->count, sizeof *units);
    for (unsigned n = 0; n < web->count; n++) {
        const struct outlet_pack *pack = web->packs[n].pack;
        units[n] = (struct map_unit){.name = pack->source.name,
                                     .title = pack->source.title,
                                     .unit = pack->source.unit,
                                     .cells = count_of(pack, CELL_COUNT, 16),
                                     .sensors = count_of(pack, TEMP_COUNT, 4)};
    }
    const struct map_clients clients = {.host = request->host.host,
                                        .port = web->config->modbus_port ? web->config->modbus_port
                                                                         : MODBUS_PORT,
                                        .units = units,
                                        .count = web->count};
    struct map_settings settings = web->config->map;
    settings.clients = &clients;
    FILE *out = alloc_checked(open_memstream(&bytes, &size));
    map_print(&settings, files[i].format, out);
    alloc_checked(fclose(out) == 0 ? bytes : NULL);
    free(units);
    struct MHD_Response *response = compress_response(request->http, files[i].type, bytes, size);
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", files[i].name);
    MHD_add_response_header(response, "Content-Disposition", disposition);
    http_answer(request->http, MHD_HTTP_OK, response);
}
