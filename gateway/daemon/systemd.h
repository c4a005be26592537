// SPDX-License-Identifier: MIT
/*
 * Tells the service manager (systemd, Type=notify) how the gateway is. The protocol of sd_notify(3)
 * is a datagram to the socket in $NOTIFY_SOCKET; that is all that libsystemd would be needed for.
 * Without such a socket nothing happens.
 */
#ifndef PACKGATE_DAEMON_SYSTEMD_H
#define PACKGATE_DAEMON_SYSTEMD_H

/** Start-up is over: the gateway listens. */
void systemd_ready(void);

/** How it goes, in one line for `systemctl status`. */
void systemd_status(const char *words);

/** The gateway is ending. */
void systemd_stopping(void);

/** The loop runs; a service with a watchdog that does not hear this in time is started anew. */
void systemd_watchdog(void);

/** How often systemd_watchdog wants to be called, in seconds: half of $WATCHDOG_USEC; 0 when
 * there is no watchdog, or it watches another process ($WATCHDOG_PID). */
double systemd_watchdog_interval(void);

#endif
