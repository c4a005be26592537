// SPDX-License-Identifier: MIT
/*
 * Simulated packs in the process: one end of a socket pair is the port, at the other a bus of
 * emulated BMS answers. The bus stays when the port is closed, as a real one would.
 */
#include "port_kind.h"

#include "bms/modbus/modbus.h"
#include "simulator/simulator.h"
#include "base/alloc.h"

#include <string.h>

struct sim {
    struct port port;
    struct simulator *simulator;
    struct modbus_user *maps; /* copies: those of the configuration go when it is read anew */
};

static void destroy(struct port *port)
{
    struct sim *sim = (struct sim *) port;
    simulator_free(sim->simulator);
    free(sim->maps);
}

static bool create(struct port *port, const struct port_simulated *simulated)
{
    if (!simulated || simulated->count == 0)
        return false; /* an inverter simulates no packs */
    const unsigned count = simulated->count;
    struct sim *sim = (struct sim *) port;
    struct bms *bms = alloc_zeroed(count, sizeof *bms);
    memcpy(bms, simulated->bms, count * sizeof *bms);
    sim->maps = alloc_zeroed(count, sizeof *sim->maps);
    for (unsigned i = 0; i < count; i++)
        if (bms[i].options.map) {
            sim->maps[i] = *bms[i].options.map;
            bms[i].options.map = &sim->maps[i];
        }
    sim->simulator = simulator_new(port->loop, bms, count, port->address);
    free(bms);
    return true;
}

static void open_sim(struct port *port)
{
    if (!port_make_pair(port))
        return;
    const int far = port->far;
    port->far = -1; /* the simulator's */
    if (simulator_attach(((struct sim *) port)->simulator, far))
        port_opened(port, port->fd);
    else
        port_failed(port, "the simulated bus takes no more connections");
}

const struct port_kind port_sim_kind = {
    .prefix = "sim:",
    .size = sizeof(struct sim),
    .traits.forgets = true,
    .create = create,
    .destroy = destroy,
    .open = open_sim,
};
