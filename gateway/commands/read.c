// SPDX-License-Identifier: MIT
/* `packgate read`: polls packs once or continuously, and prints their values as JSON. */
#include "asking.h"
#include "command.h"
#include "exchange.h"
#include "options.h"
#include "signals.h"

#include "packs/json.h"
#include "packs/polling.h"
#include "config/load.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/suggest.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_S 10.0
#define AIR_PATIENCE_S 60.0 /* s: finding a Bluetooth device and connecting to it take long */
/* so does asking in each dialect of a protocol until one is answered */
#define WAYS_PATIENCE_S 20.0
#define LOOK_S 0.1       /* s, while the first values of a running gateway are awaited */
#define WATCH_LOOK_S 0.3 /* s, from then on */

static const char usage[] =
    "usage: packgate read [-c FILE] [PACK]...\n"
    "       packgate read --port PORT --protocol NAME [--address N] [--variant NAME] [--baud N]\n"
    "                     [--map FILE] [--key-file FILE]\n\n"
    "Polls packs of a configuration (all, or the named ones), or one pack given by options, and "
    "prints one JSON\n"
    "object per pack. If a gateway runs on the configuration, the values come from it: a port "
    "serves one program only.\n"
    "  -c, --config FILE   the configuration, /etc/packgate/packgate.ini by default\n"
    "      --port PORT     serial:/dev/..., tcp://host:port, ble:ADDRESS or sim:\n"
    "      --protocol NAME the pack's protocol; --address, --variant, --baud, --map, --key-file as "
    "in the configuration\n"
    "  -w, --watch         continues: one line per poll\n"
    "      --record FILE   records the bytes on the line as an exchange file (one pack only)\n"
    "  -t, --timeout N     seconds to wait for the first values of every pack, 10 by default, 20 "
    "for topbms\n"
    "                      without a variant, over Bluetooth 60\n"
    "      --debug         shows the frames\n"
    "Exit status: 0, 1 when a pack did not answer in time or the configuration is wrong, 2 for a "
    "wrong call.\n";

struct arguments {
    const char *config;
    struct option_pack pack; /* without a port: of the configuration */
    const char *record;
    char **names;
    int name_count;
    bool watch;
    double timeout_s; /* 0: as the lines require */
};

struct reading {
    const struct arguments *arguments;
    struct ev_loop *loop;
    FILE *record;
    unsigned missing; /* packs that are not complete yet */
    bool *printed;    /* for each pack of the configuration */
    const struct pack_config *packs;
};

static void report_no_pack(const char *config)
{
    fprintf(stderr, "packgate: %s has no pack to read; 'packgate probe' finds what is connected\n",
            config);
}

static json_t *values_request(const struct arguments *arguments)
{
    json_t *names = arguments->name_count > 0 ? json_array() : NULL;
    for (int i = 0; i < arguments->name_count; i++)
        json_array_append_new(names, json_string(arguments->names[i]));
    return json_pack("{s:s, s:o*}", "ask", "values", "packs", names);
}

/* Leaves out what the gateway adds, so that the output equals that of a direct poll. */
static void print_pack(const json_t *pack, bool indented)
{
    static const char *const beside[] = {"kind",  "unit",     "line",  "state", "fresh",
                                         "age_s", "complete", "polls", "name"};
    json_t *values = json_copy((json_t *) (uintptr_t) pack);
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        json_object_del(values, beside[i]);
    json_print(stdout, values, indented);
    fflush(stdout);
}

/* Prints new values; returns how many packs were never printed so far. `printed` is the number of
 * polls of each pack when it was printed; NaN: it was not. */
static unsigned print_new(const struct arguments *arguments, const json_t *packs, double *printed)
{
    unsigned missing = 0;
    for (size_t i = 0; i < json_array_size(packs); i++) {
        const json_t *pack = json_array_get(packs, i);
        double polls = asking_number(pack, "polls");
        bool first = isnan(printed[i]);
        if ((asking_number(pack, "fresh") > 0 && asking_number(pack, "complete") > 0) &&
            (first || (arguments->watch && polls != printed[i]))) {
            print_pack(pack, !arguments->watch);
            printed[i] = polls;
        }
        missing += isnan(printed[i]) ? 1 : 0;
    }
    return missing;
}

