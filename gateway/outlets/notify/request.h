// SPDX-License-Identifier: MIT
/*
 * Requests to the services: address, headers, body, and the meaning of the response. For ntfy,
 * Pushover, Pushsafer, mail and webhooks; libcurl does the rest.
 */
#pragma once

#include "delivery.h"

#include "outlets/transfer.h"
#include "base/secret.h"

#include <stdio.h>

/* The contents of a section's secret files; read for each try, as they may have changed. */
struct secrets {
    char url[SECRET_SIZE];
    char line[2][SECRET_SIZE]; /* of key_file */
};

/** Reads them. False: `why` names the file that cannot be read or is incomplete. Warns once
 * (`*told`) if everybody can read them. */
bool secrets_read(struct secrets *secrets, const struct notify_config *config, const char *who,
                  bool *told, char *why, size_t size);

struct request {
    struct curl_slist *recipients;
    char *body;        /* on the heap */
    FILE *mail;        /* reads the body of a mail; NULL: none */
    unsigned accepted; /* commands of a mail, so far */
    char refused[120]; /* a mail server's words on an address that it rejects; empty: none */
};

/** Whether an address is one of this host, by its name or number alone: 127.x, ::1, localhost. */
bool request_stays_here(const char *url);

/** The service's limit for a text, in bytes. */
size_t request_text_most(enum notify_type type);

/** Sets a handle up (which has what transfer_init gives it). `page` is the address of the web page, "" if there is
 * none. False: it is too long, or not UTF-8. The request is to stay where it is until request_clear. */
bool request_set(struct request *request, struct transfer *transfer,
                 const struct notify_config *config, const struct secrets *secrets,
                 const struct message *message, const char *gateway, const char *page);
void request_clear(struct request *request);

/** Interprets the result. `why`: the error without secrets; of a sent mail, refused addresses. */
enum outcome request_judge(const struct request *request, const struct transfer *transfer,
                           const struct notify_config *config, const struct secrets *secrets,
                           CURLcode code, const char *words, char *why, size_t size);
