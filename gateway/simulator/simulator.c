// SPDX-License-Identifier: MIT
/*
 * A bus of emulated BMS. Each BMS receives all bytes of a connection in a buffer of its own,
 * because one may still be waiting for the rest of a frame that another has already handled. The
 * model advances once a second. Replies wait in slots until they are due; one slot after the other
 * is sent, whole or piece by piece.
 */
#include "simulator.h"

#include "options.h"
#include "pty.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "bms/battery.h"
#include "bms/count.h"
#include "bms/prng.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 16
#define EAR_SIZE 512 /* bytes; longer than any request */
#define TICK_S 1.0
/* s of silence, for first_lost; longer than a host waits before it repeats */
#define ASLEEP_AFTER_S 10.0
#define SAME_REQUEST_S 0.02
#define JUNK_MOST 32
#define SLOTS_MOST 1024
#define QUIET_S 0.1      /* s of silence after which an incomplete request is discarded */
#define PTY_CHECK_S 0.05 /* s between checks for a client */
#define PACE_S 0.01      /* s: a paced line is sent in portions of this length */
#define PIECE_MOST 32    /* bytes of a piece, for a reply that comes in pieces */
#define PIECE_MOST_MS 10

struct member {
    struct bms bms;
    struct battery battery;
    struct simulator_options options; /* control requests change its fixed switches */
    struct pack pack;
};

/* Unhandled bytes that a BMS has received on a connection. */
struct ear {
    size_t size;
    uint8_t bytes[EAR_SIZE];
};

struct slot {
    struct slot *next;
    double due;
    size_t size;
    size_t sent;
    bool is_echo;
    uint8_t bytes[];
};

struct connection {
    struct simulator *simulator;
    struct connection **place; /* in the simulator */
    int fd;                    /* a socket, or the master of a pty */
    bool is_pty;
    uint64_t random;
    ev_io readable;
    ev_timer speaker; /* the next slot, or piece of it, is due */
    ev_timer quiet;
    ev_timer presence;  /* of a pty: checks for a client while there is none */
    struct slot *slots; /* in the order in which they are sent */
    unsigned count;
    struct ear ears[]; /* one per member */
};

struct simulator {
    struct ev_loop *loop;
    struct simulator_options options; /* of the whole bus */
    uint64_t random;
    ev_timer tick;
    char *text; /* of the options */
    double started_at, moved_at;
    double script_s; /* of the script, what is done */
    double heard_at; /* time of the last bytes, for first_lost */
    bool waking;     /* the bytes still belong to the lost request */
    struct connection *connections[CONNECTIONS];
    struct bms_output output; /* of the emulator that is running */
    unsigned count;
    struct member members[];
};

static void put_fixed(const struct simulator_fixed *fixed, struct pack *pack)
{
    for (int id = 0; id < PACK_VALUES; id++)
        if (fixed->is_fixed[id])
            pack->value[id] = fixed->value[id];
}

/* Replaces the values of the model by the fixed ones, and derives what depends on them and is not fixed itself: the voltage of the
 * pack from its cells, SOC and remaining capacity from each other, power, extremes, averages. */
static void apply_fixed(const struct simulator_fixed *fixed, struct pack *pack)
{
    static const enum pack_value derived[] = {POWER_W,       CELL_MAX_MV, CELL_MIN_MV, CELL_AVG_MV,
                                              CELL_DELTA_MV, TEMP_AVG_C,  BALANCING};
    put_fixed(fixed, pack);
    const bool *is_fixed = fixed->is_fixed;
    const double full_ah = pack->value[FULL_AH];
    double sum_mv = 0;
    bool any_cell = false;
    for (int id = CELL_MV; id < CELL_MV + MAX_CELLS; id++) {
        any_cell |= is_fixed[id];
        sum_mv += pack_known(pack, (enum pack_value) id) ? pack->value[id] : 0;
    }
    if (any_cell && !is_fixed[VOLTAGE_V])
        pack_set(pack, VOLTAGE_V, sum_mv / 1000);
    if (full_ah > 0 && is_fixed[SOC_PERCENT] && !is_fixed[REMAINING_AH])
        pack_set(pack, REMAINING_AH, pack->value[SOC_PERCENT] * full_ah / 100);
    else if (full_ah > 0 && !is_fixed[SOC_PERCENT] && (is_fixed[REMAINING_AH] || is_fixed[FULL_AH]))
        pack_set(pack, SOC_PERCENT, 100 * pack->value[REMAINING_AH] / full_ah);
    if (pack_known(pack, CURRENT_A))
        pack_set(pack, FLOW, pack_flow(pack));
    for (size_t i = 0; i < COUNT(derived); i++)
        pack_unset(pack, derived[i]);
    pack_derive(pack);
    put_fixed(fixed, pack);
    pack->alarms_warning = (pack->alarms_warning & ~fixed->alarms) | fixed->alarms_warning;
    pack->alarms_protection = (pack->alarms_protection & ~fixed->alarms) | fixed->alarms_protection;
    for (int i = 0; i < PACK_TEXTS; i++)
        if (fixed->text_is_fixed[i])
            memcpy(pack->text[i], fixed->text[i], TEXT_SIZE);
}

