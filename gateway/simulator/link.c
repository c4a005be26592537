// SPDX-License-Identifier: MIT
/*
 * One connection to a simulated bus. Replies wait in slots until they are due; one slot after the
 * other is sent, whole or piece by piece.
 */
#include "link.h"

#include "base/clock.h"
#include "bms/prng.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define SLOTS_MOST 1024
#define QUIET_S 0.1      /* s of silence after which an incomplete request is discarded */
#define PTY_CHECK_S 0.05 /* s between checks for a client */
#define PACE_S 0.01      /* s: a paced line is sent in portions of this length */
#define PIECE_MOST 32    /* bytes of a piece, for a reply that comes in pieces */
#define PIECE_MOST_MS 10

/* Bytes to be sent. */
struct slot {
    struct slot *next;
    double due;
    size_t room; /* allocated bytes */
    size_t size;
    size_t sent;
    bool is_echo;
    uint8_t bytes[];
};

struct simulator_link {
    struct ev_loop *loop;
    const struct simulator_options *options;
    struct simulator_link_events events;
    void *data;
    int fd;
    bool is_pty;
    uint64_t random;
    ev_io readable;
    ev_timer speaker; /* the next slot, or piece of it, is due */
    ev_timer quiet;
    ev_timer presence;  /* of a pty: checks for a client while there is none */
    struct slot *slots; /* in the order in which they are sent */
    unsigned count;
    struct slot *spare; /* the largest slot sent so far, reused to avoid allocation; NULL: none */
};

static void clear_slots(struct simulator_link *link)
{
    for (struct slot *slot; (slot = link->slots); free(slot))
        link->slots = slot->next;
    link->count = 0;
    ev_timer_stop(link->loop, &link->speaker);
}

/* Prepares for the next client: raw mode, and unread bytes are discarded. The kernel reports a missing client only after one was
 * there: open the slave once. */
static void pty_reset(int master)
{
    char name[PTY_NAME];
    struct termios settings;
    if (ptsname_r(master, name, sizeof name) != 0)
        return;
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return;
    if (tcgetattr(slave, &settings) == 0) {
        cfmakeraw(&settings);
        tcsetattr(slave, TCSANOW, &settings);
    }
    tcflush(slave, TCIFLUSH); /* not the bytes that a connected client has just written */
    close(slave);
}

int pty_open(char name[PTY_NAME])
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (master < 0)
        return -1;
    if (grantpt(master) != 0 || unlockpt(master) != 0 || ptsname_r(master, name, PTY_NAME) != 0) {
        int saved = errno;
        close(master);
        errno = saved;
        return -1;
    }
    pty_reset(master);
    return master;
}

static void on_presence(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct simulator_link *link = timer->data;
    struct pollfd client = {.fd = link->fd, .events = POLLIN};
    if (poll(&client, 1, 0) < 0 || client.revents & POLLHUP) /* none has the slave open */
        return;
    ev_timer_stop(loop, timer);
    ev_io_start(loop, &link->readable);
}

/* The size of the next piece of a slot, and how long the line is then busy or the sender pauses. */
static size_t next_piece(struct simulator_link *link, const struct slot *slot, double *pause_s)
{
    size_t left = slot->size - slot->sent, piece = left;
    double hesitation_s = 0;
    if (link->options->baud > 0)
        piece = (size_t) fmax(link->options->baud / 10 * PACE_S, 1);
    if (link->options->split != 0) {
        size_t most = piece < PIECE_MOST ? piece : PIECE_MOST;
        piece = (size_t) prng_range(&link->random, 1, (int) most);
        hesitation_s = prng_range(&link->random, 0, PIECE_MOST_MS) / 1e3;
    }
    piece = piece < left ? piece : left;
    *pause_s = fmax((link->options->baud > 0 ? (double) piece * 10 / link->options->baud : 0),
                    hesitation_s);
    return piece;
}

/* Sends bytes. False: the peer is gone or does not read. A pty loses what no client reads. */
static bool send_bytes(const struct simulator_link *link, const uint8_t *bytes, size_t size)
{
    if (!link->is_pty)
        return send(link->fd, bytes, size, MSG_NOSIGNAL) == (ssize_t) size;
    ssize_t sent = write(link->fd, bytes, size);
    (void) sent;
    return true;
}

/* The end of the current stall: until then nothing is sent. */
static double stalled_until(const struct simulator_link *link, double now)
{
    double every = link->options->stall_every_s, since = fmod(now, every);
    return since < link->options->stall_s ? now - since + link->options->stall_s : now;
}

static void arm_speaker(struct simulator_link *link)
{
    const struct slot *slot = link->slots;
    double now = clock_now();
    ev_timer_stop(link->loop, &link->speaker);
    if (!slot)
        return;
    double at = fmax(slot->due, stalled_until(link, now));
    ev_timer_set(&link->speaker, fmax(at - now, 0), 0);
    ev_timer_start(link->loop, &link->speaker);
}

