// SPDX-License-Identifier: MIT
/*
 * Shared by the parts of the web outlet. Above it: events in news.h, the gateway in setup.h, sessions and switches in
 * orders.h, start and end in life.c.
 */
#pragma once

#include "guard.h"
#include "http/http.h"
#include "past.h"
#include "render.h"
#include "session.h"
#include "stream.h"

#include "base/queue.h"

#include <jansson.h>

#define WEB_NEWS_KEPT 100
#define WEB_COOKIE "packgate"             /* contains the token of a session */
#define WEB_SETUP_COOKIE "packgate-setup" /* the same for set-up; the gateway checks it */

/* The gateway's last answer, and the requests that wait for the next one (setup.h). */
struct setup {
    json_t *status, *configuration; /* NULL: none yet */
    double told_at;
    bool asking;
    TAILQ_HEAD(, waiting) waiting;
};

struct web {
    struct outlet *outlet;
    const struct web_config *config;
    ev_timer report;
    struct guard guard;
    struct http *http;
    struct stream *stream;
    struct sessions sessions;
    struct tries tries;
    struct workers *comparers; /* of passwords */
    struct past *past;         /* NULL: there is no [history] */
    struct render_pack *packs; /* in the order of the configuration, packs before banks */
    unsigned count;
    struct setup setup;
    char *tls_cert, *tls_key; /* contents of the files; NULL: not encrypted */
    json_t *news;             /* the latest events since the start, the newest first */
    double begun_at;          /* Unix time */
};

/* A request that has passed the checks of guard.h. */
struct web_request {
    struct http_request *http;
    const char *path; /* without the leading slash, the query, and what its route has matched */
    struct guard_host host; /* the host name of the request */
    bool encrypted;         /* between the browser and us, or the proxy */
    bool unclear;           /* the client is unknown: it may read, but not switch */
};

/** The token in a cookie of the request. False: it has none. */
bool web_token(const struct web_request *request, const char *cookie, char token[SESSION_TOKEN]);

/** Seconds for which the request's session still lasts; 0: it has none. `use`: restarts the session's idle time. */
double web_session(struct web *web, const struct web_request *request, bool use);

/** Whether the client is on this host, without a proxy: it could log in to the host anyway. */
bool web_is_this_host(const struct web_request *request);

/** Answers the request, now or later. */
void routes_answer(struct web *web, struct web_request *request);
/** Answers `metrics`. */
void metrics_answer(struct web *web, struct web_request *request);
/** Answers the addresses below `api/v1/setup/`. */
void editor_answer(struct web *web, struct web_request *request);
