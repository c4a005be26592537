// SPDX-License-Identifier: MIT
/* `packgate probe`: lists the ports, finds the protocols and addresses that answer on one, and
 * prints the configuration to read them. */
#include "asking.h"
#include "command.h"
#include "found.h"
#include "options.h"
#include "signals.h"

#include "ports/ble/scan.h"
#include "config/keys.h"
#include "config/load.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/port_list.h"
#include "base/regular.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: packgate probe [OPTION]... [PORT]\n\n"
    "Tries all protocols at their usual settings on PORT (serial:/dev/..., tcp://host:port or "
    "ble:ADDRESS) for up to\n"
    "20 s, over Bluetooth 60 s, and prints the configuration of what answers first. Without PORT "
    "it lists the ports that\n"
    "there are, with ble: (or ble:hci1/) the Bluetooth devices in reach. Nothing is set, switched "
    "or paired.\n"
    "  -a, --all          tries every address that switches can set, of all protocols, and prints\n"
    "                     the configuration of all packs; SIGINT (Ctrl-C) ends it with the packs "
    "found so far\n"
    "  -o, --output FILE  writes the configuration to a new FILE\n"
    "  -c, --config FILE  avoids the names and units of this configuration (" CONFIG_DEFAULT "\n"
    "                     if there is one and nothing is written to a file)\n"
    "      --baud N       tries this rate only (not for TCP: a serial server has its own setting)\n"
    "      --framing 8N1  data bits, parity and stop bits\n"
    "      --key-file FILE  with ble:ADDRESS: listens to a Victron shunt; its encryption key is in "
    "FILE\n"
    "  -v, --verbose      reports each attempt\n"
    "Exit status: 0 found, 1 nothing answered, 2 for a wrong call.\n";

#define MOST_ADDRESSES 256
#define MOST_PORTS 64
/* of conf/packgate.ini */
#define EXAMPLE_PORT "serial:/dev/serial/by-id/usb-FTDI_FT232R_USB_UART-if00-port0"

struct arguments {
    struct option_pack pack; /* its port, which may be anything */
    const char *output, *config;
    bool all, verbose;
};

struct probing {
    struct ev_loop *loop;
    const struct line_config *line;
    const struct arguments *arguments;
    struct found found;
    bool done; /* false: ended by a signal */
    struct attempt *tried;
    size_t tried_count;
};

static int usual_address(const struct bms_driver *driver, int address)
{
    return bms_has_address(driver) ? bms_address_of(driver, address) : 0;
}

static bool is_on_air(const char *port)
{
    return strncmp(port, "ble:", 4) == 0;
}

/* With an address below 0: at any. */
static bool was_tried(const struct probing *probing, const struct bms_driver *driver, int address)
{
    bool any = false;
    for (size_t i = 0; i < probing->tried_count; i++)
        any |= probing->tried[i].driver == driver &&
               (address < 0 || usual_address(driver, probing->tried[i].guess.address) == address);
    return any;
}

/* "0 to 17, 48 to 63, 247" */
static void print_addresses(const struct probing *probing, const struct bms_driver *driver)
{
    const char *before = " at address ";
    for (int first = 0; first < MOST_ADDRESSES; first++) {
        int last = first;
        if (!was_tried(probing, driver, first))
            continue;
        while (last + 1 < MOST_ADDRESSES && was_tried(probing, driver, last + 1))
            last++;
        fprintf(stderr, "%s%d", before, first);
        if (last > first)
            fprintf(stderr, last == first + 1 ? ", %d" : " to %d", last);
        before = ", ";
        first = last;
    }
}

static void print_rates(const struct probing *probing)
{
    if (is_on_air(probing->line->port)) {
        fprintf(stderr, "protocols that no known Bluetooth module uses");
        return;
    }
    if (strncmp(probing->line->port, "serial:", 7) != 0) {
        fprintf(stderr, "other baud rates than the one that the serial server is set to");
        return;
    }
    fprintf(stderr, "other baud rates than");
    for (size_t i = 0, k; i < probing->tried_count; i++) {
        for (k = 0; probing->tried[k].baud != probing->tried[i].baud;)
            k++;
        if (k == i) /* else it was named already */
            fprintf(stderr, "%s %u", i > 0 ? "," : "", probing->tried[i].baud);
    }
    fprintf(stderr, " (--baud N tries one)");
}

