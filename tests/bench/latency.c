// SPDX-License-Identifier: MIT
/*
 * How long it takes from the last byte of a BMS reply until its value can be read by a Modbus
 * client, and until the request that pushes it is at its target. One process is the BMS, the
 * clients and the target of the pushes, so that one clock tells all; it never sleeps.
 *
 * The voltage is another one in each reply, so that a value tells which reply it came by. The clock
 * starts right before the last reply of the cycle is sent and stops when the value has arrived:
 * what the sockets and this program take is counted as well, and of a client the way of its request
 * too. Each pack has a client, which asks again and again from a reply of the BMS until it gets a
 * new value.
 *
 * Arguments: PACKS DRIVER... Prints the ports that it serves, the packs of the first driver first:
 * "bms PORT...", "target PORT". The pack of the n-th port (from 1) is to be served as unit n and to
 * be pushed into register n, in tenths of a volt. Then reads lines of "PORT SECONDS CLIENTS" (the
 * gateway's port, how long to measure, 0: no clients) and prints a JSON object per driver for each.
 */
#include "fixture.h"
#include "wire.h"

#include "bms/bytes.h"

#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOURCES_MAX 64
#define SAMPLES_MAX 8192
#define EVENTS 64
#define MS_NS 1000000ull
#define S_NS 1000000000ull
#define TALK_NS (100 * MS_NS) /* from block to block of a talker */
#define DELAY_NS (10 * MS_NS) /* of the first one's replies; each further one takes 1 ms more, */
#define STAGGER_NS MS_NS      /* so that they do not all fall together */
#define VALUES 32             /* different voltages */
#define FIRST_DV 500          /* the lowest of them, in tenths of a volt */
#define VOLTAGE_ADDRESS 300   /* float, low word first */
#define MBAP_HEAD 7

/* Where new values are waited for. */
enum place { CLIENT, TARGET, PLACES };

struct watch {
    unsigned seen; /* the reply that the last value came by, modulo VALUES */
    unsigned count;
    double us[SAMPLES_MAX];
};

struct connection {
    void (*heard)(struct connection *connection);
    struct source *source;
    int fd; /* -1: none */
    size_t size;
    uint8_t bytes[1024];
};

/* One BMS, and the client that asks for it. */
struct source {
    struct bms bms;
    struct pack pack;
    unsigned unit;
    struct connection listener, line, client;
    bool asking; /* the client awaits an answer */
    uint64_t delay_ns;
    uint64_t due_ns; /* of what is in `output` */
    struct bms_output output;
    unsigned replies;
    uint64_t sent_at[VALUES];
    struct watch watches[PLACES];
};

static struct bench {
    int epoll;
    struct source sources[SOURCES_MAX];
    unsigned count, packs; /* packs: of one driver */
    struct connection orders, target_listener, target;
    uint64_t ends_at; /* 0: nothing is measured */
} bench;

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t) time.tv_sec * S_NS + (uint64_t) time.tv_nsec;
}

static void watch_connection(struct connection *connection, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    connection->fd = fd;
    connection->size = 0;
    if (epoll_ctl(bench.epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
}

static void drop(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
}

static void send_whole(struct connection *connection, const uint8_t *bytes, size_t size)
{
    if (send(connection->fd, bytes, size, MSG_NOSIGNAL) != (ssize_t) size)
        drop(connection);
}

static bool receive(struct connection *connection)
{
    const ssize_t n = recv(connection->fd, connection->bytes + connection->size,
                           sizeof connection->bytes - connection->size, 0);
    if (n <= 0)
        drop(connection);
    else
        connection->size += (size_t) n;
    return n > 0;
}

static void forget_bytes(struct connection *connection, size_t count)
{
    connection->size -= count;
    memmove(connection->bytes, connection->bytes + count, connection->size);
}

static void set_nodelay(int fd)
{
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void accept_into(struct connection *listener, struct connection *connection)
{
    const int fd = accept(listener->fd, NULL, NULL);
    if (fd < 0)
        fail("accept");
    drop(connection);
    set_nodelay(fd);
    watch_connection(connection, fd);
}

static unsigned open_listener(struct connection *listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *) &address, size) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *) &address, &size) < 0)
        fail("listen");
    watch_connection(listener, fd);
    return ntohs(address.sin_port);
}

/* Size of the Modbus TCP frame that has come whole; 0: not yet. */
static size_t mbap_frame(const struct connection *connection)
{
    if (connection->size < MBAP_HEAD)
        return 0;
    const size_t size = MBAP_HEAD - 1u + be16(connection->bytes + 4);
    return connection->size >= size ? size : 0;
}

