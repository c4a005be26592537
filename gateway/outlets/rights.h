// SPDX-License-Identifier: MIT
/*
 * The rights that an outlet drops before it starts. It communicates with strangers and parses their
 * data. An attacker who takes it over that way must not be able to switch a pack:
 *   - no capability, no namespace of its own, no other program, no access to other processes;
 *   - no device, such as a serial port, unless the section uses one;
 *   - no socket of this host, such as the gateway's control socket or the system bus, which reaches Bluetooth modules. An outlet that
 *     starts other programs keeps them; the gateway rejects it at its control socket;
 *   - no network if the kind does not use it, no connection except to the port of its server (names.h), and no io_uring, which would
 *     bypass all this. So it cannot reach the gateway's Modbus server, to which `allow_write` lets this host write.
 * If a kernel or a container does not support one of these, the others still apply. Orders that a
 * section permits go through its pipe (process.c). Commands of [notify] have all rights of the
 * gateway's user.
 *
 * An outlet also yields the processor to the gateway.
 */
#pragma once

#include "outlet.h"

/** Permanently; called before anything is read from the pipe. */
void rights_give_up(const struct outlet_kind *kind);

/** Also gives up programs, AF_UNIX sockets and connections, if the section does not need them. */
void rights_give_up_programs(void);

/** Also gives up devices, if the section does not need one. */
void rights_give_up_devices(void);
