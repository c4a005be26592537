// SPDX-License-Identifier: MIT
/* `packgate limits`: examples for the section [limits], and the replay of a section on earlier
 * values. */
#include "replay.h"

#include "commands/command.h"
#include "commands/options.h"
#include "commands/exchange.h"
#include "commands/table.h"

#include "outlets/program.h"
#include "config/keys.h"
#include "config/load.h"
#include "base/alloc.h"
#include "registers/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define COLUMNS_MOST 256
#define MINUTE_S 60
#define CELL_SETTLES_S 4000 /* s; enough for a cell limit to move from 1 to 5 V at 1 mV a second */

static const char usage[] =
    "usage: packgate limits --example lfp\n"
    "       packgate limits --replay FILE [-c FILE] [--csv] [--pack NAME] [--from TIME] [--to "
    "TIME] [NAME]\n\n"
    "Prints a section [limits] to start from: compare it with the data sheet of the cells; missing "
    "keys depend\n"
    "on the installation. Or computes what a section would have allowed, and why.\n\n"
    "  NAME                 the [limits NAME]; can be omitted if there is only one\n"
    "  -e, --example KIND   lfp: lithium iron phosphate (LiFePO4)\n"
    "  -r, --replay FILE    the database of a history, or the CSV of a pack from `packgate export` "
    "('-' reads\n"
    "                       standard input); or a recorded exchange, *.exch\n"
    "      --pack NAME      the pack of the database; by default the one to which the limits "
    "apply, or "
    "all packs of a bank\n"
    "      --from TIME, --to TIME\n"
    "                       of the database, as for `packgate export`; the last day by default\n"
    "  -c, --config FILE    the configuration, " CONFIG_DEFAULT " by default\n"
    "      --csv            as CSV; otherwise a table and how much of the time each limit held\n"
    "Exit status: 0, 1 when something could not be read, 2 for a wrong call.\n";

/* As a section of the configuration, to be copied. */
static const char lfp[] =
    "[limits NAME]\n"
    "; For lithium iron phosphate (LiFePO4). Compare it with the data sheet of your cells. NAME "
    "is the pack or bank; these\n"
    "; four are those of your installation:\n"
    ";charge_current =           ; A, the most that cables, fuses and cells may be charged with\n"
    ";discharge_current =        ; A, the same for discharging\n"
    ";cells =                    ; in series\n"
    ";sensors =                  ; temperature sensors of each pack, all of which must be known\n"
    "cell_full = 3.45\n"
    "cell_float = 3.375, 90%\n"
    "cell_high = 3.375:1, 3.40:0.25, 3.425:0.05, 3.45:0.005, 3.50:0\n"
    "cell_low = 3.19:1, 3.10:0.25, 3.00:0.05, 2.90:0.005, 2.80:0\n"
    "temperature = 0:0, 2:0.25, 5:0.5, 10:1, 40:1, 45:0.5, 50:0.25, 55:0\n"
    "; Only where the BMS reports them:\n"
    ";mos_temperature = 70:1, 80:0.25, 90:0\n"
    ";soc_high = 95:1, 100:0.2\n"
    ";soc_low = 10:0, 20:1\n"
    ";soc_ceiling = 90, 14d\n"
    "; What stale values allow: nothing, or discharge, as before for 10 s:\n"
    ";on_stale = stop\n";

/* The rows to read from a database; a CSV is read whole. NULL: the default of `packgate export`. */
struct past_ask {
    const char *pack, *from, *to;
};

/* Earlier values of a pack, row by row: a history as CSV, as printed by `packgate export`, or its database, which
 * packgate-outlet-history reads. */
struct past {
    FILE *file;
    const char *path;
    pid_t reader; /* of the database; 0: the file is CSV */
    struct value_ref columns[COLUMNS_MOST];
    bool known[COLUMNS_MOST]; /* columns that are values of a pack; the first one is the time */
    unsigned count, line;
    unsigned sensors; /* with their average, at least so many temperatures are known */
    double last_at;
    bool good;
    char *text;
    size_t size;
};

/* Reads the next line without its end; false: there is none. */
static bool read_csv_line(struct past *past)
{
    const ssize_t length = getline(&past->text, &past->size, past->file);
    if (length < 0)
        return false;
    past->text[strcspn(past->text, "\r\n")] = 0;
    past->line++;
    return true;
}

