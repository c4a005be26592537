// SPDX-License-Identifier: MIT
/*
 * Shows the bytes on a line of the running gateway, and sends single requests on it by hand.
 *
 * A listening client gets a JSON object for each piece of bytes, as soon as it may be shown:
 *     {"at": 1795365527.123, "passed": ">", "bytes": "A5 40 90 08"}    '>' to the packs, '<' from them
 *     {"at": 1795365527.155, "withheld": 12}                           bytes of no whole frame, which may hold a secret
 * A client that does not read is disconnected.
 */
#pragma once

#include "overview.h"
#include "socket.h"

#include <jansson.h>

struct onlookers;

/** Without clients at first. `overview` is kept by reference. NULL: out of memory. The caller frees it, after its clients are gone. */
struct onlookers *listen_new(const struct overview *overview);

/** To be called after a reload: reconnects the clients to the new lines. */
void listen_renew(struct onlookers *all);

/** Makes the client listen from now on. Returns NULL, or the refusal for the client. */
json_t *listen_begin(struct onlookers *all, struct control_client *client, const char *line);

/** Sends bytes and answers the client with the response. Returns NULL, or the refusal. */
json_t *listen_send(struct onlookers *all, struct control_client *client, const char *line,
                    const char *hex);

/** The client has disconnected. */
void listen_left(struct onlookers *all, struct control_client *client);

/** The numbers of listening clients and of those disconnected so far. */
json_t *listen_status(const struct onlookers *all);
