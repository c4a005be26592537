// SPDX-License-Identifier: MIT
/* `packgate simulate`: emulates BMS on a TCP port, a pty or both; with --inverter an inverter, which polls a battery and prints the
 * values that it receives. */
#include "command.h"
#include "options.h"
#include "signals.h"

#include "base/listeners.h"
#include "packs/json.h"
#include "config/load.h"
#include "ports/port.h"
#include "simulator/inverter.h"
#include "simulator/options.h"
#include "simulator/pty.h"
#include "simulator/simulator.h"
#include "base/address.h"
#include "base/alloc.h"
#include "base/can_socket.h"
#include "base/clock.h"
#include "base/log.h"
#include "bms/modbus/modbus.h"

#include <errno.h>
#include <stdarg.h>
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

static const char inverter_usage[] =
    "usage: packgate simulate --inverter NAME --port PORT [OPTION]...\n\n"
    "Polls a battery once a second, as an inverter does, and prints the values that it receives, "
    "until SIGINT or SIGTERM.\n"
    "      --inverter NAME  the protocol: %s\n"
    "      --port PORT      serial:/dev/ttyUSB0, tcp://HOST:PORT, or can:can0 (by serial and tcp, "
    "CAN is SLCAN)\n"
    "      --baud N         of a serial port; 9600\n"
    "      --address N      of the battery; 2 for pylontech, else 1\n"
    "      --wants AMPERE   the current that it requests, negative to discharge; 50\n"
    "      --ignore         draws that current regardless of the limits\n"
    "Exit status: 0 after a signal, 1 when it cannot start, 2 for a wrong call.\n";

#define ROOM 4096 /* bytes of an answer to the inverter */

struct arguments {
    struct option_pack pack;
    const char *count, *tcp, *link, *options;
    bool pty;
    bool print_values;
    struct listen_list listen; /* of --tcp */
    struct config *config;     /* of the pack; NULL: wrong */
    struct bms bms;            /* the first one */
    unsigned bms_count;
};

struct simulation {
    struct simulator *simulator;
    struct listeners listeners;
    char pty[PTY_NAME]; /* empty: none */
    const char *link;   /* the link that was created; NULL: none */
};

__attribute__((format(printf, 1, 2))) static bool reject(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("packgate simulate: ", stderr);
    vfprintf(stderr, format, values);
    fputs(" (see --help)\n", stderr);
    va_end(values);
    return false;
}

/* Leaves the default for NULL: the option was not given. */
static bool parse_number(const char *name, const char *text, double min, double max, double *out)
{
    char *end;
    if (!text)
        return true;
    const double value = strtod(text, &end);
    if (end == text || *end || !(value >= min && value <= max))
        return reject("%s '%s': expected a number from %.0f to %.0f", name, text, min, max);
    *out = value;
    return true;
}

/* Each BMS has the address behind that of the one before. */
static bool parse_count(struct arguments *arguments)
{
    const struct bms_driver *driver = arguments->bms.driver;
    const bool addressed = bms_has_address(driver) && !driver->line.one_pack;
    const int most = addressed ? driver->address.max - bms_address(&arguments->bms) + 1 : 1;
    double count = 1;
    if (!parse_number("--count", arguments->count, 1, most, &count))
        return false;
    arguments->bms_count = (unsigned) count;
    return count == arguments->bms_count ||
           reject("--count '%s': expected a whole number", arguments->count);
}

/* Checks the arguments; if they are valid, arguments->bms is the BMS to emulate. */
static bool check_order(struct arguments *arguments)
{
    char error[200];
    if (!arguments->pack.protocol)
        return reject("--protocol NAME is missing: nothing to emulate");
    arguments->config = options_config("simulate", &arguments->pack);
    if (!arguments->config)
        return false;
    bms_init(&arguments->bms, arguments->config->packs[0].driver);
    arguments->bms.options = arguments->config->packs[0].options;
    if (!parse_count(arguments))
        return false;
    if (arguments->tcp) {
        struct endpoint endpoint;
        char *at = arguments->listen.at[0];
        arguments->listen.count = 1;
        snprintf(at, sizeof arguments->listen.at[0],
                 strchr(arguments->tcp, ':') ? "%s" : "127.0.0.1:%s", arguments->tcp);
        if (!endpoint_parse(at, &endpoint) || !endpoint.numeric)
            return reject("--tcp '%s': expected a port or ADDRESS:PORT", arguments->tcp);
    }
    if (!simulator_check(arguments->options, error, sizeof error))
        return reject("--options '%s': %s", arguments->options, error);
    return arguments->tcp || arguments->pty || arguments->print_values ||
           reject("--tcp PORT or --pty is missing: expected a place to serve it");
}

