// SPDX-License-Identifier: MIT
/*
 * Simulated packs in the process: one end of a socket pair is the port, at the other a bus of
 * emulated BMS answers. The bus stays when the port is closed, as a real one would.
 */
#include "port_kind.h"

#include "bms/modbus/modbus.h"
#include "simulator/simulator.h"
#include "base/alloc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct sim {
    struct port *port;
    struct simulator *simulator;
    struct modbus_user *maps; /* copies: those of the configuration go when it is read anew */
    int fd;                   /* -1: closed */
};

static void destroy(void *state)
{
    struct sim *sim = state;
    simulator_free(sim->simulator);
    free(sim->maps);
    free(sim);
}

static void *create(struct port *port, const struct port_simulated *simulated)
{
    const unsigned count = simulated ? simulated->count : 0; /* an inverter simulates no packs */
    struct sim *sim = alloc_zeroed(1, sizeof *sim);
    struct bms *bms = alloc_zeroed(count, sizeof *bms);
    if (count > 0)
        memcpy(bms, simulated->bms, count * sizeof *bms);
    sim->port = port;
    sim->fd = -1;
    sim->maps = alloc_zeroed(count, sizeof *sim->maps);
    for (unsigned i = 0; i < count; i++)
        if (bms[i].options.map) {
            sim->maps[i] = *bms[i].options.map;
            bms[i].options.map = &sim->maps[i];
        }
    sim->simulator = count > 0 ? simulator_new(port->loop, bms, count, port->address) : NULL;
    free(bms);
    if (sim->simulator)
        return sim;
    destroy(sim);
    return NULL;
}

static void close_sim(void *state)
{
    struct sim *sim = state;
    if (sim->fd >= 0)
        close(sim->fd);
    sim->fd = -1;
}

static void open_sim(void *state)
{
    struct sim *sim = state;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
        port_failed(sim->port, strerror(errno));
        return;
    }
    sim->fd = ends[0];
    if (simulator_attach(sim->simulator, ends[1]))
        port_opened(sim->port, ends[0]);
    else
        port_failed(sim->port, "the simulated bus takes no more connections");
}

const struct port_kind port_sim_kind = {
    .prefix = "sim:",
    .traits.forgets = true,
    .create = create,
    .destroy = destroy,
    .open = open_sim,
    .close = close_sim,
};
