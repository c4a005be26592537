// SPDX-License-Identifier: MIT
/* `packgate simulate`: emulates BMS on a TCP port, a pty or both. */
#include "command.h"
#include "options.h"
#include "signals.h"

#include "base/listeners.h"
#include "packs/json.h"
#include "config/types.h"
#include "config/modbus_map.h"
#include "simulator/link.h"
#include "simulator/simulator.h"
#include "base/address.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: packgate simulate --protocol NAME [OPTION]...\n"
    "       packgate simulate --inverter NAME --port PORT [OPTION]...   (with --help: its "
    "options)\n\n"
    "Emulates one BMS, or several on one bus, until SIGINT or SIGTERM. Prints to standard output "
    "where:\n"
    "\"listening on tcp://127.0.0.1:PORT\", \"pty /dev/pts/N\".\n"
    "  -p, --protocol NAME  one of those below\n"
    "      --address N      address of the (first) BMS\n"
    "      --variant NAME   where the protocol has variants\n"
    "      --map FILE       for protocol modbus: the registers of the board (docs/modbus-map.md)\n"
    "      --count N        number of BMS, at consecutive addresses\n"
    "      --tcp [HOST:]N   serves TCP connections on port N, 0 for any free one; host 127.0.0.1\n"
    "      --pty [LINK]     serves a pseudo terminal, with LINK as a symbolic link to it\n"
    "  -o, --options TEXT   KEY=VALUE,KEY=VALUE as below\n"
    "      --print-values   prints the values at the start as JSON, one line for each BMS;\n"
    "                       without --tcp and --pty that is all\n"
    "Exit status: 0 after a signal, 1 when it cannot start, 2 for a wrong call.\n";

/* The command line. */
struct arguments {
    const struct bms_driver *driver;
    const char *protocol, *address, *variant, *count, *tcp, *link, *options, *map;
    bool pty;
    bool print_values;
    struct listen_list listen;    /* of --tcp */
    struct modbus_user *user_map; /* of --map; NULL: none */
    struct bms bms;               /* the first one */
    unsigned bms_count;
};

struct simulation {
    struct simulator *simulator;
    struct listeners listeners;
    char pty[PTY_NAME]; /* empty: none */
    const char *link;   /* the link that was created; NULL: none */
};

/* ---- the command line ---- */

static void print_protocols(FILE *out)
{
    fputs("\nProtocols, their addresses and variants:\n", out);
    for (size_t i = 0; bms_drivers[i]; i++) {
        const struct bms_driver *driver = bms_drivers[i];
        char range[40] = "";
        if (bms_has_address(driver))
            snprintf(range, sizeof range, "%d-%d", driver->address_min, driver->address_max);
        fprintf(out, "  %-16s %-8s", driver->name, range);
        for (const char *const *name = driver->variants; name && *name; name++)
            fprintf(out, " %s", *name);
        fputc('\n', out);
    }
    fprintf(out, "  %-16s %d-%d     with --map\n", modbus_user_driver.name,
            modbus_user_driver.address_min, modbus_user_driver.address_max);
}

static bool report_wrong(const char *what, const char *text, const char *expected)
{
    fprintf(stderr, "packgate simulate: %s '%s': %s (see --help)\n", what, text, expected);
    return false;
}

static bool missing(const char *option, const char *why)
{
    fprintf(stderr, "packgate simulate: %s is missing: %s (see --help)\n", option, why);
    return false;
}

static bool parse_int(const char *name, const char *text, int min, int max, int *out)
{
    char expected[60];
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end != text && *end == '\0' && errno == 0 && value >= min && value <= max) {
        *out = (int) value;
        return true;
    }
    snprintf(expected, sizeof expected, "expected a number from %d to %d", min, max);
    return report_wrong(name, text, expected);
}

static bool parse_variant(const struct bms_driver *driver, const char *text, int *variant)
{
    for (int i = 0; driver->variants && driver->variants[i]; i++) {
        if (strcmp(driver->variants[i], text) == 0) {
            *variant = i;
            return true;
        }
    }
    return report_wrong("--variant", text, "this protocol has no such variant");
}