static void move(struct member *member, double seconds)
{
    battery_step(&member->battery, seconds, &member->pack);
    apply_fixed(&member->options.fixed, &member->pack);
}

/* With `clock`, the cell voltages encode the time. */
static void encode_time(struct member *member)
{
    struct simulator_fixed *fixed = &member->options.fixed;
    if (member->options.clock == 0)
        return;
    for (unsigned i = 0; i < (unsigned) member->options.cells; i++) {
        fixed->is_fixed[CELL_MV + i] = true;
        fixed->value[CELL_MV + i] = simulator_clock_cell_mv(clock_now());
    }
    apply_fixed(fixed, &member->pack);
}

/* The values that a command can change. */
static const enum pack_value commanded_ids[] = {CHARGE_MOS, DISCHARGE_MOS, SOC_PERCENT, RATED_AH,
                                                SET_BALANCER};
#define COMMANDED COUNT(commanded_ids)

static bool happens(struct simulator *simulator, double probability)
{
    return prng_unit(&simulator->random) < probability;
}

static void remove_first_slot(struct connection *connection)
{
    struct slot *slot = connection->slots;
    connection->slots = slot->next;
    connection->count--;
    free(slot);
}

static void clear_slots(struct connection *connection)
{
    while (connection->slots)
        remove_first_slot(connection);
    ev_timer_stop(connection->simulator->loop, &connection->speaker);
}

static void remove_connection(struct connection *connection)
{
    struct ev_loop *loop = connection->simulator->loop;
    *connection->place = NULL;
    ev_io_stop(loop, &connection->readable);
    ev_timer_stop(loop, &connection->speaker);
    ev_timer_stop(loop, &connection->quiet);
    ev_timer_stop(loop, &connection->presence);
    clear_slots(connection);
    close(connection->fd);
    free(connection);
}

/* The end of the current stall: until then nothing is sent. */
static double stalled_until(const struct simulator_options *options, double now)
{
    const double since = fmod(now, options->stall_every_s);
    return since < options->stall_s ? now - since + options->stall_s : now;
}

static void arm_speaker(struct connection *connection)
{
    const struct slot *slot = connection->slots;
    double now = clock_now();
    ev_timer_stop(connection->simulator->loop, &connection->speaker);
    if (!slot)
        return;
    double at = fmax(slot->due, stalled_until(&connection->simulator->options, now));
    ev_timer_set(&connection->speaker, fmax(at - now, 0), 0);
    ev_timer_start(connection->simulator->loop, &connection->speaker);
}

