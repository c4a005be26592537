// SPDX-License-Identifier: MIT
/*
 * Reports the gateway's state to the service manager (systemd, Type=notify). The protocol of
 * sd_notify(3) is a datagram to the socket in $NOTIFY_SOCKET, so libsystemd is not needed. Without
 * such a socket nothing happens.
 */
#pragma once

/** Reports "READY=1": start-up is complete, the gateway listens; "STATUS=…", one line for `systemctl
 * status`; "STOPPING=1"; or "WATCHDOG=1": the loop runs, and systemd restarts the service if its
 * watchdog misses that. */
void systemd_notify(const char *state);

/** How often to call systemd_watchdog, in seconds: half of $WATCHDOG_USEC; 0 if there is no
 * watchdog, or it watches another process ($WATCHDOG_PID). */
double systemd_watchdog_interval(void);
