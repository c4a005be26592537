// SPDX-License-Identifier: MIT
/*
 * The registers of a view, [view NAME]: chosen one by one to stand where somebody else expects them.
 * Registers are worked out when values come or grow old, and with each whether it can be read just
 * now: a request only looks at the clock and at that.
 */
#ifndef PACKGATE_MODBUS_VIEW_H
#define PACKGATE_MODBUS_VIEW_H

#include "mbap.h"

#include "config/config.h"
#include "packs/source.h"

struct view;

/** The pack or bank with a name that the configuration has. */
typedef const struct source *view_find(void *data, const char *name);

/** `config` and the sources are kept by reference; `started_at` is when the gateway's counter of seconds was 0. NULL: out
 * of memory. */
struct view *view_new(const struct view_config *config, view_find *find, void *data,
                      double started_at, double now);
void view_free(struct view *view);

const struct view_config *view_config(const struct view *view);

/** The registers from 0 on, one behind the other, and how many there are. They stay where they are. */
uint16_t *view_registers(struct view *view);
unsigned view_size(const struct view *view);

/** A pack or a bank has changed; those that the view does not show are of no interest. */
void view_update(struct view *view, const struct source *source, double now);

/** To be called before each request is answered: what is fresh, and how old it is, as of this moment. */
void view_judge(struct view *view, double now);

/** Whether a request can be answered, after view_judge: 0 or an exception code. 1: bits are not served, 2: a register is not
 * there, or it is to be written; 0x0B: a value that is stale or unknown, where the configuration wants that. */
uint8_t view_check(const struct view *view, const struct mbap_request *request);

#endif
