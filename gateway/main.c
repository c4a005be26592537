// SPDX-License-Identifier: MIT
/* packgate: one program, several commands. */
#include "commands/command.h"
#include "base/suggest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help; /* NULL: other programs start it */
} commands[] = {
    {"run", command_run, "runs the gateway: polls the packs and serves their values by Modbus TCP"},
    {"setup", command_setup, "lets one browser set the gateway up"},
    {"setup-work", command_setup_work, NULL},
    {"setup-save", command_setup_save, NULL},
    {"check", command_check, "checks a configuration file"},
    {"status", command_status, "shows the status of the running gateway"},
    {"health", command_health, "checks that the gateway runs and answers"},
    {"nagios", command_nagios, "checks packs for Nagios, Icinga and similar"},
    {"listen", command_listen, "shows the bytes on a line of the running gateway"},
    {"send", command_send, "sends one request on a line of the running gateway"},
    {"tunnel", command_tunnel, "connects the maker's own program to a line of the running gateway"},
    {"read", command_read, "polls packs once and prints their values as JSON"},
    {"decode", command_decode, "prints the values of a recorded exchange file as JSON"},
    {"probe", command_probe, "finds out which protocol and address answer on a port"},
    {"protocols", command_protocols, "lists the protocols, with makes, ports and addresses"},
    {"map", command_map, "prints the register map"},
    {"limits", command_limits,
     "prints an example of [limits], or what a section allows for past values"},
    {"export", command_export, "prints the history of a pack as CSV"},
    {"notify", command_notify, "sends a test message by a section [notify NAME]"},
    {"password", command_password, "sets the password of the web page"},
    {"simulate", command_simulate, "emulates a BMS on a TCP port or a pseudo terminal"},
    {"demo", command_demo, "runs the gateway on simulated packs, with a page and a past"},
};

static void print_help(FILE *out)
{
    fprintf(out,
            "packgate %s, a Modbus TCP gateway for battery packs\n\nusage: packgate COMMAND "
            "[OPTION]...\n\n",
            PACKGATE_VERSION);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (commands[i].help)
            fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\n'packgate COMMAND --help' describes a command; packgate(1) is the manual.\n");
}

static void report_command(const char *name)
{
    struct suggest suggest = suggest_for(name);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (commands[i].help)
            suggest_offer(&suggest, commands[i].name);
    if (*name)
        fprintf(stderr, "packgate: unknown command '%s'%s\n\n", name, suggest_hint(&suggest));
    print_help(stderr);
}

/* If one of the first three descriptors is closed, the next socket or port would get its number,
 * and messages would be sent to a battery. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* A command whose output is incomplete has failed. The reader of a pipe may have seen enough (head). */
static int check_output(int status)
{
    struct stat out;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || status != EXIT_DONE ||
        (fstat(STDOUT_FILENO, &out) == 0 && (S_ISFIFO(out.st_mode) || S_ISSOCK(out.st_mode))))
        return status;
    fputs("packgate: the output is incomplete: it could not be written\n", stderr);
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a state file that may not grow fails like a full disk */
    const char *name = argc > 1 ? argv[1] : "";
    char help[] = "--help", *list[] = {argv[0], argc > 2 ? argv[2] : help, help, NULL};
    if (strcmp(name, "help") == 0 && argc > 2) {
        name = argv[2];
        argc = 3;
        argv = list;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("packgate %s\n", PACKGATE_VERSION);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return check_output(commands[i].run(argc - 1, argv + 1));
    report_command(name);
    return EXIT_USAGE;
}
