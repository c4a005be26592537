// SPDX-License-Identifier: MIT
/* The kinds of outlets, each a program of its own. */
#ifndef PACKGATE_OUTLETS_KINDS_H
#define PACKGATE_OUTLETS_KINDS_H

#include "outlet.h"

extern const struct outlet_kind outlet_history; /* history/history.c */
extern const struct outlet_kind outlet_influx;  /* influx/influx.c */
extern const struct outlet_kind outlet_mqtt;    /* mqtt/mqtt.c */
extern const struct outlet_kind outlet_notify;  /* notify/notify.c */
extern const struct outlet_kind outlet_print;   /* print/print.c */
extern const struct outlet_kind outlet_web;     /* web/web.c */

#endif
