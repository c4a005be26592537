// SPDX-License-Identifier: MIT
#include "kept.h"

#include "base/alloc.h"
#include "base/child.h"
#include "base/log.h"
#include "base/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LARGEST_FILE (64 * 1024 * 1024) /* bytes; no configuration leads to a larger file */
#define BAD_MOST 9                      /* damaged files that are kept */

static void set_aside(const struct kept *kept, const char *path, const char *why)
{
    if (kept->look_only)
        return;
    /* The first damaged file usually has the most in it: only the last name is used again. */
    char aside[PORT_SIZE + 16];
    struct stat found;
    snprintf(aside, sizeof aside, "%s.bad", path);
    for (int n = 2; n <= BAD_MOST && (lstat(aside, &found) == 0 || errno != ENOENT); n++)
        snprintf(aside, sizeof aside, "%s.bad.%d", path, n);
    if (rename(path, aside) == 0)
        log_warn("state file %s: %s; renamed to %s, all counters start from 0", path, why, aside);
    else
        log_warn("state file %s: %s; all counters start from 0", path, why);
}

/* O_NONBLOCK: opening must not block, whatever the path names. */
static void load(struct kept *kept, const char *path)
{
    struct stat found;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!file) {
        if (errno != ENOENT)
            set_aside(kept, path, strerror(errno));
        return;
    }
    if (fstat(fd, &found) < 0 || !S_ISREG(found.st_mode)) {
        log_warn("state file %s: not a regular file; nothing is kept over a restart", path);
    } else if (found.st_size > LARGEST_FILE) {
        set_aside(kept, path, "it is larger than any file that packgate writes");
    } else {
        char *text = malloc((size_t) found.st_size + 1);
        const size_t size = text ? fread(text, 1, (size_t) found.st_size, file) : 0;
        if (!text || ferror(file))
            set_aside(kept, path, strerror(errno));
        else if (!kept_text_parse(kept, text, size))
            set_aside(kept, path, "it is damaged");
        free(text);
    }
    fclose(file);
}

static void report_write(struct kept *kept, const char *path, int result)
{
    if (kept->foreign)
        return; /* logged already */
    const bool elsewhere = errno == ENOENT || errno == EACCES || errno == EPERM || errno == EROFS;
    if (result < 0 && !kept->failing)
        log_error("state file %s cannot be written: %s; retrying, until then nothing is "
                  "kept over a restart%s",
                  path, strerror(errno),
                  elsewhere ? " (create its folder and give it to the user that runs packgate, or "
                              "set state_file to another path)"
                            : "");
    else if (result < 0)
        log_debug("state file %s still cannot be written: %s", path, strerror(errno));
    else if (kept->failing)
        log_info("state file %s can be written again", path);
    kept->failing = result < 0;
}

/* Locks a separate file, because the state file is replaced with each save. The lock file is never
 * removed. 0: locked; -1 with errno, EWOULDBLOCK if another process holds it. */
static int take_lock(struct kept *kept, const char *path)
{
    char name[PORT_SIZE + 8];
    struct stat found;
    snprintf(name, sizeof name, "%s.lock", path);
    const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0)
        return -1;
    int err = fstat(fd, &found) < 0 || !S_ISREG(found.st_mode) ? EINVAL : 0;
    if (!err && flock(fd, LOCK_EX | LOCK_NB) < 0)
        err = errno;
    if (err == EWOULDBLOCK) {
        /* The process that holds the lock has written its process id into the file. */
        char who[16] = "";
        const ssize_t size = pread(fd, who, sizeof who - 1, 0);
        who[size > 0 ? strspn(who, "0123456789") : 0] = '\0';
        kept->foreign = true;
        log_error("state file %s is in use by another gateway%s%s: it is neither read nor written "
                  "here, and nothing is kept over a restart. Give each gateway its own state_file",
                  path, *who ? ", process " : "", who);
    }
    if (err) {
        close(fd);
        errno = err;
        return -1;
    }
    kept->lock = fd;
    /* The lock holds the id as well, because version 0.1.0 writes a state file without it: after a
     * downgrade and an upgrade the gateway still has the id by which others know it. */
    char text[64] = "", id[KEPT_ID_SIZE];
    if (!kept->id[0] && pread(fd, text, sizeof text - 1, 0) > 0 &&
        sscanf(text, "%*d\nid = %8s", id) == 1 && kept_text_is_id(id))
        memcpy(kept->id, id, sizeof id);
    return 0;
}

