// SPDX-License-Identifier: MIT
/* What the commands that ask a running gateway have in common. */
#include "asking.h"
#include "command.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The default file may be missing or unreadable if the gateway runs in a container; then the
 * default socket is used. A file that the user named must be readable, or the wrong gateway
 * might be asked. */
static bool connect_gateway(const struct asking *asking, struct control_link *link)
{
    char path[PORT_SIZE];
    if (asking->control)
        return control_link_open(link, asking->control);
    *link = (struct control_link){.fd = -1};
    if (strcmp(asking->config, CONFIG_DEFAULT) != 0 && access(asking->config, R_OK) < 0) {
        snprintf(link->why, sizeof link->why, "%s: cannot be opened: %s", asking->config,
                 strerror(errno));
        return false;
    }
    control_path(asking->config, path);
    return control_link_open(link, path);
}

json_t *asking_open(const struct asking *asking, struct control_link *link, json_t *request)
{
    json_t *answer = NULL;
    if (connect_gateway(asking, link))
        answer = control_ask(link, request);
    else
        json_decref(request);
    if (!answer && asking->command)
        fprintf(stderr, "packgate %s: %s\n", asking->command, link->why);
    return answer;
}

json_t *asking_once(const struct asking *asking, json_t *request)
{
    struct control_link link;
    json_t *answer = asking_open(asking, &link, request);
    control_link_close(&link);
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
