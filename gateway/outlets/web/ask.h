// SPDX-License-Identifier: MIT
/* The arguments of a request for history. */
#pragma once

#include "http/http.h"

#include "past/query.h"

#define ASK_POINTS 1500
#define ASK_POINTS_MAX 20000

struct ask {
    struct query_ask query; /* its level is valid only with `level_given` */
    bool level_given;
    unsigned points; /* maximum number of steps */
    /* Requested: the energy of each interval, which exists for hours, days and recent rows in memory;
     * and the highest state of charge, which exists for days. */
    bool charged, discharged, soc_peak;
    bool all; /* no value was named */
};

/** Parses the arguments from, to, day, level, values, points, extremes; `wall` is now. False: one
 * of them is wrong, and the request was answered. Keeps `pack` by reference. */
bool ask_parse(struct http_request *request, const char *pack, double wall, struct ask *ask);
