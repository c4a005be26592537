// SPDX-License-Identifier: MIT
/*
 * An HTTP/1.1 server in the loop. libmicrohttpd parses requests and writes responses; accepting
 * clients and their time-outs are our own. The library's listener would let 64 incomplete requests
 * block all other clients, and its time-out restarts with each byte.
 *
 * A connection is cut if its first request, or the body of a later one, is incomplete after
 * HTTP_REQUEST_S; if the next request does not begin with a whole head within HTTP_IDLE_S; or
 * earlier, if another client needs its place. All are cut when a turn of the loop begins late
 * (late_turn.h).
 */
#pragma once

#include "base/alloc.h"
#include "base/listeners.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_REQUEST_S 10.0
#define HTTP_IDLE_S 30.0
#define HTTP_ANSWER_S 900.0          /* for a client to read an answer, unless it is a stream */
#define HTTP_BODY_MAX (64 * 1024)    /* bytes: the edits of a configuration with hundreds of keys */
#define HTTP_STREAM_MOST (64 * 1024) /* bytes that a stream may have to send */
#define HTTP_PIECE 4096              /* of these that it passes to the library at a time */
#define HTTP_MEMORY (16 * 1024) /* bytes per connection: head of the request, piece of the answer */

struct http;

/* A request whose head and body have been received. Valid until it was answered and `over` was
 * called. */
struct http_request {
    struct http *http;
    struct MHD_Connection *connection;
    const char *method; /* "GET", also for HEAD, whose answer has no body */
    const char *target; /* as received: "/api/v1/packs", "http://host/api/v1/packs" */
    bool is_head;
    char *body; /* NUL-terminated; NULL: none */
    size_t body_size;
    struct sockaddr_storage peer;   /* the connected host */
    struct sockaddr_storage client; /* the peer, or the client that a proxy names */
    bool proxied;                   /* the peer is a proxy that may name its client */
    bool ends; /* to be set while it is handled: the connection is closed after the answer */
    /** The client has disconnected before the answer, or the stream is over: the holder must drop its
     * pointer. NULL: not held. */
    void (*over)(void *data);
    void *data;
};

struct http_settings {
    const struct listen_list *listen;
    unsigned max_clients, max_per_address;
    const char *tls_cert, *tls_key; /* PEM; NULL: not encrypted */
    /** Whether a peer may connect, and whether it is a proxy, which is exempt from the limit per
     * client. */
    bool (*admit)(void *data, const struct sockaddr *peer, bool *is_proxy);
    /** Answers, or holds the request and answers later. */
    void (*handle)(void *data, struct http_request *request);
    void *data;
};

struct http_counters {
    unsigned clients, streams;           /* without those that were cut */
    uint64_t requests, refused, dropped; /* refused: not accepted; dropped: cut by the gateway */
};

/** NULL: it cannot start; the reason is logged. What `settings` points to must outlive it. */
struct http *http_new(struct ev_loop *loop, const struct http_settings *settings);

/** The port that the n-th address is bound to. */
unsigned http_port(const struct http *http, unsigned n);
struct http_counters http_counters(const struct http *http);

/** The value of a header; NULL: there is none. */
const char *http_header(const struct http_request *request, const char *name);
/** How many headers of this name there are. */
unsigned http_header_count(const struct http_request *request, const char *name);

/** The decoded value of a query argument in `out`. False: it is missing or malformed. */
bool http_argument(const struct http_request *request, const char *name, char *out, size_t size);

/** A response with the common headers: no sniffing, no referrer, no storing, and a policy with which a browser loads nothing
 * for it and shows it in no frame. The caller adds headers with MHD_add_response_header, and replaces common ones with
 * http_replace_header. */
struct MHD_Response *http_response(const char *type, const void *bytes, size_t size,
                                   enum MHD_ResponseMemoryMode mode);
/** Adds the common headers to a response that was made with a callback. */
void http_dress(struct MHD_Response *response, const char *type);
void http_replace_header(struct MHD_Response *response, const char *name, const char *value);

/** Answers from within `handle` or, if the request is held, later, which ends the hold; takes the
 * response over. */
void http_answer(struct http_request *request, unsigned status, struct MHD_Response *response);
/** Answers with a copy of a text. */
void http_answer_text(struct http_request *request, unsigned status, const char *type,
                      const char *text);
/** A response of `bytes` (from malloc), which it takes over, compressed if it is large and the client accepts gzip: a day of sixteen
 * cells is 131 kB uncompressed. */
struct MHD_Response *compress_response(const struct http_request *request, const char *type,
                                       char *bytes, size_t size);
/** Answers with JSON from malloc, compressed likewise. */
void compress_json(struct http_request *request, unsigned status, char *text);
/** Answers {"error":"…"}. Returns false, so that a check can end with it. */
bool http_error(struct http_request *request, unsigned status, const char *text);
/** The same with a header. */
bool http_error_with(struct http_request *request, unsigned status, const char *text,
                     const char *header, const char *value);

/** From within `handle`: the answer comes later. */
void http_hold(struct http_request *request, void (*over)(void *data), void *data);

/** Marks an endless, unchunked answer, after http_answer. It is not idle, is exempt from time-outs, and is cut as soon
 * as the client closes its end. */
void http_is_stream(struct http_request *request, void (*over)(void *data), void *data);
/** From within the callback of a stream: nothing to send until http_wake. Returns what the callback
 * must return. */
ssize_t http_pause(struct http_request *request);
void http_wake(struct http_request *request);
/** Cuts the connection at once. `over` follows later. */
void http_cut(struct http_request *request);

/** Number of connections of a client, or of a peer, active or idle. */
unsigned http_of_client(const struct http *http, const struct sockaddr *address, bool peers);
