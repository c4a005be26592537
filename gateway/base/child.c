// SPDX-License-Identifier: MIT
/* Child processes for work that may block. */
#include "child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_OTHER (STDERR_FILENO + 1)

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
