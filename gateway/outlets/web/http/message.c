// SPDX-License-Identifier: MIT
/* Headers and arguments of requests, and responses of libmicrohttpd. */
#include "http.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define COMPRESS_FROM 2048  /* bytes; smaller responses are sent as they are */
#define GZIP_BITS (15 + 16) /* the largest window, and the frame of gzip */
#define MEMORY 8            /* zlib's own */
#define LEVEL 5 /* of 9: values of 64 packs take half the bytes of level 1; 6 is twice as slow */

const char *http_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct counting {
    const char *name;
    unsigned count;
};

static enum MHD_Result count_header(void *data, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct counting *counting = data;
    counting->count += strcasecmp(name, counting->name) == 0;
    return MHD_YES;
}

unsigned http_header_count(const struct http_request *request, const char *name)
{
    struct counting counting = {.name = name};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, count_header, &counting);
    return counting.count;
}

bool http_argument(const struct http_request *request, const char *name, char *out, size_t size)
{
    const char *text =
        MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
    if (!text || strlen(text) >= size)
        return false;
    strcpy(out, text);
    const size_t length = MHD_http_unescape(out);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char) out[i] < 0x20 || out[i] == 0x7F)
            return false;
    return true;
}

void http_dress(struct MHD_Response *response, const char *type)
{
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'none'; frame-ancestors 'none'");
    MHD_add_response_header(response, "Cache-Control", "no-store");
}

void http_replace_header(struct MHD_Response *response, const char *name, const char *value)
{
    const char *before = MHD_get_response_header(response, name);
    if (before)
        MHD_del_response_header(response, name, before);
    MHD_add_response_header(response, name, value);
}

struct MHD_Response *http_response(const char *type, const void *bytes, size_t size,
                                   enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response =
        alloc_checked(MHD_create_response_from_buffer(size, (void *) (uintptr_t) bytes, mode));
    http_dress(response, type);
    return response;
}

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

/* Returns bytes from malloc. NULL: the result would not be smaller. */
static char *compress_gzip(const char *bytes, size_t size, size_t *packed_size)
{
    z_stream stream = {.next_in = (Bytef *) (uintptr_t) bytes, .avail_in = (uInt) size};
    char *packed = alloc_checked(malloc(size));
    const int begun =
        deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_BITS, MEMORY, Z_DEFAULT_STRATEGY);
    alloc_checked(begun == Z_OK ? packed : NULL);
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
    if (packed)
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    MHD_add_response_header(response, "Vary", "Accept-Encoding");
    return response;
}

void compress_json(struct http_request *request, unsigned status, char *text)
{
    alloc_checked(text);
    http_answer(request, status,
                compress_response(request, "application/json", text, strlen(text)));
}

void http_answer_text(struct http_request *request, unsigned status, const char *type,
                      const char *text)
{
    http_answer(request, status, http_response(type, text, strlen(text), MHD_RESPMEM_MUST_COPY));
}

bool http_error_with(struct http_request *request, unsigned status, const char *why,
                     const char *header, const char *value)
{
    char bytes[400];
    struct text text = text_in(bytes, sizeof bytes);
    text_add(&text, "{\"error\":");
    text_quote(&text, why);
    text_add(&text, "}\n");
    struct MHD_Response *response =
        http_response("application/json", bytes, text.size, MHD_RESPMEM_MUST_COPY);
    if (header)
        MHD_add_response_header(response, header, value);
    http_answer(request, status, response);
    return false;
}

bool http_error(struct http_request *request, unsigned status, const char *why)
{
    return http_error_with(request, status, why,
                           status == MHD_HTTP_SERVICE_UNAVAILABLE ? "Retry-After" : NULL, "5");
}
