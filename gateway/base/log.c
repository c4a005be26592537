// SPDX-License-Identifier: MIT
/*
 * Messages to standard error, plain or with the priorities of the systemd journal.
 *
 * A daemon must not wait for the reader of its messages. O_NONBLOCK belongs to the open file,
 * which is shared with the shell or service manager that started the daemon, so it is not set
 * permanently: a socket gets MSG_DONTWAIT with each call, a pipe or terminal is opened a second
 * time. Where opening is forbidden (another user's pipe), the flag is set only during each write.
 * A file on a disk never blocks in this sense, and opening it again would lose the position in it.
 */
#include "log.h"

#include "bms/driver.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_SIZE 1024
#define FRAME_TEXT_SIZE (3 * BMS_FRAME_MAX + 128)
#define MARK_SIZE 64
#define LINE_SIZE (FRAME_TEXT_SIZE + MARK_SIZE + 1)

static const struct {
    const char *plain, *journal;
} level_marks[] = {
    [LOG_LEVEL_ERROR] = {"error: ", "<3>"},
    [LOG_LEVEL_WARN] = {"warning: ", "<4>"},
    [LOG_LEVEL_INFO] = {"", "<6>"},
    [LOG_LEVEL_DEBUG] = {"debug: ", "<7>"},
};

static enum log_level highest_level = LOG_LEVEL_INFO;
static bool with_time;

/* Where messages go, and the unwritten rest of the last one. */
static struct {
    enum { WAITING, ON_A_SOCKET, OPENED_AGAIN, SHARED } how;
    int fd;
    struct ev_loop *loop; /* NULL: writing a message blocks */
    ev_io writable;       /* runs while output is pending */
    char rest[LINE_SIZE]; /* of a line that was written in part: goes before anything else */
    size_t rest_size;
    unsigned long lost;
} output = {.how = WAITING, .fd = STDERR_FILENO};

void log_with_time(void)
{
    with_time = true;
}

void log_set_level(enum log_level level)
{
    highest_level = level;
}

bool log_enabled(enum log_level level)
{
    return level <= highest_level;
}

/* Writes as much as possible without waiting; -1 with errno. */
static ssize_t put_some(const char *text, size_t size)
{
    switch (output.how) {
    case ON_A_SOCKET:
        return send(output.fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    case SHARED: {
        const int flags = fcntl(output.fd, F_GETFL);
        fcntl(output.fd, F_SETFL, flags | O_NONBLOCK);
        const ssize_t written = write(output.fd, text, size);
        const int err = errno;
        fcntl(output.fd, F_SETFL, flags);
        errno = err;
        return written;
    }
    default:
        return write(output.fd, text, size);
    }
}

static size_t write_bytes(const char *text, size_t size)
{
    size_t done = 0;
    while (done < size) {
        const ssize_t written = put_some(text + done, size - done);
        if (written > 0)
            done += (size_t) written;
        else if (written == 0 || errno != EINTR)
            break;
    }
    /* Waiting does not help against other errors (disk full, reader gone): the next message tries
     * again. */
    if (done < size && errno == EAGAIN && output.loop && !ev_is_active(&output.writable))
        ev_io_start(output.loop, &output.writable);
    return done;
}

/* Writes a line. False: nothing of it was written. The rest of a partly written line is kept and
 * written first, so that no line is torn. */
static bool put_line(const char *line, size_t size)
{
    const size_t done = write_bytes(line, size);
    if (done == 0)
        return false;
    output.rest_size = size - done;
    memcpy(output.rest, line + done, output.rest_size);
    return true;
}

/* Writes the beginning of a line to `out` and returns its size. */
static size_t put_mark(enum log_level level, char mark[MARK_SIZE])
{
    static enum { NOT_ASKED, PLAIN, JOURNAL } target = NOT_ASKED;
    if (target == NOT_ASKED) {
        /* JOURNAL_STREAM names the journal's socket as device:inode. Programs that a service starts
         * inherit it, so priorities are used only if standard error still is this socket. */
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat found;
        const bool journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
                             fstat(STDERR_FILENO, &found) == 0 && found.st_dev == (dev_t) device &&
                             found.st_ino == (ino_t) inode;
        target = journal ? JOURNAL : PLAIN;
    }
    if (target == JOURNAL)
        return (size_t) snprintf(mark, MARK_SIZE, "%s", level_marks[level].journal);
    char stamp[32] = "";
    const time_t now = time(NULL);
    struct tm local;
    if (with_time && localtime_r(&now, &local))
        strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S ", &local);
    return (size_t) snprintf(mark, MARK_SIZE, "%s%s", stamp, level_marks[level].plain);
}

/* Reports dropped lines before the next line is written. False: that could not be written. */
static bool catch_up(void)
{
    char line[MARK_SIZE + 100];
    if (output.rest_size > 0) {
        const size_t done = write_bytes(output.rest, output.rest_size);
        output.rest_size -= done;
        memmove(output.rest, output.rest + done, output.rest_size);
    }
    if (output.rest_size > 0)
        return false;
    if (output.lost == 0)
        return true;
    size_t size = put_mark(LOG_LEVEL_WARN, line);
    size += (size_t) snprintf(line + size, sizeof line - size,
                              "%lu %s lost, because standard error was not read\n", output.lost,
                              output.lost == 1 ? "line of the log was" : "lines of the log were");
    if (!put_line(line, size))
        return false;
    output.lost = 0;
    return output.rest_size == 0;
}

static void on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
    const int err = errno;
    /* Watch only while the reader can become ready: to a reader that is gone everything is
     * writable, and nothing arrives. */
    ev_io_stop(loop, io);
    catch_up();
    errno = err;
}

