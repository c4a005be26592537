// SPDX-License-Identifier: MIT
/*
 * `packgate nagios`: a check for Nagios, Icinga and similar, by the guidelines of monitoring plug-
 * ins. It asks a remote gateway by Modbus TCP, or the local one at its control socket; the lines
 * are not used.
 */
#include "afar.h"
#include "asking.h"
#include "command.h"
#include "threshold.h"

#include "base/duration.h"
#include "base/suggest.h"
#include "base/text.h"
#include "registers/value.h"
#include "bms/count.h"

#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RULES 32
#define PACKS 100
#define FINDINGS 500
#define WAIT_S 10

enum state { OK, WARNING, CRITICAL, UNKNOWN };
static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

static const char usage[] =
    "usage: packgate nagios [-H HOST[:PORT]] [-p PACK]... [-w RULE]... [-c RULE]...\n\n"
    "Checks packs for Nagios, Icinga and similar. Stale values and protections are critical, "
    "warnings of a BMS are\n"
    "warning. A RULE is VALUE=RANGE, as in -w soc_percent=30: -c soc_percent=15: -w "
    "cell_delta_mv=50.\n"
    "  -H, --hostname HOST    asks by Modbus TCP, port 502 unless :PORT is given; by default the "
    "gateway on this host\n"
    "  -p, --pack PACK        its name, or with -H its unit id; may be repeated; by default all\n"
    "  -w, --warning RULE     a value outside of this range is a warning\n"
    "  -c, --critical RULE    a value outside of this range is critical\n"
    "  -t, --timeout SECONDS  10 by default\n"
    "  -b, --base ADDRESS     first address of that gateway's map, 290 by default\n"
    "      --config FILE      configuration of the gateway on this host, " CONFIG_DEFAULT
    " by default\n"
    "      --control PATH     its control socket\n"
    "Ranges: 10 is 0 to 10, 10: at least 10, ~:10 at most 10, 10:20 within, @10:20 not within.\n"
    "Exit status: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: no gateway answers, a value is unknown, "
    "a wrong call.\n";

struct rule {
    char name[VALUE_NAME_SIZE];
    const char *range; /* as given */
    struct threshold threshold;
    enum state level;
};

struct check {
    struct afar afar; /* without a host: the gateway on this host */
    struct asking asking;
    const char *packs[PACKS];
    unsigned pack_count;
    struct rule rules[RULES];
    unsigned rule_count;
};

