// SPDX-License-Identifier: MIT
/* A request for history: what its arguments ask for. */
#ifndef PACKGATE_OUTLETS_WEB_ASK_H
#define PACKGATE_OUTLETS_WEB_ASK_H

#include "http.h"

#include "past/query.h"

#define ASK_POINTS 1500
#define ASK_POINTS_MAX 20000

struct ask {
    struct query_ask query; /* its level counts only where `level_given` */
    bool level_given;
    unsigned points; /* steps at most */
    /* Kept for hours and days, and for recent rows in memory: energy of the interval; for days
     * also the highest state of charge. */
    bool charged, discharged, soc_peak;
    bool all; /* no value was named */
};

/** Parses the arguments from, to, day, level, values, points, extremes; `wall` is now. False: one
 * of them is wrong, and the request was answered. `pack` must outlive it. */
bool ask_parse(struct http_request *request, const char *pack, double wall, struct ask *ask);

#endif