/* Prints the values of an incomplete pack as well. */
static int report_stale_packs(const struct arguments *arguments, const json_t *packs,
                              const double *printed)
{
    int status = EXIT_DONE;
    for (size_t i = 0; i < json_array_size(packs); i++) {
        const json_t *pack = json_array_get(packs, i);
        char span[DURATION_SIZE];
        if (!isnan(printed[i]))
            continue;
        if (asking_number(pack, "fresh") > 0) {
            print_pack(pack, !arguments->watch);
            continue;
        }
        fprintf(stderr, "packgate: %s: no answer; the running gateway has received none for %s\n",
                asking_text(pack, "pack"), duration_words(asking_number(pack, "age_s"), span));
        status = EXIT_FAILED;
    }
    return status;
}

static int follow(const struct arguments *arguments, struct asking *asking, json_t *answer)
{
    const double until =
        clock_now() + (arguments->timeout_s > 0 ? arguments->timeout_s : PATIENCE_S);
    size_t count = json_array_size(json_object_get(answer, "packs"));
    double *printed = alloc_zeroed(count, sizeof *printed);
    for (size_t i = 0; i < count; i++)
        printed[i] = NAN;
    int status = -1;
    while (answer && status < 0) {
        const json_t *packs = json_object_get(answer, "packs");
        unsigned missing = print_new(arguments, packs, printed);
        bool late = missing > 0 && clock_now() > until;
        if (ferror(stdout)) {
            status = EXIT_FAILED;
        } else if (late || (missing == 0 && !arguments->watch)) {
            status = report_stale_packs(arguments, packs, printed);
        } else {
            poll(NULL, 0, (int) (1e3 * (missing > 0 ? LOOK_S : WATCH_LOOK_S)));
            json_decref(answer);
            answer = asking_request(asking, values_request(arguments));
            /* A reload may have changed the packs. */
            if (json_array_size(json_object_get(answer, "packs")) != count)
                break;
        }
    }
    if (status < 0) {
        fprintf(stderr, "packgate: %s\n", answer ? "the gateway was reloaded" : asking->why);
        status = EXIT_FAILED;
    }
    json_decref(answer);
    free(printed);
    return status;
}

/* The values of the gateway that runs on the configuration, because its port serves one program
 * only; it does not pass on the bytes of its polls. -1: no gateway runs on this file, or it cannot be reached. */
static int read_running(const struct arguments *arguments)
{
    struct asking asking = {.config = arguments->config};
    int status = -1;
    json_t *answer = asking_open(&asking, values_request(arguments));
    char *path = realpath(arguments->config, NULL);
    if (answer && path && strcmp(asking_text(answer, "configuration"), path) == 0) {
        status = EXIT_FAILED;
        if (json_array_size(json_object_get(answer, "packs")) == 0)
            report_no_pack(arguments->config);
        else if (arguments->record || log_enabled(LOG_LEVEL_DEBUG))
            fputs(
                "packgate read: a gateway runs on this configuration: stop it first, as a line has "
                "one master; 'packgate listen' shows the bytes meanwhile\n",
                stderr);
        else
            status = follow(arguments, &asking, json_incref(answer));
    }
    if (asking.denied)
        fprintf(
            stderr,
            "packgate read: %s; polls now beside the gateway, if one runs: a line has one master\n",
            asking.why);
    free(path);
    json_decref(answer);
    asking_close(&asking);
    return status;
}

static bool is_named(void *data, const struct pack_config *pack)
{
    const struct arguments *arguments = ((const struct reading *) data)->arguments;
    for (int i = 0; i < arguments->name_count; i++)
        if (strcmp(arguments->names[i], pack->name) == 0)
            return true;
    return arguments->name_count == 0;
}

static bool names_exist(const struct arguments *arguments, const struct config *config)
{
    bool found = config->pack_count > 0;
    if (!found)
        report_no_pack(arguments->config);
    for (int i = 0; found && i < arguments->name_count; i++) {
        struct suggest suggest = suggest_for(arguments->names[i]);
        found = false;
        for (unsigned p = 0; p < config->pack_count; p++) {
            found |= strcmp(arguments->names[i], config->packs[p].name) == 0;
            suggest_offer(&suggest, config->packs[p].name);
        }
        if (!found)
            fprintf(stderr, "packgate: there is no pack '%s'%s\n", arguments->names[i],
                    suggest_hint(&suggest));
    }
    return found;
}

