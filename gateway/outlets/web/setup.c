// SPDX-License-Identifier: MIT
/* The gateway as a whole. */
#include "setup.h"

#include "compress.h"
#include "news.h"

#include "registers/map.h"
#include "base/address.h"
#include "base/clock.h"
#include "base/queue.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_HOLDS_S 1.0
#define MODBUS_PORT 502

/* A request that waits for an answer of the gateway. */
struct waiting {
    TAILQ_ENTRY(waiting) entry;
    struct setup *setup;
    struct http_request *request;
    bool trusted, has_session;
    setup_told *told; /* NULL: the whole answer was requested */
};

struct setup {
    struct web *web;
    json_t *status, *configuration; /* the gateway's last answer; NULL: none yet */
    double told_at;
    bool asking;
    TAILQ_HEAD(, waiting) waiting;
};

/* ---- the answer ---- */

static void add_files(json_t *object);

static void leave_out_private(json_t *object)
{
    json_t *modbus = json_object_get(object, "modbus");
    if (modbus)
        json_object_del(modbus, "connections");
    size_t i;
    json_t *tunnel;
    json_array_foreach(json_object_get(object, "tunnels"), i, tunnel)
    {
        json_object_del(tunnel, "by");
        json_object_del(tunnel, "client");
    }
    json_object_del(object, "configuration");
}

static json_t *compose(const struct setup *setup, json_t *events, bool trusted, bool has_session)
{
    json_t *object = json_deep_copy(setup->status);
    if (!object) {
        json_decref(events);
        return NULL;
    }
    if (!trusted)
        leave_out_private(object);
    else if (setup->configuration)
        json_object_set(object, "config", setup->configuration);
    json_object_set_new(object, "session", json_boolean(has_session));
    json_object_set_new(object, "events", events);
    const struct http_counters counters = http_counters(setup->web->http);
    json_object_set_new(
        object, "web",
        json_pack("{s:i, s:i, s:I, s:I, s:I}", "clients", (int) counters.clients, "streams",
                  (int) counters.streams, "requests", (json_int_t) counters.requests, "refused",
                  (json_int_t) counters.refused, "dropped", (json_int_t) counters.dropped));
    add_files(object);
    return object;
}

static char *print_composed(json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(object);
    return text;
}

/* What the client of an answer may see. */
struct asked {
    const struct setup *setup;
    bool trusted, has_session;
};

/* Adds events of the history from before the start. */
static void read_events(void *data, struct worker_result *result)
{
    const struct asked *asked = data;
    json_t *events = news_list(asked->setup->web);
    news_add_past(asked->setup->web, events, result->why, sizeof result->why);
    result->text =
        print_composed(compose(asked->setup, events, asked->trusted, asked->has_session));
}

/* Answers without the history if it cannot be read. */
static void on_composed(void *owner, struct worker_result *result, const void *data)
{
    struct http_request *request = owner;
    const struct asked *asked = data;
    char *text = result->text;
    result->text = NULL;
    request->over = NULL;
    if (!text)
        text = print_composed(compose(asked->setup, news_list(asked->setup->web), asked->trusted,
                                      asked->has_session));
    http_answer(request, MHD_HTTP_OK,
                text ? compress_response(request, "application/json", text, strlen(text)) : NULL);
}

static void on_left(void *data)
{
    worker_cancel(data);
}

static void answer_setup(struct setup *setup, struct http_request *request, bool trusted,
                         bool has_session)
{
    const struct asked asked = {setup, trusted, has_session};
    const struct web *web = setup->web;
    struct job *job = web->past && web->news_count < WEB_NEWS_KEPT
                          ? worker_start(past_workers(web->past), read_events, &asked, sizeof asked,
                                         on_composed, request)
                          : NULL;
    if (job)
        http_hold(request, on_left, job);
    else
        on_composed(request, &(struct worker_result){0}, &asked);
}

/* ---- asking the gateway ---- */

static void on_gone(void *data)
{
    struct waiting *waiting = data;
    TAILQ_REMOVE(&waiting->setup->waiting, waiting, entry);
    free(waiting);
}

static void answer_all(struct setup *setup)
{
    struct waiting *waiting;
    setup->asking = false;
    while ((waiting = TAILQ_FIRST(&setup->waiting))) {
        struct http_request *request = waiting->request;
        const bool trusted = waiting->trusted, has_session = waiting->has_session;
        setup_told *told = waiting->told;
        request->over = NULL;
        on_gone(waiting);
        if (told)
            told(setup->web, request, setup->status);
        else if (setup->status)
            answer_setup(setup, request, trusted, has_session);
        else
            http_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway does not answer");
    }
}

static void on_configuration(void *data, uint64_t ticket, const char *text, size_t size)
{
    struct setup *setup = data;
    json_decref(setup->configuration);
    setup->configuration = text ? json_loadb(text, size, 0, NULL) : NULL;
    answer_all(setup);
}

