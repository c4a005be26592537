// SPDX-License-Identifier: MIT
#include "asking.h"
#include "command.h"

#include "packs/json.h"
#include "config/ini/edit.h"
#include "config/ini/save.h"
#include "config/keys.h"
#include "base/alloc.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 10

__attribute__((format(printf, 2, 3))) static bool set_why(struct asking *asking, const char *format,
                                                          ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(asking->why, sizeof asking->why, format, values);
    va_end(values);
    return false;
}

/* Stopping and continuing this process (Ctrl-Z, fg) ends a wait with a time-out. */
static ssize_t read_on(void *asking, char *out, size_t size)
{
    ssize_t got;
    do
        got = recv(((struct asking *) asking)->fd, out, size, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

static int close_connection(void *asking)
{
    return close(((struct asking *) asking)->fd);
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
    const cookie_io_functions_t functions = {.read = read_on, .close = close_connection};
    const int fd = asking->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    asking->answers = fd >= 0 ? fopencookie(asking, "r", functions) : NULL;
    if (!asking->answers)
        return set_why(asking, "%s: %s", path, strerror(errno));
    /* connect() blocks while the queue of a hanging gateway is full. */
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *) &address, sizeof address) == 0)
        return true;
    if (errno == ENOENT || errno == ECONNREFUSED)
        return set_why(asking, "no gateway listens at %s; is it running?", path);
    asking->denied = errno == EACCES;
    return set_why(asking, "%s: %s", path,
                   asking->denied
                       ? "permission denied; allowed are root and the group of the service"
                       : strerror(errno));
}

/* Waits for a line, within the time that is set for the socket. */
static json_t *read_answer(struct asking *asking)
{
    /* After a time-out the next line is the answer to that request, not to this one. */
    if (ferror(asking->answers))
        return NULL;
    errno = 0;
    const ssize_t size = getline(&asking->line, &asking->room, asking->answers);
    if (size <= 0 || asking->line[size - 1] != '\n') {
        set_why(asking, errno == EAGAIN ? "the gateway does not answer"
                                        : "the gateway closed the connection");
        return NULL;
    }
    json_t *answer = json_loadb(asking->line, (size_t) size, 0, NULL);
    const char *said = json_string_value(json_object_get(answer, "error"));
    if (answer && !said)
        return answer;
    set_why(asking, "%s", said ? said : "the gateway's answer is not JSON");
    json_decref(answer);
    return NULL;
}

json_t *asking_next(struct asking *asking)
{
    const struct timeval without_end = {0};
    setsockopt(asking->fd, SOL_SOCKET, SO_RCVTIMEO, &without_end, sizeof without_end);
    return read_answer(asking);
}

json_t *asking_request(struct asking *asking, json_t *request)
{
    char *text = alloc_checked(json_text(request));
    struct iovec parts[] = {{text, strlen(text)}, {(char[]){'\n'}, 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    /* A rejected client gets an error message, and may find the connection closed already. */
    ssize_t sent = sendmsg(asking->fd, &message, MSG_NOSIGNAL);
    (void) sent;
    free(text);
    return read_answer(asking);
}

/* Connects to the value of `control`, even if the file has mistakes elsewhere. The default file may be missing or unreadable
 * if the gateway runs in a container; then the default socket is used. A file that the user named must be readable, or the
 * wrong gateway might be asked. */
static bool connect_gateway(struct asking *asking)
{
    if (asking->control)
        return connect_to(asking, asking->control);
    if (strcmp(asking->config, CONFIG_DEFAULT) != 0 && access(asking->config, R_OK) < 0)
        return set_why(asking, "%s: cannot be opened: %s", asking->config, strerror(errno));
    char *text = save_read(asking->config);
    char *value = text ? config_value(text, gateway_section.word, "", "control") : NULL;
    const char *preset = gateway_section.keys[config_key_find(&gateway_section, "control")].preset;
    const bool none = value && strcasecmp(value, "none") == 0;
    const bool connected = connect_to(asking, none ? "" : value ? value : preset);
    free(text);
    free(value);
    return connected;
}

void asking_close(struct asking *asking)
{
    if (asking->answers)
        fclose(asking->answers);
    free(asking->line);
    asking->answers = NULL;
    asking->line = NULL;
    asking->room = 0;
}

json_t *asking_open(struct asking *asking, json_t *request)
{
    json_t *answer = NULL;
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

void asking_warn_of_port(const char *command, const char *config, const char *port)
{
    size_t i;
    json_t *line, *status = NULL;
    if (strncmp(port, "tcp://", 6) == 0)
        status =
            asking_once(&(struct asking){.config = config}, json_pack("{s:s}", "ask", "status"));
    json_array_foreach(json_object_get(status, "lines"), i, line)
    {
        if (strcmp(asking_text(line, "port"), port) == 0)
            fprintf(stderr,
                    "packgate %s: the running gateway polls this port, too, as line %s: stop it "
                    "first, or each takes the other's answers\n",
                    command, asking_text(line, "name"));
    }
    json_decref(status);
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
