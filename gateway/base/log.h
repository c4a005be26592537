// SPDX-License-Identifier: MIT
/*
 * Messages to standard error, one line each. Under systemd each line carries its priority ("<4>"),
 * so that `journalctl -p warning` finds it; anywhere else it starts with "error: ", "warning: ",
 * "debug: " or nothing (info).
 *
 * A daemon calls log_with_time and log_never_wait.
 *
 * Log one message per change of state: what happened, to which line or pack, what to do about it.
 * Log repeats at debug level.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ev_loop;

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/** Messages above this level are dropped. At the start: LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

/** Whether a message of this level would be written: saves the work of composing one. */
bool log_enabled(enum log_level level);

/** Logs a message, without a newline at its end. Control characters become '?', so that nothing
 * received over a wire can forge a line or steer a terminal. Preserves errno. */
void log_message(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_message(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

/** Logs at debug level, "prefix A5 40 90 …", one line for a frame of any length. Not for frames
 * that may contain a PIN or a password. */
void log_frame(const char *prefix, const uint8_t *bytes, size_t size);

/** From now on each line begins with the local date and time, "2026-11-22 13:42:49 warning: ",
 * unless the journal records them. */
void log_with_time(void);

/** From now on writing a message never blocks: if a full pipe, a stalled journal or a stopped
 * terminal does not accept it, it is dropped. Once there is room again, which the loop watches
 * for, a line reports how many were dropped. Programs that share standard error are not affected.
 */
void log_never_wait(struct ev_loop *loop);
