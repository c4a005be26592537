// SPDX-License-Identifier: MIT
/* BMS behind a serial line, kept to the time that each byte takes. */
#include "wire.h"

#include "fixture.h"

#include "bms/battery.h"
#include "base/clock.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TALK_S 1.0
#define PORTION_S 0.002 /* bytes arrive in portions of this time, or one by one on slower lines */

/* One BMS, and what it has heard and is not through with. */
struct member {
    struct bms bms;
    struct pack pack;
    uint8_t heard[2 * BMS_REQUEST_MAX];
    size_t size;
};

/* What the process works on. */
struct bus {
    const struct cable *wire;
    int fd;
    struct member members[WIRE_PACKS_MAX];
    struct bms_output output;
};

int cable_address(const struct bms_driver *driver, unsigned packs, unsigned n)
{
    return packs > 1 ? driver->address.usual + (int) n : -1;
}

void cable_pack(struct pack *pack)
{
    const struct battery_settings settings = {.cells = 16,
                                              .temps = 4,
                                              .capacity_ah = 100,
                                              .soc_percent = 55,
                                              .ambient_c = 20,
                                              .profile = BATTERY_FIXED,
                                              .seed = 1};
    struct battery battery;
    battery_init(&battery, &settings);
    battery_step(&battery, 0, pack);
}

static double cable_s(const struct cable *wire, size_t bytes)
{
    return (double) bytes * 10 / wire->baud;
}

static void sleep_until(double at)
{
    struct timespec time = {.tv_sec = (time_t) at};
    time.tv_nsec = (long) ((at - (double) time.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) != 0)
        continue;
}

/* Says what is in `output`; its first byte begins at `at`. */
static void speak(const struct bus *bus, double at)
{
    const size_t portion = (size_t) (bus->wire->baud / 10 * PORTION_S) + 1;
    for (size_t done = 0, size; done < bus->output.size; done += size) {
        const size_t left = bus->output.size - done;
        size = left < portion ? left : portion;
        sleep_until(at + cable_s(bus->wire, done + size));
        if (write(bus->fd, bus->output.bytes + done, size) != (ssize_t) size)
            _exit(0);
    }
}

static void answer(struct bus *bus, size_t request_size, double heard_at)
{
    struct wire_counters *counters = bus->wire->counters;
    const double delay_s = bus->wire->delay_s;
    counters->bytes += (unsigned) bus->output.size;
    counters->least_s += delay_s + cable_s(bus->wire, bus->output.size);
    speak(bus, heard_at + cable_s(bus->wire, request_size) + delay_s);
}

static void count_request(const struct bus *bus, size_t size)
{
    struct wire_counters *counters = bus->wire->counters;
    counters->requests++;
    counters->bytes += (unsigned) size;
    counters->least_s += cable_s(bus->wire, size);
}

/* All hear all requests, the first one for the counters as well. */
static void hear(struct bus *bus, struct member *member, const uint8_t *bytes, size_t size,
                 double now)
{
    const size_t room = sizeof member->heard - member->size;
    size = size < room ? size : room;
    memcpy(member->heard + member->size, bytes, size);
    member->size += size;
    while (member->size > 0) {
        bus->output.size = 0;
        const size_t used =
            bms_emulate(&member->bms, &member->pack, member->heard, member->size, &bus->output);
        if (used == 0)
            return;
        member->size -= used;
        memmove(member->heard, member->heard + used, member->size);
        if (member == bus->members)
            count_request(bus, used);
        if (bus->output.size > 0)
            answer(bus, used, now);
    }
}

static void listen_in(struct bus *bus)
{
    uint8_t bytes[BMS_REQUEST_MAX];
    const ssize_t n = read(bus->fd, bytes, sizeof bytes);
    const double now = clock_now();
    if (n <= 0)
        _exit(0);
    for (unsigned i = 0; i < bus->wire->packs; i++)
        hear(bus, &bus->members[i], bytes, (size_t) n, now);
}

static void talk(struct bus *bus, double at)
{
    struct member *talker = &bus->members[0];
    bus->output.size = 0;
    bms_emulate(&talker->bms, &talker->pack, NULL, 0, &bus->output);
    bus->wire->counters->bytes += (unsigned) bus->output.size;
    bus->wire->counters->least_s += TALK_S;
    speak(bus, at);
}

static void init_members(struct bus *bus)
{
    const struct cable *wire = bus->wire;
    for (unsigned i = 0; i < wire->packs; i++) {
        struct member *member = &bus->members[i];
        bms_init(&member->bms, wire->driver);
        member->bms.options.address = cable_address(wire->driver, wire->packs, i);
        member->bms.options.adr = -1;
        cable_pack(&member->pack);
    }
}

static void serve(const struct cable *wire, int listener)
{
    static struct bus bus;
    const int on = 1;
    bus.wire = wire;
    init_members(&bus);
    bus.fd = accept(listener, NULL, NULL);
    setsockopt(bus.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!bms_talks(wire->driver))
        for (;;)
            listen_in(&bus);
    for (double at = clock_now();; at += TALK_S) {
        sleep_until(at);
        talk(&bus, at);
    }
}

static int open_listener(struct cable *wire)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *) &address, size) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *) &address, &size) < 0)
        fail("listen");
    wire->port = ntohs(address.sin_port);
    return fd;
}

void cable_start(struct cable *wire)
{
    const int listener = open_listener(wire);
    const pid_t parent = getpid();
    wire->counters = mmap(NULL, sizeof *wire->counters, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (wire->counters == MAP_FAILED)
        fail("mmap");
    wire->pid = fork();
    if (wire->pid < 0)
        fail("fork");
    if (wire->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_TIMERSLACK, 1UL);
        if (getppid() == parent)
            serve(wire, listener);
        _exit(0);
    }
    close(listener);
}

void cable_stop(struct cable *wire)
{
    kill(wire->pid, SIGKILL);
    waitpid(wire->pid, NULL, 0);
    munmap(wire->counters, sizeof *wire->counters);
}
