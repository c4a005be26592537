// SPDX-License-Identifier: MIT
/*
 * `packgate setup-work VERB`: answers a request of set-up in the browser. The gateway starts it (control/job.h) with the
 * request as standard input; the last line of output, a JSON object, is the answer. It has the rights of the gateway and
 * changes nothing.
 */
#include "commands/asking.h"
#include "commands/command.h"
#include "commands/options.h"
#include "edits.h"

#include "config/keys.h"
#include "config/ini/diff.h"
#include "config/ini/inifile.h"
#include "config/load.h"
#include "config/types.h"
#include "ports/ble/scan.h"
#include "lines/search/search.h"
#include "outlets/program.h"
#include "packs/json.h"
#include "base/alloc.h"
#include "base/port_list.h"
#include "bms/count.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUEST_MOST (256 * 1024)
#define PORTS_MOST 64
#define STEP_SIZE 400  /* bytes of a line of a tested outlet */
#define TRIED_MOST 300 /* the last attempts of a search to report */

struct work {
    const char *path, *first;
    char *request; /* unparsed */
};

struct listing {
    json_t *sections, *keys; /* keys: of the last section */
    char word[64];
};

static void list_heading(void *user, unsigned line, const char *text)
{
    struct listing *listing = user;
    const size_t length = strcspn(text, " \t");
    const char *name = text + length + strspn(text + length, " \t");
    snprintf(listing->word, sizeof listing->word, "%.*s", (int) length, text);
    listing->keys = json_array();
    json_array_append_new(listing->sections,
                          json_pack("{s:o, s:o, s:i, s:o}", "section",
                                    json_printable(listing->word), "name", json_printable(name),
                                    "line", (int) line, "keys", listing->keys));
}

static void list_entry(void *user, unsigned line, const char *key, const char *value)
{
    struct listing *listing = user;
    if (!value)
        return;
    const struct config_key *row = config_key_of(listing->word, key);
    const bool secret = row && row->secret;
    char *line_text;
    alloc_checked(asprintf(&line_text, "%s=%s", key, value) < 0 ? NULL : line_text);
    char *masked = config_masked(line_text);
    json_t *text = !secret && strcmp(masked, line_text) == 0 ? json_string(value) : NULL;
    json_t *entry =
        json_pack("{s:s, s:i, s:b}", "key", key, "line", (int) line, "web", row && row->web);
    json_object_set_new(entry, text ? "value" : "set", text ? text : json_true());
    if (secret)
        json_object_set_new(entry, "secret", json_true());
    json_array_append_new(listing->keys, entry);
    free(masked);
    free(line_text);
}

static json_t *show_config(const struct work *work)
{
    static const struct inifile_events events = {.heading = list_heading, .entry = list_entry};
    char hash[EDITS_HASH];
    char *text = setup_read(work->path, work->first);
    if (!text)
        return setup_refusal(503, "%s: %s", work->path, strerror(errno));
    struct listing listing = {.sections = json_array()};
    struct config *config;
    listing.keys = json_array(); /* of keys above the first section */
    json_t *none = listing.keys;
    inifile_read(text, strlen(text), &events, &listing);
    json_decref(none);
    edits_hash(text, hash);
    json_t *remarks = setup_edits_remarks(text, true, &config);
    config_free(config);
    free(text);
    return json_pack("{s:s, s:s, s:o, s:o}", "hash", hash, "path", work->path, "sections",
                     listing.sections, "remarks", remarks);
}

static json_t *show_key(const struct config_key *key)
{
    char expected[EXPECTED_SIZE];
    json_t *choices = json_array();
    for (const char *const *word = key->words; word && *word; word++)
        if (edits_is_value_good(*word))
            json_array_append_new(choices, json_string(*word));
    for (size_t i = 0; key->type == &type_protocol && bms_drivers[i]; i++) {
        const struct bms_driver *driver = bms_drivers[i];
        json_array_append_new(choices, json_string(driver->name));
        /* The first variant is the one without a word. */
        for (unsigned v = 1; driver->variants && driver->variants[0] && driver->variants[v]; v++)
            json_array_append_new(choices,
                                  json_sprintf("%s %s", driver->name, driver->variants[v]));
    }
    json_t *object = json_pack("{s:s, s:s, s:s, s:b, s:s?, s:o}", "key", key->name, "expected",
                               config_key_expected(key, expected), "help", key->help, "required",
                               !key->preset && !key->otherwise, "preset",
                               key->preset ? key->preset : key->otherwise, "choices", choices);
    if (key->secret)
        json_object_set_new(object, "secret", json_true());
    if (key->type->list)
        json_object_set_new(object, "list", json_true());
    return object;
}

