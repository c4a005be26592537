// SPDX-License-Identifier: MIT
#include "regular.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

FILE *regular_open(const char *path, const char **why)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const bool found = fd >= 0 && fstat(fd, &status) == 0;
    const bool is_file = found && S_ISREG(status.st_mode);
    FILE *file = is_file ? fdopen(fd, "r") : NULL;
    if (file)
        return file;
    *why = found && S_ISDIR(status.st_mode) ? strerror(EISDIR)
           : found && !is_file              ? "it is not a regular file"
                                            : strerror(errno);
    if (fd >= 0)
        close(fd);
    return NULL;
}

bool write_fully(int fd, const void *bytes, size_t size)
{
    for (const char *at = bytes; size > 0;) {
        const ssize_t written = write(fd, at, size);
        if (written < 0 && errno != EINTR)
            return false;
        at += written > 0 ? written : 0;
        size -= written > 0 ? (size_t) written : 0;
    }
    return true;
}
