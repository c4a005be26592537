// SPDX-License-Identifier: MIT
/* `packgate probe PORT`: which protocol and address answer there, and the configuration to read
 * them with. */
#include "command.h"

#include "lines/search.h"
#include "base/log.h"

#include <getopt.h>
#include <stdlib.h>
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

struct probing {
    struct ev_loop *loop;
    const struct line_config *line;
    bool verbose;
    int status;
};

static int address_of(const struct bms_driver *driver, int address)
{
    return address >= 0 ? address : driver->address_default;
}

static void on_trying(void *data, const struct attempt *attempt)
{
    const struct probing *probing = data;
    const struct bms_driver *driver = attempt->driver;
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
    }
    ev_break(probing->loop, EVBREAK_ALL);
}

/* The port goes through the configuration's own checks. */
static struct config *config_for(const char *port, const char *baud, const char *framing)
{
    char text[PORT_SIZE + 200];
    int size =
        snprintf(text, sizeof text,
                 "[line port]\nport = %s%s\n%s%s\n%s%s\n[pack pack]\nline = port\nprotocol = daly\n"
                 "unit = 1\n",
                 command_port_prefix(port), port, baud ? "baud = " : "", baud ? baud : "",
                 framing ? "framing = " : "", framing ? framing : "");
    if (size < 0 || (size_t) size >= sizeof text) {
        fprintf(stderr, "packgate: the port's name is too long\n");
        return NULL;
    }
    return config_parse(text, "options", stderr);
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
