// SPDX-License-Identifier: MIT
#include "regular.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
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

char *regular_text(const char *path, size_t most, const char **why)
{
    FILE *file = regular_open(path, why);
    if (!file)
        return NULL;
    char *text = malloc(most + 2);
    const size_t size = text ? fread(text, 1, most + 1, file) : 0;
    const bool is_text = text && !memchr(text, '\0', size) && size <= most;
    const int err = ferror(file) ? errno : is_text ? 0 : text ? EFBIG : ENOMEM;
    fclose(file);
    if (!err) {
        text[size] = '\0';
        return text;
    }
    *why = err == EFBIG ? "it is no text, or too large" : strerror(err);
    free(text);
    errno = err;
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

bool regular_create(const char *path, const char *text, const struct stat *as)
{
    const int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, as ? 0600 : 0644);
    if (fd < 0)
        return false;
    /* Only root must be able to set the owner: other users own the file already, or do without. */
    bool good = !as || ((fchown(fd, as->st_uid, as->st_gid) == 0 || geteuid() != 0) &&
                        fchmod(fd, as->st_mode & 07777) == 0);
    good = good && write_fully(fd, text, strlen(text)) && fsync(fd) == 0;
    int err = errno;
    if (close(fd) < 0 && good) {
        err = errno;
        good = false;
    }
    if (!good)
        unlink(path);
    errno = err;
    return good;
}

bool regular_replace(const char *path, const char *fresh, const char *text, const struct stat *as)
{
    unlink(fresh); /* the rest of an interrupted write, a pipe, a link */
    if (!regular_create(fresh, text, as))
        return false;
    if (rename(fresh, path) == 0)
        return true;
    const int err = errno;
    unlink(fresh);
    errno = err;
    return false;
}

int folder_open(const char *path)
{
    char *copy = strdup(path);
    const int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    const int err = errno;
    free(copy);
    errno = err;
    return fd;
}

bool folder_sync(const char *path)
{
    const int fd = folder_open(path);
    const bool good = fd >= 0 && fsync(fd) == 0;
    const int err = errno;
    if (fd >= 0)
        close(fd);
    errno = err;
    return good;
}
