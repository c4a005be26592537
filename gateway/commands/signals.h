// SPDX-License-Identifier: MIT
#pragma once

#include <ev.h>
#include <signal.h>

static void break_loop(struct ev_loop *loop, ev_signal *signal, int revents)
{
    ev_break(loop, EVBREAK_ALL);
}

/** SIGINT and SIGTERM end the loop from now on. A further one changes nothing: the command finishes
 * what it does after the loop. */
static inline void signals_end(struct ev_loop *loop)
{
    static ev_signal interrupted, terminated;
    ev_signal_init(&interrupted, break_loop, SIGINT);
    ev_signal_init(&terminated, break_loop, SIGTERM);
    ev_signal_start(loop, &interrupted);
    ev_signal_start(loop, &terminated);
}
