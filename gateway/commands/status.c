// SPDX-License-Identifier: MIT
/* `packgate status` and `packgate health`: show the status of the running gateway. */
#include "asking.h"
#include "command.h"
#include "options.h"
#include "table.h"

#include "base/duration.h"
#include "packs/json.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WATCH_S 2

static const char usage[] =
    "usage: packgate status [-c FILE] [--json] [--watch]\n\n"
    "Shows the status of the running gateway: lines, packs and banks, limits, pushes, "
    "outlets, Modbus\nclients. The gateway itself answers; the lines are not used.\n"
    "  -c, --config FILE   the gateway of this configuration, " CONFIG_DEFAULT " by default\n"
    "      --control PATH  the gateway behind this control socket\n"
    "      --json          everything as one JSON object\n"
    "  -w, --watch         repeats every 2 seconds until it is interrupted\n"
    "Exit status: 0, 1 when no gateway answers, 2 for a wrong call.\n";

static const char health_usage[] =
    "usage: packgate health [-c FILE]\n\n"
    "Checks that the gateway runs and answers, for containers and scripts.\n"
    "  -c, --config FILE   the gateway of this configuration, " CONFIG_DEFAULT " by default\n"
    "      --control PATH  the gateway behind this control socket\n"
    "Exit status: 0 when it does, 1 when it does not, 2 for a wrong call.\n";

/* ---- cells of the tables ---- */

static void write_number(FILE *out, const json_t *object, const char *name, const char *unit,
                         int decimals)
{
    double value = asking_number(object, name);
    if (isnan(value))
        fprintf(out, "\t-");
    else
        fprintf(out, "\t%.*f%s%s", decimals, value, unit[0] ? " " : "", unit);
}

static void write_count(FILE *out, const json_t *object, const char *name)
{
    write_number(out, object, name, "", 0);
}

static void write_bytes(FILE *out, const json_t *object, const char *name)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double bytes = asking_number(object, name);
    size_t unit = 0;
    for (; bytes >= 10000 && unit < 4; unit++)
        bytes /= 1000;
    if (isnan(bytes))
        fprintf(out, "\t-");
    else
        fprintf(out, "\t%.0f %s", bytes, units[unit]);
}

static void write_since(FILE *out, const json_t *object, const char *name, double now)
{
    char span[DURATION_SIZE];
    fprintf(out, "\t%s", duration_words(fmax(now - asking_number(object, name), 0), span));
}

/* The last cell of a row: the last error and its age. */
static void write_error(FILE *out, const json_t *object, double now)
{
    const char *words = asking_text(object, "error");
    double at = asking_number(object, "error_at");
    char span[DURATION_SIZE];
    fprintf(out, "\t%s", words[0] ? words : "-");
    if (words[0] && !isnan(at))
        fprintf(out, " (%s ago)", duration_words(fmax(now - at, 0), span));
    fputc('\n', out);
}

/* ---- the tables ---- */

static void write_lines(const json_t *status, double now, FILE *out)
{
    size_t i;
    json_t *line;
    if (json_array_size(json_object_get(status, "lines")) == 0)
        return;
    fprintf(out, "LINE\tPORT\tSTATE\tSINCE\tRECEIVED\tSENT\tERRORS\tLAST ERROR\n");
    json_array_foreach(json_object_get(status, "lines"), i, line)
    {
        fprintf(out, "%s\t%s\t%s", asking_text(line, "name"), asking_text(line, "port"),
                asking_text(line, "state"));
        const json_int_t signal = json_integer_value(json_object_get(line, "signal_dbm"));
        if (signal != 0)
            fprintf(out, ", %lld dBm", (long long) signal);
        const double late_s = asking_number(line, "late_s");
        if (late_s > 0)
            fprintf(out, ", replies after %.1f s", late_s);
        write_since(out, line, "since", now);
        write_bytes(out, line, "received");
        write_bytes(out, line, "sent");
        write_count(out, line, "errors");
        write_error(out, line, now);
    }
}

