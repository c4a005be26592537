// SPDX-License-Identifier: MIT
/*
 * Load generator for Modbus TCP servers on this host: many connections, each with so many requests
 * in flight, all of them reading the same registers, of one unit or of several in turn. Every reply
 * is compared byte by byte with what it must be, so that a wrong answer is never taken for a fast
 * one. Prints one JSON object.
 *
 * Without -r each reply is followed by the next request. With -r requests leave at their time, in
 * turn on all connections, whatever has been answered by then, and a latency counts from when its
 * request was due: a server that stalls is charged for all that it kept waiting.
 */
#include "fixture.h"

#include "bms/bytes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 16
#define EVENTS 256
#define SAMPLES_MAX (1u << 23) /* later requests have no latency noted */
#define ANSWER_MS 10000        /* for the first answer on each connection */
#define DRAIN_MS 1000          /* for what is in flight at the end */
#define S_NS 1000000000
#define SOON_NS 2000000

struct order {
    uint16_t port;
    unsigned connections, depth;
    unsigned units;       /* from 1 on; they all hold the same words */
    double seconds, rate; /* rate 0: as fast as the answers come */
    pid_t pid;            /* of the server; 0: not known */
    struct words words;
};

/* A request under way. */
struct asked {
    uint64_t at_ns; /* 0: none */
    uint16_t id;
    uint8_t unit;
};

struct client {
    int fd; /* -1: lost */
    uint16_t last_id;
    unsigned in_flight;
    struct asked asked[DEPTH_MAX];
    size_t size;
    uint8_t bytes[DEPTH_MAX * REPLY_MAX];
};

struct load {
    struct order order;
    int epoll;
    bool asking; /* replies are followed by requests */
    struct client *clients;
    unsigned turn;            /* requests so far */
    uint8_t reply[REPLY_MAX]; /* the right one, but for the transaction id and the unit */
    size_t reply_size;
    uint32_t *latency_ns;
    size_t samples;
    uint64_t answered, wrong, lost;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t) time.tv_sec * S_NS + (uint64_t) time.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void lose(struct load *load, struct client *client)
{
    close(client->fd);
    client->fd = -1;
    load->lost++;
}

static void put_request(const struct words *words, const struct asked *asked, uint8_t *request)
{
    memset(request, 0, REQUEST_SIZE);
    put_be16(request, asked->id);
    put_be16(request + 4, 6);
    request[6] = asked->unit;
    request[7] = 3;
    put_be16(request + 8, words->address);
    put_be16(request + 10, words->count);
}

static const struct asked *note_request(struct client *client, uint8_t unit, uint64_t at_ns)
{
    struct asked *asked = client->asked;
    while (asked->at_ns)
        asked++;
    *asked = (struct asked){.at_ns = at_ns, .id = ++client->last_id, .unit = unit};
    client->in_flight++;
    return asked;
}

/* Sends so many requests in one piece; DEPTH_MAX - in_flight at most. */
static void ask(struct load *load, struct client *client, unsigned count, uint64_t at_ns)
{
    uint8_t requests[DEPTH_MAX * REQUEST_SIZE];
    for (unsigned i = 0; i < count; i++) {
        const uint8_t unit = (uint8_t) (1 + load->turn++ % load->order.units);
        put_request(&load->order.words, note_request(client, unit, at_ns),
                    requests + i * REQUEST_SIZE);
    }
    const size_t size = count * REQUEST_SIZE;
    if (send(client->fd, requests, size, MSG_NOSIGNAL) != (ssize_t) size)
        lose(load, client);
}

/* Answers may come in any order. NULL: nobody asked for this one, or it is wrong. */
static struct asked *find_asked(const struct load *load, struct client *client,
                                const uint8_t *reply)
{
    if (memcmp(reply + 2, load->reply + 2, 4) != 0 ||
        memcmp(reply + 7, load->reply + 7, load->reply_size - 7) != 0)
        return NULL;
    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        struct asked *asked = &client->asked[i];
        if (asked->at_ns && asked->id == be16(reply) && asked->unit == reply[6])
            return asked;
    }
    return NULL;
}

