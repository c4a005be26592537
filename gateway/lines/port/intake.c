// SPDX-License-Identifier: MIT
/* What a line receives, no faster than a wire could bring it. */
#include "intake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_S 0.1
#define WINDOW_MOST                                                                                \
    16384 /* bytes; more than a wire brings, and a serial server may hand over all it has collected */
#define RECEIVE_MOST (4 * WINDOW_MOST) /* at once: more than a serial port's buffer holds */

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) revents;
    struct intake *intake = io->data;
    uint8_t bytes[2048];
    ssize_t size = read(intake->fd, bytes, sizeof bytes);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        intake->events->ended(intake->data, size < 0 ? strerror(errno) : "closed by the far end");
        return;
    }
    if (!ev_is_active(&intake->window)) {
        intake->taken = 0;
        ev_timer_set(&intake->window, WINDOW_S, 0);
        ev_timer_start(loop, &intake->window);
    }
    intake->taken += (size_t) size;
    if (intake->taken >= WINDOW_MOST)
        ev_io_stop(loop, io);
    intake->events->received(intake->data, bytes, (size_t) size);
}

static void on_window(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) revents;
    struct intake *intake = timer->data;
    ev_io_start(loop, &intake->readable);
}

void intake_init(struct intake *intake, struct ev_loop *loop, const struct intake_events *events,
                 void *data)
{
    *intake = (struct intake){.loop = loop, .fd = -1, .events = events, .data = data};
    ev_init(&intake->readable, on_readable);
    ev_set_priority(&intake->readable, 1);
    ev_init(&intake->window, on_window);
    intake->readable.data = intake->window.data = intake;
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
    ev_timer_stop(intake->loop, &intake->window);
    intake->fd = -1;
}

bool intake_receive(struct intake *intake)
{
    uint8_t bytes[2048];
    for (size_t received = 0; received < RECEIVE_MOST && intake->fd >= 0;) {
        errno = 0;
        ssize_t size = read(intake->fd, bytes, sizeof bytes);
        if (size < 0)
            return errno == EAGAIN || errno == EINTR;
        if (size == 0)
            return false;
        received += (size_t) size;
        intake->events->received(intake->data, bytes, (size_t) size);
    }
    return true;
}