/* The first line, which is always printed. */
__attribute__((format(printf, 1, 2))) static int say_unknown(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("PACKGATE UNKNOWN - ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    return UNKNOWN;
}

static int add_rule(struct check *check, const char *text, enum state level)
{
    struct rule *rule = &check->rules[check->rule_count];
    const char *sign = strchr(text, '=');
    const size_t size = sign ? (size_t) (sign - text) : 0;
    if (check->rule_count == RULES)
        return say_unknown("more than %d rules", RULES);
    if (size == 0 || size >= sizeof rule->name || !threshold_parse(sign + 1, &rule->threshold))
        return say_unknown("'%s' is not a rule; expected VALUE=RANGE such as soc_percent=30:",
                           text);
    memcpy(rule->name, text, size);
    rule->name[size] = '\0';
    struct value_ref ref;
    if (!value_find(rule->name, &ref)) {
        char name[VALUE_NAME_SIZE];
        struct suggest suggest = suggest_for(rule->name);
        for (unsigned i = 0; i < value_count(); i++) {
            value_at(i, name);
            suggest_offer(&suggest, name);
        }
        return say_unknown("there is no value '%s'%s", rule->name, suggest_hint(&suggest));
    }
    rule->range = sign + 1;
    rule->level = level;
    check->rule_count++;
    return OK;
}

static int parse_host(struct check *check, const char *text)
{
    struct endpoint endpoint;
    char with_port[300];
    snprintf(with_port, sizeof with_port, "%s:502", text);
    if (!endpoint_parse(text, &endpoint) && !endpoint_parse(with_port, &endpoint)) {
        snprintf(with_port, sizeof with_port, "[%s]:502", text);
        if (!endpoint_parse(with_port, &endpoint))
            return say_unknown("'%s' is not HOST or HOST:PORT", text);
    }
    memcpy(check->afar.host, endpoint.host, sizeof check->afar.host);
    snprintf(check->afar.port, sizeof check->afar.port, "%u", (unsigned) endpoint.port);
    return OK;
}

static int parse_option(struct check *check, int option)
{
    char *end;
    switch (option) {
    case 'H':
        return parse_host(check, optarg);
    case 'p':
        if (check->pack_count == PACKS)
            return say_unknown("more than %d packs", PACKS);
        check->packs[check->pack_count++] = optarg;
        return OK;
    case 'w':
        return add_rule(check, optarg, WARNING);
    case 'c':
        return add_rule(check, optarg, CRITICAL);
    case 't':
        check->afar.wait_s = strtod(optarg, &end);
        if (*end || !(check->afar.wait_s >= 1 && check->afar.wait_s <= 3600))
            return say_unknown("-t %s; expected 1 to 3600 seconds", optarg);
        return OK;
    case 'b':
        check->afar.base = (int) strtol(optarg, &end, 0);
        if (*end || check->afar.base < 0 ||
            check->afar.base > 65535 - MAP_EXTENDED_OFFSET - MAP_EXTENDED_SIZE)
            return say_unknown("-b %s is not an address; expected 0 to 65535", optarg);
        return OK;
    case 'C':
        check->asking.config = optarg;
        return OK;
    case 'S':
        check->asking.control = optarg;
        return OK;
    default:
        fputs(usage, stderr);
        return say_unknown("wrong options: see packgate nagios --help");
    }
}

/* The packs in the answer to a question about `names` (NULL: not given), which is released; NULL: see asking->why. */
static json_t *ask_packs(struct asking *asking, const char *what, json_t *names)
{
    json_t *request = json_pack("{s:s, s:o*}", "ask", what, "packs", names);
    json_t *answer =
        asking->answers ? asking_request(asking, request) : asking_open(asking, request);
    json_t *packs = answer ? json_incref(json_object_get(answer, "packs")) : NULL;
    json_decref(answer);
    return packs;
}

/* Asks the gateway on this host: values, and alarm levels from the status. The status is read
 * last: a pack that has turned stale in between is reported as stale, not as fresh without values.
 * Without names the gateway returns the values of all packs, but those of banks only if they are
 * named. The names of all packs might not fit into a request. */
static json_t *read_here(struct check *check)
{
    struct asking *asking = &check->asking;
    const bool named = check->pack_count > 0;
    json_t *names = json_array(), *one, *other;
    size_t i, k;
    for (unsigned n = 0; n < check->pack_count; n++)
        json_array_append_new(names, json_string(check->packs[n]));
    json_t *list = ask_packs(asking, "values", named ? json_incref(names) : NULL);
    json_t *all = list && !named ? ask_packs(asking, "status", NULL) : NULL;
    json_array_foreach(all, i, one)
    {
        if (strcmp(asking_text(one, "kind"), "bank") == 0)
            json_array_append(names, json_object_get(one, "pack"));
    }
    json_t *banks = all ? ask_packs(asking, "values", json_incref(names)) : NULL;
    json_array_extend(list, banks);
    const bool good = list && (named || banks);
    json_t *status = good ? ask_packs(asking, "status", NULL) : NULL;
    json_array_foreach(list, i, one)
    {
        json_array_foreach(status, k, other)
        {
            if (strcmp(asking_text(one, "pack"), asking_text(other, "pack")) != 0)
                continue;
            if (strcmp(asking_text(other, "state"), "fresh") != 0)
                json_object_update(one, other);
            json_object_update_missing(one, other);
        }
    }
    if (!status) {
        json_decref(list);
        list = NULL;
    }
    json_decref(names);
    json_decref(all);
    json_decref(banks);
    json_decref(status);
    asking_close(asking);
    return list;
}

static enum state worse_state(enum state a, enum state b)
{
    static const int order[] = {[OK] = 0, [UNKNOWN] = 1, [WARNING] = 2, [CRITICAL] = 3};
    return order[a] >= order[b] ? a : b;
}

struct finding {
    const json_t *pack;
    enum state state;
    char text[1000];
};

static void add_main_value(struct text *text, const json_t *pack, const char *name,
                           const char *format)
{
    const double value = asking_number(pack, name);
    text_add(text, text->size && !isnan(value) ? ", " : "");
    text_known(text, format, value);
}

static void evaluate_pack(const struct check *check, const json_t *pack, struct finding *finding)
{
    char age[DURATION_SIZE];
    *finding = (struct finding){.pack = pack, .state = OK};
    struct text text = text_in(finding->text, sizeof finding->text);
    const char *state = asking_text(pack, "state");
    if (strcmp(state, "fresh") != 0) {
        const bool no_line = strcmp(state, "no_line") == 0;
        finding->state = CRITICAL;
        if (isnan(asking_number(pack, "age_s")))
            text_add(&text, no_line ? "no line, and no values yet" : "never answered");
        else
            text_format(&text, "%s, values are %s old", no_line ? "no line" : state,
                        duration_words(asking_number(pack, "age_s"), age));
        return;
    }
    add_main_value(&text, pack, "voltage_v", "%.2f V");
    add_main_value(&text, pack, "current_a", "%.1f A");
    add_main_value(&text, pack, "soc_percent", "SOC %.1f %%");
    if (!isnan(asking_number(pack, "cell_min_mv")) && !isnan(asking_number(pack, "cell_max_mv")))
        text_format(&text, "%scells %.0f…%.0f mV", text.size ? ", " : "",
                    asking_number(pack, "cell_min_mv"), asking_number(pack, "cell_max_mv"));
    const json_t *alarms = json_object_get(pack, "alarms");
    for (size_t i = 0; i < json_array_size(alarms); i++) {
        const json_t *alarm = json_array_get(alarms, i);
        const bool severe = strcmp(asking_text(alarm, "level"), "protection") == 0;
        finding->state = worse_state(finding->state, severe ? CRITICAL : WARNING);
        text_format(&text, ", %s %s", asking_text(alarm, "level"), asking_text(alarm, "name"));
    }
    /* Each rule that a value breaks is reported, for instance its warning and its critical one. */
    for (unsigned i = 0; i < check->rule_count; i++) {
        const struct rule *rule = &check->rules[i];
        const double value = asking_number(pack, rule->name);
        if (isnan(value)) {
            finding->state = worse_state(finding->state, UNKNOWN);
            text_format(&text, ", %s is unknown", rule->name);
        } else if (threshold_alerts(&rule->threshold, value)) {
            finding->state = worse_state(finding->state, rule->level);
            text_format(&text, ", %s %g (%s %s)", rule->name, value,
                        rule->level == CRITICAL ? "critical" : "warning", rule->range);
        }
    }
}

/* Units of the guidelines: %, s, c for counters, none for all others. */
static const char *performance_unit(const char *name)
{
    static const char *const counters[] = {"polls",      "timeouts",      "checksum_errors",
                                           "reconnects", "implausible",   "spikes",
                                           "charged_wh", "discharged_wh", "cycles"};
    const size_t size = strlen(name);
    for (size_t i = 0; i < COUNT(counters); i++)
        if (strcmp(name, counters[i]) == 0)
            return "c";
    return size > 8 && strcmp(name + size - 8, "_percent") == 0 ? "%"
           : size > 2 && strcmp(name + size - 2, "_s") == 0     ? "s"
                                                                : "";
}

static const char *range_of(const struct check *check, const char *name, enum state level)
{
    for (unsigned i = 0; i < check->rule_count; i++)
        if (check->rules[i].level == level && strcmp(check->rules[i].name, name) == 0)
            return check->rules[i].range;
    return "";
}

static void print_datum(const struct check *check, const json_t *pack, const char *name)
{
    const double value = asking_number(pack, name);
    char line[300], number[40];
    struct text text = text_in(number, sizeof number);
    if (isnan(value))
        return;
    text_number(&text, value, 3);
    const char *unit = performance_unit(name);
    const bool percent = strcmp(unit, "%") == 0;
    snprintf(line, sizeof line, "%s%s;%s;%s;%s;%s", number, unit, range_of(check, name, WARNING),
             range_of(check, name, CRITICAL), percent ? "0" : "", percent ? "100" : "");
    for (size_t size = strlen(line); size > 0 && line[size - 1] == ';'; size--)
        line[size - 1] = '\0';
    printf(" '%s_%s'=%s", asking_text(pack, "pack"), name, line);
}

/* The usual values and those of the rules, each once. */
static void print_data(const struct check *check, const json_t *pack)
{
    static const char *const always[] = {"soc_percent", "voltage_v", "current_a", "cell_delta_mv",
                                         "age_s"};
    const char *names[COUNT(always) + RULES] = {NULL};
    unsigned count = 0;
    for (unsigned i = 0; i < COUNT(always) + check->rule_count; i++) {
        const char *name = i < COUNT(always) ? always[i] : check->rules[i - COUNT(always)].name;
        unsigned n = 0;
        while (n < count && strcmp(names[n], name) != 0)
            n++;
        if (n == count)
            print_datum(check, pack, names[count++] = name);
    }
}

/* Prints the worst first, one line each. All performance data follow the first line, as the
 * guidelines require. */
static int print_results(const struct check *check, const json_t *list)
{
    static const enum state order[] = {CRITICAL, WARNING, UNKNOWN, OK};
    static struct finding findings[FINDINGS];
    unsigned count = 0;
    bool first = true;
    enum state all = OK;
    for (size_t i = 0; i < json_array_size(list) && count < FINDINGS; i++, count++) {
        evaluate_pack(check, json_array_get(list, i), &findings[count]);
        all = worse_state(all, findings[count].state);
    }
    for (size_t n = 0; n < COUNT(order); n++)
        for (unsigned i = 0; i < count; i++) {
            if (findings[i].state != order[n])
                continue;
            for (const char *c = asking_text(findings[i].pack, "pack"); *c; c++)
                putchar(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
            printf(" %s - %s", words[findings[i].state], findings[i].text);
            if (first) {
                fputs(" |", stdout);
                for (unsigned k = 0; k < count; k++)
                    print_data(check, findings[k].pack);
            }
            putchar('\n');
            first = false;
        }
    return (int) all;
}

/* The time-out, for instance of a name look-up that hangs. */
static void on_alarm(int number)
{
    static const char text[] = "PACKGATE UNKNOWN - no answer in time\n";
    ssize_t written = write(STDOUT_FILENO, text, sizeof text - 1);
    (void) written;
    _exit(UNKNOWN);
}

int command_nagios(int argc, char **argv)
{
    static const struct option options[] = {{"hostname", required_argument, NULL, 'H'},
                                            {"pack", required_argument, NULL, 'p'},
                                            {"warning", required_argument, NULL, 'w'},
                                            {"critical", required_argument, NULL, 'c'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"base", required_argument, NULL, 'b'},
                                            {"config", required_argument, NULL, 'C'},
                                            {"control", required_argument, NULL, 'S'},
                                            {"version", no_argument, NULL, 'V'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct check check = {.afar = {.base = MAP_BASE_DEFAULT, .wait_s = WAIT_S},
                          .asking = {.config = CONFIG_DEFAULT}};
    for (int option; (option = getopt_long(argc, argv, "H:p:w:c:t:b:Vh", options, NULL)) != -1;) {
        if (option == 'h' || option == 'V') {
            fputs(option == 'h' ? usage : "packgate " PACKGATE_VERSION "\n", stdout);
            return OK;
        }
        if (parse_option(&check, option) != OK)
            return UNKNOWN;
    }
    if (optind < argc)
        return say_unknown("unexpected argument '%s': see packgate nagios --help", argv[optind]);
    signal(SIGALRM, on_alarm);
    alarm((unsigned) ceil(check.afar.wait_s));
    const bool is_far = check.afar.host[0];
    json_t *list =
        is_far ? afar_read(&check.afar, check.packs, check.pack_count) : read_here(&check);
    if (!list)
        return say_unknown("%s", is_far ? check.afar.why : check.asking.why);
    if (json_array_size(list) == 0)
        return say_unknown("the gateway has no packs");
    int state = print_results(&check, list);
    json_decref(list);
    return state;
}