/* "jbd, ant; ": protocols of the list that were not tried, because the search ended earlier or the
 * packs found use another rate. */
static void print_left_out(const struct probing *probing)
{
    struct attempt *list = alloc_zeroed(search_attempts_list(probing->line, NULL), sizeof *list);
    const size_t count = search_attempts_list(probing->line, list);
    const char *before = "";
    for (size_t d = 0; bms_drivers[d]; d++) {
        size_t i = 0;
        while (i < count && list[i].driver != bms_drivers[d])
            i++;
        if (i == count || was_tried(probing, bms_drivers[d], -1))
            continue;
        fprintf(stderr, "%s%s", before, bms_drivers[d]->name);
        before = ", ";
    }
    fputs(before[0] ? "; " : "", stderr);
    free(list);
}

static void print_not_tried(const struct probing *probing)
{
    /* "daly at address 1; jbd; topbms at address 0 to 2": in the order of the list of drivers. */
    const char *before = "tried ";
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (!was_tried(probing, bms_drivers[d], -1))
            continue;
        fprintf(stderr, "%s%s", before, bms_drivers[d]->name);
        if (bms_has_address(bms_drivers[d]))
            print_addresses(probing, bms_drivers[d]);
        before = "; ";
    }
    fputc('\n', stderr);
    fprintf(stderr, "not tried: ");
    print_left_out(probing);
    fprintf(stderr, "other addresses%s; ", probing->arguments->all ? "" : " (--all tries more)");
    print_rates(probing);
    fprintf(stderr,
            "; protocol modbus, which needs a map; CAN\n"
            "to try another address: packgate read --port %s --protocol NAME --address N\n",
            probing->line->port);
}

static void on_trying(void *data, const struct attempt *attempt)
{
    struct probing *probing = data;
    const struct bms_driver *driver = attempt->driver;
    probing->tried =
        alloc_checked(realloc(probing->tried, (probing->tried_count + 1) * sizeof *probing->tried));
    probing->tried[probing->tried_count++] = *attempt;
    if (!probing->arguments->verbose)
        return;
    fprintf(stderr, "trying %s", driver->name);
    if (bms_has_address(driver))
        fprintf(stderr, ", address %d", usual_address(driver, attempt->guess.address));
    if (driver->variants)
        fprintf(stderr, ", variant %s", driver->variants[attempt->guess.variant]);
    fprintf(stderr, ", %u baud\n", attempt->baud);
}

static void on_found(void *data, const struct search_found *found)
{
    struct probing *probing = data;
    found_add(&probing->found, found);
    fprintf(stderr, "found %s", found->driver->name);
    if (bms_has_address(found->driver))
        fprintf(stderr, " at address %d", usual_address(found->driver, found->options.address));
    fprintf(stderr, ": ");
    found_print_values(found->values, stderr);
    fputc('\n', stderr);
}

static void on_widening(void *data, double seconds)
{
    struct probing *probing = data;
    fprintf(stderr,
            "%s at the usual addresses; trying all others, up to %.0f s more (Ctrl-C ends it)\n",
            probing->found.count > 0 ? "that is all" : "nothing answered", seconds);
}

static void on_done(void *data, const struct search_found *found, const char *why)
{
    struct probing *probing = data;
    if (found)
        found_add(&probing->found, found);
    if (why)
        fprintf(stderr, "packgate: %s: %s%s\n", probing->line->port, why,
                strcmp(why, strerror(EACCES)) == 0
                    ? ": this user may not open it; add the user to its group, usually dialout"
                    : "");
    probing->done = true;
    ev_break(probing->loop, EVBREAK_ALL);
}

static bool print_found(const struct probing *probing, const struct config *beside)
{
    const char *path = probing->arguments->output;
    char *text = NULL;
    size_t size = 0;
    /* The installed default file contains an example line: what is found replaces it, with its
     * name and unit. */
    if (beside && beside->line_count == 1 && strcmp(beside->lines[0].port, EXAMPLE_PORT) == 0 &&
        access(EXAMPLE_PORT + strlen("serial:"), F_OK) < 0)
        beside = NULL;
    FILE *out = alloc_checked(open_memstream(&text, &size));
    found_write(&probing->found, beside, out);
    fclose(out);
    const bool good = path ? regular_create(path, text, NULL) : fputs(text, stdout) >= 0;
    if (path && good)
        fprintf(stderr, "%u pack%s written to %s\n", probing->found.count,
                probing->found.count == 1 ? "" : "s", path);
    else if (path)
        fprintf(stderr, "packgate: %s: %s\n", path, strerror(errno));
    free(text);
    return good;
}

