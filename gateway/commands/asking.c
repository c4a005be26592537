// SPDX-License-Identifier: MIT
/* What the commands that ask a running gateway have in common. */
#include "asking.h"
#include "command.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_error(const struct asking *asking, const struct control_link *link)
{
    fflush(stdout);
    fprintf(stderr, "packgate %s: %s\n", asking->command, link->why);
}

bool asking_open(const struct asking *asking, struct control_link *link)
{
    char path[PORT_SIZE];
    *link = (struct control_link){.fd = -1};
    /* The default file may be missing or unreadable if the gateway runs in a container; then the
     * default socket is used. A file that the user named must be readable, or the wrong gateway
     * might be asked. */
    if (!asking->control && strcmp(asking->config, CONFIG_DEFAULT) != 0 &&
        access(asking->config, R_OK) < 0) {
        fprintf(stderr, "packgate %s: %s: cannot be opened: %s\n", asking->command, asking->config,
                strerror(errno));
        return false;
    }
    if (!asking->control)
        control_path(asking->config, path);
    bool open = control_link_open(link, asking->control ? asking->control : path);
    if (!open)
        print_error(asking, link);
    return open;
}

json_t *asking_request(const struct asking *asking, struct control_link *link, json_t *request)
{
    json_t *answer = control_ask(link, request);
    if (!answer)
        print_error(asking, link);
    return answer;
}

const char *asking_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

double asking_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}
