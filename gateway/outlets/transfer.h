// SPDX-License-Identifier: MIT
/*
 * Transfers by libcurl in the event loop, shared by outlets. None of them blocks.
 *
 * The user creates and configures an easy handle (transfer_init sets the common options: names are
 * looked up in a thread, no signals, no file:// and the like, no redirects, a time limit) and
 * starts it with transfer_start, repeatedly if needed: the connection is reused.
 */
#pragma once

#include <curl/curl.h>
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct transfers;

struct transfers *transfers_new(struct ev_loop *loop);

#define TRANSFER_ANSWER_SIZE 2000 /* of a response that is kept; InfluxDB 2 quotes points of ours */

/* A handle has one transfer at a time. A response that is longer than it is useful ends there, as if it was complete:
 * an endless one would be expensive on a metered uplink. */
struct transfer {
    CURL *easy;
    /** It is over; never called from transfer_start. `words`: the error (CURLE_OK: empty). */
    void (*done)(void *data, CURLcode code, const char *words);
    void *data;
    struct transfers *transfers;
    const char *ca_file;
    struct curl_slist *headers; /* of the request */
    char answer[TRANSFER_ANSWER_SIZE];
    size_t came;   /* bytes of the response */
    bool answered; /* some answer came */
    char words[CURL_ERROR_SIZE];
};

/* How the server's certificate is checked, and our own certificate; empty: the system's
 * authorities, none. Kept by reference. */
struct transfer_tls {
    const char *ca_file, *client_cert, *client_key;
    bool verify;
};

/** Creates a handle for `schemes` ("http,https"); each transfer must end within `limit_s`.
 * transfer_free ends it, without `done`. */
void transfer_init(struct transfer *transfer, struct transfers *transfers, const char *schemes,
                   double limit_s, const struct transfer_tls *tls);
void transfer_free(struct transfer *transfer);

/** Sets the address. Only the port of the first one, and of proxies, can be reached (names.h). */
void transfer_set_url(struct transfer *transfer, const char *address);

void transfer_add_header(struct transfer *transfer, const char *line);
void transfer_clear_headers(struct transfer *transfer);

void transfer_start(struct transfer *transfer);
/** The status of the response; 0: none came. */
long transfer_status(const struct transfer *transfer);
/** Whether it is the answer of a port for https:// (nginx, Go) to any plain HTTP. */
bool transfer_is_unencrypted(long status, const char *answer);
#define TRANSFER_UNENCRYPTED "its port is one for https://"
