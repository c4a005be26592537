// SPDX-License-Identifier: MIT
#include "discovery.h"

#include "bms/count.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#define OBJECT_SIZE 128
#define EXPIRY_INTERVALS 3
#define SHORTEST_EXPIRY_S 30

unsigned announce_expiry(double interval_s)
{
    double expiry = ceil(EXPIRY_INTERVALS * interval_s);
    return expiry < SHORTEST_EXPIRY_S ? SHORTEST_EXPIRY_S : (unsigned) expiry;
}

static void put_topic(struct text *text, const char *key, const char *base, const char *pack,
                      const char *leaf)
{
    char topic[TOPIC_SIZE];
    text_member(text, key, topic_of(base, pack, leaf, topic));
}

/* "packgate_ID_PACK", without a pack "packgate_ID". Returns `out`. */
static const char *device_id(const char *id, const char *pack, char out[OBJECT_SIZE])
{
    struct text text = text_in(out, OBJECT_SIZE);
    text_format(&text, "packgate_%s%s", id, pack ? "_" : "");
    /* All characters except A-Z a-z 0-9 _ - become '_'. */
    for (const char *c = pack; c && *c; c++)
        text_format(&text, "%c", isalnum((unsigned char) *c) || *c == '-' ? *c : '_');
    return out;
}

/* A part of an entity id: small letters, digits and '_'. */
static void entity_part(struct text *text, const char *name)
{
    for (const char *c = name; *c; c++)
        text_format(text, "%c", isalnum((unsigned char) *c) ? tolower((unsigned char) *c) : '_');
}

static const struct entity gateway_parts[GATEWAY_COMPONENTS] = {
    {"connection", .platform = BINARY_SENSOR, .diagnostic = true,
     .meaning = {"Connection", .device_class = "connectivity"}},
    {"fresh_packs", "fresh_packs", .diagnostic = true, .meaning.title = "Fresh packs"},
    {"version", "version", .diagnostic = true, .meaning.title = "Version"},
};

/* Component n of a pack, or of the gateway; false: there are no more. */
static bool describe(bool gateway, unsigned n, struct entity *entity)
{
    if (n >= (gateway ? GATEWAY_COMPONENTS : entity_count()))
        return false;
    if (gateway)
        *entity = gateway_parts[n];
    else
        entity_describe(n, entity);
    return true;
}

bool announce_topic(const struct announcer *announcer, const char *pack, unsigned n,
                    char out[TOPIC_SIZE])
{
    char device[OBJECT_SIZE];
    struct text text = text_in(out, TOPIC_SIZE);
    struct entity entity;
    device_id(announcer->id, pack, device);
    if (!announcer->single) {
        text_format(&text, "%s/device/%s/config", announcer->prefix, device);
        return n == 0;
    }
    if (!describe(!pack, n, &entity))
        return false;
    if (entity.key[0])
        text_format(&text, "%s/%s/%s_%s/config", announcer->prefix,
                    entity_platforms[entity.platform], device, entity.key);
    return true;
}

static void put_origin(struct text *text, const struct announcer *announcer)
{
    text_json(text, "o", "{");
    text_member(text, "name", "packgate");
    text_member(text, "sw", announcer->version);
    text_member(text, "url", announcer->url);
    text_add(text, "}");
}

/* A pack, a bank, or the gateway (NULL). The driver's title begins with the name of the make. */
static void put_device(struct text *text, const struct announcer *announcer,
                       const struct source *source)
{
    char device[OBJECT_SIZE], maker[32], url[256];
    const struct pack *pack = source ? source->values : NULL;
    const bool is_pack = source && !source->members;
    const char *title = is_pack ? source->status.driver_title : "packgate";
    snprintf(maker, sizeof maker, "%.*s", title ? (int) strcspn(title, ", ") : 0,
             title ? title : "");
    text_json(text, "dev", "{");
    text_json(text, "ids", "[");
    text_quote(text, device_id(announcer->id, source ? source->name : NULL, device));
    text_add(text, "]");
    text_member(text, "name",
                source                ? source->title
                : announcer->title[0] ? announcer->title
                                      : "packgate");
    text_member(text, "mf", maker);
    text_member(text, "mdl", is_pack ? pack->text[MODEL] : source ? "bank" : "gateway");
    text_member(text, "sw", source ? pack->text[FIRMWARE] : announcer->version);
    if (source) {
        text_member(text, "sn", pack->text[SERIAL]);
        text_member(text, "via_device", device_id(announcer->id, NULL, device));
    }
    /* The page, at this pack. A page of Home Assistant's own hands no more on to ours. */
    struct text page = text_in(url, sizeof url);
    text_add(&page, announcer->url ? announcer->url : "");
    if (source && strncmp(url, "http", 4) == 0)
        text_format(&page, "#%s", source->name);
    text_member(text, "cu", url);
    text_add(text, "}");
}

static void put_availability(struct text *text, const char *base, const char *pack)
{
    text_json(text, "avty", "[{");
    put_topic(text, "t", base, NULL, "status");
    if (pack) {
        text_add(text, "},{");
        put_topic(text, "t", base, pack, "status");
    }
    text_add(text, "}]");
    if (pack)
        text_member(text, "avty_mode", "all");
}