static void write_alarms(const json_t *pack, FILE *out)
{
    size_t i;
    json_t *alarm;
    const json_t *alarms = json_object_get(pack, "alarms");
    fputc('\t', out);
    json_array_foreach(alarms, i, alarm)
    {
        bool protection = strcmp(asking_text(alarm, "level"), "protection") == 0;
        fprintf(out, "%s%s%s", i > 0 ? ", " : "", asking_text(alarm, "name"),
                protection ? "!" : "");
    }
    if (json_array_size(alarms) == 0)
        fputc('-', out);
}

static void write_sources(const json_t *status, const char *kind, double now, FILE *out)
{
    size_t i;
    json_t *pack;
    fprintf(out,
            "%s\tUNIT\tSTATE\tAGE\tSOC\tVOLTAGE\tCURRENT\tPOWER\tTEMP\tCELLS "
            "DIFFER\tALARMS\tPOLLS\tMISSED\tDAMAGED\tLAST ERROR\n",
            strcmp(kind, "bank") == 0 ? "BANK" : "PACK");
    json_array_foreach(json_object_get(status, "packs"), i, pack)
    {
        char span[DURATION_SIZE];
        if (strcmp(asking_text(pack, "kind"), kind) != 0)
            continue;
        const char *title = asking_text(pack, "name");
        fprintf(out, "%s%s%s%s\t%.0f\t%s\t%s", asking_text(pack, "pack"), title[0] ? " (" : "",
                title, title[0] ? ")" : "", asking_number(pack, "unit"), asking_text(pack, "state"),
                duration_words(asking_number(pack, "age_s"), span));
        write_number(out, pack, "soc_percent", "%", 1);
        write_number(out, pack, "voltage_v", "V", 2);
        write_number(out, pack, "current_a", "A", 2);
        write_number(out, pack, "power_w", "W", 0);
        write_number(out, pack, "temp_max_c", "°C", 1);
        write_number(out, pack, "cell_delta_mv", "mV", 0);
        write_alarms(pack, out);
        write_count(out, pack, "polls");
        write_count(out, pack, "timeouts");
        write_count(out, pack, "checksum_errors");
        write_error(out, pack, now);
    }
}

static void write_packs(const json_t *status, double now, FILE *out)
{
    if (json_array_size(json_object_get(status, "packs")) > 0)
        write_sources(status, "pack", now, out);
}

static void write_banks(const json_t *status, double now, FILE *out)
{
    size_t i;
    json_t *pack;
    json_array_foreach(json_object_get(status, "packs"), i, pack)
    {
        if (strcmp(asking_text(pack, "kind"), "bank") != 0)
            continue;
        write_sources(status, "bank", now, out);
        return;
    }
}

/* "2.0 A  cell_high of right, cell 7" */
static void write_limit(FILE *out, const json_t *pack, const char *way)
{
    char name[40];
    snprintf(name, sizeof name, "allowed_%s_current_a", way);
    write_number(out, pack, name, "A", 1);
    snprintf(name, sizeof name, "%s_limited_by", way);
    fprintf(out, "\t%s", asking_text(pack, name));
    snprintf(name, sizeof name, "%s_limited_pack", way);
    const char *member = asking_text(pack, name);
    if (member[0])
        fprintf(out, " of %s", member);
    snprintf(name, sizeof name, "%s_limited_cell", way);
    const double cell = asking_number(pack, name);
    if (cell > 0)
        fprintf(out, ", cell %.0f", cell);
}

static void write_limits(const json_t *status, double now, FILE *out)
{
    size_t i, rows = 0;
    json_t *pack;
    json_array_foreach(json_object_get(status, "packs"), i, pack)
    {
        if (!json_object_get(pack, "charge_limited_by"))
            continue;
        if (rows++ == 0)
            fprintf(out, "LIMITS OF\tVOLTAGE\tCHARGE\tBY\tDISCHARGE\tBY\n");
        fprintf(out, "%s", asking_text(pack, "pack"));
        write_number(out, pack, "allowed_charge_voltage_v", "V", 2);
        write_limit(out, pack, "charge");
        write_limit(out, pack, "discharge");
        fputc('\n', out);
    }
}

