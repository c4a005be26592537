// SPDX-License-Identifier: MIT
/* What the parts of the web outlet share, and what each does for the others. */
#pragma once

#include "guard.h"
#include "http/http.h"
#include "past.h"
#include "render.h"
#include "stream.h"

#include "base/queue.h"

#include <jansson.h>

#define WEB_NEWS_KEPT 100
#define WEB_COOKIE "packgate"             /* contains the token of a session */
#define WEB_SETUP_COOKIE "packgate-setup" /* the same for set-up; the gateway checks it */

/* The gateway's last answer, and the requests that wait for the next one (setup.c). */
struct setup {
    json_t *status, *configuration; /* NULL: none yet */
    double told_at;                 /* -INFINITY: outdated */
    TAILQ_HEAD(, pending) waiting;
};

struct web {
    struct outlet *outlet;
    const struct web_config *config;
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
    const char *path;     /* without the leading slash, the query, and what its route has matched */
    struct endpoint host; /* the host name of the request */
    bool encrypted;       /* between the browser and us, or the proxy */
    bool unclear;         /* the client is unknown: it may read, but not switch */
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

/*
 * setup.c: the gateway as a whole: its status, events, configuration, and files for programs that read Modbus. Sends at most one
 * request a second to the gateway, however many clients ask.
 */

/** Answers `api/v1/gateway`. Only users who are logged in and clients on this host get addresses of
 * clients and the configuration; nobody gets secrets. */
void setup_answer(struct web *web, struct web_request *request);

/** Answers a request from the gateway's own report (as `packgate status --json`; NULL: it did not
 * answer), now or later. */
typedef void setup_told(struct web *web, struct web_request *request, const json_t *status);
void setup_ask(struct web *web, struct web_request *request, setup_told *told);

/** Answers `api/v1/files/NAME`. */
void setup_answer_file(struct web *web, struct web_request *request);

/*
 * news.c: events, which are sent to all viewers and kept for later ones. An event consists of kind, name and level, never of a
 * sentence, because the page shows it in its reader's language.
 */

/** Records what has changed in a source. */
void news_changed(struct web *web, unsigned pack, unsigned changes, bool fresh);
void news_ordered(void *web, const struct outlet_pack *pack, const struct order_report *report);
/** Records the start of the outlet, or of the gateway. */
void news_begin(struct web *web);

/** Appends events of the history from before the start, up to the length of the list. Reads the
 * file: call it in a worker (worker.h). */
void news_add_past(const struct web *web, json_t *list, char *why, size_t size);

/*
 * orders.c: requests that change something: log in, log out, switch, open a tunnel. They must be JSON, from one of our own pages
 * (Origin) and from a network in `allow_write`; an order to switch also needs a session and a writable pack. The gateway checks again.
 */

void orders_login(struct web *web, struct web_request *request);
void orders_logout(struct web *web, struct web_request *request);
void orders_switch(struct web *web, struct web_request *request, const struct render_pack *pack);
/** Opens the tunnel of the name in the path for as long as the request says, or closes it. */
void orders_tunnel(struct web *web, struct web_request *request);

/* A request that is answered later. */
struct pending {
    struct web *web;
    struct web_request request; /* its `http` is NULL if the client has disconnected */
    struct sockaddr_storage client;
    bool arms;                  /* of set-up: it has the code */
    setup_told *told;           /* of setup_ask */
    TAILQ_ENTRY(pending) entry; /* likewise */
};

/** Holds a request. Who answers it frees this. */
struct pending *orders_hold(struct web *web, struct web_request *request);
/** Answers a request that cannot be passed on, and frees `pending`. */
void orders_fail(struct pending *pending, unsigned status, const char *why);
/** Whether a request that changes something comes from one of our pages. If not, it was answered. */
bool orders_from_page(struct web_request *request);
/** The JSON object of a request; the caller releases it. NULL: there is none, it was answered. */
json_t *orders_body(struct http_request *request);
/** Answers with a cookie; an empty token deletes it. */
void orders_answer_cookie(struct http_request *request, bool encrypted, unsigned status,
                          const char *body, const char *cookie, const char *token);
/** Answers that there were too many attempts. */
void orders_too_many(struct http_request *request, double wait_s);
