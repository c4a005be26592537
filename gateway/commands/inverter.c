// SPDX-License-Identifier: MIT
/* `packgate simulate --inverter`: an inverter that polls a battery and prints the values that it
 * receives. */
#include "command.h"
#include "options.h"
#include "signals.h"

#include "base/can_socket.h"
#include "base/clock.h"
#include "ports/port.h"
#include "simulator/inverter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: packgate simulate --inverter NAME --port PORT [OPTION]...\n\n"
    "Polls a battery once a second, as an inverter does, and prints the values that it receives, "
    "until SIGINT or SIGTERM.\n"
    "      --inverter NAME  the protocol: %s\n"
    "      --port PORT      serial:/dev/ttyUSB0, tcp://HOST:PORT, or can:can0 (by serial and tcp, "
    "CAN is SLCAN)\n"
    "      --baud N         of a serial port; 9600\n"
    "      --address N      of the battery; 2 for pylontech, else 1\n"
    "      --wants AMPERE   the current that it requests, negative to discharge; 50\n"
    "      --ignore         draws that current regardless of the limits\n"
    "Exit status: 0 after a signal, 1 when it cannot start, 2 for a wrong call.\n";

#define ROOM 4096

struct run {
    struct ev_loop *loop;
    struct inverter inverter;
    const char *port_name;
    struct port *port; /* NULL: a CAN interface */
    int fd;            /* -1: not open */
    ev_io io;
    ev_timer second;
    size_t size;
    uint8_t bytes[ROOM];
};

static void close_port(struct run *run)
{
    ev_io_stop(run->loop, &run->io);
    if (run->port)
        port_close(run->port);
    else if (run->fd >= 0)
        close(run->fd);
    run->fd = -1;
    run->size = 0;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct run *run = io->data;
    struct can_message frame;
    const double now = clock_now();
    int got;
    if (!run->port) {
        while ((got = can_socket_receive(run->fd, &frame)) > 0)
            inverter_hear_frame(&run->inverter, &frame, now);
        if (got < 0)
            close_port(run);
        return;
    }
    const ssize_t size = read(run->fd, run->bytes + run->size, ROOM - run->size);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        close_port(run);
        return;
    }
    run->size += (size_t) size;
    const size_t over = inverter_hear(&run->inverter, run->bytes, run->size, now);
    run->size = over < run->size && run->size < ROOM ? run->size - over : 0;
    memmove(run->bytes, run->bytes + over, run->size);
}

static void start_reading(struct run *run, int fd)
{
    run->fd = fd;
    ev_io_set(&run->io, fd, EV_READ);
    ev_io_start(run->loop, &run->io);
}

static void on_opened(void *data, int fd)
{
    struct run *run = data;
    start_reading(run, fd);
    if (run->inverter.kind == INVERTER_CAN &&
        write(fd, SLCAN_OPEN, strlen(SLCAN_OPEN)) != (ssize_t) strlen(SLCAN_OPEN))
        close_port(run);
}

static void on_failed(void *data, const char *why)
{
    fprintf(stderr, "packgate simulate: --port: %s\n", why);
}

static void open_port(struct run *run)
{
    const char *name = run->port_name;
    if (run->port) {
        port_open(run->port);
        return;
    }
    const int fd = can_socket_open(name + strlen("can:"));
    if (fd >= 0)
        start_reading(run, fd);
    else
        fprintf(stderr, "packgate simulate: --port %s: %s\n", name, strerror(errno));
}

static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct run *run = timer->data;
    char text[256];
    inverter_describe(&run->inverter, clock_now(), text, sizeof text);
    printf("%s%s\n", run->fd < 0 ? "the port is not open; " : "", text);
    fflush(stdout);
    run->size = 0; /* the rest of a reply that was too late */
    if (run->fd < 0) {
        open_port(run);
    } else {
        struct bms_request request;
        const struct can_message alive = {.id = 0x305, .size = 8};
        inverter_ask(&run->inverter, &request);
        bool sent = run->port
                        ? write(run->fd, request.bytes, request.size) == (ssize_t) request.size
                        : can_socket_send(run->fd, &alive);
        if (!sent && errno != EAGAIN && errno != ENOBUFS)
            close_port(run);
    }
}

static bool is_can_port(const char *name)
{
    return strncmp(name, "can:", 4) == 0;
}

static int run_inverter(struct run *run, const struct port_settings *settings)
{
    static const struct port_events events = {.opened = on_opened, .failed = on_failed};
    const bool is_can = is_can_port(run->port_name);
    run->loop = ev_default_loop(0);
    run->port = is_can ? NULL : port_new(run->loop, run->port_name, settings, NULL, &events, run);
    if (!is_can && !run->port) {
        fprintf(stderr, "packgate simulate: --port '%s': expected serial:…, tcp://… or can:…\n",
                run->port_name);
        return EXIT_FAILED;
    }
    ev_io_init(&run->io, on_readable, -1, EV_READ);
    ev_timer_init(&run->second, on_second, 1, 1);
    run->io.data = run->second.data = run;
    open_port(run);
    ev_timer_start(run->loop, &run->second);
    signals_end(run->loop);
    ev_run(run->loop, 0);
    close_port(run);
    if (run->port)
        port_free(run->port);
    return EXIT_DONE;
}

static int report_usage_error(const char *what, const char *text)
{
    fprintf(stderr, "packgate simulate: %s '%s' (see --inverter NAME --help)\n", what, text);
    return EXIT_USAGE;
}

static bool parse_number_between(const char *text, double min, double max, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= min && *out <= max;
}

int command_inverter(int argc, char **argv)
{
    static struct run run;
    const char *name = NULL, *baud_text = NULL, *address_text = NULL, *wants_text = NULL;
    double baud = 9600, address = -1, wants = 50;
    bool ignores = false;
    const struct option_row rows[] = {{"inverter", 0, .text = &name},
                                      {"port", 0, .text = &run.port_name},
                                      {"baud", 0, .text = &baud_text},
                                      {"address", 0, .text = &address_text},
                                      {"wants", 0, .text = &wants_text},
                                      {"ignore", 0, .flag = &ignores},
                                      {0}};
    char names[200];
    inverter_names(names, sizeof names);
    const int status = options_try(argc, argv, rows, 0);
    if (status == EXIT_DONE)
        return printf(usage, names) > 0 ? EXIT_DONE : EXIT_FAILED;
    if (status >= 0)
        return status;
    if (baud_text && !parse_number_between(baud_text, 300, 4e6, &baud))
        return report_usage_error("wrong number", baud_text);
    if (address_text && !parse_number_between(address_text, 0, 254, &address))
        return report_usage_error("wrong number", address_text);
    if (wants_text && !parse_number_between(wants_text, -5000, 5000, &wants))
        return report_usage_error("wrong number", wants_text);
    if (!inverter_init(&run.inverter, name, (int) address))
        return report_usage_error("unknown inverter", name);
    if (!run.port_name)
        return report_usage_error("--port is missing: expected the battery's port, for", name);
    if (is_can_port(run.port_name) && run.inverter.kind != INVERTER_CAN)
        return report_usage_error("expected serial:... or tcp://...; a CAN interface is not for",
                                  name);
    run.fd = -1;
    run.inverter.wants_a = wants;
    run.inverter.obeys = !ignores;
    struct port_settings settings = {.baud = (unsigned) baud, .framing = "8N1"};
    return run_inverter(&run, &settings);
}
