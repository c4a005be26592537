// SPDX-License-Identifier: MIT
/*
 * Serial ports, through libserialport. Only its set-up is used: reading and writing go to the
 * descriptor, as its own calls (sp_drain, sp_blocking_read) wait. It knows only devices that sysfs
 * lists, which pseudo terminals (socat, other programs' virtual ports, `packgate simulate --pty`)
 * are not: these are opened by hand and need no settings but raw.
 */
#include "port_kind.h"

#include <errno.h>
#include <fcntl.h>
#include <libserialport.h>
#include <linux/serial.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

struct serial {
    struct port *port;
    struct sp_port *handle; /* NULL: not open */
    int pty;                /* instead of the handle; -1: none */
    int lock;               /* of the same device, held while it is open; -1: none */
};

static void *create(struct port *port, const struct port_simulated *simulated)
{
    (void) simulated;
    struct serial *serial = calloc(1, sizeof *serial);
    if (serial) {
        serial->port = port;
        serial->pty = serial->lock = -1;
    }
    return serial;
}

static enum sp_parity parity(char letter)
{
    return letter == 'E' ? SP_PARITY_EVEN : letter == 'O' ? SP_PARITY_ODD : SP_PARITY_NONE;
}

/* The kernel's own RS485 mode: it drives RTS around each transmission, which no program can do
 * in time. */
static bool set_rs485(int fd)
{
    struct serial_rs485 mode = {.flags = SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND};
    return ioctl(fd, TIOCSRS485, &mode) == 0;
}

static bool set_rts(struct serial *serial, int fd)
{
    switch (serial->port->settings.rts) {
    case RTS_ON:
        return sp_set_rts(serial->handle, SP_RTS_ON) == SP_OK;
    case RTS_OFF:
        return sp_set_rts(serial->handle, SP_RTS_OFF) == SP_OK;
    case RTS_RS485:
        return set_rs485(fd);
    case RTS_DEFAULT:
        break;
    }
    return true;
}

/* libserialport sets VMIN to 0, with which reading nothing looks like the end of the connection. */
static bool set_reading(int fd)
{
    struct termios settings;
    if (tcgetattr(fd, &settings) < 0)
        return false;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    return tcsetattr(fd, TCSANOW, &settings) == 0;
}

static bool set_up(struct serial *serial, int fd)
{
    const struct port_settings *settings = &serial->port->settings;
    return sp_set_baudrate(serial->handle, (int) settings->baud) == SP_OK &&
           sp_set_bits(serial->handle, settings->framing[0] - '0') == SP_OK &&
           sp_set_parity(serial->handle, parity(settings->framing[1])) == SP_OK &&
           sp_set_stopbits(serial->handle, settings->framing[2] - '0') == SP_OK &&
           sp_set_flowcontrol(serial->handle, SP_FLOWCONTROL_NONE) == SP_OK &&
           set_rts(serial, fd) && set_reading(fd);
}

/* Through a descriptor for reading the kernel sends nothing, whatever the program does. */
static int access_mode(const struct serial *serial)
{
    return serial->port->settings.listen ? O_RDONLY : O_RDWR;
}

/* Two programs that ask on one line take each other's answers. The lock is what other careful
 * programs look at (pyserial's `exclusive` is the same). It comes before anything that touches the
 * settings or the buffers, which the other may be using. */
static bool take(struct serial *serial, const char *path)
{
    serial->lock = open(path, access_mode(serial) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    return serial->lock >= 0 && flock(serial->lock, LOCK_EX | LOCK_NB) == 0;
}

/* A child process (name look-up, state file) may still hold the descriptor: closing is not enough. */
static void let_go(struct serial *serial)
{
    if (serial->lock < 0)
        return;
    flock(serial->lock, LOCK_UN);
    close(serial->lock);
    serial->lock = -1;
}

static int open_device(struct serial *serial, const char *path)
{
    int fd = -1;
    if (sp_get_port_by_name(path, &serial->handle) != SP_OK) {
        serial->handle = NULL;
        return -1;
    }
    const enum sp_mode mode = serial->port->settings.listen ? SP_MODE_READ : SP_MODE_READ_WRITE;
    if (sp_open(serial->handle, mode) != SP_OK) {
        int error = errno;
        sp_free_port(serial->handle);
        serial->handle = NULL;
        errno = error;
        return -1;
    }
    if (sp_get_port_handle(serial->handle, &fd) != SP_OK || !set_up(serial, fd))
        return -1;
    sp_flush(serial->handle, SP_BUF_BOTH);
    return fd;
}

static int open_pty(struct serial *serial, const char *path)
{
    struct termios settings;
    serial->pty = open(path, access_mode(serial) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (serial->pty < 0 || tcgetattr(serial->pty, &settings) < 0)
        return -1;
    cfmakeraw(&settings);
    if (tcsetattr(serial->pty, TCSANOW, &settings) < 0)
        return -1;
    tcflush(serial->pty, TCIOFLUSH);
    return serial->pty;
}

/* Links are followed anew at each opening: the one of an adapter leads to another device after
 * it was plugged in again, and libserialport takes names below /dev only. */
static void open_serial(void *state)
{
    struct serial *serial = state;
    errno = 0;
    char *path = realpath(serial->port->address, NULL);
    int fd = -1;
    if (path && take(serial, path))
        fd =
            strncmp(path, "/dev/pts/", 9) == 0 ? open_pty(serial, path) : open_device(serial, path);
    int error = errno;
    free(path);
    if (fd >= 0)
        port_opened(serial->port, fd);
    else if (error == EWOULDBLOCK)
        port_failed(serial->port, "another program uses it");
    else if (serial->handle)
        port_failed(serial->port, "it does not take baud rate, framing or rts as they are set");
    else
        port_failed(serial->port, error ? strerror(error) : "not a serial port");
}

/* What is not sent yet is thrown away: closing would wait for it, up to 30 s with an adapter
 * that hangs. */
static void close_serial(void *state)
{
    struct serial *serial = state;
    if (serial->pty >= 0)
        close(serial->pty);
    serial->pty = -1;
    if (serial->handle) {
        sp_flush(serial->handle, SP_BUF_OUTPUT);
        sp_close(serial->handle);
        sp_free_port(serial->handle);
    }
    serial->handle = NULL;
    let_go(serial);
}

const struct port_kind port_serial_kind = {
    .prefix = "serial:",
    .create = create,
    .destroy = free,
    .open = open_serial,
    .close = close_serial,
};
