// SPDX-License-Identifier: MIT
/* The settings of a serial port, on a pseudo terminal: this has no parity and always eight bits,
 * but is otherwise like any port. */
#include "ports/port.h"

#include <poll.h>
#include <pty.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "unit.h"

/* glibc's struct cannot represent unusual rates. */
struct kernel_termios {
    uint32_t flags[4];
    uint8_t line, characters[19];
    uint32_t input_rate, output_rate;
};

struct bench {
    int master, slave;
    char path[64], address[80];
    int opened; /* -1: not */
    char why[100];
};

static void on_opened(void *data, int fd)
{
    struct bench *bench = data;
    bench->opened = fd;
}

static void on_failed(void *data, const char *why)
{
    struct bench *bench = data;
    snprintf(bench->why, sizeof bench->why, "%s", why);
}

static struct port *open_port(struct bench *bench, const struct port_settings *settings)
{
    static const struct port_events events = {.opened = on_opened, .failed = on_failed};
    bench->opened = -1;
    bench->why[0] = '\0';
    snprintf(bench->address, sizeof bench->address, "serial:%s", bench->path);
    struct port *port =
        port_new(ev_default_loop(0), bench->address, settings, NULL, &events, bench);
    port_open(port);
    while (bench->opened < 0 && !bench->why[0])
        ev_run(ev_default_loop(0), EVRUN_ONCE);
    return port;
}

static int set_up(void **state)
{
    static struct bench bench;
    assert_int_equal(openpty(&bench.master, &bench.slave, bench.path, NULL, NULL), 0);
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    close(bench->master);
    close(bench->slave);
    return 0;
}

#define PORT_SERIAL_TEST(name) TEST_WITH(name, set_up, tear_down)

PORT_SERIAL_TEST(sets_it_raw_and_at_its_rate)
{
    struct bench *bench = *state;
    const struct port_settings settings = {.baud = 31250, .framing = "8N2"};
    assert_int_equal(write(bench->master, "old\n", 4), 4);
    struct port *port = open_port(bench, &settings);
    struct termios termios;
    assert_int_equal(tcgetattr(bench->slave, &termios), 0);
    struct kernel_termios kernel;
    assert_int_equal(ioctl(bench->slave, _IOR('T', 0x2A, struct kernel_termios), &kernel), 0);
    assert_int_equal(kernel.output_rate, 31250);
    assert_int_equal(kernel.input_rate, 31250);
    assert_int_equal(termios.c_cflag & (CSTOPB | CREAD | CLOCAL | HUPCL | CRTSCTS),
                     CSTOPB | CREAD | CLOCAL);
    assert_int_equal(termios.c_lflag & (ICANON | ECHO | ISIG | IEXTEN), 0);
    assert_int_equal(termios.c_iflag & (ICRNL | IXON | IXOFF | ISTRIP | BRKINT), 0);
    assert_int_equal(termios.c_oflag & OPOST, 0);
    assert_int_equal(termios.c_cc[VMIN], 1);
    /* Bytes received before are discarded. */
    char bytes[8];
    assert_int_equal(read(bench->opened, bytes, sizeof bytes), -1);
    assert_int_equal(write(bench->master, "\r\n\x11", 3), 3);
    assert_int_equal(read(bench->opened, bytes, sizeof bytes), 3);
    assert_memory_equal(bytes, "\r\n\x11", 3);
    port_free(port);
}

PORT_SERIAL_TEST(can_only_read_where_it_listens)
{
    struct bench *bench = *state;
    const struct port_settings settings = {.baud = 9600, .framing = "8N1", .listen = true};
    struct port *port = open_port(bench, &settings);
    assert_int_equal(write(bench->opened, "x", 1), -1);
    port_free(port);
}

PORT_SERIAL_TEST(leaves_it_to_another_program)
{
    struct bench *bench = *state;
    const struct port_settings settings = {.baud = 9600, .framing = "8N1"};
    struct port *first = open_port(bench, &settings);
    assert_true(bench->opened >= 0);
    /* It has more to send than fits. */
    char bytes[512] = "request";
    size_t sent = 0, passed = 0;
    for (ssize_t size; (size = write(bench->opened, bytes, sizeof bytes)) > 0;)
        sent += (size_t) size;
    struct port *second = open_port(bench, &settings);
    assert_string_equal(bench->why, "another program uses it");
    struct pollfd more = {.fd = bench->master, .events = POLLIN};
    while (poll(&more, 1, 100) > 0)
        passed += (size_t) read(bench->master, bytes, sizeof bytes);
    assert_int_equal(passed, sent);
    port_free(first);
    port_free(second);
    struct port *third = open_port(bench, &settings);
    assert_true(bench->opened >= 0);
    port_free(third);
}

PORT_SERIAL_TEST(says_what_is_no_serial_port)
{
    struct bench *bench = *state;
    const struct port_settings settings = {.baud = 9600, .framing = "8N1"};
    strcpy(bench->path, "/dev/null");
    port_free(open_port(bench, &settings));
    assert_string_equal(bench->why, "not a serial port");
    strcpy(bench->path, "/dev/nothing-like-that");
    port_free(open_port(bench, &settings));
    assert_string_equal(bench->why, "No such file or directory");
}
