// SPDX-License-Identifier: MIT
/* Replaces the configuration file durably. */
#include "save.h"

#include "base/regular.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST_FILE (1024 * 1024)

char *save_read(const char *path)
{
    const char *why;
    return regular_text(path, LARGEST_FILE, &why);
}

/* Locks the folder, because the file itself is replaced. */
int save_lock(const char *path)
{
    const int fd = folder_open(path);
    while (fd >= 0 && flock(fd, LOCK_EX) < 0)
        if (errno != EINTR) {
            const int err = errno;
            close(fd);
            errno = err;
            return -1;
        }
    return fd;
}

static bool replace(const char *fresh, const char *path, const char *text, const struct stat *as)
{
    return regular_replace(path, fresh, text, as) && folder_sync(path);
}

static bool path_beside(const char *path, const char *what, char out[PATH_MAX])
{
    if (snprintf(out, PATH_MAX, "%s%s", path, what) < PATH_MAX)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

static unsigned entry_number(const struct dirent *entry)
{
    char *end;
    const unsigned long number = strtoul(entry->d_name, &end, 10);
    return *end || number > INT_MAX ? 0 : (unsigned) number;
}

unsigned save_number(const char *path)
{
    char folder[PATH_MAX];
    unsigned highest = 0;
    DIR *list = path_beside(path, ".old", folder) ? opendir(folder) : NULL;
    for (const struct dirent *entry; list && (entry = readdir(list));)
        if (entry_number(entry) > highest)
            highest = entry_number(entry);
    if (list)
        closedir(list);
    return highest + 1;
}

static bool folder_mentions(const char *folder, const char *text, unsigned except)
{
    char path[PATH_MAX];
    struct stat found;
    bool does = false;
    DIR *list = opendir(folder);
    for (const struct dirent *entry; list && !does && (entry = readdir(list));) {
        if ((except > 0 && entry_number(entry) == except) ||
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= PATH_MAX ||
            stat(path, &found) < 0 || !S_ISREG(found.st_mode))
            continue;
        errno = 0;
        char *content = save_read(path);
        does = content ? strstr(content, text) != NULL : errno != EFBIG;
        free(content);
    }
    if (list)
        closedir(list);
    return does;
}

bool save_mentions(const char *path, const char *text, unsigned except)
{
    char old[PATH_MAX];
    char *copy = strdup(path);
    const bool does = !copy || folder_mentions(dirname(copy), text, 0) ||
                      !path_beside(path, ".old", old) || folder_mentions(old, text, except);
    free(copy);
    return does;
}

/* Links or moves `from` into PATH.old, and removes the oldest files there. */
static bool store_old(const char *path, const char *from,
                      int (*put)(const char *from, const char *to))
{
    char folder[PATH_MAX], to[PATH_MAX + 16];
    const unsigned number = save_number(path);
    if (!path_beside(path, ".old", folder) || (mkdir(folder, 0700) < 0 && errno != EEXIST))
        return false;
    snprintf(to, sizeof to, "%s/%u", folder, number);
    if (put(from, to) < 0 || !folder_sync(to))
        return false;
    for (unsigned n = number; n > SAVE_OLD; n--) {
        snprintf(to, sizeof to, "%s/%u", folder, n - SAVE_OLD);
        if (unlink(to) < 0)
            break;
    }
    return true;
}

bool save_is_pending(const char *path)
{
    char before[PATH_MAX];
    return path_beside(path, ".before", before) && access(before, F_OK) == 0;
}

/* An empty PATH.before means that there was no file; an empty previous file is stored with a newline. */
bool save_begin(const char *path, const char *text)
{
    char before[PATH_MAX], fresh[PATH_MAX];
    struct stat as = {.st_uid = geteuid(), .st_gid = getegid(), .st_mode = 0644};
    if (!path_beside(path, ".before", before) || !path_beside(path, ".new", fresh))
        return false;
    if (save_is_pending(path)) {
        errno = EBUSY;
        return false;
    }
    const bool exists = stat(path, &as) == 0;
    char *old = exists ? save_read(path) : strdup("");
    const bool good = old && replace(fresh, before, exists && !old[0] ? "\n" : old, &as) &&
                      replace(fresh, path, text, &as);
    const int err = errno;
    free(old);
    if (!good)
        save_undo(path);
    errno = err;
    return good;
}

bool save_keep(const char *path)
{
    char before[PATH_MAX];
    return path_beside(path, ".before", before) && store_old(path, before, rename) &&
           folder_sync(path);
}

bool save_undo(const char *path)
{
    char before[PATH_MAX], fresh[PATH_MAX];
    struct stat found;
    if (!path_beside(path, ".before", before) || !path_beside(path, ".new", fresh))
        return false;
    if (stat(before, &found) < 0)
        return errno == ENOENT;
    unlink(fresh); /* left by an interrupted attempt */
    /* The undone file may have been edited by hand in the meantime, so it is stored, too. */
    char *now = save_read(path), *old = save_read(before);
    if (now && old && strcmp(now, old) != 0)
        store_old(path, path, link);
    free(now);
    free(old);
    if (found.st_size == 0)
        return (unlink(path) == 0 || errno == ENOENT) && folder_sync(path) && unlink(before) == 0 &&
               folder_sync(path);
    return rename(before, path) == 0 && folder_sync(path);
}

bool save_secret(const char *path, const char *text, uid_t owner, gid_t group)
{
    const struct stat as = {.st_uid = owner, .st_gid = group, .st_mode = 0600};
    return regular_create(path, text, &as) && folder_sync(path);
}
