// SPDX-License-Identifier: MIT
/* `packgate limits`: examples for the section [limits], and what one would have allowed on a day of the past. */
#include "command.h"
#include "table.h"

#include "packs/limits.h"
#include "config/load.h"
#include "registers/value.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MOST 256
#define LASTS                                                                                      \
    1.5 /* times the usual time between two rows; without another row the values are stale */

static const char usage[] =
    "usage: packgate limits --example lfp\n"
    "       packgate limits --replay FILE.csv [-c FILE] [--csv] [NAME]\n\n"
    "Prints a section [limits] to begin with: compare it with the data sheet of the cells, what is "
    "not in it\n"
    "depends on the installation. Or works out what a section would have allowed, and why, for the "
    "rows of a\n"
    "history as `packgate export` prints it ('-' reads standard input).\n\n"
    "  NAME                 which [limits NAME]; not needed where there is only one\n"
    "  -e, --example KIND   lfp: lithium iron phosphate (LiFePO4)\n"
    "  -r, --replay FILE    the history of one pack\n"
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

/* ---- rows of a history ---- */

struct history {
    FILE *file;
    const char *path;
    struct value_ref columns[COLUMNS_MOST];
    bool known[COLUMNS_MOST]; /* columns that are values of a pack; the first one is the time */
    unsigned count, line;
    char *text;
    size_t size;
};

/* A row that has come, at its time and with what is in it. */
struct reading {
    double at;
    struct pack pack;
    char time[40]; /* as it stands in the file */
};

/* The next line without its end; false: there is none. */
static bool next_line(struct history *history)
{
    const ssize_t length = getline(&history->text, &history->size, history->file);
    if (length < 0)
        return false;
    history->text[strcspn(history->text, "\r\n")] = 0;
    history->line++;
    return true;
}

static bool fail(const struct history *history, const char *why)
{
    fprintf(stderr, "packgate limits: %s:%u: %s\n", history->path, history->line, why);
    return false;
}

static bool read_heading(struct history *history)
{
    if (!next_line(history))
        return fail(history, "empty; expected a history as CSV");
    char *rest = history->text;
    for (char *name; (name = strsep(&rest, ",")); history->count++) {
        if (history->count == COLUMNS_MOST)
            return fail(history, "too many columns");
        history->known[history->count] = value_find(name, &history->columns[history->count]) &&
                                         history->columns[history->count].kind == VALUE_NUMBER;
        if (history->count == 0 && strcmp(name, "time") != 0)
            return fail(history, "expected 'time' as the first column");
    }
    return true;
}

