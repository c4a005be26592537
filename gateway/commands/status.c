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
#include <string.h>
#include <unistd.h>

#define WATCH_S 2

static const char usage[] =
    "usage: packgate status [-c FILE] [--json] [--watch]\n\n"
    "Shows the status of the running gateway: lines, packs and banks, limits, pushes, "
    "outlets, Modbus\nclients. The gateway itself answers; the lines are not used.\n" ASKING_USAGE
    "      --json          everything as one JSON object\n"
    "  -w, --watch         repeats every 2 seconds until it is interrupted\n"
    "Exit status: 0, 1 when no gateway answers, 2 for a wrong call.\n";

static const char health_usage[] =
    "usage: packgate health [-c FILE]\n\n"
    "Checks that the gateway runs and answers, for containers and scripts.\n" ASKING_USAGE
    "Exit status: 0 when it does, 1 when it does not, 2 for a wrong call.\n";

static void write_number(FILE *out, const json_t *object, const char *name, const char *unit,
                         int decimals)
{
    double value = asking_number(object, name);
    if (isnan(value))
        fprintf(out, "\t-");
    else
        fprintf(out, "\t%.*f%s%s", decimals, value, unit[0] ? " " : "", unit);
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

static void write_line(FILE *out, const json_t *line, double now)
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
}

