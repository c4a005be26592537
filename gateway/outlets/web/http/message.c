// SPDX-License-Identifier: MIT
/* Headers and arguments of requests, and responses of libmicrohttpd. */
#include "http.h"

#include "base/text.h"

#include "bms/bytes.h"

#include <string.h>
#include <strings.h>

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
    size_t at = 0;
    for (; text && *text; text++) {
        int c = (unsigned char) *text;
        if (c == '%') {
            if (hex_digit(text[1]) < 0 || hex_digit(text[2]) < 0)
                return false;
            c = hex_digit(text[1]) * 16 + hex_digit(text[2]);
            text += 2;
        }
        if (c < 0x20 || c == 0x7F || at + 1 >= size)
            return false;
        out[at++] = (char) c;
    }
    if (text)
        out[at] = '\0';
    return text != NULL;
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
        MHD_create_response_from_buffer(size, (void *) (uintptr_t) bytes, mode);
    if (response)
        http_dress(response, type);
    return response;
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
    if (response && header)
        MHD_add_response_header(response, header, value);
    http_answer(request, status, response);
    return false;
}

bool http_error(struct http_request *request, unsigned status, const char *why)
{
    return http_error_with(request, status, why,
                           status == MHD_HTTP_SERVICE_UNAVAILABLE ? "Retry-After" : NULL, "5");
}