/* A cycle's values are there after its last reply, which may be a later one than that with the
 * voltage; but not later than a cycle can have steps. */
static uint64_t cycle_ended_at(const struct source *source, unsigned reply)
{
    const unsigned later = (source->replies - reply) % VALUES;
    const bool same_cycle = later < source->bms.driver->steps;
    return source->sent_at[same_cycle ? source->replies % VALUES : reply];
}

/* False: it is not new. */
static bool note_value(struct source *source, enum place place, long dv)
{
    struct watch *watch = &source->watches[place];
    const unsigned reply = (unsigned) (dv - FIRST_DV);
    if (reply >= VALUES || reply == watch->seen)
        return false;
    const uint64_t began_at = cycle_ended_at(source, reply);
    watch->seen = reply;
    if (watch->count < SAMPLES_MAX)
        watch->us[watch->count++] = (double) (now_ns() - began_at) / 1e3;
    return true;
}

static void ask(struct source *source)
{
    if (source->client.fd < 0 || source->asking)
        return;
    source->asking = true;
    uint8_t request[REQUEST_SIZE] = {[5] = 6, [7] = 3, [11] = 2};
    request[6] = (uint8_t) source->unit;
    put_be16(request + 8, VOLTAGE_ADDRESS);
    send_whole(&source->client, request, sizeof request);
}

static bool note_answer(struct source *source, const uint8_t *frame, size_t size)
{
    float volts;
    if (size != REPLY_HEAD + sizeof volts || frame[7] != 3)
        return false;
    const uint32_t bits = be16(frame + REPLY_HEAD) | (uint32_t) be16(frame + REPLY_HEAD + 2) << 16;
    memcpy(&volts, &bits, sizeof volts);
    return note_value(source, CLIENT, isnan(volts) ? 0 : lroundf(10 * volts));
}

static void hear_answer(struct connection *client)
{
    struct source *source = client->source;
    if (!receive(client))
        return;
    const size_t size = mbap_frame(client);
    if (size == 0)
        return;
    const bool is_new = note_answer(source, client->bytes, size);
    forget_bytes(client, size);
    source->asking = false;
    if (!is_new)
        ask(source);
}

static void connect_client(struct source *source, uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof address) < 0)
        fail("connect");
    set_nodelay(fd);
    watch_connection(&source->client, fd);
    source->asking = false;
    ask(source);
}

/* The cells add up to it: some drivers look. */
static void set_voltage(struct pack *pack, unsigned dv)
{
    const unsigned cells = (unsigned) pack->value[CELL_COUNT];
    pack_set(pack, VOLTAGE_V, dv / 10.0);
    for (unsigned n = 1; n <= cells; n++)
        pack_set_cell(pack, n, round(100.0 * dv / cells));
}

/* Hands the emulator what was heard (a talker: nothing); how many bytes it is through with. What it
 * says is said later. */
static size_t emulate(struct source *source, const uint8_t *bytes, size_t size)
{
    static struct bms_output said;
    const unsigned reply = (source->replies + 1) % VALUES;
    said.size = 0;
    set_voltage(&source->pack, FIRST_DV + reply);
    const size_t used = bms_emulate(&source->bms, &source->pack, bytes, size, &said);
    if (said.size > 0) {
        source->output = said;
        source->due_ns = now_ns() + source->delay_ns;
    }
    return used;
}

static void hear_request(struct connection *line)
{
    struct source *source = line->source;
    if (!receive(line))
        return;
    for (size_t used = 1; used > 0 && line->size > 0; forget_bytes(line, used))
        used = emulate(source, line->bytes, line->size);
}

static void reply(struct source *source)
{
    source->replies++;
    source->sent_at[source->replies % VALUES] = now_ns();
    send_whole(&source->line, source->output.bytes, source->output.size);
    source->output.size = 0;
    ask(source);
}

static void speak(struct source *source, uint64_t now)
{
    if (source->line.fd < 0 || now < source->due_ns)
        return;
    if (source->output.size > 0)
        reply(source);
    if (bms_talks(source->bms.driver))
        emulate(source, NULL, 0);
}

static void hear_gateway(struct connection *listener)
{
    struct source *source = listener->source;
    accept_into(listener, &source->line);
    source->output.size = 0;
}

static void take_write(const uint8_t *frame)
{
    const unsigned first = be16(frame + 8);
    const bool single = frame[7] == 6;
    const unsigned count = single ? 1 : be16(frame + 10);
    const uint8_t *words = frame + (single ? 10 : 13);
    for (unsigned i = 0; i < count; i++) {
        const unsigned unit = first + i;
        if (unit >= 1 && unit <= bench.count)
            note_value(&bench.sources[unit - 1], TARGET, be16(words + 2 * i));
    }
}

