// SPDX-License-Identifier: MIT
/*
 * Serial ports. The kernel's own struct accepts any rate, glibc's termios only the usual ones; a
 * file can include only one of them. Pseudo terminals (socat, other programs' virtual ports,
 * `packgate simulate --pty`) accept the same settings and ignore them.
 */
#include "port_kind.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool set_rts(int fd, enum rts_mode mode)
{
    const int rts = TIOCM_RTS;
    /* The kernel drives RTS around each transmission, which no program can do in time, and writes back what it has set. */
    struct serial_rs485 rs485 = {.flags = SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND};
    if (mode == RTS_RS485)
        return ioctl(fd, TIOCSRS485, &rs485) == 0;
    return mode == RTS_DEFAULT || ioctl(fd, mode == RTS_ON ? TIOCMBIS : TIOCMBIC, &rts) == 0;
}

/* Raw, without flow control, modem lines and their hanging up; to read nothing is not the end of the connection. */
static bool set_up(int fd, const struct port_settings *settings)
{
    const char bits = settings->framing[0], parity = settings->framing[1];
    struct termios2 termios;
    if (ioctl(fd, TCGETS2, &termios) < 0)
        return false;
    termios.c_iflag = parity == 'N' ? IGNPAR : 0;
    termios.c_oflag = termios.c_lflag = 0;
    termios.c_cflag = BOTHER | BOTHER << IBSHIFT | CREAD | CLOCAL | (bits == '7' ? CS7 : CS8);
    termios.c_cflag |= (parity == 'N' ? 0 : PARENB) | (parity == 'O' ? PARODD : 0);
    termios.c_cflag |= settings->framing[2] == '2' ? CSTOPB : 0;
    termios.c_ispeed = termios.c_ospeed = settings->baud;
    termios.c_cc[VMIN] = 1;
    termios.c_cc[VTIME] = 0;
    return ioctl(fd, TCSETS2, &termios) == 0 && set_rts(fd, settings->rts) &&
           ioctl(fd, TCFLSH, TCIOFLUSH) == 0;
}

/* Two programs that poll one line receive each other's answers. Other careful programs respect this
 * lock (pyserial's `exclusive` is the same). It is taken before settings or buffers are touched,
 * which the other program may be using. The kernel sends nothing through a descriptor for reading. */
static const char *open_device(struct port *port)
{
    const struct port_settings *settings = &port->settings;
    const int mode = settings->listen ? O_RDONLY : O_RDWR;
    port->fd = open(port->address, mode | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (port->fd < 0)
        return strerror(errno);
    if (flock(port->fd, LOCK_EX | LOCK_NB) < 0) {
        const int err = errno;
        close(port->fd); /* close_serial would discard what the other program sends */
        port->fd = -1;
        return err == EWOULDBLOCK ? "another program uses it" : strerror(err);
    }
    if (!isatty(port->fd))
        return "not a serial port";
    return set_up(port->fd, settings)
               ? NULL
               : "it does not take baud rate, framing or rts as they are set";
}

static void open_serial(struct port *port)
{
    const char *why = open_device(port);
    if (why)
        port_failed(port, why);
    else
        port_opened(port, port->fd);
}

/* What is not sent yet is thrown away: closing would wait for it, up to 30 s with an adapter that hangs. A child process
 * (name look-up, state file) may still hold the descriptor: for the lock closing is not enough. */
static void close_serial(struct port *port)
{
    if (port->fd < 0)
        return;
    ioctl(port->fd, TCFLSH, TCOFLUSH);
    flock(port->fd, LOCK_UN);
}

const struct port_kind port_serial_kind = {
    .prefix = "serial:",
    .size = sizeof(struct port),
    .open = open_serial,
    .close = close_serial,
};
