// SPDX-License-Identifier: MIT
/*
 * Looking on a line of the running gateway, and one exchange by hand on it.
 *
 * Whoever looks on gets a JSON object for each piece that passes, as soon as it may be shown:
 *     {"at": 1795365527.123, "passed": ">", "bytes": "A5 40 90 08"}    '>' to the packs, '<' from them
 *     {"at": 1795365527.155, "withheld": 12}                           bytes of no whole frame, which may hold a secret
 * One who does not read is dropped.
 */
#ifndef PACKGATE_CONTROL_LISTEN_H
#define PACKGATE_CONTROL_LISTEN_H

#include "overview.h"
#include "socket.h"

#include <jansson.h>

struct onlookers;

/** `overview` is kept by reference. NULL: out of memory. */
struct onlookers *listen_new(const struct overview *overview);
void listen_free(struct onlookers *all);

/** After a reload: the lines are others. */
void listen_renew(struct onlookers *all);

/** The client looks on from now on. False with the reason in `why`. */
bool listen_begin(struct onlookers *all, struct control_client *client, const char *line, char *why,
                  size_t size);

/** Sends bytes and answers the client with what came back. False with the reason in `why`, when the
 * client is still to be answered. */
bool listen_send(struct onlookers *all, struct control_client *client, const char *line,
                 const char *hex, char *why, size_t size);

/** The client is gone. */
void listen_left(struct onlookers *all, struct control_client *client);

/** How many look on, and how many were dropped so far. */
json_t *listen_status(const struct onlookers *all);

#endif