static void write_pushes(const json_t *status, double now, FILE *out)
{
    size_t i;
    json_t *push;
    const json_t *pushes = json_object_get(status, "pushes");
    if (json_array_size(pushes) > 0)
        fprintf(out, "PUSH\tTARGET\tUNIT\tSTATE\tREQUESTS\tCONFIRMED\tREFUSED\tUNANSWERED\tLAST "
                     "ERROR\n");
    json_array_foreach(pushes, i, push)
    {
        fprintf(out, "%s\t%s\t%.0f\t%s", asking_text(push, "name"), asking_text(push, "target"),
                asking_number(push, "unit"),
                json_is_true(json_object_get(push, "connected")) ? "connected" : "away");
        write_count(out, push, "requests");
        write_count(out, push, "confirmed");
        write_count(out, push, "exceptions");
        write_count(out, push, "timeouts");
        write_error(out, push, now);
    }
}

static void write_outlets(const json_t *status, double now, FILE *out)
{
    size_t i;
    json_t *outlet;
    const json_t *outlets = json_object_get(status, "outlets");
    if (json_array_size(outlets) > 0)
        fprintf(out,
                "OUTLET\tSTATE\tPUBLISHED\tQUEUED\tDROPPED\tFAILED\tREFUSED\tRESTARTS\tSAYS\n");
    json_array_foreach(outlets, i, outlet)
    {
        const char *name = asking_text(outlet, "name");
        bool running = json_is_true(json_object_get(outlet, "running"));
        bool connected = json_is_true(json_object_get(outlet, "connected"));
        fprintf(out, "%s%s%s\t%s", asking_text(outlet, "kind"), name[0] ? " " : "", name,
                connected ? "connected"
                : running ? "runs"
                          : "does not run");
        write_count(out, outlet, "published");
        write_count(out, outlet, "queued");
        write_count(out, outlet, "dropped");
        write_count(out, outlet, "failed");
        write_count(out, outlet, "refused");
        write_count(out, outlet, "ended");
        write_error(out, outlet, now);
    }
}

static void write_clients(const json_t *status, double now, FILE *out)
{
    size_t i;
    json_t *client;
    const json_t *clients = json_object_get(json_object_get(status, "modbus"), "connections");
    if (json_array_size(clients) > 0)
        fprintf(out, "MODBUS CLIENT\tCONNECTED FOR\tREQUESTS\n");
    json_array_foreach(clients, i, client)
    {
        fprintf(out, "%s", asking_text(client, "address"));
        write_since(out, client, "since", now);
        write_count(out, client, "requests");
        fputc('\n', out);
    }
}

static void write_tunnels(const json_t *status, double now, FILE *out)
{
    size_t i;
    json_t *tunnel;
    const json_t *tunnels = json_object_get(status, "tunnels");
    if (json_array_size(tunnels) > 0)
        fprintf(out, "TUNNEL\tLINE\tSTATE\tPROGRAM\tSENT\tRECEIVED\tEXCHANGES\tUNANSWERED\n");
    json_array_foreach(tunnels, i, tunnel)
    {
        char span[DURATION_SIZE];
        const char *client = asking_text(tunnel, "client");
        bool open = json_is_true(json_object_get(tunnel, "open"));
        fprintf(out, "%s\t%s\t%s%s\t%s", asking_text(tunnel, "name"), asking_text(tunnel, "line"),
                open ? "open for " : "closed",
                open ? duration_words(fmax(asking_number(tunnel, "until") - now, 0), span) : "",
                client[0] ? client : "-");
        write_bytes(out, tunnel, "sent");
        write_bytes(out, tunnel, "received");
        write_count(out, tunnel, "exchanges");
        write_count(out, tunnel, "unanswered");
        fputc('\n', out);
    }
}

