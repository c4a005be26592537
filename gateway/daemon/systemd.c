// SPDX-License-Identifier: MIT
/* Messages to the service manager, see sd_notify(3) and sd_watchdog_enabled(3). */
#include "systemd.h"

#include "base/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The path of a socket, or '@' and a name outside of the file system. Returns the size of the
 * address; 0: it is neither. */
static socklen_t make_address(const char *name, struct sockaddr_un *address)
{
    size_t length = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof address->sun_path)
        return 0;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, name, length);
    if (name[0] == '@')
        address->sun_path[0] = '\0';
    return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length);
}

/* Never waits: a manager that does not read must not hold up polling. */
static bool send_state(const struct sockaddr_un *address, socklen_t size, const char *state)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    ssize_t sent =
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *) address, size);
    const int err = errno;
    close(fd);
    errno = err;
    return sent >= 0;
}

static void notify(const char *state)
{
    struct sockaddr_un address;
    const char *name = getenv("NOTIFY_SOCKET");
    socklen_t size = name ? make_address(name, &address) : 0;
    if (size > 0 && !send_state(&address, size, state))
        log_debug("cannot send '%s' to the service manager: %s", state, strerror(errno));
}

void systemd_ready(void)
{
    notify("READY=1");
}

void systemd_status(const char *words)
{
    char state[200];
    snprintf(state, sizeof state, "STATUS=%s", words);
    notify(state);
}

void systemd_stopping(void)
{
    notify("STOPPING=1");
}

void systemd_watchdog(void)
{
    notify("WATCHDOG=1");
}

/* Parses a whole number above 0; returns 0 for anything else. */
static unsigned long long read_number(const char *name)
{
    const char *text = getenv(name);
    if (!text || !*text || text[strspn(text, "0123456789")])
        return 0;
    return strtoull(text, NULL, 10);
}

double systemd_watchdog_interval(void)
{
    if (getenv("WATCHDOG_PID") && read_number("WATCHDOG_PID") != (unsigned long long) getpid())
        return 0;
    return (double) read_number("WATCHDOG_USEC") / 1e6 / 2;
}
