// SPDX-License-Identifier: MIT
/* The client side of the control socket. */
#include "asking.h"
#include "command.h"

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
#define PATIENCE_S 10

/* The path on which the gateway of a configuration file listens: the value of `control`, even if the
 * file has mistakes elsewhere; the default if it has none, or cannot be read. "" for none. */
static void find_control(const char *config, char out[PORT_SIZE])
{
    char *text = save_read(config);
    char *value = text ? config_value(text, gateway_section.word, "", "control") : NULL;
    const char *preset = gateway_section.keys[config_key_find(&gateway_section, "control")].preset;
    const bool none = value && strcasecmp(value, "none") == 0;
    snprintf(out, PORT_SIZE, "%s", none ? "" : value ? value : preset);
    free(text);
    free(value);
}

static bool set_why(struct asking *asking, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool set_why(struct asking *asking, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(asking->why, sizeof asking->why, format, values);
    va_end(values);
    return false;
}

static bool connect_to(struct asking *asking, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path[0])
        return set_why(asking,
                       "the configuration has `control = none`: the gateway accepts no requests");
    if (strlen(path) >= sizeof address.sun_path)
        return set_why(asking, "%.100s...: too long for the path of a socket; choose a shorter one",
                       path);
    memcpy(address.sun_path, path, strlen(path));
    asking->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* connect() blocks while the queue of a hanging gateway is full. */
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    if (asking->fd >= 0)
        setsockopt(asking->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (asking->fd >= 0 && connect(asking->fd, (struct sockaddr *) &address, sizeof address) == 0)
        return true;
    if (errno == ENOENT || errno == ECONNREFUSED)
        return set_why(asking, "no gateway listens at %s; is it running?", path);
    return set_why(asking, "%s: %s", path,
                   errno == EACCES
                       ? "permission denied; allowed are root and the group of the service"
                       : strerror(errno));
}

/* Waits for a whole line. Returns its size with the newline; 0: none arrived. */
static size_t await_line(struct asking *asking, double until)
{
    for (size_t seen = 0;;) {
        char *end =
            asking->size > seen ? memchr(asking->bytes + seen, '\n', asking->size - seen) : NULL;
        if (end)
            return (size_t) (end + 1 - asking->bytes);
        seen = asking->size;
        if (asking->size == asking->room) {
            size_t room = asking->room ? 2 * asking->room : 16384;
            char *bytes = room <= LARGEST_LINE ? realloc(asking->bytes, room) : NULL;
            if (!bytes)
                return set_why(asking, "the gateway's answer is too large");
            asking->bytes = bytes;
            asking->room = room;
        }
        double left = isinf(until) ? -1 : fmax(until - clock_now(), 0);
        struct pollfd ready = {.fd = asking->fd, .events = POLLIN};
        int count = poll(&ready, 1, left < 0 ? -1 : (int) ceil(left * 1000));
        if (count < 0 && errno == EINTR)
            continue;
        if (count == 0)
            return set_why(asking, "the gateway does not answer");
        ssize_t size =
            recv(asking->fd, asking->bytes + asking->size, asking->room - asking->size, 0);
        if (size <= 0)
            return set_why(asking, "the gateway closed the connection");
        asking->size += (size_t) size;
    }
}

json_t *asking_next(struct asking *asking, double wait_s)
{
    size_t size = await_line(asking, clock_now() + wait_s);
    if (size == 0)
        return NULL;
    json_error_t error;
    json_t *answer = json_loadb(asking->bytes, size, 0, &error);
    asking->size -= size;
    memmove(asking->bytes, asking->bytes + size, asking->size);
    const char *said = json_string_value(json_object_get(answer, "error"));
    if (answer && !said)
        return answer;
    set_why(asking, "%s", said ? said : "the gateway's answer is not JSON");
    json_decref(answer);
    return NULL;
}

json_t *asking_request(struct asking *asking, json_t *request)
{
    char *text = json_text(request);
    if (!text) {
        set_why(asking, "out of memory");
        return NULL;
    }
    struct iovec parts[] = {{text, strlen(text)}, {(char[]){'\n'}, 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    /* A rejected client gets an error message, and may find the connection closed already. */
    ssize_t sent = sendmsg(asking->fd, &message, MSG_NOSIGNAL);
    (void) sent;
    free(text);
    return asking_next(asking, PATIENCE_S);
}

/* The default file may be missing or unreadable if the gateway runs in a container; then the
 * default socket is used. A file that the user named must be readable, or the wrong gateway
 * might be asked. */
static bool connect_gateway(struct asking *asking)
{
    char path[PORT_SIZE];
    if (asking->control)
        return connect_to(asking, asking->control);
    if (strcmp(asking->config, CONFIG_DEFAULT) != 0 && access(asking->config, R_OK) < 0)
        return set_why(asking, "%s: cannot be opened: %s", asking->config, strerror(errno));
    find_control(asking->config, path);
    return connect_to(asking, path);
}

void asking_close(struct asking *asking)
{
    if (asking->fd >= 0)
        close(asking->fd);
    free(asking->bytes);
    asking->bytes = NULL;
    asking->size = asking->room = 0;
    asking->fd = -1;
}

json_t *asking_open(struct asking *asking, json_t *request)
{
    json_t *answer = NULL;
    asking->fd = -1;
    if (connect_gateway(asking))
        answer = asking_request(asking, request);
    else
        json_decref(request);
    if (!answer && asking->command)
        fprintf(stderr, "packgate %s: %s\n", asking->command, asking->why);
    if (!answer)
        asking_close(asking);
    return answer;
}

json_t *asking_once(struct asking *asking, json_t *request)
{
    json_t *answer = asking_open(asking, request);
    asking_close(asking);
    return answer;
}

const char *asking_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

double asking_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}
