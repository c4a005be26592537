// SPDX-License-Identifier: MIT
#include "note.h"

#include "bms/count.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void note_key(const char *pack, char key[PIPE_KEY_SIZE])
{
    snprintf(key, PIPE_KEY_SIZE, "pack.%s", pack);
}

void note_pack(struct mqtt *mqtt, const struct mqtt_pack *pack)
{
    char key[PIPE_KEY_SIZE], text[PIPE_NOTE_SIZE], word[ENTITY_WORD_SIZE];
    note_key(pack->pack->source.name, key);
    snprintf(text, sizeof text, "%s %016llx %s", pack->protocol[0] ? pack->protocol : "-",
             (unsigned long long) pack->identity, entity_word(pack->set, word));
    outlet_keep(mqtt->outlet, key, text);
}

/* An identity of another length is from an earlier version and is ignored. */
struct entity_set note_parse(const char *text, char protocol[NAME_SIZE], uint64_t *identity)
{
    char word[PIPE_NOTE_SIZE] = "", known[17] = "";
    struct entity_set set;
    protocol[0] = '\0';
    *identity = 0;
    const int found = sscanf(text, "%32s %16s %100s", protocol, known, word);
    if (strlen(known) == 16)
        *identity = strtoull(known, NULL, 16);
    if (found == 3 && entity_read(word, &set))
        return set;
    return entity_or(entity_allowed(ENTITIES_ALL, true), entity_allowed(ENTITIES_ALL, false));
}

/* How to reach the broker if the section no longer exists at the next start. */
static const struct {
    const char *key;
    size_t at, size;
} ways[] = {
#define WAY(member)                                                                                \
    {                                                                                              \
#member, offsetof(struct mqtt_config, member), sizeof((struct mqtt_config *) NULL)->member \
    }
    WAY(broker), WAY(user), WAY(password_file), WAY(ca_file), WAY(client_cert), WAY(client_key),
};
#undef WAY

bool note_read_config(struct mqtt *mqtt)
{
    struct mqtt_config *config = &mqtt->former;
    const char *verify = outlet_note(mqtt->outlet, "verify");
    if (!outlet_note(mqtt->outlet, "broker"))
        return false;
    *config = (struct mqtt_config){.verify = !verify, .interval_s = 10};
    for (size_t i = 0; i < COUNT(ways); i++) {
        const char *text = outlet_note(mqtt->outlet, ways[i].key);
        snprintf((char *) config + ways[i].at, ways[i].size, "%s", text ? text : "");
    }
    mqtt->config = config;
    return true;
}

static void note_config(struct mqtt *mqtt)
{
    for (size_t i = 0; i < COUNT(ways); i++) {
        const char *text = (const char *) mqtt->config + ways[i].at;
        outlet_keep(mqtt->outlet, ways[i].key,
                    text[0] && strlen(text) < PIPE_NOTE_SIZE ? text : NULL);
    }
    outlet_keep(mqtt->outlet, "verify", mqtt->config->verify ? NULL : "no");
}

void note_forget_place(struct mqtt *mqtt)
{
    static const char *const keys[] = {"topic", "prefix", "form", "verify"};
    for (size_t i = 0; i < COUNT(keys); i++)
        outlet_keep(mqtt->outlet, keys[i], NULL);
    for (size_t i = 0; i < COUNT(ways); i++)
        outlet_keep(mqtt->outlet, ways[i].key, NULL);
}

static const char *const forms[] = {"device", "single", "off"};

void note_place(struct mqtt *mqtt)
{
    char form[32];
    if (mqtt_is_device(mqtt))
        return;
    snprintf(form, sizeof form, "%s%s", forms[mqtt->place.form], mqtt->place.retain ? "+" : "");
    outlet_keep(mqtt->outlet, "topic", mqtt->place.topic);
    outlet_keep(mqtt->outlet, "prefix", mqtt->place.prefix);
    outlet_keep(mqtt->outlet, "form", form);
    note_config(mqtt);
    mqtt->before = mqtt->place;
}

void note_read_place(struct mqtt *mqtt)
{
    const char *topic = outlet_note(mqtt->outlet, "topic");
    const char *prefix = outlet_note(mqtt->outlet, "prefix");
    const char *form = outlet_note(mqtt->outlet, "form");
    if (!topic || !prefix || !form)
        return;
    snprintf(mqtt->before.topic, sizeof mqtt->before.topic, "%s", topic);
    snprintf(mqtt->before.prefix, sizeof mqtt->before.prefix, "%s", prefix);
    mqtt->before.form = DISCOVERY_OFF;
    for (int i = DISCOVERY_DEVICE; i <= DISCOVERY_OFF; i++)
        if (strncmp(form, forms[i], strlen(forms[i])) == 0)
            mqtt->before.form = (enum mqtt_discovery) i;
    mqtt->before.retain = form[strlen(form) - 1] == '+';
}

bool note_same_announcements(const struct mqtt *mqtt)
{
    const struct place *a = &mqtt->place, *b = &mqtt->before;
    return !mqtt_is_device(mqtt) && b->topic[0] && a->form == b->form &&
           (a->form == DISCOVERY_OFF || strcmp(a->prefix, b->prefix) == 0);
}

bool note_same_place(const struct mqtt *mqtt)
{
    const struct place *a = &mqtt->place, *b = &mqtt->before;
    return note_same_announcements(mqtt) && strcmp(a->topic, b->topic) == 0 &&
           a->retain == b->retain;
}