/* "2026-11-01T12:00:00+01:00", or seconds. */
static bool parse_time(const char *text, double *at)
{
    struct tm tm = {0};
    int used = 0, hours = 0, minutes = 0;
    char sign = '+', *end;
    *at = strtod(text, &end);
    if (end > text && *end == 0)
        return isfinite(*at);
    if (sscanf(text, "%d-%d-%dT%d:%d:%d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &used) != 6)
        return false;
    if (strcmp(text + used, "Z") != 0 &&
        sscanf(text + used, "%c%2d:%2d", &sign, &hours, &minutes) != 3)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *at = (double) timegm(&tm) - (sign == '-' ? -60 : 60) * (60 * hours + minutes);
    return sign == '-' || sign == '+';
}

/* A history has the average of the sensors alone, and no count of the cells. */
static void complete(struct pack *pack, unsigned sensors)
{
    unsigned cells = 0, temps = 0;
    for (int i = 0; i < MAX_CELLS; i++)
        cells += pack_known(pack, (enum pack_value)(CELL_MV + i));
    for (int i = 0; i < MAX_TEMPS; i++)
        temps += pack_known(pack, (enum pack_value)(TEMP_C + i));
    if (!pack_known(pack, CELL_COUNT) && cells > 0)
        pack_set(pack, CELL_COUNT, cells);
    for (unsigned n = 1; temps == 0 && n <= sensors && pack_known(pack, TEMP_AVG_C); n++)
        pack_set_temp(pack, n, pack->value[TEMP_AVG_C]);
    pack_derive(pack);
}

/* False: no more, or it was said what is wrong. */
static bool read_row(struct history *history, unsigned sensors, struct reading *reading, bool *good)
{
    if (!next_line(history))
        return false;
    char *rest = history->text, *item = strsep(&rest, ",");
    const double before = reading->at;
    pack_clear(&reading->pack);
    snprintf(reading->time, sizeof reading->time, "%s", item);
    *good = false;
    if (!parse_time(item, &reading->at))
        return fail(history, "no time; expected such as 2026-11-01T12:00:00Z, or seconds");
    if (reading->at <= before)
        return fail(history, "the time is not later than that of the row before");
    for (unsigned n = 1; n < history->count && (item = strsep(&rest, ",")); n++) {
        char *end;
        const double number = strtod(item, &end);
        if (*item && *end)
            return fail(history, "something that is no number");
        if (*item && history->known[n])
            pack_set(&reading->pack, (enum pack_value) history->columns[n].id, number);
    }
    complete(&reading->pack, sensors);
    *good = true;
    return true;
}

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
static void replay_row(struct replay *replay, const struct reading *row, double until)
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

static bool replay_rows(struct replay *replay, struct history *history)
{
    struct reading row = {.at = -INFINITY}, next;
    bool good = true;
    if (!read_row(history, replay->limits->sensors, &row, &good))
        return good && fail(history, "no rows");
    limits_init(&replay->state, replay->limits, row.at);
    replay->usual_s = INFINITY;
    next = row;
    while (read_row(history, replay->limits->sensors, &next, &good)) {
        replay->usual_s = fmin(replay->usual_s, next.at - row.at);
        replay_row(replay, &row, next.at);
        row = next;
    }
    if (good)
        replay_row(replay, &row, row.at + (isinf(replay->usual_s) ? 1 : replay->usual_s));
    return good;
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

static int replay(const struct limits_config *limits, const char *path, bool csv)
{
    struct history history = {.path = path};
    struct replay replay = {.limits = limits, .csv = csv};
    char *text = NULL;
    size_t size = 0;
    history.file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    replay.out = csv ? stdout : open_memstream(&text, &size);
    if (!history.file || !replay.out) {
        fprintf(stderr, "packgate limits: %s: %s\n", path, strerror(errno));
        return EXIT_FAILED;
    }
    fprintf(stderr, "A history has no alarms, switches and limits of the BMS, and of the sensors "
                    "their average alone: the\n"
                    "gateway may have allowed less.\n");
    fputs(csv ? "time,allowed_charge_voltage_v,allowed_charge_current_a,charge_limited_by,"
                "allowed_discharge_current_a,discharge_limited_by\n"
              : "TIME\tVOLTAGE V\tCHARGE A\tBY\tDISCHARGE A\tBY\n",
          replay.out);
    const bool good = read_heading(&history) && replay_rows(&replay, &history);
    if (!csv) {
        fclose(replay.out);
        if (good) {
            table_print(text);
            putchar('\n');
            print_shares(&replay);
        }
        free(text);
    }
    free(history.text);
    if (history.file != stdin)
        fclose(history.file);
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

static int replay_configured(const char *config_path, const char *name, const char *path, bool csv)
{
    struct config *config = config_load(config_path, stderr);
    if (!config)
        return EXIT_FAILED;
    const struct limits_config *limits = find_limits(config, name);
    const int status = limits ? replay(limits, path, csv) : EXIT_FAILED;
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
    static const struct option options[] = {
        {"example", required_argument, NULL, 'e'}, {"replay", required_argument, NULL, 'r'},
        {"config", required_argument, NULL, 'c'},  {"csv", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {0}};
    const char *example = NULL, *path = NULL, *config = CONFIG_DEFAULT;
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
        default:
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? EXIT_DONE : EXIT_USAGE;
        }
    }
    if (example && !path && optind == argc)
        return print_example(example);
    if (path && !example && argc - optind <= 1)
        return replay_configured(config, argv[optind], path, csv);
    fputs(usage, stderr);
    return EXIT_USAGE;
}
