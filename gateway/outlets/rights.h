// SPDX-License-Identifier: MIT
/*
 * What an outlet gives up before it begins. It talks to strangers and reads what they send. Whoever gets hold of it by that must not
 * be able to switch a pack:
 *   - no capability, no namespace of its own, no other program, no look into other processes;
 *   - no device, such as a serial port, unless it has a master there;
 *   - no socket of this host, such as the gateway's control socket or the system bus, on which Bluetooth modules are. One that starts
 *     other programs keeps them; the gateway refuses it at its control socket;
 *   - no network where the kind has no use for it, no connection but to the port of its server (names.h), and no io_uring, which
 *     would go past all this. So it does not reach the gateway's Modbus server, which `allow_write` lets this host write to.
 * Where a kernel or a container does not know one of these, the others hold all the same. What a section lets the outlet order goes
 * through its pipe (hear.c). Commands of [notify] may all that the gateway's user may.
 *
 * Nor does an outlet push the gateway aside when both have something to do.
 */
#ifndef PACKGATE_OUTLETS_RIGHTS_H
#define PACKGATE_OUTLETS_RIGHTS_H

#include "outlet.h"

/** Permanently; called before anything is read from the pipe. */
void rights_give_up(const struct outlet_kind *kind);

/** Also gives up programs, AF_UNIX sockets and connections, if the section does not need them. */
void rights_give_up_programs(void);

/** Also gives up devices, if the section does not need one. */
void rights_give_up_devices(void);

#endif
