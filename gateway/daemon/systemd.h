// SPDX-License-Identifier: MIT
/*
 * Reports the gateway's state to the service manager (systemd, Type=notify). The protocol of
 * sd_notify(3) is a datagram to the socket in $NOTIFY_SOCKET, so libsystemd is not needed. Without
 * such a socket nothing happens.
 */
#pragma once

/** Reports that start-up is complete: the gateway listens. */
void systemd_ready(void);

/** Reports the status, one line for `systemctl status`. */
void systemd_status(const char *words);

/** Reports that the gateway is stopping. */
void systemd_stopping(void);

/** Reports that the loop runs. If the watchdog of the service misses it, systemd restarts the
 * service. */
void systemd_watchdog(void);

/** How often to call systemd_watchdog, in seconds: half of $WATCHDOG_USEC; 0 if there is no
 * watchdog, or it watches another process ($WATCHDOG_PID). */
double systemd_watchdog_interval(void);
