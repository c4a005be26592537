// SPDX-License-Identifier: MIT
/* Messages to the service manager, see sd_notify(3) and sd_watchdog_enabled(3). */
#include "systemd.h"

#include "base/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The socket is a path, or '@' and a name outside of the file system. Never waits: a manager that
 * does not read must not hold up polling. */
void systemd_notify(const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = getenv("NOTIFY_SOCKET");
    const size_t length = name ? strlen(name) : 0;
    if (length < 2 || length >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@'))
        return;
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *) &address,
                         (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length)) < 0)
        log_debug("cannot send '%s' to the service manager: %s", state, strerror(errno));
    if (fd >= 0)
        close(fd);
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