static void hear_push(struct connection *target)
{
    if (!receive(target))
        return;
    for (size_t size; (size = mbap_frame(target)) >= REQUEST_SIZE;) {
        take_write(target->bytes);
        put_be16(target->bytes + 4, 6);
        send_whole(target, target->bytes, REQUEST_SIZE);
        forget_bytes(target, size);
    }
}

static void hear_pusher(struct connection *listener)
{
    accept_into(listener, &bench.target);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static void print_latencies(const char *name, const struct source *sources, enum place place)
{
    static double us[SOURCES_MAX * SAMPLES_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < bench.packs; i++) {
        const struct watch *watch = &sources[i].watches[place];
        memcpy(us + count, watch->us, watch->count * sizeof *us);
        count += watch->count;
    }
    qsort(us, count, sizeof *us, compare);
    printf(", \"%s\": {\"samples\": %zu", name, count);
    if (count > 0)
        printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f", us[count / 2],
               us[(count - 1) * 99 / 100], us[count - 1]);
    printf("}");
}

static void end_measurement(void)
{
    bench.ends_at = 0;
    for (unsigned i = 0; i < bench.count; i++)
        drop(&bench.sources[i].client);
    for (unsigned i = 0; i < bench.count; i += bench.packs) {
        const struct source *first = &bench.sources[i];
        printf("{\"driver\": \"%s\"", first->bms.driver->name);
        print_latencies("read", first, CLIENT);
        print_latencies("pushed", first, TARGET);
        printf("}\n");
    }
    fflush(stdout);
}

static void begin_measurement(uint16_t port, double seconds, bool clients)
{
    bench.ends_at = now_ns() + (uint64_t) (seconds * S_NS);
    for (unsigned i = 0; i < bench.count; i++) {
        struct source *source = &bench.sources[i];
        struct watch *watches = source->watches;
        watches[CLIENT].count = watches[TARGET].count = 0;
        /* What stands there now is not news. */
        watches[CLIENT].seen = watches[TARGET].seen;
        if (clients)
            connect_client(source, port);
    }
}

static void hear_order(struct connection *orders)
{
    unsigned port;
    double seconds;
    int clients;
    const ssize_t n = read(orders->fd, orders->bytes, sizeof orders->bytes - 1);
    if (n <= 0)
        exit(EXIT_SUCCESS);
    orders->bytes[n] = 0;
    if (sscanf((const char *) orders->bytes, "%u %lf %d", &port, &seconds, &clients) == 3)
        begin_measurement((uint16_t) port, seconds, clients);
}

static void make_source(const struct bms_driver *driver)
{
    struct source *source = &bench.sources[bench.count++];
    bms_init(&source->bms, driver);
    source->bms.options.address = source->bms.options.adr = -1;
    cable_pack(&source->pack);
    source->unit = bench.count;
    source->delay_ns = (bms_talks(driver) ? TALK_NS : DELAY_NS) + bench.count * STAGGER_NS;
    source->listener = (struct connection){.heard = hear_gateway, .source = source};
    source->line = (struct connection){.heard = hear_request, .source = source, .fd = -1};
    source->client = (struct connection){.heard = hear_answer, .source = source, .fd = -1};
    printf(" %u", open_listener(&source->listener));
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    const int count = epoll_wait(bench.epoll, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (connection->fd >= 0)
            connection->heard(connection);
    }
    const uint64_t now = now_ns();
    for (unsigned i = 0; i < bench.count; i++)
        speak(&bench.sources[i], now);
    if (bench.ends_at && now >= bench.ends_at)
        end_measurement();
}

int main(int argc, char **argv)
{
    bench.packs = argc > 2 ? (unsigned) atoi(argv[1]) : 0;
    if (bench.packs == 0 || bench.packs * (unsigned) (argc - 2) > SOURCES_MAX) {
        fputs("usage: latency PACKS DRIVER...\n", stderr);
        return 2;
    }
    bench.epoll = epoll_create1(0);
    printf("bms");
    for (int i = 2; i < argc; i++) {
        const struct bms_driver *driver = bms_driver_find(argv[i]);
        for (unsigned n = 0; driver && n < bench.packs; n++)
            make_source(driver);
    }
    bench.orders.heard = hear_order;
    bench.target.heard = hear_push;
    bench.target.fd = -1;
    bench.target_listener.heard = hear_pusher;
    printf("\ntarget %u\n", open_listener(&bench.target_listener));
    fflush(stdout);
    watch_connection(&bench.orders, STDIN_FILENO);
    for (;;)
        turn();
}
