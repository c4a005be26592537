// SPDX-License-Identifier: MIT
/* `packgate tunnel`: opens and closes tunnels for the maker's own program. */
#include "asking.h"
#include "command.h"
#include "options.h"

#include "base/duration.h"

#include <string.h>
#include <time.h>

static const char usage[] =
    "usage: packgate tunnel [-c FILE] NAME --for TIME\n"
    "       packgate tunnel [-c FILE] NAME --close\n"
    "       packgate tunnel [-c FILE]\n\n"
    "Opens a [tunnel NAME] of the configuration for a limited time, so that the maker's own "
    "program can talk to the packs\n"
    "of a line while the gateway continues to poll; or closes it; or, without a name, lists all "
    "tunnels. Only root and the\n"
    "service's own user may open and close them.\n"
    "      --for TIME      30s, 10m, 2h: at most 24h; extends an open tunnel from now\n"
    "      --close         closes it and disconnects the program\n" ASKING_USAGE
    "Exit status: 0 done, 1 when it failed, 2 for a wrong call.\n";

static void print_tunnel(const json_t *tunnel)
{
    printf("tunnel %s to line %s: ", asking_text(tunnel, "name"), asking_text(tunnel, "line"));
    if (json_is_true(json_object_get(tunnel, "open"))) {
        time_t until = (time_t) asking_number(tunnel, "until");
        char text[40];
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", localtime(&until));
        printf("open until %s, tcp://", text);
        size_t i;
        json_t *listen;
        json_array_foreach(json_object_get(tunnel, "listen"), i, listen)
        {
            printf("%s%s", i > 0 ? ", " : "", json_string_value(listen));
        }
        const char *client = asking_text(tunnel, "client");
        printf("%s%s%s\n", client[0] ? ", " : "", client, client[0] ? " is connected" : "");
    } else {
        puts("closed");
    }
}

static int show_all(struct asking *asking)
{
    json_t *status = asking_once(asking, json_pack("{s:s}", "ask", "status"));
    if (!status)
        return EXIT_FAILED;
    size_t i;
    json_t *tunnel;
    const json_t *tunnels = json_object_get(status, "tunnels");
    json_array_foreach(tunnels, i, tunnel)
    {
        print_tunnel(tunnel);
    }
    if (json_array_size(tunnels) == 0)
        puts("the configuration has no [tunnel NAME]");
    json_decref(status);
    return EXIT_DONE;
}

static int change_tunnel(struct asking *asking, const char *name, double for_s)
{
    json_t *tunnel = asking_once(
        asking, json_pack("{s:s, s:s, s:f}", "ask", "tunnel", "tunnel", name, "for_s", for_s));
    if (!tunnel)
        return EXIT_FAILED;
    bool was_open = json_is_true(json_object_get(tunnel, "was_open"));
    if (for_s > 0 && was_open)
        puts("it was open already");
    else if (!was_open && for_s == 0)
        puts("it was closed already");
    print_tunnel(tunnel);
    json_decref(tunnel);
    return EXIT_DONE;
}

int command_tunnel(int argc, char **argv)
{
    struct asking asking = {.config = CONFIG_DEFAULT, .command = "tunnel"};
    double for_s = -1; /* below 0: neither opened nor closed */
    const char *span = NULL;
    bool closes = false;
    const struct option_row rows[] = {
        ASKING_OPTIONS(asking), {"for", 0, .text = &span}, {"close", 0, .flag = &closes}, {0}};
    options_parse(argc, argv, rows, 1, usage);
    if (span && (!duration_read(span, &for_s) || for_s == 0))
        return options_refuse(NULL, "packgate tunnel: --for is '%s'; expected 30s, 10m or 2h",
                              span);
    if (closes)
        for_s = 0;
    if (argc - optind != (for_s < 0 ? 0 : 1))
        return options_refuse(usage, "packgate tunnel: expected %s",
                              for_s < 0 ? "--for TIME or --close after NAME"
                                        : "the NAME of one tunnel");
    return for_s < 0 ? show_all(&asking) : change_tunnel(&asking, argv[optind], for_s);
}
