// SPDX-License-Identifier: MIT
/*
 * The commands of the program. Each gets its own arguments (argv[0] is its name) and returns the
 * exit status: 0 done, 1 failed, 2 wrong arguments.
 */
#pragma once

#define CONFIG_DEFAULT "/etc/packgate/packgate.ini"

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_read(int argc, char **argv);
int command_decode(int argc, char **argv);
int command_map(int argc, char **argv);
int command_simulate(int argc, char **argv);
int command_inverter(int argc, char **argv); /* simulate --inverter */
int command_demo(int argc, char **argv);
int command_probe(int argc, char **argv);
int command_protocols(int argc, char **argv);
int command_export(int argc, char **argv);
int command_limits(int argc, char **argv);
int command_nagios(int argc, char **argv);
int command_notify(int argc, char **argv);
int command_password(int argc, char **argv);
int command_status(int argc, char **argv);
int command_health(int argc, char **argv);
int command_listen(int argc, char **argv);
int command_send(int argc, char **argv);
int command_tunnel(int argc, char **argv);
int command_setup(int argc, char **argv);
int command_setup_work(int argc, char **argv); /* started by the gateway */
int command_setup_save(int argc, char **argv); /* the same, or by systemd */

struct config;
struct mistakes;
/** Adds the warnings of `packgate check` about this host to `mistakes`: devices, addresses, files, outlets. */
void check_host(const struct config *config, struct mistakes *mistakes);