/* The process id is for the log message of another gateway. */
static void sign_lock(const struct kept *kept, const char *path)
{
    char text[64];
    const int size = snprintf(text, sizeof text, "%d\nid = %s\n", (int) getpid(), kept->id);
    if (ftruncate(kept->lock, 0) < 0 || pwrite(kept->lock, text, (size_t) size, 0) != size)
        log_debug("state file %s: cannot write its lock", path);
}

/* Draws a random id, or derives it from the machine id if nothing can be stored. */
static void make_id(struct kept *kept, bool can_keep)
{
    uint8_t bytes[64] = {0};
    uint32_t id = 0;
    int fd = can_keep ? -1 : open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, bytes, sizeof bytes) : -1;
    if (fd >= 0)
        close(fd);
    if (size > 0) {
        /* FNV-1a */
        id = 2166136261u;
        for (ssize_t i = 0; i < size; i++)
            id = (id ^ bytes[i]) * 16777619u;
    } else if (getrandom(&id, sizeof id, 0) != sizeof id) {
        id = (uint32_t) time(NULL);
    }
    snprintf(kept->id, sizeof kept->id, "%08x", (unsigned) id);
}

/* Acquires the right to write the file; 0, or -1 with errno. */
static int hold_lock(struct kept *kept, const char *path)
{
    if (kept->lock >= 0)
        return 0;
    if (kept->foreign) {
        errno = EWOULDBLOCK;
        return -1;
    }
    /* systemd makes the folder; for a gateway started by hand it is made here, not its parent. */
    char copy[PORT_SIZE];
    snprintf(copy, sizeof copy, "%s", path);
    if (mkdir(dirname(copy), 0755) == 0)
        log_info("state file %s: created its folder", path);
    if (take_lock(kept, path) < 0)
        return -1;
    if (kept->id[0])
        sign_lock(kept, path);
    return 0;
}

struct kept *kept_look(const char *path)
{
    struct kept *kept = alloc_zeroed(1, sizeof *kept);
    *kept = (struct kept){.lock = -1, .look_only = true};
    if (path[0])
        load(kept, path);
    return kept;
}

struct kept *kept_load(const char *path)
{
    struct kept *kept = alloc_zeroed(1, sizeof *kept);
    kept->lock = -1;
    if (path[0]) {
        if (hold_lock(kept, path) < 0)
            report_write(kept, path, -1); /* now, rather than when there is something to lose */
        if (!kept->foreign)
            load(kept, path);
    }
    if (!kept->id[0])
        make_id(kept, path[0] && !kept->foreign);
    if (kept->lock >= 0)
        sign_lock(kept, path);
    return kept;
}

static int replace_file(const char *path, const char *text)
{
    char fresh[PORT_SIZE + 8];
    struct stat found;
    snprintf(fresh, sizeof fresh, "%s.tmp", path);
    /* A rename would replace a device or a link as well, such as state_file = /dev/null. */
    const bool exists = stat(path, &found) == 0;
    if (exists ? !S_ISREG(found.st_mode) : errno != ENOENT) {
        errno = exists ? EINVAL : errno;
        return -1;
    }
    if (!regular_replace(path, fresh, text, NULL))
        return -1;
    /* A rename is only certain once its directory is on the disk. Some file systems cannot sync
     * directories, and the file is valid either way: the result does not matter. */
    folder_sync(path);
    return 0;
}

