// SPDX-License-Identifier: MIT
/* `packgate limits`: examples for the section [limits], and what one would have allowed on a day of the past. */
#include "past.h"

#include "commands/command.h"
#include "commands/exchange.h"
#include "commands/table.h"

#include "packs/limits.h"
#include "config/load.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LASTS                                                                                      \
    1.5 /* times the usual time between two rows; without another row the values are stale */
#define CELL_SETTLES_S                                                                             \
    4000 /* longer than the voltage of a cell moves, 1 mV a second from 1 to 5 V */

static const char usage[] =
    "usage: packgate limits --example lfp\n"
    "       packgate limits --replay FILE [-c FILE] [--csv] [--pack NAME] [--from TIME] [--to "
    "TIME] [NAME]\n"
    "\n"
    "Prints a section [limits] to begin with: compare it with the data sheet of the cells, what is "
    "not in it\n"
    "depends on the installation. Or works out what a section would have allowed, and why.\n"
    "\n"
    "  NAME                 which [limits NAME]; not needed where there is only one\n"
    "  -e, --example KIND   lfp: lithium iron phosphate (LiFePO4)\n"
    "  -r, --replay FILE    the history of a pack: its database, or CSV as `packgate export` "
    "prints it ('-' reads\n"
    "                       standard input); or a recorded exchange, *.exch\n"
    "      --pack NAME      which pack of the database (default: the one that the limits are of)\n"
    "      --from TIME, --to TIME\n"
    "                       of the database, as for `packgate export` (default: the last day)\n"
    "  -c, --config FILE    the configuration (default " CONFIG_DEFAULT ")\n"
    "      --csv            as CSV; otherwise a table and how much of the time each limit held\n"
    "Exit status: 0, 1 when something could not be read, 2 for a wrong call.\n";

/* In the words of the configuration, so that it can be copied. */
static const char lfp[] =
    "[limits NAME]\n"
    "; For lithium iron phosphate (LiFePO4). Compare it with the data sheet of your cells. These "
    "five are those of your\n"
    "; installation:\n"
    ";of = NAME                  ; the pack or bank\n"
    ";charge_current =           ; A, the most that cables, fuses and cells may be charged with\n"
    ";discharge_current =        ; A, the same for discharging\n"
    ";cells =                    ; in series\n"
    ";sensors =                  ; temperature sensors of each pack, all of which must be known\n"
    "cell_full = 3.45\n"
    "cell_float = 3.375\n"
    "soc_again = 90\n"
    "cell_high = 3.375:1, 3.40:0.25, 3.425:0.05, 3.45:0.005, 3.50:0\n"
    "cell_low = 3.19:1, 3.10:0.25, 3.00:0.05, 2.90:0.005, 2.80:0\n"
    "temperature = 0:0, 2:0.25, 5:0.5, 10:1, 40:1, 45:0.5, 50:0.25, 55:0\n"
    "; Only where the BMS reports them:\n"
    ";mos_temperature = 70:1, 80:0.25, 90:0\n"
    ";soc_high = 95:1, 100:0.2\n"
    ";soc_low = 10:0, 20:1\n"
    ";soc_ceiling = 90\n"
    ";full_every = 14d\n";

/* ---- what would have been allowed ---- */

struct replay {
    const struct limits_config *limits;
    struct limits_state state;
    double usual_s; /* between two rows */
    double held_s[LIMIT_REASON_COUNT][LIMITS_DIRECTIONS];
    double total_s;
    bool csv;
    FILE *out;
};

static void count(struct replay *replay, const struct map_allowed *allowed, double seconds)
{
    replay->held_s[allowed->charge_limited_by][LIMITS_CHARGE] += seconds;
    replay->held_s[allowed->discharge_limited_by][LIMITS_DISCHARGE] += seconds;
    replay->total_s += seconds;
}

static void print_number(FILE *out, double number, int decimals)
{
    if (!isnan(number))
        fprintf(out, "%.*f", decimals, number);
}