static bool reject(struct past *past, const char *why)
{
    fprintf(stderr, "packgate limits: %s:%u: %s\n", past->path, past->line, why);
    past->good = false;
    return false;
}

static bool read_heading(struct past *past)
{
    if (!read_csv_line(past)) {
        if (past->reader) /* which said why */
            return past->good = false;
        return reject(past, "empty; expected a history as CSV");
    }
    char *rest = past->text;
    for (char *name; (name = strsep(&rest, ",")); past->count++) {
        if (past->count == COLUMNS_MOST)
            return reject(past, "too many columns");
        past->known[past->count] = value_find(name, &past->columns[past->count]) &&
                                   past->columns[past->count].kind == VALUE_NUMBER;
        if (past->count == 0 && strcmp(name, "time") != 0)
            return reject(past, "expected 'time' as the first column");
    }
    return true;
}

/* Whether the file is the database of a history, which can contain several packs; a CSV contains one. */
static bool past_is_database(const char *path)
{
    static const char magic[] = "SQLite format 3";
    char head[sizeof magic];
    FILE *file = strcmp(path, "-") == 0 ? NULL : fopen(path, "r");
    const bool found = file && fread(head, 1, sizeof head, file) == sizeof head &&
                       memcmp(head, magic, sizeof head) == 0;
    if (file)
        fclose(file);
    return found;
}

/* False: something could not be read; the error was printed. */
static bool past_close(struct past *past)
{
    int status = 0;
    if (past->file && past->file != stdin)
        fclose(past->file);
    if (past->reader > 0 && waitpid(past->reader, &status, 0) == past->reader && status != 0)
        past->good = false;
    const bool good = past->good;
    free(past->text);
    free(past);
    return good;
}