static void print_values(struct reading *reading, const struct poller *poller)
{
    json_t *values = json_of_pack(&poller->values);
    if (!values || json_object_size(values) == 0) {
        json_decref(values);
        return;
    }
    json_t *named = json_object();
    json_object_set_new(named, "pack", json_string(poller->config->name));
    json_object_set_new(named, "protocol", json_string(poller->config->driver->name));
    json_object_update(named, values);
    json_decref(values);
    json_print(stdout, named, !reading->arguments->watch);
    reading->printed[poller->config - reading->packs] = true;
    /* A reader that has seen enough (head) closes the pipe; SIGPIPE is ignored everywhere. */
    if (fflush(stdout) != 0)
        ev_break(reading->loop, EVBREAK_ALL);
}

/* The first values of a pack may be incomplete: the rest follows within seconds. */
static void on_published(void *data, struct poller *poller, double now)
{
    struct reading *reading = data;
    bool first = !reading->printed[poller->config - reading->packs];
    if (!poller->complete || (!first && !reading->arguments->watch))
        return;
    print_values(reading, poller);
    bool done = first && reading->printed[poller->config - reading->packs];
    if (done && --reading->missing == 0 && !reading->arguments->watch)
        ev_break(reading->loop, EVBREAK_ALL);
}

static void on_passed(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct reading *reading = data;
    if (!reading->record)
        return;
    if (direction == '#')
        fprintf(reading->record, "# %zu bytes of no whole frame are withheld\n", size);
    else
        exchange_write_bytes(reading->record, direction, bytes, size);
}

static void on_timeout(int revents, void *data)
{
    const struct reading *reading = data;
    if (reading->missing > 0)
        ev_break(reading->loop, EVBREAK_ALL);
}

/* Prints the values of an incomplete pack as well. */
static int report_silent_packs(struct reading *reading, const struct polling *polling)
{
    int status = EXIT_DONE;
    for (unsigned i = 0; i < polling->pack_count; i++) {
        const struct poller *poller = polling->pollers[i];
        if (poller && !reading->printed[i] && poller->counters.polls > 0)
            print_values(reading, poller);
        if (!poller || reading->printed[i])
            continue;
        if (poller->counters.polls > 0)
            fprintf(stderr, "packgate: %s: the pack answers, but its responses contain no values\n",
                    poller->config->name);
        else
            fprintf(stderr, "packgate: %s: no answer (%u requests unanswered, %u frames damaged)\n",
                    poller->config->name, poller->counters.timeouts + poller->counters.repeats,
                    poller->counters.damaged);
        status = EXIT_FAILED;
    }
    return status;
}

static bool start_record(struct reading *reading, const struct pack_config *pack)
{
    reading->record = fopen(reading->arguments->record, "w");
    if (!reading->record) {
        fprintf(stderr, "packgate: %s: %s\n", reading->arguments->record, strerror(errno));
        return false;
    }
    time_t now = time(NULL);
    char source[100];
    strftime(source, sizeof source, "recorded by packgate " PACKGATE_VERSION " on %Y-%m-%d",
             localtime(&now));
    exchange_write_head(reading->record, pack->driver->name, source);
    if (pack->options.variant > 0)
        fprintf(reading->record, "# variant: %s\n", pack->driver->variants[pack->options.variant]);
    return true;
}

/* Polls the selected packs until all have answered, the time is over, or a signal arrives. */
static int poll_packs(struct reading *reading, struct polling *polling)
{
    const struct pack_config *only = NULL;
    double patience_s = 0;
    for (unsigned i = 0; i < polling->pack_count; i++)
        if (polling->pollers[i]) {
            only = polling->pollers[i]->config;
            reading->missing++;
            const bool ways = only->driver->ways > 1 && only->options.variant == 0;
            const bool air = strncmp(only->line->port, "ble:", 4) == 0;
            patience_s = fmax(patience_s, air    ? AIR_PATIENCE_S
                                          : ways ? WAYS_PATIENCE_S
                                                 : PATIENCE_S);
            if (only->driver == &automatic_driver) {
                fprintf(
                    stderr,
                    "packgate: %s: its protocol is not known yet; to find it: packgate probe %s\n",
                    only->name, only->line->port);
                return EXIT_FAILED;
            }
        }
    if (reading->arguments->record && reading->missing != 1)
        return options_refuse(NULL, "packgate: --record needs exactly one pack");
    if (reading->arguments->record && !start_record(reading, only))
        return EXIT_FAILED;
    polling_start(polling);
    ev_once(reading->loop, -1, 0,
            reading->arguments->timeout_s > 0 ? reading->arguments->timeout_s : patience_s,
            on_timeout, reading);
    signals_end(reading->loop);
    ev_run(reading->loop, 0);
    bool written = !reading->record || !ferror(reading->record);
    if ((reading->record && fclose(reading->record) != 0) || !written) {
        fprintf(stderr, "packgate: %s: %s\n", reading->arguments->record, strerror(errno));
        return EXIT_FAILED;
    }
    int status = report_silent_packs(reading, polling);
    return ferror(stdout) ? EXIT_FAILED : status;
}

