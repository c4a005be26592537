// SPDX-License-Identifier: MIT
/* The section [mqtt NAME]: its keys, and sections that share a broker. */
#include "config/outlets.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* A broker can be written in more than one way. */
static bool is_same_broker(const struct mqtt_config *a, const struct mqtt_config *b)
{
    bool tls_a, tls_b;
    struct endpoint x, y;
    return mqtt_broker_parse(a->broker, &tls_a, &x) && mqtt_broker_parse(b->broker, &tls_b, &y) &&
           tls_a == tls_b && x.port == y.port && strcasecmp(x.host, y.host) == 0;
}

static bool parse_broker(const struct config_key *key, const char *text, void *field)
{
    bool tls;
    struct endpoint endpoint;
    return mqtt_broker_parse(text, &tls, &endpoint) && config_copy(text, field, key->size);
}

static const struct config_type type_broker = {
    .parse = parse_broker,
    .expects = "mqtt://HOST or mqtts://HOST, with :PORT unless it is 1883 or 8883"};

/* What MQTT allows in a topic for publishing, without empty levels and blanks. */
static bool parse_topic(const struct config_key *key, const char *text, void *field)
{
    size_t size = strlen(text);
    if (size == 0 || text[0] == '/' || text[0] == '$' || text[size - 1] == '/' ||
        strstr(text, "//"))
        return false;
    for (const char *c = text; *c; c++)
        if ((unsigned char) *c <= 0x20 || (unsigned char) *c >= 0x7F || strchr("+#\"\\;", *c))
            return false;
    return config_copy(text, field, key->size);
}

_Static_assert(MQTT_TOPIC_SIZE == 65, "as it says");
static const struct config_type type_topic = {
    .parse = parse_topic,
    .expects =
        "1 to 64 of a-z, A-Z, 0-9 and signs, levels with / between, without blanks, + and #"};

/* Warns of each of the keys that the file has; `keys` ends with NULL. */
static void warn_of(const struct config_draft *draft, const char *const *keys, const char *why)
{
    for (; *keys; keys++)
        if (config_draft_given(draft, *keys))
            config_warn(draft, *keys, "'%s' has no effect %s", *keys, why);
}

/* The layouts of other devices have no room for the name of a pack. */
static void check_layout(const struct config_draft *draft)
{
    static const char *const without_effect[] = {"discovery", "discovery_prefix", "entities",
                                                 "retain", NULL};
    const struct mqtt_config *mqtt = draft->as.mqtt;
    unsigned count = 0;
    if (mqtt->layout == LAYOUT_PACKGATE)
        return;
    for (CONFIG_EACH(source, draft, NULL))
        count += outlet_wants(&mqtt->outlet, source->name);
    if (count > 1)
        config_mistake(
            draft, "packs",
            "'layout' is that of a device with one pack, and these are %u; expected one "
            "name in 'packs', and a section with a topic of its own for each further pack",
            count);
    warn_of(draft, without_effect, "with this layout");
}

/* Whether two names become the same id of Home Assistant. */
static bool same_id(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b &&
            (isalnum((unsigned char) *a) || *a == '-' || isalnum((unsigned char) *b) || *b == '-'))
            return false;
    return *a == *b;
}

static bool announces(const struct mqtt_config *mqtt)
{
    return mqtt->layout == LAYOUT_PACKGATE && mqtt->discovery != DISCOVERY_OFF;
}

static void check_ids(const struct config_draft *draft)
{
    const struct mqtt_config *mqtt = draft->as.mqtt;
    if (!announces(mqtt))
        return;
    for (CONFIG_EACH(one, draft, NULL)) {
        if (!outlet_wants(&mqtt->outlet, one->name))
            continue;
        if (mqtt->discovery == DISCOVERY_SINGLE &&
            (strstr(one->name, "_alarm") || strstr(one->name, "_address") ||
             strstr(one->name, "_calibration")))
            config_warn(one, NULL,
                        "Domoticz skips sensors whose id has '_alarm', '_address' or "
                        "'_calibration' in it, as those of %s will",
                        one->name);
        for (CONFIG_EACH(other, draft, NULL))
            if (other < one && outlet_wants(&mqtt->outlet, other->name) &&
                strcmp(other->name, one->name) != 0 && same_id(other->name, one->name))
                config_mistake(
                    one, NULL,
                    "%s and %s in line %u are the same to Home Assistant, where a '.' is "
                    "a '_'; expected another name",
                    one->name, other->name, other->heading);
    }
}

/* Two sections must not publish to the same topics, and overwrite each other. Home Assistant sees the gateway as one device,
 * however many sections are at its broker: the first of them announces it, and the packs of all refer to it. */
static void check_company(const struct config_draft *draft)
{
    struct mqtt_config *mqtt = draft->as.mqtt;
    for (CONFIG_BEFORE(other, draft)) {
        if (!is_same_broker(other->as.mqtt, mqtt))
            continue;
        if (strcmp(other->as.mqtt->topic, mqtt->topic) == 0)
            config_mistake(draft, "topic", "'%s' is already the topic of [mqtt %s] at this broker",
                           mqtt->topic, other->name);
        if (!announces(mqtt) || !announces(other->as.mqtt) ||
            strcmp(mqtt->discovery_prefix, other->as.mqtt->discovery_prefix) != 0)
            continue;
        mqtt->second = true;
        for (CONFIG_EACH(source, draft, NULL)) {
            if (!outlet_wants(&mqtt->outlet, source->name) ||
                !outlet_wants(&other->as.mqtt->outlet, source->name))
                continue;
            config_mistake(draft, "packs",
                           "%s is already announced to Home Assistant by [mqtt %s]; expected "
                           "'discovery = off' in one of them",
                           source->name, other->name);
            break;
        }
    }
}