/* Opens a file; "-" is CSV on standard input. NULL: the error was printed. */
static struct past *past_open(const char *path, const struct past_ask *ask)
{
    struct past *past = alloc_zeroed(1, sizeof *past);
    *past = (struct past){.path = path, .good = true, .last_at = -INFINITY};
    if (past_is_database(path)) {
        const char *list[11] = {NULL, "export", "--file", path, "--pack", ask->pack};
        int count = 6;
        if (ask->from) {
            list[count++] = "--from";
            list[count++] = ask->from;
        }
        if (ask->to) {
            list[count++] = "--to";
            list[count++] = ask->to;
        }
        past->file = program_open("history", list, "packgate limits", false, &past->reader);
    } else {
        past->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    }
    if (!past->file)
        fprintf(stderr, "packgate limits: %s: %s\n", path, strerror(errno));
    if (past->file && read_heading(past))
        return past;
    past_close(past);
    return NULL;
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

/* Reads the next row. False: there is none; past_close returns whether that is the end. */
static bool past_next(void *data, struct past_row *row)
{
    struct past *past = data;
    if (!read_csv_line(past))
        return false;
    char *rest = past->text, *item = strsep(&rest, ",");
    pack_clear(&row->pack);
    snprintf(row->time, sizeof row->time, "%s", item);
    if (!parse_time(item, &row->at))
        return reject(past, "not a time; expected one such as 2026-11-01T12:00:00Z, or seconds");
    if (row->at <= past->last_at)
        return reject(past, "the time is not later than that of the row before");
    for (unsigned n = 1; n < past->count && (item = strsep(&rest, ",")); n++) {
        char *end;
        const double number = strtod(item, &end);
        if (*item && *end)
            return reject(past, "not a number");
        if (*item && past->known[n])
            pack_set(&row->pack, (enum pack_value) past->columns[n].id, number);
    }
    /* A history has only the average of the sensors, and no number of cells. */
    struct pack *pack = &row->pack;
    unsigned cells = 0, temps = 0;
    for (int i = 0; i < MAX_CELLS; i++)
        cells += pack_known(pack, (enum pack_value)(CELL_MV + i));
    for (int i = 0; i < MAX_TEMPS; i++)
        temps += pack_known(pack, (enum pack_value)(TEMP_C + i));
    if (!pack_known(pack, CELL_COUNT) && cells > 0)
        pack_set(pack, CELL_COUNT, cells);
    for (unsigned n = 1; temps == 0 && n <= past->sensors && pack_known(pack, TEMP_AVG_C); n++)
        pack_set_temp(pack, n, pack->value[TEMP_AVG_C]);
    pack_derive(pack);
    past->last_at = row->at;
    return true;
}

struct print {
    const struct limits_config *limits;
    const struct bank_config *bank; /* NULL: of a pack */
    struct replay *replay;
    bool csv;
    FILE *out;
};

static void print_number(const struct print *print, double number, int decimals)
{
    fputc(print->csv ? ',' : '\t', print->out);
    if (!isnan(number))
        fprintf(print->out, "%.*f", decimals, number);
}

/* The name of the pack that limits the bank; "": none. */
static const char *name_of(const struct print *print, unsigned pack)
{
    return print->bank && pack > 0 ? print->bank->packs[pack - 1]->name : "";
}

static void print_reason(const struct print *print, enum limit_reason reason, unsigned pack)
{
    const char *name = name_of(print, pack);
    fprintf(print->out, "%c%s", print->csv ? ',' : '\t', map_limit_reason_name(reason));
    if (!print->csv && *name)
        fprintf(print->out, " of %s", name);
}

static void print_row(const struct print *print, const char *time,
                      const struct map_allowed *allowed)
{
    fputs(time, print->out);
    print_number(print, allowed->charge_voltage_v, 3);
    print_number(print, allowed->charge_current_a, 2);
    print_reason(print, allowed->charge_limited_by, allowed->charge_limited_pack);
    print_number(print, allowed->discharge_current_a, 2);
    print_reason(print, allowed->discharge_limited_by, allowed->discharge_limited_pack);
    if (print->csv && print->bank)
        fprintf(print->out, ",%s,%s", name_of(print, allowed->charge_limited_pack),
                name_of(print, allowed->discharge_limited_pack));
    fputc('\n', print->out);
}

static bool replay_history(const struct print *print, const struct config *config, const char *path,
                           const struct past_ask *ask)
{
    struct replay *replay = print->replay;
    const unsigned count = print->bank ? print->bank->pack_count : 1;
    bool good = true;
    replay->limits = print->limits;
    replay->needed = print->bank ? print->bank->min_packs : 1;
    for (unsigned i = 0; i < count; i++) {
        struct past_ask of_pack = *ask;
        if (print->bank)
            of_pack.pack = print->bank->packs[i]->name;
        const struct limits_config *own =
            print->bank ? config_limits_of(config, of_pack.pack) : NULL;
        struct past *past = past_open(path, &of_pack);
        if (!(good = past))
            break;
        past->sensors =
            own && own->sensors > print->limits->sensors ? own->sensors : print->limits->sensors;
        /* Rows of the database exist for each minute in which the pack answered. */
        const struct pack_config *known = config_struct_find(config, &pack_section, of_pack.pack);
        const double every_s =
            known && known->poll_s > MINUTE_S ? MINUTE_S + known->poll_s : MINUTE_S;
        replay->packs[replay->count++] =
            (struct replay_pack){.next = past_next,
                                 .data = past,
                                 .every_s = past_is_database(path) ? every_s : (double) NAN,
                                 .own = own};
    }
    if (good) {
        fprintf(stderr,
                "A history has no alarms, switches and limits of the BMS, and only the average "
                "of the sensors: the\n"
                "gateway may have allowed less.\n");
        const char *time;
        struct map_allowed allowed;
        replay_start(replay);
        while (replay_next(replay, &time, &allowed))
            print_row(print, time, &allowed);
    }
    for (unsigned i = 0; i < replay->count; i++)
        good &= past_close(replay->packs[i].data);
    if (good && replay->total_s == 0)
        fprintf(stderr, "packgate limits: %s: no rows\n", path);
    return good && replay->total_s > 0;
}

/* Replays one moment until no limit rises any more. */
static bool replay_exchange(const struct print *print, const char *path)
{
    struct exchange *exchange = exchange_load(path);
    struct reply_counters counters;
    struct limits_state state;
    struct map_allowed allowed;
    struct pack pack;
    struct bms bms;
    if (!exchange)
        return false;
    bms_init(&bms, exchange->driver);
    bms.options.variant = exchange->variant;
    exchange_replay(exchange, &bms, &pack, &counters);
    exchange_free(exchange);
    fprintf(stderr,
            "An exchange has no times: this is what is allowed while its values do not change.\n");
    const struct limits_pack fresh = {.values = &pack, .fresh = true, .stale_after_s = INFINITY};
    double now = 0;
    limits_init(&state, print->limits, now);
    do
        allowed = limits_update(print->limits, &fresh, 1, 1, &state, now++);
    while (now < CELL_SETTLES_S || allowed.charge_limited_by == LIMITED_BY_RAMP ||
           allowed.discharge_limited_by == LIMITED_BY_RAMP);
    print_row(print, "", &allowed);
    return true;
}

static bool is_exchange(const char *path)
{
    const char *end = strrchr(path, '.');
    return end && strcmp(end, ".exch") == 0;
}

static bool print_replay(struct print *print, const struct config *config, const char *path,
                         const struct past_ask *ask)
{
    struct table table = {.out = stdout};
    if (print->csv)
        printf("time,allowed_charge_voltage_v,allowed_charge_current_a,charge_limited_by,"
               "allowed_discharge_current_a,discharge_limited_by%s\n",
               print->bank ? ",charge_limited_pack,discharge_limited_pack" : "");
    else
        table_begin(&table, "TIME\tVOLTAGE V\tCHARGE A\tBY\tDISCHARGE A\tBY");
    print->out = table.out;
    const bool good =
        is_exchange(path) ? replay_exchange(print, path) : replay_history(print, config, path, ask);
    if (!print->csv)
        table_end(&table, good ? "" : NULL, "");
    if (print->csv || !good)
        return good;
    const struct replay *replay = print->replay;
    table_begin(&table, "LIMITED BY\tCHARGE\tDISCHARGE");
    for (unsigned i = 0; i < LIMIT_REASON_COUNT; i++)
        if (replay->held_s[i][LIMITS_CHARGE] + replay->held_s[i][LIMITS_DISCHARGE] > 0)
            fprintf(table.out, "%s\t%.1f %%\t%.1f %%\n",
                    map_limit_reason_name((enum limit_reason) i),
                    100 * replay->held_s[i][LIMITS_CHARGE] / replay->total_s,
                    100 * replay->held_s[i][LIMITS_DISCHARGE] / replay->total_s);
    table_end(&table, "\n", "");
    return true;
}

static bool replay(const struct config *config, const struct limits_config *limits,
                   const char *path, struct past_ask ask, bool csv)
{
    static struct replay past;
    struct print print = {.limits = limits, .replay = &past, .csv = csv};
    /* A bank is computed from its packs, of which only a database has rows of the same time. */
    if (!is_exchange(path) && (!ask.pack || strcmp(ask.pack, limits->of) == 0))
        print.bank = config_struct_find(config, &bank_section, limits->of);
    if (print.bank && !past_is_database(path)) {
        fprintf(stderr,
                "packgate limits: %s has one pack, and %s is a bank; expected the database of its "
                "history, or --pack with the pack whose rows these are: it then gets the whole "
                "current\n",
                path, limits->of);
        return false;
    }
    if (!ask.pack)
        ask.pack = limits->of;
    return print_replay(&print, config, path, &ask);
}

int command_limits(int argc, char **argv)
{
    const char *example = NULL, *path = NULL, *config_path = CONFIG_DEFAULT;
    struct past_ask ask = {0};
    bool csv = false;
    const struct option_row rows[] = {{"example", 'e', .text = &example},
                                      {"replay", 'r', .text = &path},
                                      {"config", 'c', .text = &config_path},
                                      {"csv", 0, .flag = &csv},
                                      {"pack", 0, .text = &ask.pack},
                                      {"from", 0, .text = &ask.from},
                                      {"to", 0, .text = &ask.to},
                                      {0}};
    options_parse(argc, argv, rows, 1, usage);
    if (example && !path && optind == argc) {
        if (strcmp(example, "lfp") == 0) {
            fputs(lfp, stdout);
            return EXIT_DONE;
        }
        return options_refuse(NULL, "packgate limits: no example '%s'; expected lfp", example);
    }
    if (!path || example) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    struct config *config = config_load(config_path, stderr);
    const char *name = argv[optind];
    const struct limits_config *limits = NULL;
    if (config && name)
        limits = config_struct_find(config, &limits_section, name);
    else if (config && config->limits_count == 1)
        limits = config->limits;
    if (config && !limits)
        fprintf(stderr,
                name ? "packgate limits: there is no [limits %s]\n"
                     : "packgate limits: expected the name of a [limits NAME]\n",
                name);
    const bool good = limits && replay(config, limits, path, ask, csv);
    config_free(config);
    return good ? EXIT_DONE : EXIT_FAILED;
}