static bool parse_addresses(struct arguments *arguments)
{
    const struct bms_driver *driver = arguments->driver;
    struct bms_options *options = &arguments->bms.options;
    bool addressed = bms_has_address(driver) && !driver->line.one_pack;
    int count = 1;
    if (arguments->address && !addressed)
        return report_wrong("--address", arguments->address, "this protocol has no addresses");
    if (arguments->address && !parse_int("--address", arguments->address, driver->address_min,
                                         driver->address_max, &options->address))
        return false;
    int most = addressed ? driver->address_max - bms_address(&arguments->bms) + 1 : 1;
    if (arguments->count && !parse_int("--count", arguments->count, 1, most, &count))
        return false;
    arguments->bms_count = (unsigned) count;
    return true;
}

static bool parse_map(struct arguments *arguments)
{
    const bool wanted = arguments->driver == &modbus_user_driver;
    if (wanted && !arguments->map)
        return missing("--map FILE", "it describes the registers of the board");
    if (!wanted && arguments->map)
        return report_wrong("--map", arguments->map, "only protocol modbus has a map");
    if (!wanted)
        return true;
    struct mistakes mistakes = {0};
    arguments->bms.options.map = arguments->user_map =
        modbus_map_load(arguments->map, 0, &mistakes);
    mistakes_print(&mistakes, "packgate simulate: --map", stderr);
    mistakes_free(&mistakes);
    return arguments->user_map;
}

static bool parse_tcp(const char *text, struct listen_list *list)
{
    struct endpoint endpoint;
    list->count = 1;
    snprintf(list->at[0], sizeof list->at[0], strchr(text, ':') ? "%s" : "127.0.0.1:%s", text);
    return (endpoint_parse(list->at[0], &endpoint) && endpoint.numeric) ||
           report_wrong("--tcp", text, "expected a port or ADDRESS:PORT");
}

/* Checks the arguments; if they are valid, arguments->bms is the BMS to emulate. */
static bool check_order(struct arguments *arguments)
{
    char error[200], hint[HINT_SIZE], unknown[HINT_SIZE + 40];
    if (!arguments->protocol)
        return missing("--protocol NAME", "nothing to emulate");
    arguments->driver = strcmp(arguments->protocol, modbus_user_driver.name) == 0
                            ? &modbus_user_driver
                            : bms_driver_find(arguments->protocol);
    if (!arguments->driver) {
        snprintf(unknown, sizeof unknown, "there is no such protocol%s",
                 config_hint_protocol(arguments->protocol, hint));
        return report_wrong("--protocol", arguments->protocol, unknown);
    }
    bms_init(&arguments->bms, arguments->driver);
    if (arguments->variant &&
        !parse_variant(arguments->driver, arguments->variant, &arguments->bms.options.variant))
        return false;
    if (!parse_map(arguments))
        return false;
    if (!parse_addresses(arguments) ||
        (arguments->tcp && !parse_tcp(arguments->tcp, &arguments->listen)))
        return false;
    if (!simulator_check(arguments->options, error, sizeof error))
        return report_wrong("--options", arguments->options, error);
    return arguments->tcp || arguments->pty || arguments->print_values ||
           missing("--tcp PORT or --pty", "expected a place to serve it");
}

/* Returns -1, or the exit status if there is nothing to do. */
static int parse_simulate_options(int argc, char **argv, struct arguments *arguments)
{
    const struct option_row rows[] = {{"protocol", 'p', .text = &arguments->protocol},
                                      {"options", 'o', .text = &arguments->options},
                                      {"address", 0, .text = &arguments->address},
                                      {"variant", 0, .text = &arguments->variant},
                                      {"map", 0, .text = &arguments->map},
                                      {"count", 0, .text = &arguments->count},
                                      {"tcp", 0, .text = &arguments->tcp},
                                      {"pty", 0, .text = &arguments->link, .flag = &arguments->pty},
                                      {"print-values", 0, .flag = &arguments->print_values},
                                      {0}};
    const int status = options_try(argc, argv, rows, 1);
    if (status >= 0)
        fputs(usage, status == EXIT_DONE ? stdout : stderr);
    if (status == EXIT_DONE) {
        print_protocols(stdout);
        fputs("\nOptions: key, range, default, meaning:\n", stdout);
        simulator_options_print(stdout);
    }
    if (status >= 0)
        return status;
    /* getopt itself only accepts "--pty=LINK". */
    if (arguments->pty && !arguments->link && optind < argc)
        arguments->link = argv[optind++];
    if (optind != argc) {
        report_wrong("argument", argv[optind], "expected options only");
        return EXIT_USAGE;
    }
    return check_order(arguments) ? -1 : EXIT_USAGE;
}