static json_t *show_keys(const struct work *work)
{
    json_t *object = json_object();
    for (unsigned s = 0; config_sections[s]; s++) {
        const struct config_section *section = config_sections[s];
        json_t *list = json_array();
        for (unsigned row = 0; row < section->key_count; row++)
            if (section->keys[row].web || section->keys[row].secret)
                json_array_append_new(list, show_key(&section->keys[row]));
        if (json_array_size(list) > 0)
            json_object_set(object, section->word, list);
        json_decref(list);
    }
    return object;
}

static json_t *show_ports(const struct work *work)
{
    struct port_listed *ports = alloc_zeroed(PORTS_MOST, sizeof *ports);
    char *text = setup_read(work->path, work->first);
    struct config *config = config_parse(text ? text : "", "", NULL);
    json_t *list = json_array();
    free(text);
    const unsigned count = port_list(ports, PORTS_MOST);
    for (unsigned i = 0; i < count; i++) {
        char port[PORT_SIZE + 16], name[3 * PORT_TEXT], device[PORT_TEXT + 16];
        snprintf(port, sizeof port, "serial:%s", ports[i].name);
        snprintf(device, sizeof device, "serial:%s", ports[i].device);
        snprintf(name, sizeof name, "%s%s%s%s%s", ports[i].maker, ports[i].maker[0] ? " " : "",
                 ports[i].product, ports[i].serial[0] ? " " : "", ports[i].serial);
        const struct line_config *user = config ? config_line_on(config, port) : NULL;
        if (config && !user)
            user = config_line_on(config, device);
        json_array_append_new(list, json_pack("{s:s, s:o, s:s?, s:s?, s:b}", "address", port,
                                              "name", json_printable(name), "maybe", ports[i].seems,
                                              "used_by", user ? user->name : NULL, "readable",
                                              access(ports[i].device, R_OK | W_OK) == 0));
    }
    free(ports);
    config_free(config);
    glob_t adapters;
    const bool bluetooth = glob("/sys/class/bluetooth/*", 0, NULL, &adapters) == 0;
    globfree(&adapters);
    return json_pack("{s:o, s:b}", "ports", list, "bluetooth", bluetooth);
}

static void add_line(void *data, char op, unsigned number, const char *text, size_t size)
{
    const char sign[] = {op, '\0'};
    while (size > 0 && text[size - 1] == '\r')
        size--;
    char *line = alloc_checked(strndup(text, size));
    json_array_append_new(data, json_pack("{s:s, s:i, s:o}", "op", sign, "line", (int) number,
                                          "text", json_printable(line)));
    free(line);
}

struct changes {
    json_t *reload, *restart;
};

static void add_change(void *data, enum config_change change, const char *text)
{
    const struct changes *changes = data;
    json_array_append_new(change == CHANGE_RESTART ? changes->restart : changes->reload,
                          json_string(text));
}

static json_t *show_check(const struct setup_edits *edits)
{
    struct config *config, *before = config_parse(edits->old, "", NULL);
    struct changes changes = {json_array(), json_array()};
    json_t *remarks = setup_edits_remarks(edits->fresh, true, &config);
    int errors = 0;
    for (size_t i = json_array_size(remarks); i-- > 0;) {
        const json_t *remark = json_array_get(remarks, i);
        /* New secrets are written only when the configuration is saved. */
        if (strstr(asking_text(remark, "text"), edits->secrets))
            json_array_remove(remarks, i);
        else
            errors += strcmp(asking_text(remark, "level"), "error") == 0;
    }
    json_t *diff = json_array();
    char *was = config_masked(edits->old), *is = config_masked(edits->fresh);
    diff_lines(was, is, add_line, diff);
    free(was);
    free(is);
    if (config && before)
        config_tell_changes(before, config, add_change, &changes);
    config_free(config);
    config_free(before);
    return json_pack("{s:s, s:o, s:o, s:i, s:o, s:o}", "hash", edits->hash, "diff", diff, "remarks",
                     remarks, "errors", errors, "reload", changes.reload, "restart",
                     changes.restart);
}

