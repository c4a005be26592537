// SPDX-License-Identifier: MIT
/* The import file of the app IoT MQTT Panel. */
#include "iotmqttpanel.h"

#include "config/outlets.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define DATA_VERSION 152
#define PASSWORD_SIZE 256

/* ---- panels ---- */

/* What all panels have in common: they take their value out of the one topic. */
static json_t *new_panel(json_t *panels, const char *type, const char *name, const char *topic,
                         const char *path)
{
    json_t *panel = json_pack("{s:i s:s s:s s:s s:s s:b s:s s:i s:i}", "panelId",
                              (int) json_array_size(panels) + 1, "type", type, "panelName", name,
                              "topic", topic, "subscribeTopic", topic, "payloadIsJsonData", 1,
                              "jsonPath", path, "qos", 0, "panelWidth", 6);
    json_array_append_new(panels, panel);
    return panel;
}

static void set(json_t *panel, const char *key, json_t *value)
{
    json_object_set_new(panel, key, value);
}

static void add_gauges(json_t *panels, const char *topic)
{
    static const struct {
        const char *name, *path, *unit;
        double min, max;
    } gauges[] = {
        {"Voltage", "PMV", "V", 0, 60},           {"Current", "PMA", "A", -200, 200},
        {"Power", "PWT", "W", -10000, 10000},     {"State of charge", "SOC", "%", 0, 100},
        {"Cell difference", "PDV", "mV", 0, 200},
    };
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++) {
        json_t *panel = new_panel(panels, "gauge", gauges[i].name, topic, gauges[i].path);
        set(panel, "unit", json_string(gauges[i].unit));
        set(panel, "min", json_real(gauges[i].min));
        set(panel, "max", json_real(gauges[i].max));
    }
}

static void add_led(json_t *panels, const char *topic)
{
    json_t *panel = new_panel(panels, "ledIndicator", "Alarm", topic, "ALMF");
    set(panel, "payloadOn", json_string("1"));
    set(panel, "payloadOff", json_string("0"));
}

/* Not retained: a retained order would be carried out again whenever the broker tells it. And no
 * finger that slips shall switch a battery off. */
static void add_switch(json_t *panels, const char *topic, const char *name, const char *key)
{
    json_t *panel = new_panel(panels, "switch", name, topic, key);
    set(panel, "topic", json_sprintf("%s/%s", topic, key));
    set(panel, "seperateSubscribeTopic", json_string(topic));
    set(panel, "payloadOn", json_string("1"));
    set(panel, "payloadOff", json_string("0"));
    set(panel, "retain", json_false());
    set(panel, "confirmBeforePublish", json_true());
}

static void add_graphs(json_t *panels, const char *topic, unsigned cells)
{
    static const char *const types[] = {"lineGraph", "barGraph"};
    set(new_panel(panels, "lineGraph", "Power", topic, "PWT"), "graphs",
        json_pack("[{s:s s:s s:s}]", "topic", topic, "jsonPath", "PWT", "label", "Power"));
    for (size_t type = 0; type < sizeof types / sizeof *types; type++) {
        json_t *graphs = json_array();
        for (unsigned i = 0; i < cells; i++)
            json_array_append_new(graphs, json_pack("{s:s s:o s:o}", "topic", topic, "jsonPath",
                                                    json_sprintf("bat.%u", i), "label",
                                                    json_sprintf("Cell %u", i + 1)));
        set(new_panel(panels, types[type], "Cells", topic, "bat.0"), "graphs", graphs);
    }
}

/* ---- connections ---- */

static unsigned cells_of(const struct config *config, const struct map_clients *clients,
                         const struct mqtt_config *mqtt)
{
    const char *name = mqtt->outlet.pack_count > 0 ? mqtt->outlet.packs[0] : config->packs[0].name;
    for (unsigned i = 0; i < clients->count; i++)
        if (strcmp(clients->units[i].name, name) == 0)
            return clients->units[i].cells;
    return 0;
}

