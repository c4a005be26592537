// SPDX-License-Identifier: MIT
/* What a line receives, no faster than a wire could bring it. */
#include "intake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 2048        /* bytes; after a full block more follow, */
#define PAUSE_S 0.0125    /* read after this pause: 160 kB/s is more than any wire has */
#define BLOCKS_AT_ONCE 32 /* more than a serial port's buffer holds */

/* As read(2). */
static ssize_t receive(struct intake *intake)
{
    uint8_t bytes[BLOCK];
    errno = 0;
    const ssize_t size = read(intake->fd, bytes, sizeof bytes);
    if (size > 0)
        intake->events->received(intake->data, bytes, (size_t) size);
    return size;
}

static bool may_go_on(ssize_t size)
{
    return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct intake *intake = io->data;
    const ssize_t size = receive(intake);
    if (!may_go_on(size)) {
        intake->events->ended(intake->data, size < 0 ? strerror(errno) : "closed by the far end");
    } else if (size == BLOCK && intake->fd >= 0) {
        ev_io_stop(loop, io);
        ev_timer_set(&intake->pause, PAUSE_S, 0);
        ev_timer_start(loop, &intake->pause);
    }
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct intake *intake = timer->data;
    ev_io_start(loop, &intake->readable);
}

void intake_init(struct intake *intake, struct ev_loop *loop, const struct intake_events *events,
                 void *data)
{
    *intake = (struct intake){.loop = loop, .fd = -1, .events = events, .data = data};
    ev_init(&intake->readable, on_readable);
    ev_set_priority(&intake->readable, 1);
    ev_init(&intake->pause, on_pause_over);
    intake->readable.data = intake->pause.data = intake;
}

void intake_start(struct intake *intake, int fd)
{
    intake_stop(intake);
    intake->fd = fd;
    ev_io_set(&intake->readable, fd, EV_READ);
    ev_io_start(intake->loop, &intake->readable);
}

void intake_stop(struct intake *intake)
{
    ev_io_stop(intake->loop, &intake->readable);
    ev_timer_stop(intake->loop, &intake->pause);
    intake->fd = -1;
}

bool intake_receive(struct intake *intake)
{
    ssize_t size = BLOCK;
    for (unsigned i = 0; i < BLOCKS_AT_ONCE && size > 0 && intake->fd >= 0; i++)
        size = receive(intake);
    return may_go_on(size);
}