static json_t *show_text(const struct setup_edits *edits)
{
    return json_pack("{s:s}", "text", edits->fresh);
}

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

static json_t *value_json(const struct pack *values, enum pack_value value, int decimals)
{
    return pack_known(values, value) ? json_number(values->value[value], decimals) : json_null();
}

static void on_found(void *data, const struct search_found *found)
{
    struct report *report = data;
    const struct pack *values = found->values;
    const char *const *variants = found->driver->variants;
    const int variant = variants ? found->options.variant : 0;
    /* The value of `protocol` as in the file: the variant follows the protocol. */
    json_t *protocol = json_sprintf("%s%s%s", found->driver->name, variant > 0 ? " " : "",
                                    variant > 0 ? variants[variant] : "");
    json_t *cells = json_array();
    const unsigned count =
        pack_known(values, CELL_COUNT) ? (unsigned) values->value[CELL_COUNT] : 0;
    for (unsigned n = 0; n < count && n < MAX_CELLS; n++)
        json_array_append_new(cells, value_json(values, CELL_MV + n, 0));
    json_t *object = json_pack(
        "{s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "protocol", protocol, "title",
        found->driver->title, "address", address_json(found->driver, found->options.address),
        "port", report->port, "model", json_printable(values->text[MODEL]), "serial",
        json_printable(values->text[SERIAL]), "cells", cells, "voltage_v",
        value_json(values, VOLTAGE_V, 2), "current_a", value_json(values, CURRENT_A, 2), "soc_pct",
        value_json(values, SOC_PERCENT, 1), "cells_count", value_json(values, CELL_COUNT, 0));
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

/* Searches a port, as `packgate probe` does, or for Bluetooth devices ("ble:"). Each line of output is the whole report so far: "tried",
 * "found", "heard", "advice"; the browser gets the last one. `all`: every pack on the port, rather than the first one and others of its
 * protocol. */
static json_t *run_search(const struct work *work)
{
    json_t *request = json_loads(work->request, 0, NULL);
    const char *named = json_string_value(json_object_get(request, "port"));
    const char *port = named ? named : "";
    struct report report = {
        .loop = ev_default_loop(0), .port = port, .tried = json_array(), .found = json_array()};
    if (strcmp(port, "ble:") == 0) {
        report.devices = json_array();
        struct scan *scan = scan_new(report.loop, "", on_scanned, &report);
        ev_run(report.loop, 0);
        scan_free(scan);
    } else if (strchr(port, '\n') ||
               !search(&report, json_is_true(json_object_get(request, "all")))) {
        report.heard = "closed";
        snprintf(report.advice, sizeof report.advice,
                 "expected serial:/dev/…, tcp://HOST:PORT or ble:ADDRESS");
    }
    print_report(&report);
    json_decref(report.tried);
    json_decref(report.found);
    json_decref(report.devices);
    json_decref(request);
    return NULL; /* it has printed the answer */
}

static const struct {
    const char *kind;
    /* Name of the only step, if the program reports by its exit status; NULL: it prints steps. */
    const char *step;
} trials[] = {{"mqtt", NULL}, {"influx", NULL}, {"notify", "message"}};

/* The text with all edits, in which new secrets are files in memory. */
static char *text_to_try(const struct setup_edits *edits)
{
    char *text = strdup(edits->fresh);
    for (size_t i = 0; text && i < edits->count; i++) {
        const struct edit *edit = &edits->edits[i];
        char there[PORT_SIZE], path[PROGRAM_FILE_SIZE], why[EDIT_WHY];
        if (edit->kind != EDIT_SECRET || !edit->value ||
            !edits_secret_path(edit, edits->secrets, there))
            continue;
        program_put_file(edit->value, strlen(edit->value), path);
        struct edit written = *edit;
        written.value = path;
        char *next = config_edited(text, &written, why);
        free(text);
        text = next;
    }
    return text;
}

static void print_steps(json_t *steps)
{
    json_print(stdout, json_pack("{s:O}", "steps", steps), false);
    fflush(stdout);
}

static void add_step(json_t *steps, const char *name, bool ok, const char *text)
{
    json_array_append_new(steps, json_pack("{s:o, s:b, s:o}", "name", json_printable(name), "ok",
                                           ok, "text", json_printable(text)));
    print_steps(steps);
}

static void run_test(size_t i, const char *path)
{
    char line[STEP_SIZE], last[STEP_SIZE] = "";
    pid_t pid = -1;
    int status = 1;
    json_t *steps = json_array();
    print_steps(steps);
    const char *list[] = {NULL, "test", path, NULL};
    /* Its first words are the step and the result of one that cannot be started. */
    FILE *out = program_open(trials[i].kind, list, "program failed", true, &pid);
    while (out && fgets(line, sizeof line, out)) {
        line[strcspn(line, "\n")] = '\0';
        memcpy(last, line, sizeof last);
        /* "login failed wrong password": step, result, text. */
        char *result = strchr(line, ' ');
        if (!result || (trials[i].step && strncmp(line, "program ", 8) != 0))
            continue;
        *result++ = '\0';
        const char *text = strchr(result, ' ');
        const bool ok = strncmp(result, "ok", 2) == 0;
        if (ok || strncmp(result, "failed", 6) == 0)
            add_step(steps, line, ok, text ? text + 1 : "");
    }
    if (out)
        fclose(out);
    if (pid > 0)
        waitpid(pid, &status, 0);
    const char *said = strncmp(last, "packgate: ", 10) == 0 ? last + 10 : last;
    if (trials[i].step && WIFEXITED(status) && WEXITSTATUS(status) != 127)
        add_step(steps, trials[i].step, status == 0, status == 0 ? "" : said);
    else if (status != 0 && json_array_size(steps) == 0)
        add_step(steps, trials[i].kind, false, said);
    json_decref(steps);
}

/* Tests the outlet [kind name] of the request with its own program, with a configuration and secrets that are not saved: they exist in
 * memory only. Prints {"steps": [{"name", "ok", "text"}]} as one line after each step. */
static json_t *run_try(const struct setup_edits *edits)
{
    const char *kind = asking_text(edits->request, "kind");
    const char *name = asking_text(edits->request, "name");
    struct config *config;
    char path[PROGRAM_FILE_SIZE];
    size_t i = 0;
    while (i < COUNT(trials) && strcmp(trials[i].kind, kind) != 0)
        i++;
    if (i == COUNT(trials))
        return setup_refusal(400, "expected mqtt, influx or notify");
    json_t *refused = setup_edits_refuse(edits);
    if (refused)
        return refused;
    char *text = text_to_try(edits);
    config = config_parse(text ? text : "", "", NULL);
    free(text);
    const bool found = config && program_put_section(config, kind, name, path);
    config_free(config);
    if (!found)
        return setup_refusal(404, "there is no [%s %s]", kind, name);
    run_test(i, path);
    return NULL; /* it has printed the answer */
}

static const struct {
    const char *verb;
    json_t *(*show)(const struct work *work);
    json_t *(*show_edits)(const struct setup_edits *edits); /* of a request with edits */
} verbs[] = {
    {"config", .show = show_config},   {"keys", .show = show_keys},
    {"ports", .show = show_ports},     {"check", .show_edits = show_check},
    {"text", .show_edits = show_text}, {"probe", .show = run_search},
    {"try", .show_edits = run_try},
};

int command_setup_work(int argc, char **argv)
{
    struct work work = {.path = CONFIG_DEFAULT};
    const struct option_row rows[] = {
        {"config", 'c', .text = &work.path}, {"first", 0, .text = &work.first}, {0}};
    if (options_try(argc, argv, rows, argc) >= 0)
        return EXIT_USAGE;
    size_t i = 0;
    while (optind < argc && i < COUNT(verbs) && strcmp(verbs[i].verb, argv[optind]) != 0)
        i++;
    if (optind + 1 != argc || i == COUNT(verbs))
        return EXIT_USAGE;
    work.request = alloc_checked(malloc(REQUEST_MOST + 1));
    work.request[fread(work.request, 1, REQUEST_MOST, stdin)] = '\0';
    json_t *answer;
    if (verbs[i].show) {
        answer = verbs[i].show(&work);
    } else {
        struct setup_edits edits;
        const bool good = setup_edits_make(&edits, work.path, work.first, work.request,
                                           verbs[i].show_edits == run_try);
        answer = good ? verbs[i].show_edits(&edits) : edits.refusal;
        setup_edits_free(&edits);
    }
    if (answer)
        json_print(stdout, answer, false);
    free(work.request);
    return EXIT_DONE;
}
