// SPDX-License-Identifier: MIT
/* Child processes that do what may take long. */
#include "child.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_OTHER (STDERR_FILENO + 1)

/* closefrom() is glibc's. Kernels before 5.9 do not know the call behind it, and some containers
 * forbid it: then what is open is looked up. */
static void close_from(int first)
{
    if (syscall(SYS_close_range, first, ~0U, 0) == 0)
        return;
    DIR *open = opendir("/proc/self/fd");
    for (struct dirent *entry; open && (entry = readdir(open));) {
        const int fd = atoi(entry->d_name); /* 0 for "." and ".." */
        if (fd >= first && fd != dirfd(open))
            close(fd);
    }
    if (open)
        closedir(open);
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
