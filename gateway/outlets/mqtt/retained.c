// SPDX-License-Identifier: MIT
#include "mqtt.h"

#include "base/alloc.h"
#include "base/log.h"
#include "bms/count.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note_key(const char *pack, char key[PIPE_KEY_SIZE])
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

static bool same_announcements(const struct mqtt *mqtt)
{
    const struct place *a = &mqtt->place, *b = &mqtt->before;
    return !mqtt_is_device(mqtt) && b->topic[0] && a->form == b->form &&
           (a->form == DISCOVERY_OFF || strcmp(a->prefix, b->prefix) == 0);
}

/* An identity of another length is from an earlier version and is ignored. */
void note_read_pack(const struct mqtt *mqtt, struct mqtt_pack *pack)
{
    char key[PIPE_KEY_SIZE], word[PIPE_NOTE_SIZE] = "", known[17] = "";
    struct entity_set noted;
    note_key(pack->pack->source.name, key);
    const char *note = outlet_note(mqtt->outlet, key);
    if (!note || !same_announcements(mqtt))
        return;
    const int found = sscanf(note, "%32s %16s %100s", pack->protocol, known, word);
    if (strlen(known) == 16)
        pack->identity = strtoull(known, NULL, 16);
    if (found < 3 || !entity_read(word, &noted))
        noted = entity_or(entity_allowed(ENTITIES_ALL, true), entity_allowed(ENTITIES_ALL, false));
    pack->set = entity_and(noted, learn_allowed(mqtt, pack));
    pack->gone = entity_without(noted, pack->set);
    if (strcmp(pack->protocol, "-") == 0)
        pack->protocol[0] = '\0';
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

static const char *const forms[] = {"device", "single", "off"};

/* NULL: nothing is retained there any more. */
static void keep_place(struct mqtt *mqtt, const struct place *place)
{
    char form[32] = "";
    if (place)
        snprintf(form, sizeof form, "%s%s", forms[place->form], place->retain ? "+" : "");
    outlet_keep(mqtt->outlet, "topic", place ? place->topic : NULL);
    outlet_keep(mqtt->outlet, "prefix", place ? place->prefix : NULL);
    outlet_keep(mqtt->outlet, "form", place ? form : NULL);
    for (size_t i = 0; i < COUNT(ways); i++) {
        const char *text = (const char *) mqtt->config + ways[i].at;
        const bool fits = text[0] && strlen(text) < PIPE_NOTE_SIZE;
        outlet_keep(mqtt->outlet, ways[i].key, place && fits ? text : NULL);
    }
    outlet_keep(mqtt->outlet, "verify", place && !mqtt->config->verify ? "no" : NULL);
}

void note_place(struct mqtt *mqtt)
{
    if (mqtt_is_device(mqtt))
        return;
    keep_place(mqtt, &mqtt->place);
    mqtt->before = mqtt->place;
}

void note_read_place(struct mqtt *mqtt)
{
    const char *topic = outlet_note(mqtt->outlet, "topic");
    const char *prefix = outlet_note(mqtt->outlet, "prefix");
    const char *form = outlet_note(mqtt->outlet, "form");
    if (!mqtt->config->broker[0] && outlet_note(mqtt->outlet, "broker")) {
        /* The section was removed: its configuration, as far as a withdrawal needs it. */
        mqtt->former =
            (struct mqtt_config){.verify = !outlet_note(mqtt->outlet, "verify"), .interval_s = 10};
        for (size_t i = 0; i < COUNT(ways); i++) {
            const char *text = outlet_note(mqtt->outlet, ways[i].key);
            snprintf((char *) &mqtt->former + ways[i].at, ways[i].size, "%s", text ? text : "");
        }
        mqtt->config = &mqtt->former;
    }
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

bool note_same_place(const struct mqtt *mqtt)
{
    const struct place *a = &mqtt->place, *b = &mqtt->before;
    return same_announcements(mqtt) && strcmp(a->topic, b->topic) == 0 && a->retain == b->retain;
}

/* The gateway goes last, because the packs' devices are linked to it. */
void withdraw_noted(struct mqtt *mqtt, bool all)
{
    struct withdrawals *list = &mqtt->withdrawals;
    const char *key;
    unsigned notes = 0;
    if (!mqtt->before.topic[0])
        return;
    while (outlet_note_at(mqtt->outlet, notes, &key))
        notes++;
    list->packs = alloc_zeroed(notes + 1, sizeof *list->packs);
    for (unsigned n = 0; n < notes; n++) {
        outlet_note_at(mqtt->outlet, n, &key);
        const char *name = key + strlen("pack.");
        if (strncmp(key, "pack.", strlen("pack.")) == 0 && (all || !mqtt_find_pack(mqtt, name)))
            snprintf(list->packs[list->count++], sizeof *list->packs, "%s", name);
    }
    list->count += all;
}

/* The pack of a withdrawal; NULL: the gateway. */
static const char *pack_at(const struct mqtt *mqtt, unsigned n)
{
    const char *pack = mqtt->withdrawals.packs[n];
    return pack[0] ? pack : NULL;
}

/* Whether only the topics have changed. Home Assistant would forget the area and the names that
 * people gave to a device if it was removed and announced again. */
static bool stays_announced(struct mqtt *mqtt, const char *pack)
{
    if (!pack && !mqtt->gateway.was_fresh)
        return true;
    return !mqtt->ending && same_announcements(mqtt) && (!pack || mqtt_find_pack(mqtt, pack));
}

/* Withdraws what Home Assistant knows first, so that it does not show the pack as unavailable for a
 * moment, then the topics themselves; the many components of the single form go last. */
static bool withdrawn_topic(struct mqtt *mqtt, const char *pack, unsigned n, char out[TOPIC_SIZE])
{
    static const char *const leaves[] = {"status", "info", "state"};
    const struct place *place = &mqtt->before;
    struct announcer at = mqtt->announcer;
    at.prefix = place->prefix;
    at.single = place->form == DISCOVERY_SINGLE;
    const unsigned leaf_count = place->retain && pack ? 3 : 2;
    out[0] = '\0';
    if (n > 0 && n <= leaf_count) {
        topic_of(place->topic, pack, leaves[n - 1], out);
        return true;
    }
    if (place->form == DISCOVERY_OFF || at.single == (n == 0) || stays_announced(mqtt, pack))
        return n == 0;
    return announce_topic(&at, pack, n > 0 ? n - leaf_count - 1 : 0, out);
}

/* Notes the replacement at once, because the outlet may end before there are new values. */
static void end_withdrawal(struct mqtt *mqtt, const char *name)
{
    char key[PIPE_KEY_SIZE];
    const struct mqtt_pack *pack = name && !mqtt->ending ? mqtt_find_pack(mqtt, name) : NULL;
    if (stays_announced(mqtt, name) && !mqtt->ending) {
        log_debug("%s: the former topics of %s are cleared", mqtt->name,
                  name ? name : "the gateway");
    } else if (pack && pack->was_fresh) {
        note_pack(mqtt, pack);
    } else if (name) {
        note_key(name, key);
        outlet_keep(mqtt->outlet, key, NULL);
        outlet_keep_alarms(mqtt->outlet, name, (struct alarms){0});
    } else {
        keep_place(mqtt, NULL);
    }
    if (name && !pack)
        log_info("%s: withdrew %s", mqtt->name, name);
}

void withdraw_free(struct mqtt *mqtt)
{
    free(mqtt->withdrawals.packs);
    mqtt->withdrawals = (struct withdrawals){NULL, 0, 0, 0};
}

bool withdraw_step(struct mqtt *mqtt)
{
    char topic[TOPIC_SIZE];
    struct withdrawals *list = &mqtt->withdrawals;
    if (list->at == list->count) {
        if (connection_counters(mqtt->connection).queued > 0)
            return false;
        /* The broker has confirmed all of it. */
        for (unsigned n = 0; n < list->count; n++)
            end_withdrawal(mqtt, pack_at(mqtt, n));
        withdraw_free(mqtt);
        if (!mqtt->ending)
            note_place(mqtt);
        return true;
    }
    if (!withdrawn_topic(mqtt, pack_at(mqtt, list->at), list->step, topic)) {
        list->at++;
        list->step = 0;
        return true;
    }
    if (topic[0] && !connection_publish(mqtt->connection, topic, NULL, 0, 1, true, NULL))
        return false;
    list->step++;
    return true;
}

void withdraw_again(struct mqtt *mqtt)
{
    mqtt->withdrawals.at = mqtt->withdrawals.step = 0;
}
