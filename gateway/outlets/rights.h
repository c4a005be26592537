// SPDX-License-Identifier: MIT
/*
 * What an outlet gives up before it begins. It talks to strangers and reads what they send; should
 * one of them get hold of it, there is little to be done with it: no capability, no other program,
 * no look into other processes, no device (a serial port, on which a pack could be switched), and no
 * network where the outlet has no use for it. Nor does it push the gateway aside when both have
 * something to do. Where a kernel or a container does not know one of
 * these, the others hold all the same.
 */
#ifndef PACKGATE_OUTLETS_RIGHTS_H
#define PACKGATE_OUTLETS_RIGHTS_H

#include "outlet.h"

/** For good, before anything is read from the pipe. */
void rights_give_up(const struct outlet_kind *kind);

/** Other programs as well, for a kind that may have needed them. */
void rights_give_up_programs(void);

#endif