/* ---- ports ---- */

static void on_accepted(void *data, int fd, const struct sockaddr_storage *address)
{
    struct simulation *simulation = data;
    simulator_attach(simulation->simulator, fd);
}

static bool open_tcp(struct simulation *simulation, struct ev_loop *loop,
                     const struct listen_list *list)
{
    const char *at = list->at[0];
    if (listeners_open(&simulation->listeners, loop, list, "--tcp", on_accepted, simulation) != 0)
        return false;
    printf("listening on tcp://%.*s:%u\n", (int) (strrchr(at, ':') - at), at,
           listeners_port(&simulation->listeners, 0));
    return true;
}

/* Replaces a link that an earlier run has left behind, but nothing else. */
static bool make_link(struct simulation *simulation, const char *link)
{
    struct stat found;
    if (lstat(link, &found) == 0 && S_ISLNK(found.st_mode))
        unlink(link);
    if (symlink(simulation->pty, link) != 0) {
        log_error("%s: %s", link, strerror(errno));
        return false;
    }
    simulation->link = link;
    return true;
}

static bool open_pty(struct simulation *simulation, const char *link)
{
    int master = pty_open(simulation->pty);
    if (master < 0) {
        log_error("no pseudo terminal: %s", strerror(errno));
        return false;
    }
    if (!simulator_attach(simulation->simulator, master)) {
        log_error("out of memory");
        return false;
    }
    if (link && !make_link(simulation, link))
        return false;
    printf("pty %s\n", simulation->pty);
    return true;
}

/* ---- running ---- */

static struct simulator *make_simulator(struct ev_loop *loop, const struct arguments *arguments)
{
    struct bms *bms = calloc(arguments->bms_count, sizeof *bms);
    if (!bms)
        return NULL;
    for (unsigned i = 0; i < arguments->bms_count; i++) {
        bms[i] = arguments->bms;
        bms[i].options.address = bms_address(&arguments->bms) + (int) i;
    }
    struct simulator *simulator =
        simulator_new(loop, bms, arguments->bms_count, arguments->options);
    free(bms);
    return simulator;
}

static void print_values(const struct simulator *simulator, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        json_t *values = json_of_pack(simulator_pack(simulator, i));
        if (values)
            json_print(stdout, values, false);
    }
}

static int simulate(const struct arguments *arguments)
{
    struct ev_loop *loop = ev_default_loop(0);
    struct simulation simulation = {.simulator = make_simulator(loop, arguments)};
    if (!simulation.simulator) {
        log_error("out of memory");
        return EXIT_FAILED;
    }
    if (arguments->print_values)
        print_values(simulation.simulator, arguments->bms_count);
    bool open = (!arguments->tcp || open_tcp(&simulation, loop, &arguments->listen)) &&
                (!arguments->pty || open_pty(&simulation, arguments->link));
    fflush(stdout);
    if (open && (arguments->tcp || arguments->pty)) {
        signals_end(loop);
        ev_run(loop, 0);
    }
    if (simulation.listeners.loop)
        listeners_close(&simulation.listeners);
    if (simulation.link) {
        /* Another run may have replaced the link in the meantime. */
        char target[PTY_NAME];
        ssize_t size = readlink(simulation.link, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        if (strcmp(target, simulation.pty) == 0)
            unlink(simulation.link);
    }
    simulator_free(simulation.simulator);
    return open ? EXIT_DONE : EXIT_FAILED;
}

static bool is_inverter(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--inverter", 10) == 0)
            return true;
    return false;
}

int command_simulate(int argc, char **argv)
{
    if (is_inverter(argc, argv))
        return command_inverter(argc, argv);
    struct arguments arguments = {.options = ""};
    int status = parse_simulate_options(argc, argv, &arguments);
    if (status < 0)
        status = simulate(&arguments);
    free(arguments.user_map);
    return status;
}