static void note_reply(struct load *load, struct client *client, struct asked *asked, uint64_t now)
{
    const uint64_t latency = now - asked->at_ns;
    asked->at_ns = 0;
    client->in_flight--;
    load->answered++;
    if (load->samples < SAMPLES_MAX)
        load->latency_ns[load->samples++] = latency < UINT32_MAX ? (uint32_t) latency : UINT32_MAX;
}

/* Takes the whole replies; returns how many, or -1 after a wrong one: the connection is of no
 * further use. */
static int take_replies(struct load *load, struct client *client, uint64_t now)
{
    size_t at = 0;
    int count = 0;
    for (; client->size - at >= load->reply_size; at += load->reply_size, count++) {
        struct asked *asked = find_asked(load, client, client->bytes + at);
        if (!asked) {
            load->wrong++;
            return -1;
        }
        note_reply(load, client, asked, now);
    }
    client->size -= at;
    memmove(client->bytes, client->bytes + at, client->size);
    return count;
}

static void hear(struct load *load, struct client *client)
{
    const ssize_t n =
        recv(client->fd, client->bytes + client->size, sizeof client->bytes - client->size, 0);
    const uint64_t now = now_ns();
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        lose(load, client);
        return;
    }
    client->size += (size_t) n;
    /* An exception is shorter than the right reply, and may be all that comes. */
    if (client->size > 7 && (client->bytes[7] & 0x80)) {
        load->wrong++;
        lose(load, client);
        return;
    }
    const int count = take_replies(load, client, now);
    if (count < 0)
        lose(load, client);
    else if (count > 0 && load->asking)
        ask(load, client, (unsigned) count, now);
}

static void turn(struct load *load, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    const int count = epoll_wait(load->epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        if (client->fd >= 0)
            hear(load, client);
    }
}

static void connect_client(struct load *load, struct client *client)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(load->order.port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (client->fd < 0 ||
        connect(client->fd, (const struct sockaddr *) &address, sizeof address) < 0)
        fail("connect");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
        fail("epoll_ctl");
}

static void await_answers(struct load *load, const struct client *client, int timeout_ms)
{
    const uint64_t end = now_ns() + (uint64_t) timeout_ms * (S_NS / 1000);
    while (client->fd >= 0 && client->in_flight > 0 && now_ns() < end)
        turn(load, 10);
}

static void connect_all(struct load *load)
{
    for (unsigned i = 0; i < load->order.connections; i++) {
        struct client *client = &load->clients[i];
        client->last_id = (uint16_t) (i * 257);
        connect_client(load, client);
        ask(load, client, 1, now_ns());
        await_answers(load, client, ANSWER_MS);
        if (client->fd < 0 || client->in_flight > 0) {
            fprintf(stderr, "connection %u: the first answer is %s\n", i + 1,
                    load->wrong ? "wrong" : "missing");
            exit(EXIT_FAILURE);
        }
    }
    load->answered = load->samples = 0;
}

static void ask_all(struct load *load)
{
    for (unsigned i = 0; i < load->order.connections; i++)
        ask(load, &load->clients[i], load->order.depth, now_ns());
}

static void run_closed(struct load *load, uint64_t end)
{
    load->asking = true;
    ask_all(load);
    while (now_ns() < end)
        turn(load, 10);
    load->asking = false;
}

/* Does not sleep when a request is due soon, so as to be on time. What could not be sent by the end
 * stays out. */
static void run_paced(struct load *load, uint64_t start, uint64_t end)
{
    const double interval_ns = S_NS / load->order.rate;
    uint64_t due = start, now = start;
    for (uint64_t count = 0; now < end; now = now_ns()) {
        struct client *client = &load->clients[count % load->order.connections];
        turn(load, due > now + SOON_NS ? 1 : 0);
        if (now < due || (client->fd >= 0 && client->in_flight == DEPTH_MAX))
            continue;
        if (client->fd >= 0)
            ask(load, client, 1, due);
        due = start + (uint64_t) (interval_ns * (double) ++count);
    }
}

