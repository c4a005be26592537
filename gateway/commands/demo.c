// SPDX-License-Identifier: MIT
/*
 * `packgate demo`: runs the gateway on simulated packs (conf/demo.ini) with a history, and starts a
 * simulated inverter. A scenario appends a script of `packgate simulate` to the options of a line.
 */
#include "asking.h"
#include "command.h"
#include "options.h"

#include "config/ini/edit.h"
#include "config/load.h"
#include "base/alloc.h"
#include "outlets/program.h"
#include "simulator/options.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER "/tmp/packgate-demo"
#define PAST_DAYS "8"
#define INVERTER_LOG_MOST (1 << 20) /* bytes */
#define FIRST_VALUES_MS 1000 /* delay, so that log messages come before the address to open */

extern const char demo_config[]; /* conf/demo.ini */

static const struct scenario {
    const char *name;
    const char *line; /* NULL: every line */
    const char *options;
    const char *help;
} scenarios[] = {
    {"imbalance", "boat", "soc=31,lag=26,speed=30",
     "one cell of boat is charged less, until the BMS stops the discharge"},
    {"silent-pack", "boat", "+20:silent=1,+60:silent=0,every=150",
     "boat stops answering, and comes back"},
    {"cold", "shed", "ambient=6,+20:ambient=-3,+80:ambient=6,every=120",
     "frost: the BMS of shed opens its charge switch"},
    {"short", "shed",
     "+20:alarm.short_circuit=protection,+20:discharge_mos=0,+50:alarm.short_circuit=0,"
     "+50:discharge_mos=1,every=90",
     "a short circuit: the BMS of shed opens its discharge switch for half a minute"},
    {"cloudy", NULL, "soc=25,+10:rate=.03,+18:rate=.3,+30:rate=.1,+38:rate=.4,+50:rate=.2,every=60",
     "clouds: the current of all packs comes and goes"},
};
enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

struct demo {
    const struct scenario *scenario;  /* NULL: none */
    const char *given_folder, **sets; /* as options give them */
    unsigned set_count;
    char folder[PORT_SIZE];
    char path[PORT_SIZE]; /* of the configuration in it */
    char *text;
    struct config *config;
};

static void print_usage(FILE *out)
{
    fputs(
        "usage: packgate demo [--scenario NAME] [--set SECTION.KEY=VALUE]... [--folder FOLDER]\n\n"
        "Runs the gateway on four simulated packs and a bank, with a past of " PAST_DAYS
        " days, the page and a simulated inverter, until\n"
        "SIGINT or SIGTERM. Nothing else is needed. It listens on 127.0.0.1, in a container on all "
        "addresses: the page on\n"
        "port 8080, Modbus TCP on port 1502.\n"
        "      --scenario NAME  repeats an incident:\n",
        out);
    for (int i = 0; i < SCENARIOS; i++)
        fprintf(out, "                         %-12s %s\n", scenarios[i].name, scenarios[i].help);
    fputs("      --set SECTION.KEY=VALUE  changes a key of its configuration, such as "
          "web.listen=127.0.0.1:8081\n"
          "      --folder FOLDER  folder for configuration, history and control socket, " FOLDER
          " by default\n"
          "Exit status: 0 after a signal, 1 when it cannot start, 2 for a wrong call.\n",
          out);
}

/* Changes a key; `section` is "web" or "line boat". */
static bool edit(struct demo *demo, const char *section, const char *key, const char *value)
{
    char word[NAME_SIZE * 2], why[EDIT_WHY];
    snprintf(word, sizeof word, "%s", section);
    char *name = word + strcspn(word, " ");
    if (*name)
        *name++ = '\0';
    char *edited =
        config_edited(demo->text, &(struct edit){EDIT_VALUE, word, name, key, value}, why);
    if (!edited) {
        fprintf(stderr, "packgate demo: [%s] %s = %s: %s\n", section, key, value, why);
        return false;
    }
    free(demo->text);
    demo->text = edited;
    return true;
}

static bool edit_by_option(struct demo *demo, const char *set)
{
    char section[NAME_SIZE * 2], key[NAME_SIZE * 2];
    const size_t size = strcspn(set, "=");
    const char *dot = memrchr(set, '.', size);
    if (!set[size] || !dot || dot == set || dot + 1 == set + size) {
        fprintf(stderr, "packgate demo: --set '%s': expected SECTION.KEY=VALUE\n", set);
        return false;
    }
    snprintf(section, sizeof section, "%.*s", (int) (dot - set), set);
    snprintf(key, sizeof key, "%.*s", (int) (set + size - dot - 1), dot + 1);
    return edit(demo, section, key, set + size + 1);
}