static void print_row(const struct replay *replay, const char *time,
                      const struct map_allowed *allowed)
{
    const char between = replay->csv ? ',' : '\t';
    fprintf(replay->out, "%s%c", time, between);
    print_number(replay->out, allowed->charge_voltage_v, 3);
    fputc(between, replay->out);
    print_number(replay->out, allowed->charge_current_a, 2);
    fprintf(replay->out, "%c%s%c", between, map_limit_reason_name(allowed->charge_limited_by),
            between);
    print_number(replay->out, allowed->discharge_current_a, 2);
    fprintf(replay->out, "%c%s\n", between, map_limit_reason_name(allowed->discharge_limited_by));
}

/* A row stands for the time up to the next one, seen each second as the gateway would, and is stale when that does not come. */
static void replay_row(struct replay *replay, const struct past_row *row, double until)
{
    struct map_allowed allowed = {0};
    bool fresh = true;
    for (double now = row->at; fresh && now < until; now++) {
        fresh = now - row->at <= LASTS * replay->usual_s;
        const struct limits_pack pack = {
            .values = &row->pack, .fresh = fresh, .stale_after_s = INFINITY};
        allowed = limits_update(replay->limits, &pack, 1, 1, &replay->state, now);
        count(replay, &allowed, fresh ? fmin(1, until - now) : until - now);
    }
    print_row(replay, row->time, &allowed);
}

static void replay_rows(struct replay *replay, struct past *past)
{
    struct past_row row, next;
    const unsigned sensors = replay->limits->sensors;
    if (!past_next(past, sensors, &row))
        return;
    limits_init(&replay->state, replay->limits, row.at);
    replay->usual_s = INFINITY;
    while (past_next(past, sensors, &next)) {
        replay->usual_s = fmin(replay->usual_s, next.at - row.at);
        replay_row(replay, &row, next.at);
        row = next;
    }
    replay_row(replay, &row, row.at + (isinf(replay->usual_s) ? 1 : replay->usual_s));
}

static bool replay_history(struct replay *replay, const char *path, const struct past_ask *ask)
{
    struct past *past = past_open(path, ask);
    if (!past)
        return false;
    fprintf(stderr, "A history has no alarms, switches and limits of the BMS, and only the average "
                    "of the sensors: the\n"
                    "gateway may have allowed less.\n");
    replay_rows(replay, past);
    if (!past_close(past))
        return false;
    if (replay->total_s == 0)
        fprintf(stderr, "packgate limits: %s: no rows\n", path);
    return replay->total_s > 0;
}

/* One moment, which lasts until nothing rises any more. */
static bool replay_exchange(struct replay *replay, const char *path)
{
    struct exchange *exchange = exchange_load(path);
    struct reply_counters counters;
    struct map_allowed allowed;
    struct pack pack;
    struct bms bms;
    if (!exchange)
        return false;
    bms_init(&bms, exchange->driver);
    exchange_replay(exchange, &bms, &pack, &counters);
    exchange_free(exchange);
    fprintf(stderr,
            "An exchange has no times: this is what is allowed while its values do not change.\n");
    const struct limits_pack fresh = {.values = &pack, .fresh = true, .stale_after_s = INFINITY};
    double now = 0;
    limits_init(&replay->state, replay->limits, now);
    do
        allowed = limits_update(replay->limits, &fresh, 1, 1, &replay->state, now++);
    while (now < CELL_SETTLES_S || allowed.charge_limited_by == LIMITED_BY_RAMP ||
           allowed.discharge_limited_by == LIMITED_BY_RAMP);
    print_row(replay, "", &allowed);
    return true;
}

static void print_shares(const struct replay *replay)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    fprintf(out, "LIMITED BY\tCHARGE\tDISCHARGE\n");
    for (unsigned i = 0; i < LIMIT_REASON_COUNT; i++)
        if (replay->held_s[i][LIMITS_CHARGE] + replay->held_s[i][LIMITS_DISCHARGE] > 0)
            fprintf(out, "%s\t%.1f %%\t%.1f %%\n", map_limit_reason_name((enum limit_reason) i),
                    100 * replay->held_s[i][LIMITS_CHARGE] / replay->total_s,
                    100 * replay->held_s[i][LIMITS_DISCHARGE] / replay->total_s);
    fclose(out);
    table_print(text);
    free(text);
}

