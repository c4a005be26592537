// SPDX-License-Identifier: MIT
/* `packgate setup`: prints an address with a code, with which one browser can set the gateway up. */
#include "commands/asking.h"
#include "commands/command.h"
#include "commands/options.h"

#include "base/address.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELPER_UNIT "packgate-setup.socket"

static const char usage[] =
    "usage: packgate setup [-c FILE]\n\n"
    "Prints an address with a code: one browser can set the gateway up there. The code works once, "
    "within 15 minutes.\n"
    "For root and the service's own user only.\n"
    "  -c, --config FILE   the gateway of this configuration, " CONFIG_DEFAULT " by default\n"
    "      --control PATH  the gateway behind this control socket, if there is no configuration "
    "yet\n"
    "Exit status: 0 done, 1 when it failed, 2 for a wrong call.\n";

/* Not every network resolves NAME.local; the page also answers at each address of the host. A container has a name and addresses
 * that other machines do not know. */
static void print_other_addresses(const char *address)
{
    const char *name = strstr(address, "://") ? strstr(address, "://") + 3 : "";
    const int length = (int) strcspn(name, ":/");
    struct ifaddrs *all = NULL;
    if (length < 6 || strncmp(name + length - 6, ".local", 6) != 0)
        return;
    if (getenv("container")) {
        printf("In place of %.*s, use the address of the machine on which this container runs, and "
               "the port\nthat it publishes for the page.\n\n",
               (int) strcspn(name, "/"), name);
        return;
    }
    printf("If the browser does not find %.*s, use an address of this host in its place", length,
           name);
    const char *before = ": ";
    if (getifaddrs(&all) != 0)
        all = NULL;
    for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
        char text[ADDRESS_TEXT];
        if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET || at->ifa_flags & IFF_LOOPBACK)
            continue;
        printf("%s%s", before, address_format_host(at->ifa_addr, text));
        before = ", ";
    }
    freeifaddrs(all);
    printf("\n\n");
}

int command_setup(int argc, char **argv)
{
    struct asking asking = {.config = CONFIG_DEFAULT, .command = "setup"};
    const struct option_row rows[] = {ASKING_OPTIONS(asking), {0}};
    options_parse(argc, argv, rows, 0, usage);
    const bool missing = !asking.control && access(asking.config, F_OK) < 0 && errno == ENOENT;
    json_t *armed = asking_once(&asking, json_pack("{s:s}", "ask", "setup"));
    if (!armed && missing)
        fprintf(stderr, "packgate setup: if the gateway runs with --first because this file does "
                        "not exist yet, name its control socket: --control PATH\n");
    if (!armed)
        return EXIT_FAILED;
    if (json_is_false(json_object_get(armed, "runs")))
        fprintf(stderr, "packgate setup: the page does not run: the log of the gateway says why\n");
    /* The socket of the helper that may write the configuration; it listens until the service stops. Without systemd the
     * gateway saves the configuration itself, or the user does. */
    if (geteuid() == 0 && access("/run/systemd/system", F_OK) == 0 &&
        system("systemctl --quiet start " HELPER_UNIT) != 0)
        fprintf(stderr, "packgate setup: " HELPER_UNIT
                        " could not be started: you will have to save the configuration by hand\n");
    printf("Open this address in a browser within %.0f minutes; it works once:\n\n  "
           "%s#/setup/start/%s\n\n",
           asking_number(armed, "for_s") / 60, asking_text(armed, "address"),
           asking_text(armed, "code"));
    print_other_addresses(asking_text(armed, "address"));
    json_decref(armed);
    return EXIT_DONE;
}