static bool edit_path(struct demo *demo, const char *section, const char *key, const char *name)
{
    char path[PORT_SIZE + 20];
    snprintf(path, sizeof path, "%s/%s", demo->folder, name);
    return edit(demo, section, key, path);
}

static bool add_scenario(struct demo *demo)
{
    struct config *config = config_parse(demo->text, "demo.ini", stderr);
    bool good = config;
    for (unsigned i = 0; good && demo->scenario && i < config->line_count; i++) {
        const struct line_config *line = &config->lines[i];
        char section[NAME_SIZE + 8], port[2 * PORT_SIZE];
        if (demo->scenario->line && strcmp(demo->scenario->line, line->name) != 0)
            continue;
        snprintf(section, sizeof section, "line %s", line->name);
        snprintf(port, sizeof port, "%s,%s", line->port, demo->scenario->options);
        good = edit(demo, section, "port", port);
    }
    config_free(config);
    return good;
}

/* Uses only a folder that nobody else has created, because its contents are trusted. */
static bool make_folder(struct demo *demo, const char *folder)
{
    struct stat found;
    if (mkdir(folder, 0700) < 0 && errno != EEXIST) {
        fprintf(stderr, "packgate demo: %s: %s\n", folder, strerror(errno));
        return false;
    }
    if (lstat(folder, &found) < 0 || !S_ISDIR(found.st_mode) || found.st_uid != geteuid()) {
        fprintf(stderr, "packgate demo: %s belongs to another user; choose another --folder\n",
                folder);
        return false;
    }
    char *absolute = realpath(folder, NULL);
    snprintf(demo->folder, sizeof demo->folder, "%s", absolute ? absolute : folder);
    snprintf(demo->path, sizeof demo->path, "%.*s/demo.ini", (int) sizeof demo->path - 10,
             demo->folder);
    free(absolute);
    return true;
}

/* "shed=16:150:72:1:0", the present state of the pack. */
static char *describe_pack(const struct config *config, const struct pack_config *pack)
{
    struct simulator_options options;
    char error[200], *text = NULL;
    struct bms bms;
    unsigned place = 0; /* on its line */
    for (const struct pack_config *other = config->packs; other < pack; other++)
        place += other->line == pack->line;
    bms_init(&bms, pack->driver);
    bms.options = pack->options;
    if (strncmp(pack->line->port, "sim:", 4) != 0 ||
        !simulator_options_parse(pack->line->port + 4, bms_address(&bms), &options, error,
                                 sizeof error) ||
        asprintf(&text, "%s=%.0f:%g:%g:%.0f:%g", pack->name, options.cells, options.capacity_ah,
                 options.soc_percent, options.seed + place, options.lag_percent) < 0)
        return NULL;
    return text;
}

/* Without a history the charts begin empty; a message says so. */
static void make_past(const struct config *config)
{
    const pid_t child = config->history ? fork() : -1;
    if (child == 0) {
        const char **list = alloc_zeroed(config->pack_count + config->bank_count + 5, sizeof *list);
        unsigned count = 1;
        list[count++] = "simulate";
        list[count++] = config->history->file;
        list[count++] = PAST_DAYS;
        for (unsigned i = 0; i < config->pack_count; i++)
            if ((list[count] = describe_pack(config, &config->packs[i])))
                count++;
        for (unsigned i = 0; i < config->bank_count; i++) {
            const struct bank_config *bank = &config->banks[i];
            char *text = NULL;
            size_t size;
            FILE *out = alloc_checked(open_memstream(&text, &size));
            fprintf(out, "%s=", bank->name);
            for (unsigned k = 0; k < bank->pack_count; k++)
                fprintf(out, "%s%s", k > 0 ? "+" : "", bank->packs[k]->name);
            fclose(out);
            list[count++] = text;
        }
        program_execute("history", list, "packgate demo: no past");
        _exit(EXIT_FAILED);
    }
    if (child > 0)
        waitpid(child, NULL, 0);
}

static bool gateway_answers(const char *control)
{
    json_t *answer =
        asking_once(&(struct asking){.control = control}, json_pack("{s:s}", "ask", "health"));
    json_decref(answer);
    return answer;
}

/* Runs the inverter that polls the first [present] on a TCP port; it logs the values that it
 * receives to a file. */