static bool is_exchange(const char *path)
{
    const char *end = strrchr(path, '.');
    return end && strcmp(end, ".exch") == 0;
}

static int replay(const struct limits_config *limits, const char *path, const struct past_ask *ask,
                  bool csv)
{
    struct replay replay = {.limits = limits, .csv = csv};
    char *text = NULL;
    size_t size = 0;
    replay.out = csv ? stdout : open_memstream(&text, &size);
    if (!replay.out) {
        fprintf(stderr, "packgate limits: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    fputs(csv ? "time,allowed_charge_voltage_v,allowed_charge_current_a,charge_limited_by,"
                "allowed_discharge_current_a,discharge_limited_by\n"
              : "TIME\tVOLTAGE V\tCHARGE A\tBY\tDISCHARGE A\tBY\n",
          replay.out);
    const bool good =
        is_exchange(path) ? replay_exchange(&replay, path) : replay_history(&replay, path, ask);
    if (!csv) {
        fclose(replay.out);
        if (good)
            table_print(text);
        if (good && replay.total_s > 0) {
            putchar('\n');
            print_shares(&replay);
        }
        free(text);
    }
    return good ? EXIT_DONE : EXIT_FAILED;
}

/* NULL: which one is not known; it was said. */
static const struct limits_config *find_limits(const struct config *config, const char *name)
{
    for (unsigned i = 0; name && i < config->limits_count; i++)
        if (strcmp(config->limits[i].name, name) == 0)
            return &config->limits[i];
    if (!name && config->limits_count == 1)
        return config->limits;
    fprintf(stderr,
            name ? "packgate limits: there is no [limits %s]\n"
                 : "packgate limits: expected the name of a [limits NAME]\n",
            name);
    return NULL;
}

static int replay_configured(const char *config_path, const char *name, const char *path,
                             struct past_ask ask, bool csv)
{
    struct config *config = config_load(config_path, stderr);
    if (!config)
        return EXIT_FAILED;
    const struct limits_config *limits = find_limits(config, name);
    if (limits && !ask.pack)
        ask.pack = limits->of;
    const int status = limits ? replay(limits, path, &ask, csv) : EXIT_FAILED;
    config_free(config);
    return status;
}

static int print_example(const char *kind)
{
    if (strcmp(kind, "lfp") == 0) {
        fputs(lfp, stdout);
        return EXIT_DONE;
    }
    fprintf(stderr, "packgate limits: no example '%s'; expected lfp\n", kind);
    return EXIT_USAGE;
}

int command_limits(int argc, char **argv)
{
    static const struct option options[] = {{"example", required_argument, NULL, 'e'},
                                            {"replay", required_argument, NULL, 'r'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"csv", no_argument, NULL, 'v'},
                                            {"pack", required_argument, NULL, 'p'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"to", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *example = NULL, *path = NULL, *config = CONFIG_DEFAULT;
    struct past_ask ask = {0};
    bool csv = false;
    for (int option; (option = getopt_long(argc, argv, "e:r:c:h", options, NULL)) != -1;) {
        switch (option) {
        case 'e':
            example = optarg;
            break;
        case 'r':
            path = optarg;
            break;
        case 'c':
            config = optarg;
            break;
        case 'v':
            csv = true;
            break;
        case 'p':
            ask.pack = optarg;
            break;
        case 'f':
            ask.from = optarg;
            break;
        case 't':
            ask.to = optarg;
            break;
        default:
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? EXIT_DONE : EXIT_USAGE;
        }
    }
    if (example && !path && optind == argc)
        return print_example(example);
    if (path && !example && argc - optind <= 1)
        return replay_configured(config, argv[optind], path, ask, csv);
    fputs(usage, stderr);
    return EXIT_USAGE;
}