static unsigned drain(struct load *load)
{
    unsigned left = 0;
    const uint64_t end = now_ns() + (uint64_t) DRAIN_MS * (S_NS / 1000);
    for (unsigned i = 0; i < load->order.connections; i++) {
        const struct client *client = &load->clients[i];
        if (now_ns() < end)
            await_answers(load, client, DRAIN_MS);
        left += client->fd >= 0 ? client->in_flight : 0;
    }
    return left;
}

/* User and system time; 0 when there is no such process any more. */
static double server_cpu_s(pid_t pid)
{
    clockid_t clock;
    return pid && clock_getcpuclockid(pid, &clock) == 0 ? (double) clock_ns(clock) / S_NS : 0;
}

static long server_rss_kib(pid_t pid)
{
    char path[40], line[128];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int) pid);
    FILE *file = pid ? fopen(path, "r") : NULL;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib;
}

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return (x > y) - (x < y);
}

static double percentile_us(const struct load *load, double percent)
{
    if (load->samples == 0)
        return 0;
    return load->latency_ns[(size_t) ((double) (load->samples - 1) * percent / 100)] / 1e3;
}

static void measure(struct load *load)
{
    const double cpu_s = server_cpu_s(load->order.pid);
    const uint64_t start = now_ns();
    const uint64_t end = start + (uint64_t) (load->order.seconds * S_NS);
    if (load->order.rate > 0)
        run_paced(load, start, end);
    else
        run_closed(load, end);
    const double seconds = (double) (now_ns() - start) / S_NS;
    const double cpu_used_s = server_cpu_s(load->order.pid) - cpu_s;
    const uint64_t answered = load->answered;
    const unsigned unanswered = drain(load);
    const long rss_kib = server_rss_kib(load->order.pid);
    qsort(load->latency_ns, load->samples, sizeof *load->latency_ns, compare);
    printf("{\"requests\": %llu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"max_us\": %.1f, \"cpu_s\": %.6f, \"rss_kib\": %ld, \"wrong\": %llu, \"lost\": %llu, "
           "\"unanswered\": %u}\n",
           (unsigned long long) answered, seconds, percentile_us(load, 50), percentile_us(load, 99),
           percentile_us(load, 100), cpu_used_s, rss_kib, (unsigned long long) load->wrong,
           (unsigned long long) load->lost, unanswered);
}

static void usage(void)
{
    fputs("usage: load -p PORT [-c CONNECTIONS] [-d REQUESTS IN FLIGHT] [-s SECONDS] "
          "[-r REQUESTS PER SECOND] [-u UNITS] [-P PID] ADDRESS WORD...\n",
          stderr);
    exit(2);
}

static void parse(int argc, char **argv, struct order *order)
{
    *order = (struct order){.connections = 1, .depth = 1, .units = 1, .seconds = 1};
    for (int option; (option = getopt(argc, argv, "p:c:d:s:r:u:P:")) != -1;) {
        switch (option) {
        case 'p':
            order->port = (uint16_t) atoi(optarg);
            break;
        case 'c':
            order->connections = (unsigned) atoi(optarg);
            break;
        case 'd':
            order->depth = (unsigned) atoi(optarg);
            break;
        case 's':
            order->seconds = atof(optarg);
            break;
        case 'r':
            order->rate = atof(optarg);
            break;
        case 'u':
            order->units = (unsigned) atoi(optarg);
            break;
        case 'P':
            order->pid = (pid_t) atoi(optarg);
            break;
        default:
            usage();
        }
    }
    if (order->port == 0 || order->connections == 0 || order->depth == 0 ||
        order->depth > DEPTH_MAX || order->units == 0 || order->units > 247 || argc - optind < 2)
        usage();
    words_parse(&order->words, argv + optind, argc - optind);
}

int main(int argc, char **argv)
{
    static struct load load;
    parse(argc, argv, &load.order);
    load.reply_size = words_reply(&load.order.words, load.reply);
    load.clients = calloc(load.order.connections, sizeof *load.clients);
    load.latency_ns = malloc(SAMPLES_MAX * sizeof *load.latency_ns);
    load.epoll = epoll_create1(0);
    if (!load.clients || !load.latency_ns || load.epoll < 0)
        fail("load");
    connect_all(&load);
    measure(&load);
    return EXIT_SUCCESS;
}
