// SPDX-License-Identifier: MIT
/* `packgate run`: runs the gateway until a signal ends it. */
#include "command.h"
#include "options.h"
#include "signals.h"

#include "setup/edits.h"

#include "daemon/gateway.h"
#include "daemon/systemd.h"
#include "control/socket.h"
#include "config/keys.h"
#include "config/load.h"
#include "config/ini/save.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
    "usage: packgate run [-c FILE] [--first FILE] [--helper SOCKET] [--debug]\n\n"
    "Polls the packs of the configuration and serves their values by Modbus TCP until SIGINT or "
    "SIGTERM.\n"
    "SIGHUP reloads the configuration: unchanged lines and packs continue; a file with "
    "mistakes is rejected.\n"
    "  -c, --config FILE  the configuration, " CONFIG_DEFAULT " by default\n"
    "      --first FILE   starts with this one while the configuration does not exist yet\n"
    "      --helper SOCKET\n"
    "                     the socket of the program that saves set-up from the browser\n"
    "      --debug        logs the frames on the lines\n"
    "Exit status: 0 after a signal, 1 when it cannot start, 2 for a wrong call.\n";

struct running {
    const char *path;
    struct overview_host host;
    struct config *config;
    struct config_file file;
    struct gateway *gateway;
    ev_signal hangup;
    ev_timer watchdog;
};

static struct config *load_from(struct running *running, const char *path)
{
    struct config *config = config_file_load(&running->file, path, clock_now());
    const struct mistakes *mistakes = &running->file.mistakes;
    for (unsigned i = 0; i < mistakes->listed; i++) {
        const struct mistake *one = &mistakes->list[i];
        char place[16] = "";
        if (one->line > 0)
            snprintf(place, sizeof place, "%u:", one->line);
        log_message(one->warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "%s:%s %s",
                    config_file_name(path), place,
                    one->text + (one->warning ? strlen(MISTAKE_WARNING) : 0));
    }
    return config;
}

/* Only at the start: a file that is gone at a reload must not take the packs away. */
static struct config *load_first(struct running *running)
{
    const char *first = running->host.first;
    if (!first || access(running->path, F_OK) == 0 || errno != ENOENT)
        return load_from(running, running->path);
    log_info("%s does not exist yet: starting with %s; a reload reads it once it is there",
             running->path, first);
    struct config *config = load_from(running, first);
    free(running->file.path);
    running->file.path = strdup(running->path);
    return config;
}

static void tell_change(void *data, enum config_change change, const char *text)
{
    unsigned *count = data;
    if (change == CHANGE_RESTART)
        log_warn("%s; the new value needs a restart", text);
    else
        log_info("%s", text);
    ++*count;
}

/* Reads and checks the whole new configuration before anything changes. */
static bool reload(void *data)
{
    struct running *running = data;
    struct config *config = load_from(running, running->path);
    if (!config || !gateway_reload(running->gateway, config)) {
        running->file.in_force = false;
        log_error("%s: the new configuration is rejected; the old one stays in force",
                  running->path);
        config_free(config);
        return false;
    }
    unsigned changes = 0;
    config_tell_changes(running->config, config, tell_change, &changes);
    config_free(running->config);
    running->config = config;
    log_info("%s: the new configuration is in force%s", running->path,
             changes > 0 ? "" : ", without changes");
    return true;
}

/* Old and new configuration exist together for a moment. The C library keeps the freed memory in
 * pieces between what is still used: return it to the system. */
static void on_hangup(struct ev_loop *loop, ev_signal *signal, int revents)
{
    reload(signal->data);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int revents)
{
    systemd_notify("WATCHDOG=1");
}