static void write_source(FILE *out, const json_t *pack, double now)
{
    char span[DURATION_SIZE];
    size_t i;
    json_t *alarm;
    const json_t *alarms = json_object_get(pack, "alarms");
    const char *title = asking_text(pack, "name");
    fprintf(out, "%s%s%s%s\t%.0f\t%s\t%s", asking_text(pack, "pack"), title[0] ? " (" : "", title,
            title[0] ? ")" : "", asking_number(pack, "unit"), asking_text(pack, "state"),
            duration_words(asking_number(pack, "age_s"), span));
    write_number(out, pack, "soc_percent", "%", 1);
    write_number(out, pack, "voltage_v", "V", 2);
    write_number(out, pack, "current_a", "A", 2);
    write_number(out, pack, "power_w", "W", 0);
    write_number(out, pack, "temp_max_c", "°C", 1);
    write_number(out, pack, "cell_delta_mv", "mV", 0);
    fputs(json_array_size(alarms) == 0 ? "\t-" : "\t", out);
    json_array_foreach(alarms, i, alarm)
    {
        bool protection = strcmp(asking_text(alarm, "level"), "protection") == 0;
        fprintf(out, "%s%s%s", i > 0 ? ", " : "", asking_text(alarm, "name"),
                protection ? "!" : "");
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

static void write_limits(FILE *out, const json_t *pack, double now)
{
    fprintf(out, "%s", asking_text(pack, "pack"));
    write_number(out, pack, "allowed_charge_voltage_v", "V", 2);
    write_limit(out, pack, "charge");
    write_limit(out, pack, "discharge");
}

static void write_push(FILE *out, const json_t *push, double now)
{
    fprintf(out, "%s\t%s\t%.0f\t%s", asking_text(push, "name"), asking_text(push, "target"),
            asking_number(push, "unit"),
            json_is_true(json_object_get(push, "connected")) ? "connected" : "away");
}

static void write_outlet(FILE *out, const json_t *outlet, double now)
{
    const char *name = asking_text(outlet, "name");
    bool running = json_is_true(json_object_get(outlet, "running"));
    bool connected = json_is_true(json_object_get(outlet, "connected"));
    fprintf(out, "%s%s%s\t%s", asking_text(outlet, "kind"), name[0] ? " " : "", name,
            connected ? "connected"
            : running ? "runs"
                      : "does not run");
}

static void write_client(FILE *out, const json_t *client, double now)
{
    fprintf(out, "%s", asking_text(client, "address"));
    write_since(out, client, "since", now);
}

static void write_tunnel(FILE *out, const json_t *tunnel, double now)
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
}

#define SOURCE_HEADING                                                                             \
    "\tUNIT\tSTATE\tAGE\tSOC\tVOLTAGE\tCURRENT\tPOWER\tTEMP\tCELLS DIFFER\tALARMS\tPOLLS\tMISSED"  \
    "\tDAMAGED\tLAST ERROR"

// clang-format off
static const struct status_table {
    const char *list;        /* member of the status, or of its part about Modbus */
    const char *having, *of; /* only objects with this member, and if not NULL with this value */
    void (*write)(FILE *out, const json_t *object, double now);
    const char *counts[7];
    bool with_error;
    const char *heading;
} tables[] = {
    {"lines", NULL, NULL, write_line, {"errors"}, true,
     "LINE\tPORT\tSTATE\tSINCE\tRECEIVED\tSENT\tERRORS\tLAST ERROR"},
    {"packs", "kind", "pack", write_source, {"polls", "timeouts", "checksum_errors"}, true,
     "PACK" SOURCE_HEADING},
    {"packs", "kind", "bank", write_source, {"polls", "timeouts", "checksum_errors"}, true,
     "BANK" SOURCE_HEADING},
    {"packs", "charge_limited_by", NULL, write_limits, {NULL}, false,
     "LIMITS OF\tVOLTAGE\tCHARGE\tBY\tDISCHARGE\tBY"},
    {"pushes", NULL, NULL, write_push, {"requests", "confirmed", "exceptions", "timeouts"}, true,
     "PUSH\tTARGET\tUNIT\tSTATE\tREQUESTS\tCONFIRMED\tREFUSED\tUNANSWERED\tLAST ERROR"},
    {"outlets", NULL, NULL, write_outlet,
     {"published", "queued", "dropped", "failed", "refused", "ended"}, true,
     "OUTLET\tSTATE\tPUBLISHED\tQUEUED\tDROPPED\tFAILED\tREFUSED\tRESTARTS\tSAYS"},
    {"tunnels", NULL, NULL, write_tunnel, {"exchanges", "unanswered"}, false,
     "TUNNEL\tLINE\tSTATE\tPROGRAM\tSENT\tRECEIVED\tEXCHANGES\tUNANSWERED"},
    {"connections", NULL, NULL, write_client, {"requests"}, false,
     "MODBUS CLIENT\tCONNECTED FOR\tREQUESTS"},
};
// clang-format on

static void write_rows(const struct status_table *table, const json_t *list, double now, FILE *out)
{
    size_t i;
    json_t *object;
    json_array_foreach(list, i, object)
    {
        const char *text = table->having ? asking_text(object, table->having) : "";
        if (table->having && (table->of ? strcmp(text, table->of) != 0 : !text[0]))
            continue;
        table->write(out, object, now);
        for (const char *const *count = table->counts; *count; count++)
            write_number(out, object, *count, "", 0);
        const char *error = asking_text(object, "error");
        const double at = asking_number(object, "error_at");
        char span[DURATION_SIZE];
        if (table->with_error)
            fprintf(out, "\t%s", error[0] ? error : "-");
        if (table->with_error && error[0] && !isnan(at))
            fprintf(out, " (%s ago)", duration_words(fmax(now - at, 0), span));
        fputc('\n', out);
    }
}

static void print_tables(const json_t *status)
{
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
        struct table table;
        table_begin(&table, tables[i].heading);
        const json_t *list = json_object_get(status, tables[i].list);
        if (!list)
            list = json_object_get(json_object_get(status, "modbus"), tables[i].list);
        write_rows(&tables[i], list, now, table.out);
        table_end(&table, "\n", "");
    }
}

static int show_status(struct asking *asking, bool json, bool watch)
{
    json_t *status = asking_once(asking, json_pack("{s:s}", "ask", "status"));
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

int command_status(int argc, char **argv)
{
    struct asking asking = {.config = CONFIG_DEFAULT, .command = "status"};
    bool json = false, watch = false;
    const struct option_row rows[] = {
        ASKING_OPTIONS(asking), {"json", 0, .flag = &json}, {"watch", 'w', .flag = &watch}, {0}};
    options_parse(argc, argv, rows, 0, usage);
    int status = show_status(&asking, json, watch);
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
    const struct option_row rows[] = {ASKING_OPTIONS(asking), {0}};
    options_parse(argc, argv, rows, 0, health_usage);
    json_t *answer = asking_once(&asking, json_pack("{s:s}", "ask", "health"));
    if (!answer)
        return EXIT_FAILED;
    puts(asking_text(answer, "status"));
    json_decref(answer);
    return EXIT_DONE;
}