/* The configuration that the result is meant for; NULL: none. Its mistakes do not matter here. */
static struct config *load_beside(const struct arguments *arguments)
{
    if (arguments->config)
        return config_load(arguments->config, stderr);
    if (arguments->output || access(CONFIG_DEFAULT, R_OK) < 0)
        return NULL;
    struct config *config = config_load(CONFIG_DEFAULT, NULL);
    if (!config)
        fprintf(stderr, "%s has mistakes; its names and units are ignored\n", CONFIG_DEFAULT);
    return config;
}

static void print_port(const struct port_listed *port, const struct config *beside)
{
    char text[PORT_SIZE];
    printf("%s", options_port(port->name, text));
    if (strcmp(port->name, port->device) != 0)
        printf("  (%s)", port->device);
    printf("\n    %s%s%s", port->maker, port->maker[0] && port->product[0] ? " " : "",
           port->product);
    if (port->vendor_id)
        printf("%sUSB %04x:%04x", port->maker[0] || port->product[0] ? ", " : "", port->vendor_id,
               port->product_id);
    if (port->serial[0])
        printf(", serial %s", port->serial);
    if (port->seems)
        printf(": %s", port->seems);
    putchar('\n');
    if (access(port->device, R_OK | W_OK) < 0)
        printf("    this user may not open it; add the user to its group, usually dialout\n");
    const struct line_config *line = beside ? config_line_on(beside, text) : NULL;
    if (line)
        printf("    it is [line %s] of the configuration\n", line->name);
}

static int list_ports(const struct arguments *arguments)
{
    struct port_listed *ports = alloc_zeroed(MOST_PORTS, sizeof *ports);
    struct config *beside = load_beside(arguments);
    const unsigned count = port_list(ports, MOST_PORTS);
    for (unsigned i = 0; i < count; i++)
        print_port(&ports[i], beside);
    if (count == 0)
        printf("no serial port found: is the adapter plugged in, and does `dmesg` show it?\n");
    printf("\nTCP serial servers are not searched; to probe one: packgate probe tcp://HOST:PORT\n"
           "To list Bluetooth devices in range: packgate probe ble:\n");
    free(ports);
    config_free(beside);
    return EXIT_DONE;
}

struct scanning {
    struct ev_loop *loop;
    struct config *beside;
    int status;
};

static void on_scanned(void *data, const struct scan_device *devices, unsigned count,
                       const char *why)
{
    struct scanning *scanning = data;
    if (why)
        fprintf(stderr, "packgate: ble: %s\n", why);
    else if (count == 0)
        fprintf(stderr, "no Bluetooth device in range: a BMS that is asleep, too far away or "
                        "connected to its app does not advertise\n");
    bool victron = false;
    for (unsigned i = 0; i < count; i++) {
        const struct scan_device *device = &devices[i];
        const struct config *beside = scanning->beside;
        const bool first = strcmp(device->adapter, "hci0") == 0;
        printf("ble:%s%s%s  %s\n    ", first ? "" : device->adapter, first ? "" : "/",
               device->address, device->name);
        if (device->connected)
            printf("connected to this host");
        else if (device->signal_dbm != 0)
            printf("%d dBm", device->signal_dbm);
        else
            printf("in reach");
        printf("%s%s\n", device->guess ? ": " : "", device->guess ? device->guess : "");
        for (unsigned k = 0; beside && k < beside->line_count; k++)
            if (is_on_air(beside->lines[k].port) && strstr(beside->lines[k].port, device->address))
                printf("    it is [line %s] of the configuration\n", beside->lines[k].name);
        victron |= device->guess && strstr(device->guess, "victron-ble");
    }
    if (count > 0)
        printf("\nTo find the protocol of one of them: packgate probe ble:ADDRESS\n");
    if (victron)
        printf("To read a Victron device: packgate probe --key-file FILE ble:ADDRESS\n");
    scanning->status = count > 0 ? EXIT_DONE : EXIT_FAILED;
    ev_break(scanning->loop, EVBREAK_ALL);
}

/* "ble:", or "ble:hci1/" for one of several adapters. */
static bool is_scan(const char *port)
{
    const size_t length = strlen(port);
    return is_on_air(port) && (length == 4 || (strncmp(port + 4, "hci", 3) == 0 &&
                                               port[length - 1] == '/' && length < 12));
}

