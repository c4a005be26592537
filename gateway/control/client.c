// SPDX-License-Identifier: MIT
/* The client side of the control socket, for commands. */
#include "client.h"

#include "packs/json.h"
#include "config/ini/edit.h"
#include "config/ini/save.h"
#include "config/keys.h"
#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define LARGEST_LINE (64 * 1024 * 1024)

void control_path(const char *config, char out[PORT_SIZE])
{
    char *text = save_read(config);
    char *value = text ? config_value(text, gateway_section.word, "", "control") : NULL;
    const char *preset = gateway_section.keys[config_key_find(&gateway_section, "control")].preset;
    const bool none = value && strcasecmp(value, "none") == 0;
    snprintf(out, PORT_SIZE, "%s", none ? "" : value ? value : preset);
    free(text);
    free(value);
}

/* ---- the connection ---- */

static bool set_why(struct control_link *link, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool set_why(struct control_link *link, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(link->why, sizeof link->why, format, values);
    va_end(values);
    return false;
}

bool control_link_open(struct control_link *link, const char *path)
{
    *link = (struct control_link){.fd = -1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path[0])
        return set_why(link,
                       "the configuration has `control = none`: the gateway accepts no requests");
    if (strlen(path) >= sizeof address.sun_path)
        return set_why(link, "%.100s...: too long for the path of a socket; choose a shorter one",
                       path);
    memcpy(address.sun_path, path, strlen(path));
    link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* connect() blocks while the queue of a hanging gateway is full. */
    const struct timeval patience = {.tv_sec = CONTROL_PATIENCE_S};
    if (link->fd >= 0)
        setsockopt(link->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (link->fd >= 0 && connect(link->fd, (struct sockaddr *) &address, sizeof address) == 0)
        return true;
    if (errno == ENOENT || errno == ECONNREFUSED)
        return set_why(link, "no gateway listens at %s; is it running?", path);
    return set_why(link, "%s: %s", path,
                   errno == EACCES
                       ? "permission denied; allowed are root and the group of the service"
                       : strerror(errno));
}

void control_link_close(struct control_link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    free(link->bytes);
    *link = (struct control_link){.fd = -1};
}

/* Waits for a whole line. Returns its size with the newline; 0: none arrived. */
static size_t await_line(struct control_link *link, double until)
{
    for (size_t seen = 0;;) {
        char *end = link->size > seen ? memchr(link->bytes + seen, '\n', link->size - seen) : NULL;
        if (end)
            return (size_t) (end + 1 - link->bytes);
        seen = link->size;
        if (link->size == link->room) {
            size_t room = link->room ? 2 * link->room : 16384;
            char *bytes = room <= LARGEST_LINE ? realloc(link->bytes, room) : NULL;
            if (!bytes)
                return set_why(link, "the gateway's answer is too large");
            link->bytes = bytes;
            link->room = room;
        }
        double left = isinf(until) ? -1 : fmax(until - clock_now(), 0);
        struct pollfd ready = {.fd = link->fd, .events = POLLIN};
        int count = poll(&ready, 1, left < 0 ? -1 : (int) ceil(left * 1000));
        if (count < 0 && errno == EINTR)
            continue;
        if (count == 0)
            return set_why(link, "the gateway does not answer");
        ssize_t size = recv(link->fd, link->bytes + link->size, link->room - link->size, 0);
        if (size <= 0)
            return set_why(link, "the gateway closed the connection");
        link->size += (size_t) size;
    }
}

json_t *control_next(struct control_link *link, double wait_s)
{
    size_t size = await_line(link, clock_now() + wait_s);
    if (size == 0)
        return NULL;
    json_error_t error;
    json_t *answer = json_loadb(link->bytes, size, 0, &error);
    link->size -= size;
    memmove(link->bytes, link->bytes + size, link->size);
    const char *said = json_string_value(json_object_get(answer, "error"));
    if (answer && !said)
        return answer;
    set_why(link, "%s", said ? said : "the gateway's answer is not JSON");
    json_decref(answer);
    return NULL;
}

json_t *control_ask(struct control_link *link, json_t *request)
{
    char *text = json_text(request);
    if (!text) {
        set_why(link, "out of memory");
        return NULL;
    }
    struct iovec parts[] = {{text, strlen(text)}, {(char[]){'\n'}, 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    /* A rejected client gets an error message, and may find the connection closed already. */
    ssize_t sent = sendmsg(link->fd, &message, MSG_NOSIGNAL);
    (void) sent;
    free(text);
    return control_next(link, CONTROL_PATIENCE_S);
}
