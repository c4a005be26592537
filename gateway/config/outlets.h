// SPDX-License-Identifier: MIT
/* What is asked of the sections that are outlets. */
#ifndef PACKGATE_CONFIG_OUTLETS_H
#define PACKGATE_CONFIG_OUTLETS_H

#include "outlet_config.h"

/** "alarm", "soc_below" and so on. */
const char *notify_event_name(enum notify_event event);

struct config_type;
struct config_draft;
struct config_drafts;
struct mistakes;
/* Shared by all outlets: the key `packs`, whose field is their struct outlet_config, and its
 * check. */
extern const struct config_type type_outlet_packs;
void outlet_check_packs(const struct config_drafts *drafts, struct config_draft *draft,
                        struct mistakes *mistakes);

/** Whether two sections have the same broker, which can be written in more than one way. */
bool mqtt_same_broker(const struct mqtt_config *a, const struct mqtt_config *b);

/** The address at which others in the network reach the page: its `link`, else the one that it listens on; if that
 * is any, the first of its `hosts`, else the name of this host, with ".local" unless it has a
 * domain. "http://gateway.local:8080/". False: only this host or single others, such as a proxy, reach it, or its port is
 * not known. */
bool web_address(const struct web_config *web, const char *host_name, char *out, size_t size);

/** Parses "mqtt://HOST[:1883]" or "mqtts://HOST[:8883]". False: it is neither. */
bool mqtt_broker_parse(const char *text, bool *tls, struct endpoint *endpoint);

#endif