static int scan_devices(const struct arguments *arguments)
{
    struct scanning scanning = {ev_default_loop(0), load_beside(arguments), EXIT_FAILED};
    char adapter[8] = "";
    snprintf(adapter, sizeof adapter, "%.*s", (int) strcspn(arguments->pack.port + 4, "/"),
             arguments->pack.port + 4);
    fprintf(stderr, "listening for %.0f s\n", SCAN_S);
    struct scan *scan = scan_new(scanning.loop, adapter, on_scanned, &scanning);
    ev_run(scanning.loop, 0);
    scan_free(scan);
    config_free(scanning.beside);
    return scanning.status;
}

static int probe(const struct line_config *line, const struct arguments *arguments,
                 const struct config *beside)
{
    static const struct search_events events = {
        .trying = on_trying, .found = on_found, .widening = on_widening, .done = on_done};
    static struct probing probing;
    probing = (struct probing){.loop = ev_default_loop(0), .line = line, .arguments = arguments};
    probing.found.port = line->port;
    probing.found.key_file = line->key_file;
    probing.found.serial = strncmp(line->port, "serial:", 7) == 0;
    struct search *search = search_new(
        probing.loop, line, arguments->all ? SEARCH_ALL : SEARCH_FIRST, NULL, &events, &probing);
    if (arguments->all)
        signals_end(probing.loop);
    ev_run(probing.loop, 0);
    search_free(search);
    if (!probing.done)
        fprintf(stderr, "stopped before everything was tried\n");
    /* The first attempt alone does not count: the port may not even open. */
    if (probing.tried_count > 1 && (arguments->all || probing.found.count == 0))
        print_not_tried(&probing);
    else if (probing.found.count > 0 && !is_on_air(line->port))
        fprintf(stderr, "there may be more packs on this port: packgate probe --all %s\n",
                line->port);
    free(probing.tried);
    return probing.found.count > 0 && print_found(&probing, beside) ? EXIT_DONE : EXIT_FAILED;
}

int command_probe(int argc, char **argv)
{
    struct arguments arguments = {.pack.port_name = "PORT"};
    const struct option_row rows[] = {{"all", 'a', .flag = &arguments.all},
                                      {"output", 'o', .text = &arguments.output},
                                      {"config", 'c', .text = &arguments.config},
                                      {"baud", 0, .text = &arguments.pack.baud},
                                      {"framing", 0, .text = &arguments.pack.framing},
                                      {"key-file", 0, .text = &arguments.pack.key_file},
                                      {"verbose", 'v', .flag = &arguments.verbose},
                                      {0}};
    log_set_level(LOG_LEVEL_ERROR);
    options_parse(argc, argv, rows, 1, usage);
    arguments.pack.port = argv[optind];
    const bool for_ports = arguments.all || arguments.output || arguments.pack.baud ||
                           arguments.pack.framing || arguments.pack.key_file;
    if (!arguments.pack.port && !for_ports)
        return list_ports(&arguments);
    if (!arguments.pack.port)
        return options_refuse(usage, "packgate probe: PORT is missing; `packgate probe` without "
                                     "options lists all ports");
    if (arguments.pack.key_file &&
        (!is_on_air(arguments.pack.port) || is_scan(arguments.pack.port)))
        return options_refuse(
            usage, "packgate probe: --key-file is for one Bluetooth device, ble:ADDRESS");
    if (is_scan(arguments.pack.port))
        return scan_devices(&arguments);
    if (arguments.output && access(arguments.output, F_OK) == 0)
        return options_refuse(NULL,
                              "packgate probe: --output: %s exists already and is not overwritten",
                              arguments.output);
    /* The configuration's own checks apply to the port. */
    arguments.pack.protocol = arguments.pack.key_file ? "victron-ble" : "daly";
    struct config *config = options_config("probe", &arguments.pack);
    struct config *beside = config ? load_beside(&arguments) : NULL;
    if (config)
        asking_warn_of_port("probe", arguments.config ? arguments.config : CONFIG_DEFAULT,
                            config->lines[0].port);
    const int status = !config || (arguments.config && !beside)
                           ? EXIT_USAGE
                           : probe(&config->lines[0], &arguments, beside);
    config_free(config);
    config_free(beside);
    return status;
}