static void on_status(void *data, uint64_t ticket, const char *text, size_t size)
{
    struct setup *setup = data;
    json_decref(setup->status);
    setup->status = text ? json_loadb(text, size, 0, NULL) : NULL;
    setup->told_at = clock_now();
    if (!setup->status ||
        !outlet_ask(setup->web->outlet, "configuration", on_configuration, setup, 0))
        answer_all(setup);
}

/* Whether the gateway's last answer is still current. */
static bool is_new(const struct setup *setup)
{
    return setup->status && !setup->asking && clock_now() - setup->told_at < ANSWER_HOLDS_S;
}

/* False: the gateway cannot be asked. */
static bool wait_for_status(struct setup *setup, const struct waiting *what)
{
    struct waiting *waiting =
        outlet_hears(setup->web->outlet, clock_now()) ? malloc(sizeof *waiting) : NULL;
    if (!waiting ||
        (!setup->asking && !outlet_ask(setup->web->outlet, "status", on_status, setup, 0))) {
        free(waiting);
        return false;
    }
    setup->asking = true;
    *waiting = *what;
    waiting->setup = setup;
    TAILQ_INSERT_TAIL(&setup->waiting, waiting, entry);
    http_hold(waiting->request, on_gone, waiting);
    return true;
}

void setup_answer(struct web *web, struct web_request *request)
{
    const bool has_session = web_session(web, request, false) > 0;
    const struct waiting waiting = {.request = request->http,
                                    .trusted = has_session || web_is_this_host(request),
                                    .has_session = has_session};
    if (is_new(web->setup))
        answer_setup(web->setup, request->http, waiting.trusted, has_session);
    else if (!wait_for_status(web->setup, &waiting))
        http_error(request->http, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway does not answer");
}

void setup_outdated(struct setup *setup)
{
    setup->told_at = -ANSWER_HOLDS_S;
}

void setup_ask(struct web *web, struct http_request *request, setup_told *told)
{
    const struct waiting waiting = {.request = request, .told = told};
    if (is_new(web->setup))
        told(web, request, web->setup->status);
    else if (!wait_for_status(web->setup, &waiting))
        told(web, request, NULL);
}

/* ---- files ---- */

static const struct file {
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

static void add_files(json_t *object)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        json_array_append_new(list, json_string(files[i].name));
    json_object_set_new(object, "files", list);
}

static unsigned count_of(const struct outlet_pack *pack, enum pack_value value, unsigned usual)
{
    const double count = pack->values.value[value];
    return pack->source.members ? 0 : isnan(count) ? usual : (unsigned) count;
}

/* Prints a file for the packs of the page, with the host name of the request as the address. */
static bool print_file(const struct web *web, const char *host, const char *format, FILE *out)
{
    struct map_unit *units = calloc(web->count + 1, sizeof *units);
    if (!units)
        return false;
    for (unsigned n = 0; n < web->count; n++) {
        const struct outlet_pack *pack = web->packs[n].pack;
        units[n] = (struct map_unit){.name = pack->source.name,
                                     .title = pack->source.title,
                                     .unit = pack->source.unit,
                                     .cells = count_of(pack, CELL_COUNT, 16),
                                     .sensors = count_of(pack, TEMP_COUNT, 4)};
    }
    struct map_settings settings = web->config->map;
    const struct map_clients clients = {.host = host,
                                        .port = web->config->modbus_port ? web->config->modbus_port
                                                                         : MODBUS_PORT,
                                        .units = units,
                                        .count = web->count};
    settings.clients = &clients;
    const bool good = map_print(&settings, format, out);
    free(units);
    return good;
}

void setup_answer_file(struct web *web, struct web_request *request, const char *name)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].name, name) == 0) {
            char *bytes = NULL, disposition[80];
            size_t size = 0;
            FILE *out = open_memstream(&bytes, &size);
            bool good = out && print_file(web, request->host.name, files[i].format, out);
            good = out && fclose(out) == 0 && good;
            struct MHD_Response *response =
                good ? compress_response(request->http, files[i].type, bytes, size) : NULL;
            if (!good)
                free(bytes);
            if (response) {
                snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"",
                         files[i].name);
                MHD_add_response_header(response, "Content-Disposition", disposition);
            }
            http_answer(request->http, MHD_HTTP_OK, response);
            return;
        }
    http_error(request->http, MHD_HTTP_NOT_FOUND, "there is no such file");
}

/* ---- life ---- */

struct setup *setup_new(struct web *web)
{
    struct setup *setup = calloc(1, sizeof *setup);
    if (!setup)
        return NULL;
    setup->web = web;
    TAILQ_INIT(&setup->waiting);
    return setup;
}

void setup_free(struct setup *setup)
{
    if (!setup)
        return;
    json_decref(setup->status);
    json_decref(setup->configuration);
    free(setup);
}