static json_t *make_dashboard(const struct config *config, const struct map_clients *clients,
                              const struct mqtt_config *mqtt, unsigned number)
{
    json_t *panels = json_array();
    add_gauges(panels, mqtt->topic);
    add_led(panels, mqtt->topic);
    if (mqtt->switching) {
        add_switch(panels, mqtt->topic, "Discharge MOS", "DMS");
        add_switch(panels, mqtt->topic, "Charge MOS", "CMS");
    }
    add_graphs(panels, mqtt->topic, cells_of(config, clients, mqtt));
    return json_pack("{s:i s:s s:o}", "dashboardId", (int) number, "dashboardName",
                     mqtt->outlet.pack_count > 0 ? mqtt->outlet.packs[0] : config->packs[0].name,
                     "panels", panels);
}

static void add_password(json_t *connection, const struct mqtt_config *mqtt)
{
    char password[PASSWORD_SIZE] = "";
    FILE *file = fopen(mqtt->password_file, "re");
    if (file && fgets(password, sizeof password, file)) {
        password[strcspn(password, "\r\n")] = '\0';
        set(connection, "password", json_string(password));
    }
    if (file)
        fclose(file);
    explicit_bzero(password, sizeof password);
}

static json_t *make_connection(const struct mqtt_config *mqtt, unsigned number, bool with_password)
{
    bool tls = false;
    struct endpoint broker = {0};
    mqtt_broker_parse(mqtt->broker, &tls, &broker);
    json_t *connection = json_pack("{s:i s:s s:o s:s s:i s:s s:b s:s}", "connectionId",
                                   (int) number, "connectionName", mqtt->outlet.name, "clientId",
                                   json_sprintf("iotmqttpanel-%s", mqtt->outlet.name), "host",
                                   broker.host, "port", (int) broker.port, "connectionType",
                                   tls ? "ssl" : "tcp", "autoConnect", 1, "username", mqtt->user);
    if (with_password && mqtt->password_file[0])
        add_password(connection, mqtt);
    return connection;
}

static bool same_broker(const struct mqtt_config *a, const struct mqtt_config *b)
{
    return strcmp(a->broker, b->broker) == 0 && strcmp(a->user, b->user) == 0;
}

/* One for all sections at the same broker: that of the first of them, as `owners` notes. */
static json_t *take_connection(json_t *connections, unsigned *owners, const struct config *config,
                               unsigned n, bool with_password)
{
    size_t count = json_array_size(connections);
    for (size_t i = 0; i < count; i++)
        if (same_broker(&config->mqtts[owners[i]], &config->mqtts[n]))
            return json_array_get(connections, i);
    json_t *connection = make_connection(&config->mqtts[n], (unsigned) count + 1, with_password);
    set(connection, "dashboards", json_array());
    json_array_append_new(connections, connection);
    owners[count] = n;
    return connection;
}

bool print_iotmqttpanel(const struct config *config, const struct map_clients *clients,
                        bool with_password, FILE *out)
{
    json_t *connections = json_array();
    unsigned *owners = calloc(config->mqtt_count + 1, sizeof *owners);
    for (unsigned n = 0; owners && n < config->mqtt_count; n++) {
        if (config->mqtts[n].layout != LAYOUT_SMARTBMS_BAT)
            continue;
        json_t *dashboards = json_object_get(
            take_connection(connections, owners, config, n, with_password), "dashboards");
        json_array_append_new(dashboards,
                              make_dashboard(config, clients, &config->mqtts[n],
                                             (unsigned) json_array_size(dashboards) + 1));
    }
    free(owners);
    if (json_array_size(connections) == 0) {
        fputs("packgate: no [mqtt NAME] has layout = smartbms-bat, which this app is to read\n",
              stderr);
        json_decref(connections);
        return false;
    }
    json_t *file = json_pack("{s:i s:o}", "dataVersion", DATA_VERSION, "connections", connections);
    json_dumpf(file, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(file);
    return true;
}
