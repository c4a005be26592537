// SPDX-License-Identifier: MIT
/*
 * Simulated packs in the process: one end of a socket pair is the port, at the other a bus of
 * emulated BMS answers. The bus stays when the port is closed, as a real one would.
 */
#include "port_kind.h"

#include "bms/modbus/modbus.h"
#include "simulator/simulator.h"

#include <errno.h>
#include <stdlib.h>
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

static struct simulator *new_bus(struct sim *sim, const struct port_simulated *simulated)
{
    const unsigned count = simulated->count;
    struct bms *bms = malloc(count * sizeof *bms);
    struct simulator *simulator = NULL;
    sim->maps = calloc(count, sizeof *sim->maps);
    if (bms && sim->maps) {
        memcpy(bms, simulated->bms, count * sizeof *bms);
        for (unsigned i = 0; i < count; i++)
            if (bms[i].options.map) {
                sim->maps[i] = *bms[i].options.map;
                bms[i].options.map = &sim->maps[i];
            }
        simulator = simulator_new(sim->port->loop, bms, count, sim->port->address);
    }
    free(bms);
    return simulator;
}

static void *create(struct port *port, const struct port_simulated *simulated)
{
    struct sim *sim = calloc(1, sizeof *sim);
    if (!sim)
        return NULL;
    sim->port = port;
    sim->fd = -1;
    sim->simulator = new_bus(sim, simulated);
    if (!sim->simulator) {
        destroy(sim);
        return NULL;
    }
    return sim;
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
