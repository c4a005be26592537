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

/** NULL: out of memory. End its transfers before it is freed. */
struct transfers *transfers_new(struct ev_loop *loop);
void transfers_free(struct transfers *transfers);

/* A handle has one transfer at a time. */
struct transfer {
    CURL *easy;
    /** The transfer is over; never called from within transfer_start. `words`: the error (CURLE_OK:
     * empty). */
    void (*done)(void *data, CURLcode code, const char *words);
    void *data;
    struct transfers *transfers;
    const char *ca_file;
    bool answered; /* some answer came */
    char words[CURL_ERROR_SIZE];
    bool running;
};

/* Longest response that is fetched: the write callback stops there, and the bytes so far are
 * evaluated. An endless response would be expensive on a metered uplink. */
#define TRANSFER_ANSWER_MOST (256 * 1024)

/* How the server's certificate is checked, and our own certificate; empty: the system's
 * authorities, none. Kept by reference. */
struct transfer_tls {
    const char *ca_file, *client_cert, *client_key;
    bool verify;
};

/** Creates a handle for `schemes` ("http,https"); each transfer must end within `limit_s`. False:
 * out of memory. transfer_free ends it. */
bool transfer_init(struct transfer *transfer, struct transfers *transfers, const char *schemes,
                   double limit_s, const struct transfer_tls *tls);
void transfer_free(struct transfer *transfer);

/** Sets the address. Only the port of the first address, or of a proxy in the environment, can be
 * reached (names.h). */
void transfer_set_url(struct transfer *transfer, const char *address);

void transfer_start(struct transfer *transfer);
/** Whether this is the response of a port for https:// to plain HTTP (nginx, servers in Go). It is
 * not about the request. */
bool transfer_is_unencrypted(long status, const char *answer);
#define TRANSFER_UNENCRYPTED "its port is one for https://"

/** Cancels it; `done` is not called. */
void transfer_stop(struct transfer *transfer);