/* Returns -1, or the exit status if there is nothing to do. */
static int parse_simulate_options(int argc, char **argv, struct arguments *arguments)
{
    const struct option_row rows[] = {{"protocol", 'p', .text = &arguments->pack.protocol},
                                      {"options", 'o', .text = &arguments->options},
                                      {"address", 0, .text = &arguments->pack.address},
                                      {"variant", 0, .text = &arguments->pack.variant},
                                      {"map", 0, .text = &arguments->pack.map},
                                      {"count", 0, .text = &arguments->count},
                                      {"tcp", 0, .text = &arguments->tcp},
                                      {"pty", 0, .text = &arguments->link, .flag = &arguments->pty},
                                      {"print-values", 0, .flag = &arguments->print_values},
                                      {0}};
    const int status = options_try(argc, argv, rows, 1);
    if (status >= 0)
        fputs(usage, status == EXIT_DONE ? stdout : stderr);
    if (status == EXIT_DONE) {
        puts("\nProtocols, their addresses and variants:");
        for (size_t i = 0; bms_drivers[i]; i++) {
            const struct bms_driver *driver = bms_drivers[i];
            char range[40] = "";
            if (bms_has_address(driver))
                snprintf(range, sizeof range, "%d-%d", driver->address.min, driver->address.max);
            printf("  %-16s %-8s", driver->name, range);
            for (const char *const *name = driver->variants; name && *name; name++)
                printf(" %s", *name);
            putchar('\n');
        }
        printf("  %-16s %d-%d     with --map\n", modbus_user_driver.name,
               modbus_user_driver.address.min, modbus_user_driver.address.max);
        fputs("\nOptions: key, range, default, meaning:\n", stdout);
        simulator_options_print(stdout);
    }
    if (status >= 0)
        return status;
    /* getopt itself only accepts "--pty=LINK". */
    if (arguments->pty && !arguments->link && optind < argc)
        arguments->link = argv[optind++];
    const bool good = optind == argc ? check_order(arguments)
                                     : reject("argument '%s': expected options only", argv[optind]);
    return good ? -1 : EXIT_USAGE;
}

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
    /* Replaces a link that an earlier run has left behind, but nothing else. */
    struct stat found;
    if (link && lstat(link, &found) == 0 && S_ISLNK(found.st_mode))
        unlink(link);
    if (link && symlink(simulation->pty, link) != 0) {
        log_error("%s: %s", link, strerror(errno));
        return false;
    }
    simulation->link = link;
    printf("pty %s\n", simulation->pty);
    return true;
}

static int simulate(const struct arguments *arguments)
{
    struct ev_loop *loop = ev_default_loop(0);
    struct bms *bms = alloc_zeroed(arguments->bms_count, sizeof *bms);
    for (unsigned i = 0; i < arguments->bms_count; i++) {
        bms[i] = arguments->bms;
        bms[i].options.address = bms_address(&arguments->bms) + (int) i;
    }
    struct simulation simulation = {
        .simulator = simulator_new(loop, bms, arguments->bms_count, arguments->options)};
    free(bms);
    for (unsigned i = 0; arguments->print_values && i < arguments->bms_count; i++)
        json_print(stdout, json_of_pack(simulator_pack(simulation.simulator, i)), false);
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

struct run {
    struct ev_loop *loop;
    struct inverter inverter;
    const char *port_name;
    struct port *port; /* NULL: a CAN interface */
    int fd;            /* -1: not open */
    ev_io io;
    ev_timer second;
    size_t size;
    uint8_t bytes[ROOM];
};

static void close_port(struct run *run)
{
    ev_io_stop(run->loop, &run->io);
    if (run->port)
        port_close(run->port);
    else if (run->fd >= 0)
        close(run->fd);
    run->fd = -1;
    run->size = 0;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct run *run = io->data;
    uint8_t *behind = run->bytes + run->size;
    const size_t room = ROOM - run->size;
    const ssize_t size =
        run->port ? read(run->fd, behind, room) : can_socket_read(run->fd, behind, room, NULL);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        close_port(run);
        return;
    }
    run->size += (size_t) size;
    const size_t over = inverter_hear(&run->inverter, run->bytes, run->size, clock_now());
    run->size = over < run->size && run->size < ROOM ? run->size - over : 0;
    memmove(run->bytes, run->bytes + over, run->size);
}

static void start_reading(struct run *run, int fd)
{
    run->fd = fd;
    ev_io_set(&run->io, fd, EV_READ);
    ev_io_start(run->loop, &run->io);
}

static void on_opened(void *data, int fd)
{
    struct run *run = data;
    start_reading(run, fd);
    if (run->inverter.kind == INVERTER_CAN &&
        write(fd, SLCAN_OPEN, strlen(SLCAN_OPEN)) != (ssize_t) strlen(SLCAN_OPEN))
        close_port(run);
}

