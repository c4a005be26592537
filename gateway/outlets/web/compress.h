// SPDX-License-Identifier: MIT
/* Compresses large answers for clients that accept gzip: a day of sixteen cells is 131 kB
 * uncompressed. */
#pragma once

#include "http/http.h"

#define COMPRESS_FROM 2048 /* bytes; smaller answers are sent as they are */

/** Makes an answer of `bytes` (from malloc), which it takes over, compressed if the client accepts
 * gzip. Clients must not store it. NULL: out of memory; the bytes were freed. */
struct MHD_Response *compress_response(const struct http_request *request, const char *type,
                                       char *bytes, size_t size);

/** Answers with JSON from malloc, compressed likewise. NULL: 500. */
void compress_json(struct http_request *request, unsigned status, char *text);