/* The text to write. NULL: no changes (errno 0), another gateway has the file, or out of memory. */
static char *compose_changed(struct kept *kept, const char *path)
{
    errno = 0;
    if (!path[0])
        return NULL;
    if (hold_lock(kept, path) < 0) {
        report_write(kept, path, -1); /* preserves errno */
        return NULL;
    }
    char *text = kept_text_compose(kept);
    errno = text ? 0 : ENOMEM;
    if (!text || !kept->saved || strcmp(kept->saved, text) != 0)
        return text;
    free(text);
    return NULL;
}

/* Records that `text` was written, or was not, with errno. */
static void note_written(struct kept *kept, const char *path, char *text, int result)
{
    report_write(kept, path, result);
    free(result == 0 ? kept->saved : text);
    if (result == 0)
        kept->saved = text;
}

int kept_save(struct kept *kept, const char *path)
{
    char *text = compose_changed(kept, path);
    if (!text)
        return errno ? -1 : 0;
    int result = replace_file(path, text);
    const int err = errno;
    note_written(kept, path, text, result);
    errno = err;
    return result;
}

pid_t kept_save_start(struct kept *kept, const char *path)
{
    char *text = compose_changed(kept, path);
    if (!text)
        return errno ? -1 : 0;
    pid_t pid = fork();
    if (pid == 0) {
        /* A signal that ends the parent must not interrupt the write. */
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        child_settle(-1);
        _exit(replace_file(path, text) == 0 ? 0 : errno);
    }
    if (pid > 0)
        kept->saving = text;
    else
        free(text);
    return pid;
}

void kept_save_finish(struct kept *kept, const char *path, int status)
{
    char *text = kept->saving;
    kept->saving = NULL;
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    note_written(kept, path, text, good ? 0 : -1);
}

#define SAVE_S 60.0 /* s; a host that loses its power loses at most this much of the counters */

static void on_written(struct ev_loop *loop, ev_child *child, int revents)
{
    struct saver *saver = child->data;
    ev_child_stop(loop, child);
    kept_save_finish(saver->kept, saver->path, child->rstatus);
}

static void on_minute(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct saver *saver = timer->data;
    if (ev_is_active(&saver->child))
        return;
    pid_t pid = kept_save_start(saver->kept, saver->path);
    if (pid <= 0)
        return;
    ev_child_set(&saver->child, pid, 0);
    ev_child_start(loop, &saver->child);
}

void saver_start(struct saver *saver, struct ev_loop *loop, struct kept *kept, const char *path)
{
    *saver = (struct saver){.loop = loop, .kept = kept, .path = path};
    ev_timer_init(&saver->timer, on_minute, SAVE_S, SAVE_S);
    ev_init(&saver->child, on_written);
    saver->timer.data = saver->child.data = saver;
    ev_timer_start(loop, &saver->timer);
}

void saver_stop(struct saver *saver)
{
    if (!saver->loop)
        return;
    ev_timer_stop(saver->loop, &saver->timer);
    if (ev_is_active(&saver->child)) {
        /* Both would write the same temporary file. */
        kill(saver->child.pid, SIGKILL);
        waitpid(saver->child.pid, NULL, 0);
        ev_child_stop(saver->loop, &saver->child);
        free(saver->kept->saving); /* what was written is unknown */
        saver->kept->saving = NULL;
    }
    kept_save(saver->kept, saver->path);
}

void kept_free(struct kept *kept)
{
    if (!kept)
        return;
    while (kept->first) {
        struct kept_entry *entry = kept->first;
        kept->first = entry->next;
        free(entry);
    }
    while (kept->notes) {
        struct kept_note *note = kept->notes;
        kept->notes = note->next;
        free(note);
    }
    if (kept->lock >= 0)
        close(kept->lock);
    free(kept->saved);
    free(kept);
}
