// SPDX-License-Identifier: MIT
/* Resolves host names in a child process. */
#include "resolver.h"

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

void resolver_init(struct resolver *resolver, struct ev_loop *loop,
                   void (*done)(void *data, const struct resolver_address *addresses,
                                unsigned count),
                   void *data)
{
    memset(resolver, 0, sizeof *resolver);
    resolver->loop = loop;
    resolver->fd = -1;
    resolver->done = done;
    resolver->data = data;
}

/* Runs in the child: looks the name up, writes the addresses and exits, at the latest when its
 * parent exits. Must not touch any other state of the process. */
static void look_up(int pipe, const char *host, const char *port)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    int fd = child_settle(pipe);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        _exit(1);
    int count = 0;
    for (const struct addrinfo *info = list; info && count < RESOLVER_MAX;
         info = info->ai_next, count++) {
        struct resolver_address found = {.size = info->ai_addrlen};
        memcpy(&found.address, info->ai_addr, info->ai_addrlen);
        if (write(fd, &found, sizeof found) != (ssize_t) sizeof found)
            _exit(1);
    }
    _exit(0);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct resolver *resolver = io->data;
    uint8_t *into = (uint8_t *) resolver->found + resolver->received;
    ssize_t n = read(resolver->fd, into, sizeof resolver->found - resolver->received);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        resolver->received += (size_t) n;
        return;
    }
    unsigned count = (unsigned) (resolver->received / sizeof *resolver->found);
    resolver_stop(resolver);
    resolver->done(resolver->data, resolver->found, count);
}

/* The child has exited; its result is read from the pipe. */
static void on_child(struct ev_loop *loop, ev_child *child, int revents)
{
    ev_child_stop(loop, child);
}

int resolver_start(struct resolver *resolver, const char *host, const char *port)
{
    resolver_stop(resolver);
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        look_up(pipes[1], host, port);
    int error = errno;
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        errno = error;
        return -1;
    }
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    resolver->fd = pipes[0];
    resolver->received = 0;
    ev_io_init(&resolver->io, on_readable, resolver->fd, EV_READ);
    resolver->io.data = resolver;
    ev_io_start(resolver->loop, &resolver->io);
    ev_child_init(&resolver->child, on_child, pid, 0);
    ev_child_start(resolver->loop, &resolver->child);
    return 0;
}

void resolver_stop(struct resolver *resolver)
{
    if (resolver->fd < 0)
        return;
    /* A look-up that hangs is killed. This cannot hit another process: once the child is reaped
     * its watcher is stopped, and until then it is at least a zombie. */
    if (ev_is_active(&resolver->child)) {
        kill(resolver->child.pid, SIGKILL);
        ev_child_stop(resolver->loop, &resolver->child);
    }
    ev_io_stop(resolver->loop, &resolver->io);
    close(resolver->fd);
    resolver->fd = -1;
}
