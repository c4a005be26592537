// SPDX-License-Identifier: MIT
/* `packgate probe PORT`: which protocol and address answer there, and the configuration to read
 * them with. */
#include "command.h"
#include "options.h"

#include "lines/search.h"
#include "base/log.h"

#include <getopt.h>
#include <string.h>

static const char usage[] =
    "usage: packgate probe [--baud N] [--framing 8N1] [-v] PORT\n\n"
    "Tries all protocols at their usual settings on PORT (serial:/dev/... or tcp://host:port) for "
    "up to 20 s and\n"
    "prints the configuration of what answers. Nothing is set or switched.\n"
    "      --baud N       tries this rate only (a TCP serial server has its own setting)\n"
    "      --framing 8N1  data bits, parity and stop bits\n"
    "  -v, --verbose      says what is being tried\n"
    "Exit status: 0 found, 1 nothing answered, 2 for a wrong call.\n";

#define MOST_TRIED 256

struct probing {
    struct ev_loop *loop;
    const struct line_config *line;
    bool verbose;
    int status;
    struct tried {
        const struct bms_driver *driver;
        int address;     /* -1: the protocol has none */
    } tried[MOST_TRIED]; /* each once */
    unsigned tried_count;
};

static int address_of(const struct bms_driver *driver, int address)
{
    return address >= 0 ? address : driver->address_default;
}

static void note_tried(struct probing *probing, const struct attempt *attempt)
{
    const struct bms_driver *driver = attempt->driver;
    int address = bms_has_address(driver) ? address_of(driver, attempt->guess.address) : -1;
    for (unsigned i = 0; i < probing->tried_count; i++)
        if (probing->tried[i].driver == driver && probing->tried[i].address == address)
            return;
    if (probing->tried_count < MOST_TRIED)
        probing->tried[probing->tried_count++] = (struct tried){driver, address};
}

/* "daly at 1, jbd, topbms at 0 1 2": in the order of the list of drivers. */
static void print_tried(const struct probing *probing)
{
    const char *before = "tried ";
    for (unsigned d = 0; bms_drivers[d]; d++) {
        unsigned count = 0;
        for (unsigned i = 0; i < probing->tried_count; i++) {
            if (probing->tried[i].driver != bms_drivers[d])
                continue;
            if (count++ == 0)
                fprintf(stderr, "%s%s", before, bms_drivers[d]->name);
            if (probing->tried[i].address >= 0)
                fprintf(stderr, "%s %d", count == 1 ? " at address" : ",",
                        probing->tried[i].address);
            before = "; ";
        }
    }
    fprintf(stderr,
            "\nto try another address: packgate read --port %s --protocol NAME --address N\n",
            probing->line->port);
}

static void on_trying(void *data, const struct attempt *attempt)
{
    struct probing *probing = data;
    const struct bms_driver *driver = attempt->driver;
    note_tried(probing, attempt);
    if (!probing->verbose)
        return;
    fprintf(stderr, "trying %s", driver->name);
    if (bms_has_address(driver))
        fprintf(stderr, ", address %d", address_of(driver, attempt->guess.address));
    if (driver->variants)
        fprintf(stderr, ", variant %s", driver->variants[attempt->guess.variant]);
    fprintf(stderr, ", %u baud\n", attempt->baud);
}

static void print_found(const struct probing *probing, const struct search_found *found)
{
    const struct bms_driver *driver = found->driver;
    const struct pack *values = found->values;
    printf("; %s", driver->title);
    if (pack_known(values, VOLTAGE_V))
        printf(", %.2f V", values->value[VOLTAGE_V]);
    if (pack_known(values, CELL_COUNT))
        printf(", %.0f cells", values->value[CELL_COUNT]);
    if (pack_known(values, SOC_PERCENT))
        printf(", SOC %.1f %%", values->value[SOC_PERCENT]);
    printf("\n[line line-1]\nport = %s\n", probing->line->port);
    if (found->baud != driver->line.baud)
        printf("baud = %u\n", found->baud);
    if (strcmp(found->framing, driver->line.framing) != 0)
        printf("framing = %s\n", found->framing);
    printf("\n[pack pack-1]\nline = line-1\nprotocol = %s\n", driver->name);
    if (bms_has_address(driver))
        printf("address = %d\n", address_of(driver, found->options.address));
    if (driver->variants && found->options.variant > 0)
        printf("variant = %s\n", driver->variants[found->options.variant]);
    printf("unit = 1\n");
}

static void on_done(void *data, const struct search_found *found, const char *why)
{
    struct probing *probing = data;
    if (found) {
        print_found(probing, found);
        probing->status = EXIT_DONE;
    } else {
        fprintf(stderr, "packgate: %s: %s\n", probing->line->port, why);
        /* With the first attempt alone the port did not even open. */
        if (probing->tried_count > 1)
            print_tried(probing);
    }
    ev_break(probing->loop, EVBREAK_ALL);
}

/* The port goes through the configuration's own checks. */
static struct config *config_for(const char *port, const char *baud, const char *framing)
{
    char full_port[PORT_SIZE];
    const struct option_line lines[] = {
        {NULL, NULL, "[line port]"}, {"PORT", "port", options_port(port, full_port)},
        {"--baud", "baud", baud},    {"--framing", "framing", framing},
        {NULL, NULL, "[pack pack]"}, {NULL, "line", "port"},
        {NULL, "protocol", "daly"},  {NULL, "unit", "1"},
    };
    return options_config("probe", lines, sizeof lines / sizeof *lines);
}

static int probe(const struct line_config *line, bool verbose)
{
    static const struct search_events events = {.trying = on_trying, .done = on_done};
    struct probing probing = {
        .loop = ev_default_loop(0), .line = line, .verbose = verbose, .status = EXIT_FAILED};
    struct search *search = search_new(probing.loop, line, &events, &probing);
    if (!search)
        return EXIT_FAILED;
    ev_run(probing.loop, 0);
    search_free(search);
    return probing.status;
}

int command_probe(int argc, char **argv)
{
    static const struct option options[] = {{"baud", required_argument, NULL, 'b'},
                                            {"framing", required_argument, NULL, 'f'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *baud = NULL, *framing = NULL;
    bool verbose = false;
    log_set_level(LOG_LEVEL_ERROR);
    for (int option; (option = getopt_long(argc, argv, "vh", options, NULL)) != -1;) {
        if (option == 'b') {
            baud = optarg;
        } else if (option == 'f') {
            framing = optarg;
        } else if (option == 'v') {
            verbose = true;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? EXIT_DONE : EXIT_USAGE;
        }
    }
    if (optind != argc - 1) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    struct config *config = config_for(argv[optind], baud, framing);
    if (!config)
        return EXIT_USAGE;
    int status = probe(&config->lines[0], verbose);
    config_free(config);
    return status;
}