static void check_mqtt(struct config_draft *draft)
{
    static const char *const tls_only[] = {"ca_file", "client_cert", "client_key", "verify", NULL};
    struct mqtt_config *mqtt = draft->as.mqtt;
    bool useless = mqtt->switching;
    mqtt->verify &= strcmp(mqtt->ca_file, "any") != 0;
    if (mqtt->password_file[0] && !mqtt->user[0])
        config_mistake(draft, "password_file",
                       "'password_file' without 'user'; expected both or none");
    outlet_check_certificate(draft, "client_cert", mqtt->client_cert, mqtt->client_key);
    if (strncmp(mqtt->broker, "mqtts:", 6) != 0 && mqtt->broker[0])
        warn_of(draft, tls_only, "here: the broker is not mqtts://");
    check_layout(draft);
    check_ids(draft);
    check_company(draft);
    for (CONFIG_EACH(pack, draft, &pack_section))
        if (outlet_wants(&mqtt->outlet, pack->name) && pack_is_writable(pack->as.pack))
            useless = false;
    if (useless)
        config_warn(draft, "switching",
                    "'switching' has no effect: none of these packs is 'writable = yes' or 'all'");
    /* The state file keeps the id by which Home Assistant knows the packs, and what was announced. */
    const struct gateway_config *gateway = &draft->drafts->config->gateway;
    if (announces(mqtt) && !gateway->state_file[0])
        config_warn(draft, NULL,
                    "with 'state_file = none' packgate cannot remove the devices from Home "
                    "Assistant later");
}

// clang-format off
#define MQTT(member) CONFIG_FIELD(mqtt_config, member), .on_change = CHANGE_SECTION

static const struct config_key mqtt_keys[] = {
    {.name = "broker", MQTT(broker), .type = &type_broker, .web = true, .sends = true,
     .also = "host server url",
     .help = "The MQTT broker to which values are sent; with mqtts the connection is encrypted."},
    USER_ROW(MQTT, ""),
    {.name = "password_file", MQTT(password_file), .type = &type_path, .secret = true,
     .preset = "none", .also = "password",
     .help = "A file whose first line is the password. Only packgate should be able to read it. There is no key for "
             "the password itself, because everybody may read this file."},
    CA_FILE_ROW(MQTT, "broker"),
    CLIENT_CERT_ROW(mqtt_config),
    {.name = "topic", MQTT(topic), .type = &type_topic, .web = true,
     .preset = "packgate", .also = "prefix",
     .help = "The beginning of all topics; %h is the name of this host. Each gateway at the same broker needs a "
             "different one."},
    PACKS_ROW("to publish"),
    {.name = "interval", CONFIG_INTERVAL(mqtt_config, 1, 3600), .web = true, .on_change = CHANGE_SECTION,
     .preset = "10s",
     .help = "How often the values of a pack are published. on_change: changed values are also published at once, "
             "about once a second at most."},
    {.name = "layout", MQTT(layout), .type = &type_choice, .web = true,
     CONFIG_WORDS("packgate", "smartbms-bat", "smartbms-b", "smartbms-flat", "venus"),
     .preset = "packgate",
     .help = "Which messages: those of packgate, or, for one pack or bank, those of the SmartBMS data extractor in "
             "one of its forms, so that dashboards made for it work unchanged, or those that make it the battery of "
             "a Victron GX device."},
    {.name = "discovery", .web = true,
     CONFIG_PARTS(mqtt_config, {CONFIG_FIELD(mqtt_config, discovery), .type = &type_choice, CONFIG_WORDS("device", "single", "off")},
                  {CONFIG_FIELD(mqtt_config, entities), .type = &type_choice, CONFIG_WORDS("few", "normal", "all")}),
     CONFIG_STARTS("device normal"), .on_change = CHANGE_SECTION,
     .help = "How Home Assistant (2024.12 or later) finds the packs by itself: one message per device; single: one "
             "per value, for Domoticz, openHAB and older releases. How much it shows of a pack: few leaves out the "
             "cells, all adds every alarm, sensor and counter."},
    {.name = "switching", MQTT(switching), .type = &type_choice, CONFIG_WORDS("no", "yes"),
     .preset = "no",
     .help = "Whether the charge and discharge MOS can be switched by MQTT, of packs that are writable."},
    {.name = "entities", MQTT(entities), .type = &type_choice, CONFIG_WORDS("few", "normal", "all"),
     CONFIG_FOLDED("write it in 'discovery', as in 'discovery = device all'")},
    {.name = "on_change", MQTT(on_change), .type = &type_choice, CONFIG_WORDS("no", "yes"),
     CONFIG_FOLDED("write it behind the interval, as in 'interval = 10s on_change'")},
    CLIENT_KEY_ROW(MQTT),
    OLD_VERIFY_ROW(MQTT),
    {.name = "discovery_prefix", MQTT(discovery_prefix), .type = &type_topic, .start = "homeassistant",
     CONFIG_FOLDED("leave it out, and let Home Assistant look below homeassistant")},
    {.name = "retain", MQTT(retain), .type = &type_choice, CONFIG_WORDS("no", "yes"),
     CONFIG_FOLDED("leave it out, values that a broker keeps look fresh however old they are")},
};

const struct config_section mqtt_section = {
    .word = "mqtt", .heading = "[mqtt NAME]", CONFIG_NAMED(mqtt_config, mqtts, mqtt_count),
    .help = "Publishes values, alarms and states to an MQTT broker, and accepts orders from it. Home Assistant "
            "creates devices for the packs by itself.",
    .outlet = true, .mentions_page = true, .may_order = offsetof(struct mqtt_config, switching), CONFIG_KEYS(mqtt_keys), .check = check_mqtt,
};
// clang-format on