static int read_packs(const struct arguments *arguments)
{
    int found = arguments->pack.port ? -1 : read_running(arguments);
    if (found >= 0)
        return found;
    static const struct line_events events = {.published = on_published, .passed = on_passed};
    struct reading reading = {.arguments = arguments, .loop = ev_default_loop(0)};
    struct config *config = arguments->pack.port ? options_config("read", &arguments->pack)
                                                 : config_load(arguments->config, stderr);
    int status = EXIT_FAILED;
    if (config && arguments->pack.port)
        asking_warn_of_port("read", arguments->config, config->lines[0].port);
    if (config && names_exist(arguments, config)) {
        struct polling *polling =
            polling_new(NULL, reading.loop, config, is_named, &events, &reading);
        reading.packs = config->packs;
        reading.printed = alloc_zeroed(config->pack_count, sizeof *reading.printed);
        status = poll_packs(&reading, polling);
        polling_free(polling);
        free(reading.printed);
    }
    config_free(config);
    return status;
}

/* Returns -1, or the exit status of options that do not go together. */
static int check_options(const struct arguments *arguments)
{
    const struct option_pack *pack = &arguments->pack;
    const struct {
        const char *option, *value;
    } of_port[] = {
        {"--protocol", pack->protocol}, {"--address", pack->address},
        {"--variant", pack->variant},   {"--baud", pack->baud},
        {"--map", pack->map},           {"--key-file", pack->key_file},
    };
    if (pack->port && !pack->protocol)
        return options_refuse(
            usage,
            "packgate read: --protocol is missing: it is required with --port; to "
            "find it: packgate probe %s",
            pack->port);
    if (pack->port && arguments->name_count > 0)
        return options_refuse(usage,
                              "packgate read: '%s' is the name of a pack in the configuration, and "
                              "--port is one outside of it; give one of them",
                              arguments->names[0]);
    for (size_t i = 0; !pack->port && i < sizeof of_port / sizeof *of_port; i++)
        if (of_port[i].value)
            return options_refuse(usage,
                                  "packgate read: --port is missing: %s is for a pack outside of "
                                  "the configuration",
                                  of_port[i].option);
    return -1;
}

/* Fills in the arguments; -1 to continue, or the exit status. */
static int parse_options(int argc, char **argv, struct arguments *arguments)
{
    const char *timeout = NULL;
    bool debug = false;
    const struct option_row rows[] = {{"config", 'c', .text = &arguments->config},
                                      {"port", 0, .text = &arguments->pack.port},
                                      {"protocol", 0, .text = &arguments->pack.protocol},
                                      {"address", 0, .text = &arguments->pack.address},
                                      {"variant", 0, .text = &arguments->pack.variant},
                                      {"baud", 0, .text = &arguments->pack.baud},
                                      {"map", 0, .text = &arguments->pack.map},
                                      {"key-file", 0, .text = &arguments->pack.key_file},
                                      {"record", 0, .text = &arguments->record},
                                      {"watch", 'w', .flag = &arguments->watch},
                                      {"timeout", 't', .text = &timeout},
                                      {"debug", 0, .flag = &debug},
                                      {0}};
    options_parse(argc, argv, rows, argc, usage);
    if (debug)
        log_set_level(LOG_LEVEL_DEBUG);
    arguments->names = argv + optind;
    arguments->name_count = argc - optind;
    char *end = NULL;
    if (timeout)
        arguments->timeout_s = strtod(timeout, &end);
    const bool good = !timeout || (end != timeout && !*end && arguments->timeout_s > 0 &&
                                   arguments->timeout_s < 1e6);
    if (good)
        return check_options(arguments);
    fputs(usage, stderr);
    return EXIT_USAGE;
}

int command_read(int argc, char **argv)
{
    struct arguments arguments = {.config = CONFIG_DEFAULT, .pack.port_name = "--port"};
    log_set_level(LOG_LEVEL_WARN);
    const int status = parse_options(argc, argv, &arguments);
    return status >= 0 ? status : read_packs(&arguments);
}
