// SPDX-License-Identifier: MIT
/* The MQTT sections that client files use. */
#include "dashboards.h"

#include "base/secret.h"
#include "config/outlets.h"

#include <stdlib.h>
#include <string.h>

#define PASSWORD_SIZE 256

/* Texts that a section does not have itself. */
struct details {
    const struct mqtt_config *config;
    struct endpoint broker;
    char password[PASSWORD_SIZE];
};

struct dashboards {
    struct map_mqtt *mqtts;
    struct details *details;
    unsigned count;
};

/* Sections with the same broker share a connection. */
static void number(struct dashboards *dashboards, struct map_mqtt *mqtt, const struct details *own)
{
    for (unsigned i = 0; i < dashboards->count; i++) {
        const struct mqtt_config *other = dashboards->details[i].config;
        if (strcmp(other->broker, own->config->broker) == 0 &&
            strcmp(other->user, own->config->user) == 0) {
            mqtt->connection = dashboards->mqtts[i].connection;
            mqtt->dashboard = dashboards->mqtts[i].dashboard + 1;
        } else if (mqtt->dashboard == 0 && mqtt->connection <= dashboards->mqtts[i].connection) {
            mqtt->connection = dashboards->mqtts[i].connection + 1;
        }
    }
}

static void add_section(struct dashboards *dashboards, const struct map_clients *clients,
                        const struct mqtt_config *config, const char *pack, bool with_password)
{
    struct map_mqtt *mqtt = &dashboards->mqtts[dashboards->count];
    struct details *own = &dashboards->details[dashboards->count];
    bool tls = false;
    own->config = config;
    const char *why;
    mqtt_broker_parse(config->broker, &tls, &own->broker);
    *mqtt = (struct map_mqtt){
        .name = config->outlet.name,
        .host = own->broker.host,
        .user = config->user,
        .password =
            with_password && config->password_file[0] &&
                    secret_read(config->password_file, 0, own->password, PASSWORD_SIZE, &why)
                ? own->password
                : NULL,
        .port = (unsigned) own->broker.port,
        .tls = tls,
        .topic = config->topic,
        .pack = pack,
        .switching = config->switching,
    };
    for (unsigned i = 0; i < clients->count; i++)
        if (strcmp(clients->units[i].name, pack) == 0)
            mqtt->cells = clients->units[i].cells;
    number(dashboards, mqtt, own);
    dashboards->count++;
}

struct dashboards *dashboards_new(const struct config *config, struct map_clients *clients,
                                  bool with_password)
{
    struct dashboards *dashboards = calloc(1, sizeof *dashboards);
    if (!dashboards)
        return NULL;
    dashboards->mqtts = calloc(config->mqtt_count + 1, sizeof *dashboards->mqtts);
    dashboards->details = calloc(config->mqtt_count + 1, sizeof *dashboards->details);
    if (!dashboards->mqtts || !dashboards->details) {
        dashboards_free(dashboards);
        return NULL;
    }
    for (unsigned n = 0; n < config->mqtt_count && config->pack_count > 0; n++) {
        const struct outlet_config *outlet = &config->mqtts[n].outlet;
        const char *pack = outlet->pack_count > 0 ? outlet->packs[0] : config->packs[0].name;
        if (config->mqtts[n].layout == LAYOUT_SMARTBMS_BAT)
            add_section(dashboards, clients, &config->mqtts[n], pack, with_password);
    }
    clients->mqtts = dashboards->mqtts;
    clients->mqtt_count = dashboards->count;
    return dashboards;
}

void dashboards_free(struct dashboards *dashboards)
{
    if (!dashboards)
        return;
    for (unsigned i = 0; i < dashboards->count; i++)
        explicit_bzero(dashboards->details[i].password, PASSWORD_SIZE);
    free(dashboards->details);
    free(dashboards->mqtts);
    free(dashboards);
}
