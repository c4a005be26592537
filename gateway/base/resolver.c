// SPDX-License-Identifier: MIT
#include "resolver.h"

#include <netdb.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define LONGEST_S 60.0 /* its users wait for less */

/* Runs in the child: looks the name up, writes the addresses and exits, at the latest when its
 * parent exits. Must not touch any other state of the process. */
static void look_up(int pipe, const char *host, const char *port)
{
    child_reset_signals();
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

static void on_over(struct child *child, enum child_end end)
{
    struct resolver *resolver = child->data;
    struct resolver_address found[RESOLVER_MAX];
    const size_t told = child->size / sizeof *found;
    const unsigned count = told < RESOLVER_MAX ? (unsigned) told : RESOLVER_MAX;
    if (count > 0)
        memcpy(found, child->bytes, count * sizeof *found);
    child_stop(child);
    resolver->done(resolver->data, found, count);
}

void resolver_init(struct resolver *resolver, struct ev_loop *loop, resolver_done *done, void *data)
{
    *resolver = (struct resolver){.done = done, .data = data};
    child_init(&resolver->child, loop, on_over, resolver);
}

int resolver_start(struct resolver *resolver, const char *host, const char *port)
{
    int output;
    const pid_t pid = child_start(&resolver->child, LONGEST_S, &output);
    if (pid == 0)
        look_up(output, host, port);
    return pid > 0 ? 0 : -1;
}

void resolver_stop(struct resolver *resolver)
{
    child_stop(&resolver->child);
}