static void remove_first_slot(struct simulator_link *link)
{
    struct slot *slot = link->slots;
    link->slots = slot->next;
    link->count--;
    struct slot *smaller = slot;
    if (!link->spare || link->spare->room < slot->room) {
        smaller = link->spare;
        link->spare = slot;
    }
    free(smaller);
}

/* Sends one piece of a slot. False: the connection has ended. */
static bool send_piece(struct simulator_link *link, struct slot *slot)
{
    double pause_s;
    size_t piece = next_piece(link, slot, &pause_s);
    if (!send_bytes(link, slot->bytes + slot->sent, piece))
        return false;
    slot->sent += piece;
    slot->due += pause_s;
    if (slot->sent < slot->size)
        return true;
    bool ends = link->options->close != 0 && !link->is_pty && !slot->is_echo;
    remove_first_slot(link);
    return !ends;
}

static void on_speaker(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct simulator_link *link = timer->data;
    double now = clock_now();
    bool stalled = stalled_until(link, now) > now;
    for (struct slot *slot; !stalled && (slot = link->slots) && slot->due <= now;) {
        if (!send_piece(link, slot)) {
            link->events.closed(link->data);
            return;
        }
    }
    arm_speaker(link);
}

static void queue_bytes(struct simulator_link *link, const uint8_t *bytes, size_t size,
                        double delay_s, bool is_echo)
{
    if (link->count == SLOTS_MOST || size == 0 || size > SIMULATOR_SAY_MAX ||
        !ev_is_active(&link->readable))
        return; /* no client reads it */
    struct slot *slot = link->spare;
    if (slot && slot->room >= size) {
        link->spare = NULL;
    } else {
        slot = malloc(sizeof *slot + size);
        if (!slot)
            return;
        slot->room = size;
    }
    memcpy(slot->bytes, bytes, size);
    slot->size = size;
    slot->sent = 0;
    slot->due = clock_now() + delay_s;
    slot->is_echo = is_echo;
    /* A slot that is partly sent must not be interrupted. */
    struct slot **at = &link->slots;
    while (*at && ((*at)->sent > 0 || (*at)->due <= slot->due))
        at = &(*at)->next;
    slot->next = *at;
    *at = slot;
    link->count++;
    arm_speaker(link);
}

void simulator_link_say(struct simulator_link *link, const uint8_t *bytes, size_t size,
                        double delay_s)
{
    queue_bytes(link, bytes, size, delay_s, false);
}

static void on_quiet(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct simulator_link *link = timer->data;
    ev_timer_stop(loop, timer);
    link->events.quiet(link->data);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct simulator_link *link = io->data;
    uint8_t bytes[1024];
    ssize_t size = read(link->fd, bytes, sizeof bytes);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size > 0) {
        ev_timer_again(loop, &link->quiet);
        if (link->options->echo != 0)
            queue_bytes(link, bytes, (size_t) size, 0, true);
        link->events.heard(link->data, bytes, (size_t) size);
    } else if (link->is_pty) {
        ev_io_stop(link->loop, &link->readable);
        ev_timer_stop(link->loop, &link->quiet);
        link->events.quiet(link->data);
        clear_slots(link);
        pty_reset(link->fd);
        ev_timer_again(link->loop, &link->presence);
    } else {
        link->events.closed(link->data);
    }
}

struct simulator_link *simulator_link_new(struct ev_loop *loop, int fd,
                                          const struct simulator_options *options, uint64_t seed,
                                          const struct simulator_link_events *events, void *data)
{
    struct simulator_link *link = calloc(1, sizeof *link);
    if (!link) {
        close(fd);
        return NULL;
    }
    link->loop = loop;
    link->fd = fd;
    link->is_pty = isatty(fd);
    link->options = options;
    link->random = seed;
    link->events = *events;
    link->data = data;
    ev_io_init(&link->readable, on_readable, fd, EV_READ);
    ev_init(&link->speaker, on_speaker);
    ev_timer_init(&link->quiet, on_quiet, 0, QUIET_S);
    ev_timer_init(&link->presence, on_presence, 0, PTY_CHECK_S);
    link->readable.data = link->speaker.data = link->quiet.data = link->presence.data = link;
    ev_io_start(loop, &link->readable);
    return link;
}

void simulator_link_free(struct simulator_link *link)
{
    if (!link)
        return;
    ev_io_stop(link->loop, &link->readable);
    ev_timer_stop(link->loop, &link->speaker);
    ev_timer_stop(link->loop, &link->quiet);
    ev_timer_stop(link->loop, &link->presence);
    clear_slots(link);
    free(link->spare);
    close(link->fd);
    free(link);
}
