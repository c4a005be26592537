// SPDX-License-Identifier: MIT
#include "child.h"

#include "timer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_OTHER (STDERR_FILENO + 1)
#define READ_AT_ONCE (64 * 1024) /* bytes */

static int kept_too = -1; /* descriptor that child_settle keeps open in all children; -1: none */

/* closefrom() is glibc's. Kernels before 5.9 lack the system call behind it, and some containers
 * forbid it: then the open descriptors are listed from /proc. */
static void close_from(int first)
{
    const bool gap = kept_too >= first;
    if ((!gap || kept_too == first || syscall(SYS_close_range, first, kept_too - 1, 0) == 0) &&
        syscall(SYS_close_range, gap ? kept_too + 1 : first, ~0U, 0) == 0)
        return;
    DIR *open = opendir("/proc/self/fd");
    for (struct dirent *entry; open && (entry = readdir(open));) {
        const int fd = atoi(entry->d_name); /* 0 for "." and ".." */
        if (fd >= first && fd != dirfd(open) && fd != kept_too)
            close(fd);
    }
    if (open)
        closedir(open);
}

void child_keep_too(int fd)
{
    kept_too = fd;
}

int child_settle(int keep)
{
    if (keep < 0) {
        close_from(FIRST_OTHER);
        return -1;
    }
    int kept = keep == FIRST_OTHER ? keep : dup2(keep, FIRST_OTHER);
    close_from(FIRST_OTHER + 1);
    return kept;
}

void child_reset_signals(void)
{
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Parent of a process; -1: /proc does not show it. */
static pid_t parent_of(pid_t pid)
{
    char path[32], text[256];
    snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    const char *name_end = strrchr(text, ')'); /* the name may contain any character, even ')' */
    int parent = -1;
    return name_end && sscanf(name_end, ") %*c %d", &parent) == 1 ? parent : -1;
}

bool child_is_ours(pid_t pid)
{
    const pid_t own = getpid();
    if (pid == own)
        return false;
    while (pid > 1) {
        const pid_t parent = parent_of(pid);
        if (parent == own)
            return true;
        /* If /proc shows only our own user's processes, this one belongs to another user. */
        if (parent < 0)
            return kill(pid, 0) == 0 || errno != EPERM;
        pid = parent;
    }
    return false;
}

static void close_output(struct child *child)
{
    if (child->fd < 0)
        return;
    ev_io_stop(child->loop, &child->readable);
    close(child->fd);
    child->fd = -1;
}

void child_stop(struct child *child)
{
    close_output(child);
    ev_timer_stop(child->loop, &child->deadline);
    /* This cannot hit another process: once the child is reaped `pid` is 0, and until then it is at least a zombie. */
    if (child->pid > 0)
        kill(child->pid, SIGKILL);
    /* libev reaps the killed process without a watcher, too. */
    ev_child_stop(child->loop, &child->ended);
    child->pid = 0;
    free(child->bytes);
    child->bytes = NULL;
    child->size = 0;
}

void child_finish(struct child *child, enum child_end end)
{
    close_output(child);
    ev_timer_stop(child->loop, &child->deadline);
    child->over(child, end);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct child *child = io->data;
    char *bytes = realloc(child->bytes, child->size + READ_AT_ONCE);
    if (!bytes) {
        child_finish(child, CHILD_TOO_LONG);
        return;
    }
    child->bytes = bytes;
    const ssize_t size = read(child->fd, bytes + child->size, READ_AT_ONCE);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        child_finish(child, CHILD_ENDED);
        return;
    }
    child->size += (size_t) size;
    if (child->received)
        child->received(child);
}

static void on_ended(struct ev_loop *loop, ev_child *watcher, int revents)
{
    struct child *child = watcher->data;
    ev_child_stop(loop, watcher);
    child->pid = 0;
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct child *child = timer->data;
    if (child->pid > 0)
        kill(child->pid, SIGKILL);
    child_finish(child, CHILD_SILENT);
}

void child_init(struct child *child, struct ev_loop *loop,
                void (*over)(struct child *child, enum child_end end), void *data)
{
    *child = (struct child){.loop = loop, .fd = -1, .over = over, .data = data};
    ev_init(&child->readable, on_readable);
    ev_init(&child->ended, on_ended);
    ev_init(&child->deadline, on_deadline);
    child->readable.data = child->ended.data = child->deadline.data = child;
}

void child_expect(struct child *child, double most_s)
{
    timer_restart(child->loop, &child->deadline, most_s);
}

void child_adopt(struct child *child, int fd, double most_s)
{
    child->fd = fd;
    ev_io_set(&child->readable, fd, EV_READ);
    ev_io_start(child->loop, &child->readable);
    child_expect(child, most_s);
}

pid_t child_start(struct child *child, double most_s, int *output)
{
    const pid_t parent = getpid();
    int pair[2];
    child_stop(child);
    if (pipe2(pair, O_CLOEXEC) < 0)
        return -1;
    const pid_t pid = fork();
    const int err = errno;
    if (pid == 0) {
        /* Its result is useless without the parent. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        *output = pair[1];
        return 0;
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        errno = err;
        return -1;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    child->pid = pid;
    ev_child_set(&child->ended, pid, 0);
    ev_child_start(child->loop, &child->ended);
    child_adopt(child, pair[0], most_s);
    return pid;
}