static int run_inverter(const struct demo *demo)
{
    static const char listens[] = "tcp-listen:";
    char port[PORT_SIZE] = "", log[PORT_SIZE + 20];
    for (unsigned i = 0; i < demo->config->present_count && !port[0]; i++) {
        const char *at = demo->config->presents[i].port;
        if (strncmp(at, listens, sizeof listens - 1) == 0)
            snprintf(port, sizeof port, "tcp://%s", at + sizeof listens - 1);
    }
    snprintf(log, sizeof log, "%s/inverter.log", demo->folder);
    const int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (!port[0] || fd < 0)
        return EXIT_DONE;
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){INVERTER_LOG_MOST, INVERTER_LOG_MOST});
    char *list[] = {(char[]){"simulate"},
                    (char[]){"--inverter"},
                    (char[]){"pylontech"},
                    (char[]){"--port"},
                    port,
                    NULL};
    optind = 0; /* getopt begins anew */
    return command_inverter(5, list);
}

/* Starts it in a process of its own, which ends with the gateway. */
static void accompany(const struct demo *demo)
{
    const pid_t gateway = getpid();
    char program[PORT_SIZE];
    if (fork() != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    while (getppid() == gateway && !gateway_answers(demo->config->gateway.control))
        poll(NULL, 0, 200);
    poll(NULL, 0, FIRST_VALUES_MS);
    program_find("web", program);
    if (demo->config->web && demo->config->web->listen.count > 0 && access(program, X_OK) == 0) {
        /* An address that a browser can open: not that of all interfaces. */
        const char *listen = demo->config->web->listen.at[0], *port = strrchr(listen, ':');
        const bool all = strncmp(listen, "0.0.0.0:", 8) == 0 || strncmp(listen, "[::]:", 5) == 0;
        printf("\n  Open http://%.*s%s/ in a browser. Ctrl-C ends the demo.\n\n",
               all ? 9 : (int) (port - listen), all ? "127.0.0.1" : listen, port);
        fflush(stdout);
    }
    _exit(getppid() == gateway ? run_inverter(demo) : EXIT_DONE);
}

static bool prepare_demo(struct demo *demo)
{
    demo->text = alloc_checked(strdup(demo_config));
    if (!make_folder(demo, demo->given_folder))
        return false;
    bool good = edit_path(demo, "gateway", "control", "control") &&
                edit_path(demo, "history", "file", "history.db") && add_scenario(demo);
    /* In a container, listens on all addresses: its user decides which ports are reachable from
     * outside. */
    const char *container = getenv("container");
    if (container && *container)
        good = good && edit(demo, "gateway", "listen", "0.0.0.0:1502") &&
               edit(demo, "web", "listen", "0.0.0.0:8080");
    for (unsigned i = 0; i < demo->set_count; i++)
        good = good && edit_by_option(demo, demo->sets[i]);
    if (!good)
        return false;
    FILE *out = fopen(demo->path, "w");
    good = out && fputs(demo->text, out) >= 0;
    good = out && fclose(out) == 0 && good;
    if (good)
        demo->config = config_load(demo->path, stderr);
    else
        fprintf(stderr, "packgate demo: %s: %s\n", demo->path, strerror(errno));
    return demo->config;
}

/* Returns -1, or the exit status if there is nothing to run. */
static int parse(int argc, char **argv, struct demo *demo)
{
    const char *name = NULL;
    const struct option_row rows[] = {{"scenario", 0, .text = &name},
                                      {"set", 0, .text = demo->sets, .count = &demo->set_count},
                                      {"folder", 0, .text = &demo->given_folder},
                                      {0}};
    const int status = options_try(argc, argv, rows, 0);
    if (status >= 0)
        print_usage(status == EXIT_DONE ? stdout : stderr);
    if (status >= 0 || !name)
        return status;
    for (int i = 0; i < SCENARIOS; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            demo->scenario = &scenarios[i];
    if (demo->scenario)
        return -1;
    fprintf(stderr, "packgate demo: --scenario '%s': expected", name);
    for (int i = 0; i < SCENARIOS; i++)
        fprintf(stderr, "%s %s", i > 0 ? "," : "", scenarios[i].name);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

int command_demo(int argc, char **argv)
{
    static struct demo demo = {.given_folder = FOLDER};
    demo.sets = alloc_zeroed((size_t) argc, sizeof *demo.sets);
    int status = parse(argc, argv, &demo);
    if (status < 0 && !prepare_demo(&demo))
        status = EXIT_FAILED;
    if (status < 0) {
        make_past(demo.config);
        accompany(&demo);
        char *list[] = {(char[]){"run"}, (char[]){"-c"}, demo.path, NULL};
        optind = 0; /* getopt begins anew */
        status = command_run(3, list);
    }
    config_free(demo.config);
    free(demo.text);
    free((void *) demo.sets);
    return status;
}