/* Sends one piece of a slot. False: the connection has ended, or its peer does not read. A pty loses what no client reads. */
static bool send_piece(struct connection *connection, struct slot *slot)
{
    const struct simulator_options *options = &connection->simulator->options;
    const size_t left = slot->size - slot->sent;
    size_t piece = left;
    double pause_s = 0; /* the line is busy, or the sender hesitates */
    if (options->baud > 0)
        piece = (size_t) fmax(options->baud / 10 * PACE_S, 1);
    if (options->split != 0) {
        size_t most = piece < PIECE_MOST ? piece : PIECE_MOST;
        piece = (size_t) prng_range(&connection->random, 1, (int) most);
        pause_s = prng_range(&connection->random, 0, PIECE_MOST_MS) / 1e3;
    }
    piece = piece < left ? piece : left;
    if (options->baud > 0)
        pause_s = fmax((double) piece * 10 / options->baud, pause_s);
    const uint8_t *bytes = slot->bytes + slot->sent;
    const ssize_t sent = connection->is_pty ? write(connection->fd, bytes, piece)
                                            : send(connection->fd, bytes, piece, MSG_NOSIGNAL);
    if (!connection->is_pty && sent != (ssize_t) piece)
        return false;
    slot->sent += piece;
    slot->due += pause_s;
    if (slot->sent < slot->size)
        return true;
    bool ends = options->close != 0 && !connection->is_pty && !slot->is_echo;
    remove_first_slot(connection);
    return !ends;
}

static void on_speaker(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct connection *connection = timer->data;
    double now = clock_now();
    bool stalled = stalled_until(&connection->simulator->options, now) > now;
    for (struct slot *slot; !stalled && (slot = connection->slots) && slot->due <= now;) {
        if (!send_piece(connection, slot)) {
            remove_connection(connection);
            return;
        }
    }
    arm_speaker(connection);
}

/* Sends bytes after a delay; a shorter delay overtakes a longer one. If too much is waiting already, they are lost. */
static void queue_bytes(struct connection *connection, const uint8_t *bytes, size_t size,
                        double delay_s, bool is_echo)
{
    if (connection->count == SLOTS_MOST || !ev_is_active(&connection->readable))
        return; /* no client reads it */
    struct slot *slot = malloc(sizeof *slot + size);
    if (!slot)
        return;
    memcpy(slot->bytes, bytes, size);
    slot->size = size;
    slot->sent = 0;
    slot->due = clock_now() + delay_s;
    slot->is_echo = is_echo;
    /* A slot that is partly sent must not be interrupted. */
    struct slot **at = &connection->slots;
    while (*at && ((*at)->sent > 0 || (*at)->due <= slot->due))
        at = &(*at)->next;
    slot->next = *at;
    *at = slot;
    connection->count++;
    arm_speaker(connection);
}

