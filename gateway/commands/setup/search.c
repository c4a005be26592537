// SPDX-License-Identifier: MIT
/*
 * Searches a port, as `packgate probe` does, for set-up in the browser. Each line of output is the whole report so far; the
 * browser gets the last one.
 */
#include "edits.h"

#include "commands/options.h"
#include "config/load.h"
#include "ports/ble/scan.h"
#include "lines/search/search.h"
#include "packs/json.h"
#include "bms/count.h"

#include <string.h>

#define TRIED_MOST 300 /* the last attempts to report */

struct report {
    struct ev_loop *loop;
    const char *port;
    bool serial;
    struct search *search;
    json_t *tried, *found, *devices;
    const char *heard;
    char advice[300];
};

static void print_report(const struct report *report)
{
    json_t *object = json_pack("{s:O, s:O, s:s?, s:o}", "tried", report->tried, "found",
                               report->found, "heard", report->heard, "advice",
                               report->advice[0] ? json_printable(report->advice) : json_null());
    if (report->devices)
        json_object_set(object, "devices", report->devices);
    json_print(stdout, object, false);
    fflush(stdout);
}

static json_t *address_json(const struct bms_driver *driver, int address)
{
    if (!bms_has_address(driver))
        return json_null();
    return json_integer(bms_address_of(driver, address));
}

static void on_trying(void *data, const struct attempt *attempt)
{
    struct report *report = data;
    json_array_append_new(report->tried,
                          json_pack("{s:s, s:o, s:i}", "protocol", attempt->driver->name, "address",
                                    address_json(attempt->driver, attempt->guess.address), "baud",
                                    (int) attempt->baud));
    if (json_array_size(report->tried) > TRIED_MOST)
        json_array_remove(report->tried, 0);
    print_report(report);
}

static void add_json_number(json_t *object, const char *name, const struct pack *values,
                            enum pack_value value, int decimals)
{
    json_object_set_new(object, name,
                        pack_known(values, value) ? json_number(values->value[value], decimals)
                                                  : json_null());
}

static json_t *cells_json(const struct pack *values)
{
    json_t *list = json_array();
    const unsigned count =
        pack_known(values, CELL_COUNT) ? (unsigned) values->value[CELL_COUNT] : 0;
    for (unsigned n = 0; n < count && n < MAX_CELLS; n++)
        json_array_append_new(list, pack_known(values, CELL_MV + n)
                                        ? json_number(values->value[CELL_MV + n], 0)
                                        : json_null());
    return list;
}

/* The value of `protocol` as in the file: the variant follows the protocol. */
static json_t *protocol_of(const struct search_found *found)
{
    const struct bms_driver *driver = found->driver;
    const int variant = driver->variants ? found->options.variant : 0;
    return json_sprintf("%s%s%s", driver->name, variant > 0 ? " " : "",
                        variant > 0 ? driver->variants[variant] : "");
}

static void on_found(void *data, const struct search_found *found)
{
    struct report *report = data;
    const struct pack *values = found->values;
    json_t *object = json_pack("{s:o, s:s, s:o, s:s, s:o, s:o, s:o}", "protocol",
                               protocol_of(found), "title", found->driver->title, "address",
                               address_json(found->driver, found->options.address), "port",
                               report->port, "model", json_printable(values->text[MODEL]), "serial",
                               json_printable(values->text[SERIAL]), "cells", cells_json(values));
    add_json_number(object, "voltage_v", values, VOLTAGE_V, 2);
    add_json_number(object, "current_a", values, CURRENT_A, 2);
    add_json_number(object, "soc_pct", values, SOC_PERCENT, 1);
    add_json_number(object, "cells_count", values, CELL_COUNT, 0);
    /* The value of `baud` as in the file, if it differs from the defaults of the protocol. */
    if (report->serial &&
        (found->baud != found->driver->line.baud || strcmp(found->framing, BMS_FRAMING) != 0))
        json_object_set_new(object, "baud", json_sprintf("%u %s", found->baud, found->framing));
    json_array_append_new(report->found, object);
    print_report(report);
}

static void on_done(void *data, const struct search_found *found, const char *why)
{
    static const char *const words[] = {[SEARCH_HEARD_CLOSED] = "closed",
                                        [SEARCH_HEARD_NOTHING] = "nothing",
                                        [SEARCH_HEARD_ECHO] = "echo",
                                        [SEARCH_HEARD_TRAFFIC] = "traffic",
                                        [SEARCH_HEARD_NOISE] = "noise"};
    struct report *report = data;
    (void) found; /* on_found has reported it */
    if (json_array_size(report->found) == 0)
        report->heard = words[search_heard(report->search)];
    snprintf(report->advice, sizeof report->advice, "%s", why ? why : "");
    ev_break(report->loop, EVBREAK_ALL);
}

static void on_scanned(void *data, const struct scan_device *devices, unsigned count,
                       const char *why)
{
    struct report *report = data;
    for (unsigned i = 0; i < count; i++) {
        char address[40];
        const bool first = strcmp(devices[i].adapter, "hci0") == 0;
        snprintf(address, sizeof address, "ble:%s%s%s", first ? "" : devices[i].adapter,
                 first ? "" : "/", devices[i].address);
        json_array_append_new(
            report->devices,
            json_pack("{s:s, s:o, s:o, s:s?}", "address", address, "name",
                      json_printable(devices[i].name), "rssi_dbm",
                      devices[i].signal_dbm ? json_integer(devices[i].signal_dbm) : json_null(),
                      "maybe", devices[i].guess));
    }
    snprintf(report->advice, sizeof report->advice, "%s", why ? why : "");
    ev_break(report->loop, EVBREAK_ALL);
}

static bool search(struct report *report, bool all)
{
    static const struct search_events events = {
        .trying = on_trying, .found = on_found, .done = on_done};
    const struct option_pack pack = {.port = report->port, .port_name = "PORT", .protocol = "daly"};
    struct config *config = options_config("setup", &pack);
    report->serial = config && strncmp(config->lines[0].port, "serial:", 7) == 0;
    report->search = config ? search_new(report->loop, &config->lines[0],
                                         all ? SEARCH_ALL : SEARCH_LINE, NULL, &events, report)
                            : NULL;
    const bool good = report->search;
    if (good)
        ev_run(report->loop, 0);
    search_free(report->search);
    config_free(config);
    return good;
}

void setup_search(const char *port, bool all)
{
    struct report report = {
        .loop = ev_default_loop(0), .port = port, .tried = json_array(), .found = json_array()};
    if (strcmp(port, "ble:") == 0) {
        report.devices = json_array();
        struct scan *scan = scan_new(report.loop, "", on_scanned, &report);
        ev_run(report.loop, 0);
        scan_free(scan);
    } else if (strchr(port, '\n') || !search(&report, all)) {
        report.heard = "closed";
        snprintf(report.advice, sizeof report.advice,
                 "expected serial:/dev/…, tcp://HOST:PORT or ble:ADDRESS");
    }
    print_report(&report);
    json_decref(report.tried);
    json_decref(report.found);
    json_decref(report.devices);
}