static void put_ids(struct text *text, const struct announcer *announcer, const char *pack,
                    const char *key, enum entity_platform platform)
{
    char id[2 * OBJECT_SIZE], device[OBJECT_SIZE];
    struct text made = text_in(id, sizeof id);
    text_format(&made, "%s_%s", device_id(announcer->id, pack, device), key);
    text_member(text, "uniq_id", id);
    made = text_in(id, sizeof id);
    text_format(&made, "%s.", entity_platforms[platform]);
    entity_part(&made, pack ? pack : "packgate");
    text_add(&made, "_");
    entity_part(&made, key);
    text_member(text, "def_ent_id", id);
}

/* Digits worth showing: an automation sees them all. */
static int shown_decimals(const struct meaning *meaning)
{
    static const struct {
        const char *unit;
        int decimals;
    } shown[] = {{"V", 2}, {"A", 2}, {"%", 0}, {"Ah", 1}};
    for (size_t i = 0; i < COUNT(shown); i++)
        if (strcmp(meaning->unit, shown[i].unit) == 0)
            return shown[i].decimals;
    return meaning->decimals;
}

static void put_meaning(struct text *text, const struct entity *entity)
{
    const struct meaning *meaning = &entity->meaning;
    text_member(text, "name", meaning->title);
    text_member(text, "dev_cla", meaning->device_class);
    if (entity->diagnostic)
        text_member(text, "ent_cat", "diagnostic");
    if (entity->disabled)
        text_json(text, "en", "false");
    if (entity->platform != SENSOR || !meaning->unit)
        return;
    text_member(text, "stat_cla", meaning->state_class);
    text_member(text, "unit_of_meas", meaning->unit);
    text_member_number(text, "sug_dsp_prc", shown_decimals(meaning), 0);
}

/* The content of a component, with everything that the root does not contain. `pack` NULL: of the gateway. */
static void put_component(struct text *text, const struct announcer *announcer, const char *pack,
                          const struct entity *entity)
{
    bool is_state = entity->field[0] != '\0';
    put_ids(text, announcer, pack, entity->key, entity->platform);
    put_meaning(text, entity);
    if (entity->platform == EVENT) {
        put_topic(text, "stat_t", announcer->topic, pack, "event");
        /* What message_event() says in `event_type`. */
        text_json(text, "evt_typ", "[\"warning\",\"protection\",\"ended\"]");
        return;
    }
    if (is_state) {
        /* Without the default, a value that a message lacks would keep its old number and look fresh.
         * Domoticz, which needs the single form, cuts templates at the '|'. */
        char template[128];
        snprintf(template, sizeof template,
                 announcer->single ? "{{ value_json.%s }}"
                                   : "{{ value_json.%s | default('None') }}",
                 entity->field);
        text_member(text, "val_tpl", template);
    }
    if (!is_state || !pack)
        put_topic(text, "stat_t", announcer->topic, pack, is_state ? "info" : "status");
    if (entity->platform != SENSOR) {
        text_member(text, "pl_on", is_state ? "1" : "online");
        text_member(text, "pl_off", is_state ? "0" : "offline");
    }
    if (entity->platform == SWITCH) {
        char leaf[ENTITY_KEY_SIZE + 8];
        snprintf(leaf, sizeof leaf, "set/%s", entity->field);
        put_topic(text, "cmd_t", announcer->topic, pack, leaf);
        text_member(text, "stat_on", "1");
        text_member(text, "stat_off", "0");
        text_json(text, "opt", "false");
        text_json(text, "ret", "false");
    } else if (is_state && pack && announcer->expire_s > 0) {
        text_member_number(text, "exp_aft", announcer->expire_s, 0);
    }
    /* Whether a pack is fresh is also known while it is not; what is known of the gateway needs no pack. */
    if (is_state != (pack != NULL))
        put_availability(text, announcer->topic, NULL);
}

void announce_device(struct text *text, const struct announcer *announcer,
                     const struct source *source, struct entity_set set, struct entity_set gone)
{
    struct entity entity;
    text_add(text, "{");
    put_device(text, announcer, source);
    put_origin(text, announcer);
    if (source) {
        put_topic(text, "stat_t", announcer->topic, source->name, "state");
        text_member_number(text, "qos", 0, 0);
        put_availability(text, announcer->topic, source->name);
    }
    text_json(text, "cmps", "{");
    for (unsigned n = 0; describe(!source, n, &entity); n++) {
        bool is_there = entity_in(&set, n);
        if (!is_there && !entity_in(&gone, n))
            continue;
        text_json(text, entity.key, "{");
        text_member(text, "p", entity_platforms[entity.platform]);
        if (is_there)
            put_component(text, announcer, source ? source->name : NULL, &entity);
        text_add(text, "}");
    }
    text_add(text, "}}");
}

void announce_single(struct text *text, const struct announcer *announcer,
                     const struct source *source, unsigned n)
{
    struct entity entity;
    describe(!source, n, &entity);
    text_add(text, "{");
    put_component(text, announcer, source ? source->name : NULL, &entity);
    if (source && entity.field[0])
        put_topic(text, "stat_t", announcer->topic, source->name, "state");
    if (source && (entity.field[0] || entity.platform == EVENT))
        put_availability(text, announcer->topic, source->name);
    put_device(text, announcer, source);
    put_origin(text, announcer);
    text_add(text, "}");
}