static void print_tables(const json_t *status)
{
    static void (*const tables[])(const json_t *status, double now, FILE *out) = {
        write_lines,  write_packs,   write_banks,   write_limits,
        write_pushes, write_outlets, write_tunnels, write_clients};
    const double now = asking_number(status, "time");
    char span[DURATION_SIZE];
    if (asking_text(status, "name")[0])
        printf("%s: ", asking_text(status, "name"));
    printf("packgate %s, running for %s with %s%s\n", asking_text(status, "version"),
           duration_words(asking_number(status, "uptime_s"), span),
           asking_text(status, "configuration"),
           json_is_false(json_object_get(status, "configuration_in_force"))
               ? ", which has changed and is not in force (packgate check)"
               : "");
    if (json_array_size(json_object_get(status, "packs")) == 0)
        printf(
            "\nNo pack is configured yet: nothing is polled, and Modbus requests get exception 10. "
            "'packgate setup' leads\nthrough the set-up in a browser. By hand: 'packgate probe' "
            "finds what is connected;\nadd it to %s and reload the gateway.\n",
            asking_text(status, "configuration"));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        if (!out)
            continue;
        tables[i](status, now, out);
        fclose(out);
        if (size > 0) {
            putchar('\n');
            table_print(text);
        }
        free(text);
    }
}

/* ---- requests ---- */

static int show_status(const struct asking *asking, bool json, bool watch)
{
    struct control_link link;
    json_t *status = NULL;
    if (asking_open(asking, &link))
        status = asking_request(asking, &link, json_pack("{s:s}", "ask", "status"));
    control_link_close(&link);
    if (!status)
        return EXIT_FAILED;
    if (watch && !json && isatty(STDOUT_FILENO))
        fputs("\033[H\033[J", stdout); /* cursor home, and clear what is below */
    if (json) {
        json_print(stdout, json_incref(status), !watch);
    } else {
        print_tables(status);
        if (watch && !isatty(STDOUT_FILENO))
            putchar('\n');
    }
    json_decref(status);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* Options of both commands; -1 to continue, or the exit status. */
static int parse_status_options(int argc, char **argv, const char *help, struct asking *asking,
                                bool *json, bool *watch)
{
    const struct option_row rows[] = {{"config", 'c', .text = &asking->config},
                                      {"control", 0, .text = &asking->control},
                                      {json ? "json" : NULL, 0, .flag = json},
                                      {"watch", 'w', .flag = watch},
                                      {0}};
    const int status = options_parse(argc, argv, rows, help);
    if (status >= 0 || optind == argc)
        return status;
    fprintf(stderr, "packgate %s: unexpected argument '%s'\n\n%s", asking->command, argv[optind],
            help);
    return EXIT_USAGE;
}

int command_status(int argc, char **argv)
{
    struct asking asking = {.config = CONFIG_DEFAULT, .command = "status"};
    bool json = false, watch = false;
    int status = parse_status_options(argc, argv, usage, &asking, &json, &watch);
    if (status >= 0)
        return status;
    status = show_status(&asking, json, watch);
    /* Connects again to a gateway that is restarted meanwhile. */
    while (watch && !ferror(stdout)) {
        poll(NULL, 0, WATCH_S * 1000);
        status = show_status(&asking, json, watch);
    }
    return status;
}

int command_health(int argc, char **argv)
{
    struct asking asking = {.config = CONFIG_DEFAULT, .command = "health"};
    int status = parse_status_options(argc, argv, health_usage, &asking, NULL, NULL);
    if (status >= 0)
        return status;
    struct control_link link;
    json_t *answer = NULL;
    if (asking_open(&asking, &link))
        answer = asking_request(&asking, &link, json_pack("{s:s}", "ask", "health"));
    control_link_close(&link);
    if (!answer)
        return EXIT_FAILED;
    puts(asking_text(answer, "status"));
    json_decref(answer);
    return EXIT_DONE;
}