/* Sends simulator->output, with the faults of the options. */
static void send_delayed_reply(struct simulator *simulator, const struct member *member,
                               struct connection *connection, double delay_s)
{
    uint8_t bytes[JUNK_MOST + BMS_FRAME_MAX];
    const struct bms_output *output = &simulator->output;
    if (output->size == 0 || happens(simulator, member->options.drop))
        return;
    size_t junk = 0, size = output->size;
    if (happens(simulator, member->options.noise))
        junk = (size_t) prng_range(&simulator->random, 1, JUNK_MOST);
    for (size_t i = 0; i < junk; i++)
        bytes[i] = (uint8_t) prng_next(&simulator->random);
    memcpy(bytes + junk, output->bytes, size);
    if (happens(simulator, member->options.flip)) {
        const int bit = prng_range(&simulator->random, 0, (int) size * 8 - 1);
        bytes[junk + (size_t) bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
    if (size > 1 && happens(simulator, member->options.cut))
        size = (size_t) prng_range(&simulator->random, 1, (int) size - 1);
    if (happens(simulator, member->options.late))
        delay_s += member->options.late_ms / 1e3;
    queue_bytes(connection, bytes, junk + size, delay_s, false);
    if (member->options.repeat_ms > 0)
        queue_bytes(connection, bytes, junk + size, delay_s + member->options.repeat_ms / 1e3,
                    false);
}

static void discard_bytes(struct ear *ear, size_t size)
{
    ear->size -= size;
    memmove(ear->bytes, ear->bytes + size, ear->size);
}

/* Lets a BMS handle the frames that it has received, until it waits for more. */
static void listen_in(struct connection *connection, struct member *member, struct ear *ear)
{
    struct simulator *simulator = connection->simulator;
    while (ear->size > 0) {
        double before[COMMANDED];
        for (size_t i = 0; i < COMMANDED; i++)
            before[i] = member->pack.value[commanded_ids[i]];
        encode_time(member);
        size_t used =
            bms_emulate(&member->bms, &member->pack, ear->bytes, ear->size, &simulator->output);
        /* A command overrides a fixed value; all values derived from it change at once. */
        bool commanded = false;
        for (size_t i = 0; i < COMMANDED; i++) {
            const double now = member->pack.value[commanded_ids[i]];
            if (now == before[i] || isnan(now))
                continue;
            member->options.fixed.value[commanded_ids[i]] = now;
            battery_set(&member->battery, commanded_ids[i], now);
            commanded = true;
        }
        if (commanded)
            move(member, 0);
        if (used == 0)
            return;
        used = used < ear->size ? used : ear->size;
        /* The bytes of the request take their time on the wire. */
        double baud = simulator->options.baud;
        double wire_s = baud > 0 ? (double) used * 10 / baud : 0;
        send_delayed_reply(simulator, member, connection, wire_s + member->options.delay_ms / 1e3);
        discard_bytes(ear, used);
    }
}

static void hear(struct connection *connection, const uint8_t *bytes, size_t size)
{
    struct simulator *simulator = connection->simulator;
    /* With first_lost, a BMS that was idle wakes up by a request and misses it. */
    double now = clock_now();
    double pause_s = now - simulator->heard_at;
    if (pause_s > ASLEEP_AFTER_S)
        simulator->waking = true;
    else if (pause_s > SAME_REQUEST_S)
        simulator->waking = false;
    simulator->heard_at = now;
    if (simulator->waking && simulator->options.first_lost != 0)
        return;
    for (unsigned i = 0; i < simulator->count; i++) {
        struct member *member = &simulator->members[i];
        struct ear *ear = &connection->ears[i];
        for (size_t done = 0, part; done < size && member->options.silent == 0; done += part) {
            /* A false start that fills the whole buffer must not block the BMS for good. */
            if (ear->size == EAR_SIZE)
                discard_bytes(ear, 1);
            const size_t room = EAR_SIZE - ear->size;
            part = size - done < room ? size - done : room;
            memcpy(ear->bytes + ear->size, bytes + done, part);
            ear->size += part;
            listen_in(connection, member, ear);
        }
    }
}

/* The line is silent: the assumed start of a request was wrong, but a request may follow it. */
static void discard_starts(struct connection *connection)
{
    struct simulator *simulator = connection->simulator;
    for (unsigned i = 0; i < simulator->count; i++) {
        struct ear *ear = &connection->ears[i];
        while (ear->size > 0) {
            discard_bytes(ear, 1);
            listen_in(connection, &simulator->members[i], ear);
        }
    }
}

static void on_quiet(struct ev_loop *loop, ev_timer *timer, int revents)
{
    ev_timer_stop(loop, timer);
    discard_starts(timer->data);
}

static void on_presence(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct connection *connection = timer->data;
    struct pollfd client = {.fd = connection->fd, .events = POLLIN};
    if (poll(&client, 1, 0) < 0 || client.revents & POLLHUP) /* none has the slave open */
        return;
    ev_timer_stop(loop, timer);
    ev_io_start(loop, &connection->readable);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct connection *connection = io->data;
    uint8_t bytes[1024];
    ssize_t size = read(connection->fd, bytes, sizeof bytes);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size > 0) {
        ev_timer_again(loop, &connection->quiet);
        if (connection->simulator->options.echo != 0)
            queue_bytes(connection, bytes, (size_t) size, 0, true);
        hear(connection, bytes, (size_t) size);
    } else if (connection->is_pty) {
        ev_io_stop(loop, &connection->readable);
        ev_timer_stop(loop, &connection->quiet);
        discard_starts(connection);
        clear_slots(connection);
        pty_reset(connection->fd);
        ev_timer_again(loop, &connection->presence);
    } else {
        remove_connection(connection);
    }
}

static void change_options(struct simulator *simulator, double after_s, double until_s)
{
    simulator_options_change(simulator->text, -1, after_s, until_s, &simulator->options);
    for (unsigned i = 0; i < simulator->count; i++) {
        struct member *member = &simulator->members[i];
        simulator_options_change(simulator->text, bms_address(&member->bms), after_s, until_s,
                                 &member->options);
        member->battery.settings = simulator_options_battery(&member->options, i);
    }
}

static void follow_script(struct simulator *simulator, double now)
{
    const double every_s = simulator->options.every_s;
    double script_s = now - simulator->started_at;
    if (!strchr(simulator->text, '+'))
        return;
    if (every_s > 0)
        script_s = fmod(script_s, every_s);
    if (script_s < simulator->script_s) {
        change_options(simulator, simulator->script_s, every_s);
        simulator->script_s = 0;
    }
    change_options(simulator, simulator->script_s, script_s);
    simulator->script_s = script_s;
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct simulator *simulator = timer->data;
    double now = clock_now();
    double seconds = now - simulator->moved_at;
    simulator->moved_at = now;
    follow_script(simulator, now);
    for (unsigned i = 0; i < simulator->count; i++) {
        struct member *member = &simulator->members[i];
        move(member, seconds * member->options.speed);
        if (!bms_talks(member->bms.driver) || member->options.silent != 0)
            continue;
        encode_time(member);
        bms_emulate(&member->bms, &member->pack, NULL, 0, &simulator->output);
        for (int k = 0; k < CONNECTIONS; k++)
            if (simulator->connections[k])
                send_delayed_reply(simulator, member, simulator->connections[k],
                                   member->options.delay_ms / 1e3);
    }
}

bool simulator_attach(struct simulator *simulator, int fd)
{
    struct connection **place = simulator->connections;
    while (place < simulator->connections + CONNECTIONS && *place)
        place++;
    struct connection *connection =
        place < simulator->connections + CONNECTIONS
            ? calloc(1, sizeof *connection + simulator->count * sizeof(struct ear))
            : NULL;
    if (!connection) {
        close(fd);
        return false;
    }
    connection->simulator = simulator;
    connection->fd = fd;
    connection->is_pty = isatty(fd);
    connection->random = prng_next(&simulator->random);
    ev_io_init(&connection->readable, on_readable, fd, EV_READ);
    ev_init(&connection->speaker, on_speaker);
    ev_timer_init(&connection->quiet, on_quiet, 0, QUIET_S);
    ev_timer_init(&connection->presence, on_presence, 0, PTY_CHECK_S);
    connection->readable.data = connection->speaker.data = connection->quiet.data =
        connection->presence.data = connection;
    ev_io_start(simulator->loop, &connection->readable);
    *place = connection;
    connection->place = place;
    return true;
}

bool simulator_check(const char *options, char *error, size_t error_size)
{
    struct simulator_options parsed = {0};
    return simulator_options_parse(options, -1, &parsed, error, error_size);
}

struct simulator *simulator_new(struct ev_loop *loop, const struct bms *bms, unsigned count,
                                const char *options)
{
    char error[200];
    struct simulator *simulator =
        alloc_zeroed(1, sizeof *simulator + count * sizeof(struct member));
    simulator->text = alloc_checked(strdup(options));
    simulator_options_parse(options, -1, &simulator->options, error, sizeof error);
    simulator->loop = loop;
    simulator->random = (uint64_t) simulator->options.seed;
    simulator->started_at = simulator->moved_at = clock_now();
    simulator->heard_at = -INFINITY;
    simulator->count = count;
    for (unsigned i = 0; i < count; i++) {
        struct member *member = &simulator->members[i];
        simulator_options_parse(options, bms_address(&bms[i]), &member->options, error,
                                sizeof error);
        struct battery_settings settings = simulator_options_battery(&member->options, i);
        bms_init(&member->bms, bms[i].driver);
        member->bms.options = bms[i].options;
        battery_init(&member->battery, &settings);
        move(member, 0);
        move(member, 0); /* once more, with the fixed switches */
    }
    ev_timer_init(&simulator->tick, on_tick, TICK_S, TICK_S);
    simulator->tick.data = simulator;
    ev_timer_start(loop, &simulator->tick);
    return simulator;
}

void simulator_free(struct simulator *simulator)
{
    ev_timer_stop(simulator->loop, &simulator->tick);
    for (int i = 0; i < CONNECTIONS; i++)
        if (simulator->connections[i])
            remove_connection(simulator->connections[i]);
    free(simulator->text);
    free(simulator);
}

const struct pack *simulator_pack(const struct simulator *simulator, unsigned n)
{
    return &simulator->members[n].pack;
}
