// SPDX-License-Identifier: MIT
/* Messages to standard error, plain or with the priorities of the systemd journal. */
#include "log.h"

#include "bms/driver.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGE_SIZE 1024
#define FRAME_TEXT_SIZE (3 * BMS_FRAME_MAX + 128)

static const struct {
    const char *plain, *journal;
} level_marks[] = {
    [LOG_LEVEL_ERROR] = {"error: ", "<3>"},
    [LOG_LEVEL_WARN] = {"warning: ", "<4>"},
    [LOG_LEVEL_INFO] = {"", "<6>"},
    [LOG_LEVEL_DEBUG] = {"debug: ", "<7>"},
};

static enum log_level highest_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    highest_level = level;
}

bool log_enabled(enum log_level level)
{
    return level <= highest_level;
}

/* JOURNAL_STREAM names the journal's socket as device:inode. It is inherited by whatever a service
 * starts, so only a standard error that still is this socket gets priorities. */
static bool find_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat found;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &found) == 0 && found.st_dev == (dev_t) device &&
           found.st_ino == (ino_t) inode;
}

/* The newline replaces the NUL at text[length]. Mark and text go out in one call so that the lines
 * of two programs on one terminal do not mix. */
static void write_line(enum log_level level, char *text, size_t length)
{
    static enum { NOT_ASKED, PLAIN, JOURNAL } target = NOT_ASKED;
    if (target == NOT_ASKED)
        target = find_journal() ? JOURNAL : PLAIN;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char) text[i] < 0x20 || text[i] == 0x7F)
            text[i] = '?';
    text[length] = '\n';
    const char *mark = target == JOURNAL ? level_marks[level].journal : level_marks[level].plain;
    fprintf(stderr, "%s%.*s", mark, (int) length + 1, text);
}

__attribute__((format(printf, 2, 0))) static void write_message(enum log_level level,
                                                                const char *format, va_list values)
{
    if (!log_enabled(level))
        return;
    const int err = errno;
    char text[MESSAGE_SIZE + 1];
    int length = vsnprintf(text, MESSAGE_SIZE, format, values);
    if (length >= MESSAGE_SIZE) {
        length = MESSAGE_SIZE - 1;
        memcpy(text + length - 3, "...", 3);
    }
    if (length >= 0)
        write_line(level, text, (size_t) length);
    errno = err;
}

void log_error(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    write_message(LOG_LEVEL_ERROR, format, values);
    va_end(values);
}

void log_warn(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    write_message(LOG_LEVEL_WARN, format, values);
    va_end(values);
}

void log_info(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    write_message(LOG_LEVEL_INFO, format, values);
    va_end(values);
}

void log_debug(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    write_message(LOG_LEVEL_DEBUG, format, values);
    va_end(values);
}

void log_frame(const char *prefix, const uint8_t *bytes, size_t size)
{
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    const int err = errno;
    char text[FRAME_TEXT_SIZE + 1];
    int length = snprintf(text, 64, "%s", prefix);
    length = length < 64 ? length : 63;
    for (size_t i = 0; i < size && i < BMS_FRAME_MAX; i++)
        length += snprintf(text + length, 4, " %02X", bytes[i]);
    if (size > BMS_FRAME_MAX)
        length += snprintf(text + length, 32, " ... (%zu bytes)", size);
    write_line(LOG_LEVEL_DEBUG, text, (size_t) length);
    errno = err;
}