void log_never_wait(struct ev_loop *loop)
{
    struct stat found;
    if (output.loop || fstat(STDERR_FILENO, &found) < 0)
        return;
    if (S_ISSOCK(found.st_mode)) {
        output.how = ON_A_SOCKET;
    } else if (S_ISFIFO(found.st_mode) || S_ISCHR(found.st_mode)) {
        const int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        output.how = fd >= 0 ? OPENED_AGAIN : SHARED;
        output.fd = fd >= 0 ? fd : STDERR_FILENO;
    }
    output.loop = loop;
    ev_io_init(&output.writable, on_writable, output.fd, EV_WRITE);
}

/* Replaces control characters by '?'. Priority and text go out in one call, so that the lines of
 * two programs on one terminal do not mix. */
static void write_log_line(enum log_level level, const char *text, size_t length)
{
    char line[LINE_SIZE];
    size_t size = put_mark(level, line);
    for (size_t i = 0; i < length; i++)
        line[size++] = (unsigned char) text[i] < 0x20 || text[i] == 0x7F ? '?' : text[i];
    line[size++] = '\n';
    if (!catch_up() || !put_line(line, size))
        output.lost++;
}

void log_message(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    const int err = errno;
    char text[MESSAGE_SIZE];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text, MESSAGE_SIZE, format, values);
    va_end(values);
    if (length >= MESSAGE_SIZE) {
        length = MESSAGE_SIZE - 1;
        memcpy(text + length - 3, "...", 3);
    }
    if (length >= 0)
        write_log_line(level, text, (size_t) length);
    errno = err;
}

void log_frame(const char *prefix, const uint8_t *bytes, size_t size)
{
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    const int err = errno;
    char text[FRAME_TEXT_SIZE];
    int length = snprintf(text, 64, "%s", prefix);
    length = length < 64 ? length : 63;
    for (size_t i = 0; i < size && i < BMS_FRAME_MAX; i++)
        length += snprintf(text + length, 4, " %02X", bytes[i]);
    if (size > BMS_FRAME_MAX)
        length += snprintf(text + length, 32, " ... (%zu bytes)", size);
    write_log_line(LOG_LEVEL_DEBUG, text, (size_t) length);
    errno = err;
}