static void on_failed(void *data, const char *why)
{
    fprintf(stderr, "packgate simulate: --port: %s\n", why);
}

static void open_port(struct run *run)
{
    const char *name = run->port_name;
    if (run->port) {
        port_open(run->port);
        return;
    }
    const int fd = can_socket_open(name + strlen("can:"));
    if (fd >= 0)
        start_reading(run, fd);
    else
        fprintf(stderr, "packgate simulate: --port %s: %s\n", name, strerror(errno));
}

static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct run *run = timer->data;
    char text[256];
    inverter_describe(&run->inverter, clock_now(), text, sizeof text);
    printf("%s%s\n", run->fd < 0 ? "the port is not open; " : "", text);
    fflush(stdout);
    run->size = 0; /* the rest of a reply that was too late */
    if (run->fd < 0) {
        open_port(run);
    } else {
        struct bms_request request;
        inverter_ask(&run->inverter, &request);
        bool sent = run->port
                        ? write(run->fd, request.bytes, request.size) == (ssize_t) request.size
                        : can_socket_write(run->fd, request.bytes, request.size);
        if (!sent && errno != EAGAIN && errno != ENOBUFS)
            close_port(run);
    }
}

static bool is_can_port(const char *name)
{
    return strncmp(name, "can:", 4) == 0;
}

static int run_inverter(struct run *run, const struct port_settings *settings)
{
    static const struct port_events events = {.opened = on_opened, .failed = on_failed};
    const bool is_can = is_can_port(run->port_name);
    run->loop = ev_default_loop(0);
    run->port = is_can ? NULL : port_new(run->loop, run->port_name, settings, NULL, &events, run);
    if (!is_can && !run->port) {
        fprintf(stderr, "packgate simulate: --port '%s': expected serial:…, tcp://… or can:…\n",
                run->port_name);
        return EXIT_FAILED;
    }
    ev_io_init(&run->io, on_readable, -1, EV_READ);
    ev_timer_init(&run->second, on_second, 1, 1);
    run->io.data = run->second.data = run;
    open_port(run);
    ev_timer_start(run->loop, &run->second);
    signals_end(run->loop);
    ev_run(run->loop, 0);
    close_port(run);
    port_free(run->port);
    return EXIT_DONE;
}

int command_inverter(int argc, char **argv)
{
    static struct run run;
    const char *name = NULL, *baud_text = NULL, *address_text = NULL, *wants_text = NULL;
    double baud = 9600, address = -1, wants = 50;
    bool ignores = false;
    const struct option_row rows[] = {{"inverter", 0, .text = &name},
                                      {"port", 0, .text = &run.port_name},
                                      {"baud", 0, .text = &baud_text},
                                      {"address", 0, .text = &address_text},
                                      {"wants", 0, .text = &wants_text},
                                      {"ignore", 0, .flag = &ignores},
                                      {0}};
    char names[200];
    inverter_names(names, sizeof names);
    const int status = options_try(argc, argv, rows, 0);
    if (status == EXIT_DONE)
        return printf(inverter_usage, names) > 0 ? EXIT_DONE : EXIT_FAILED;
    if (status >= 0)
        return status;
    if (!parse_number("--baud", baud_text, 300, 4e6, &baud) ||
        !parse_number("--address", address_text, 0, 254, &address) ||
        !parse_number("--wants", wants_text, -5000, 5000, &wants))
        return EXIT_USAGE;
    if (!inverter_init(&run.inverter, name, (int) address))
        return options_refuse(NULL, "packgate simulate: --inverter '%s': expected %s", name, names);
    if (!run.port_name)
        return options_refuse(NULL,
                              "packgate simulate: --port is missing: expected the battery's port, "
                              "for '%s' (see --inverter NAME --help)",
                              name);
    if (is_can_port(run.port_name) && run.inverter.kind != INVERTER_CAN)
        return options_refuse(NULL,
                              "packgate simulate: expected serial:... or tcp://...; a CAN "
                              "interface is not for '%s' (see --inverter NAME --help)",
                              name);
    run.fd = -1;
    run.inverter.wants_a = wants;
    run.inverter.obeys = !ignores;
    struct port_settings settings = {.baud = (unsigned) baud, .framing = "8N1"};
    return run_inverter(&run, &settings);
}

int command_simulate(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--inverter", 10) == 0)
            return command_inverter(argc, argv);
    struct arguments arguments = {.pack.port = "sim:", .options = ""};
    int status = parse_simulate_options(argc, argv, &arguments);
    if (status < 0)
        status = simulate(&arguments);
    config_free(arguments.config);
    return status;
}
