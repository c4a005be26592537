// SPDX-License-Identifier: MIT
/* Compresses large answers. */
#include "compress.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define GZIP_BITS (15 + 16) /* the largest window, and the frame of gzip */
#define MEMORY 8            /* zlib's own */
#define LEVEL 5 /* of 9: values of 64 packs take half the bytes of level 1; 6 is twice as slow */

/* Whether Accept-Encoding contains gzip, not excluded by "q=0" (RFC 9110, 12.5.3). */
static bool takes_gzip(const struct http_request *request)
{
    const char *list = http_header(request, "Accept-Encoding");
    while (list && *list) {
        list += strspn(list, " \t,");
        const size_t name = strcspn(list, " \t,;"), all = strcspn(list, ",");
        if (name == 4 && strncasecmp(list, "gzip", 4) == 0) {
            const char *q = memchr(list, '=', all);
            return !q || strtod(q + 1, NULL) > 0;
        }
        list += all;
    }
    return false;
}

/* Returns bytes from malloc. NULL: out of memory, or the result would not be smaller. */
static char *compress_gzip(const char *bytes, size_t size, size_t *packed_size)
{
    z_stream stream = {.next_in = (Bytef *) (uintptr_t) bytes, .avail_in = (uInt) size};
    char *packed = malloc(size);
    if (!packed ||
        deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_BITS, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(packed);
        return NULL;
    }
    stream.next_out = (Bytef *) packed;
    stream.avail_out = (uInt) size;
    const bool whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    *packed_size = stream.total_out;
    deflateEnd(&stream);
    if (whole)
        return packed;
    free(packed);
    return NULL;
}

struct MHD_Response *compress_response(const struct http_request *request, const char *type,
                                       char *bytes, size_t size)
{
    size_t packed_size = 0;
    char *packed = size >= COMPRESS_FROM && takes_gzip(request)
                       ? compress_gzip(bytes, size, &packed_size)
                       : NULL;
    if (packed) {
        free(bytes);
        bytes = packed;
        size = packed_size;
    }
    struct MHD_Response *response = http_response(type, bytes, size, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(bytes);
        return NULL;
    }
    if (packed)
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    MHD_add_response_header(response, "Vary", "Accept-Encoding");
    return response;
}

void compress_json(struct http_request *request, unsigned status, char *text)
{
    http_answer(request, status,
                text ? compress_response(request, "application/json", text, strlen(text)) : NULL);
}