/* Tells a user who started the gateway by hand what to read. */
static void print_hint(const struct config *config, const struct gateway *gateway)
{
    for (unsigned i = 0; i < config->gateway.listen.count; i++) {
        const char *listen = config->gateway.listen.at[i];
        int host = (int) (strrchr(listen, ':') - listen);
        log_info("listening on %.*s:%u", host, listen, gateway_port(gateway, i));
    }
    for (unsigned i = 0; i < config->pack_count; i++)
        log_info("pack %s (%s on line %s) is unit %d", config->packs[i].name,
                 config->packs[i].driver->name, config->packs[i].line->name, config->packs[i].unit);
    for (unsigned i = 0; i < config->bank_count; i++)
        log_info("bank %s (%u packs, needs %u) is unit %d", config->banks[i].name,
                 config->banks[i].pack_count, config->banks[i].min_packs, config->banks[i].unit);
    for (unsigned i = 0; i < config->view_count; i++) {
        const struct view_config *view = &config->views[i];
        char units[EXPECTED_SIZE] = "";
        for (unsigned n = 0; n < view->units.count; n++)
            snprintf(units + strlen(units), sizeof units - strlen(units), "%s%u", n > 0 ? ", " : "",
                     view->units.id[n]);
        log_info("view %s is unit %s%s%s", view->name, units, view->listen.count > 0 ? " on " : "",
                 view->listen.count > 0 ? view->listen.at[0] : "");
    }
    if (config->pack_count == 0)
        return;
    log_info("to read voltage, current and power of unit %d: mbpoll -m tcp -p %u -a %d -0 -r %d -c "
             "3 -t 4:float %s-1 127.0.0.1",
             config->packs[0].unit, gateway_port(gateway, 0), config->packs[0].unit,
             config->gateway.map.base + 10, config->gateway.map.big_floats ? "-B " : "");
}

static int run_gateway(struct running *running)
{
    struct ev_loop *loop = ev_default_loop(0);
    /* One descriptor per client and line, and a few more; the usual limit of 1024 is too low for a
     * full configuration. */
    const struct config *config = running->config;
    struct rlimit limit;
    rlim_t wanted = CONTROL_CLIENTS + 2 * config->line_count + 100, ports = 1;
    for (unsigned i = 0; i < config->view_count; i++)
        ports += config->views[i].listen.count;
    wanted += ports * config->gateway.max_clients;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    running->gateway = gateway_new(loop, running->config, &running->file, &running->host);
    if (!running->gateway)
        return EXIT_FAILED;
    ev_signal_init(&running->hangup, on_hangup, SIGHUP);
    running->hangup.data = running;
    signals_end(loop);
    ev_signal_start(loop, &running->hangup);
    double interval = systemd_watchdog_interval();
    ev_timer_init(&running->watchdog, on_watchdog, interval, interval);
    if (interval > 0)
        ev_timer_start(loop, &running->watchdog);
    print_hint(running->config, running->gateway);
    gateway_start(running->gateway);
    systemd_notify("READY=1");
    ev_run(loop, 0);
    log_info("ending");
    systemd_notify("STOPPING=1");
    gateway_free(running->gateway);
    ev_signal_stop(loop, &running->hangup);
    ev_timer_stop(loop, &running->watchdog);
    return EXIT_DONE;
}

/* Undoes a configuration from the browser that was not kept, because the power or the gateway failed. If only the helper may
 * write the file, it has done this already. */
static void recover(const char *path)
{
    char *real = realpath(path, NULL);
    bool undone;
    if (save_is_pending(real ? real : path)) {
        const int lock = setup_recover(real ? real : path, &undone);
        if (lock < 0)
            log_error("%s: the configuration from the browser was not kept, and the previous one "
                      "cannot be restored: %s",
                      path, strerror(errno));
        else if (undone)
            log_warn(
                "%s: the configuration from the browser was not kept: the previous one is back",
                path);
        if (lock >= 0)
            close(lock);
    }
    free(real);
}

int command_run(int argc, char **argv)
{
    const char *path = CONFIG_DEFAULT, *first = NULL, *helper = NULL;
    bool debug = false;
    const struct option_row rows[] = {{"config", 'c', .text = &path},
                                      {"first", 0, .text = &first},
                                      {"helper", 0, .text = &helper},
                                      {"debug", 0, .flag = &debug},
                                      {0}};
    options_parse(argc, argv, rows, 0, usage);
    if (debug)
        log_set_level(LOG_LEVEL_DEBUG);
    log_never_wait(ev_default_loop(0));
    log_with_time();
    recover(path);
    struct running running = {.path = path, .host = {first, helper, reload, &running}};
    running.config = load_first(&running);
    const int status = running.config ? run_gateway(&running) : EXIT_FAILED;
    config_free(running.config);
    config_file_free(&running.file);
    return status;
}
