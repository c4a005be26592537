// SPDX-License-Identifier: MIT
#include "withdraw.h"
#include "note.h"

#include "outlets/told.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool clear_topic(struct mqtt *mqtt, const char *topic)
{
    return connection_publish(mqtt->connection, topic, NULL, 0, 1, true, NULL);
}

static bool withdraw(struct mqtt *mqtt, const char *pack, struct entity_set set)
{
    struct withdrawal *withdrawal = calloc(1, sizeof *withdrawal);
    if (!withdrawal)
        return false;
    snprintf(withdrawal->pack, sizeof withdrawal->pack, "%s", pack);
    withdrawal->set = set;
    struct withdrawal **end = &mqtt->withdrawals;
    while (*end)
        end = &(*end)->next;
    *end = withdrawal;
    return true;
}

/* The gateway goes last, because the packs' devices are linked to it. */
bool withdraw_noted(struct mqtt *mqtt, bool all)
{
    const char *key, *text;
    char protocol[NAME_SIZE];
    uint64_t identity;
    if (!mqtt->before.topic[0])
        return true;
    for (unsigned n = 0; (text = outlet_note_at(mqtt->outlet, n, &key)); n++) {
        const char *name = strchr(key, '.');
        const bool gone = name && (all || !mqtt_find_pack(mqtt, name + 1));
        if (gone && strncmp(key, "pack.", 5) == 0 &&
            !withdraw(mqtt, name + 1, note_parse(text, protocol, &identity)))
            return false;
    }
    return !all || withdraw(mqtt, "", (struct entity_set){{0}});
}

/* The n-th topic of an announcement; false: no more. Empty `*out`: none for this n. */
static bool announced_topic(const struct announcer *at, const struct withdrawal *withdrawal,
                            unsigned n, char out[TOPIC_SIZE])
{
    const char *pack = withdrawal->pack[0] ? withdrawal->pack : NULL;
    out[0] = '\0';
    if (!at->single) {
        if (n == 0)
            announce_topic(at, pack, out);
        return n == 0;
    }
    if (!pack) {
        enum entity_platform platform;
        if (n >= GATEWAY_COMPONENTS)
            return false;
        const char *key = announce_gateway_key(n, &platform);
        announce_single_topic(at, NULL, key, platform, out);
        return true;
    }
    if (n >= entity_count())
        return false;
    if (entity_in(&withdrawal->set, n)) {
        struct entity entity;
        entity_describe(n, &entity);
        announce_single_topic(at, pack, entity.key, entity.platform, out);
    }
    return true;
}

/* Whether only the topics have changed. Home Assistant would forget the area and the names that
 * people gave to a device if it was removed and announced again. */
static bool stays_announced(struct mqtt *mqtt, const struct withdrawal *withdrawal)
{
    if (!withdrawal->pack[0] && !mqtt_speaks_for_gateway(mqtt))
        return true;
    return !mqtt->ending && note_same_announcements(mqtt) &&
           (!withdrawal->pack[0] || mqtt_find_pack(mqtt, withdrawal->pack));
}

/* Withdraws what Home Assistant knows first, so that it does not show the pack as unavailable for a
 * moment, then the topics themselves. */
static bool withdrawn_topic(struct mqtt *mqtt, const struct withdrawal *withdrawal,
                            char out[TOPIC_SIZE])
{
    static const char *const leaves[] = {"status", "info", "state"};
    const struct place *place = &mqtt->before;
    struct announcer at = mqtt->announcer;
    at.prefix = place->prefix;
    at.single = place->form == DISCOVERY_SINGLE;
    unsigned leaf_count = place->retain && withdrawal->pack[0] ? 3 : 2;
    unsigned n = withdrawal->step;
    if (n < leaf_count + 1) {
        out[0] = '\0';
        if (n > 0)
            topic_of(place->topic, withdrawal->pack[0] ? withdrawal->pack : NULL, leaves[n - 1],
                     out);
        else if (place->form == DISCOVERY_DEVICE && !stays_announced(mqtt, withdrawal))
            announced_topic(&at, withdrawal, 0, out);
        return true;
    }
    return place->form == DISCOVERY_SINGLE && !stays_announced(mqtt, withdrawal) &&
           announced_topic(&at, withdrawal, n - leaf_count - 1, out);
}

/* Notes the replacement at once, because the outlet may end before there are new values. */
static void end_withdrawal(struct mqtt *mqtt, const struct withdrawal *withdrawal)
{
    char key[PIPE_KEY_SIZE];
    const struct mqtt_pack *pack = mqtt->ending ? NULL : mqtt_find_pack(mqtt, withdrawal->pack);
    if (stays_announced(mqtt, withdrawal) && !mqtt->ending) {
        log_debug("%s: the former topics of %s are cleared", mqtt->name,
                  withdrawal->pack[0] ? withdrawal->pack : "the gateway");
    } else if (pack && pack->was_fresh) {
        note_pack(mqtt, pack);
    } else if (withdrawal->pack[0]) {
        note_key(withdrawal->pack, key);
        outlet_keep(mqtt->outlet, key, NULL);
        told_keep(mqtt->outlet, withdrawal->pack, (struct alarms){0});
    } else {
        note_forget_place(mqtt);
    }
    if (withdrawal->pack[0] && !pack)
        log_info("%s: withdrew %s", mqtt->name, withdrawal->pack);
}

void withdraw_free(struct mqtt *mqtt)
{
    while (mqtt->withdrawals) {
        struct withdrawal *withdrawal = mqtt->withdrawals;
        mqtt->withdrawals = withdrawal->next;
        free(withdrawal);
    }
}

/* Call when the broker has confirmed all of it. */
static void end_withdrawals(struct mqtt *mqtt)
{
    for (const struct withdrawal *one = mqtt->withdrawals; one; one = one->next)
        end_withdrawal(mqtt, one);
    withdraw_free(mqtt);
    if (!mqtt->ending)
        note_place(mqtt);
}

bool withdraw_step(struct mqtt *mqtt)
{
    char topic[TOPIC_SIZE];
    struct withdrawal *withdrawal = mqtt->withdrawals;
    while (withdrawal && withdrawal->sent)
        withdrawal = withdrawal->next;
    if (!withdrawal) {
        if (connection_counters(mqtt->connection).queued > 0)
            return false;
        end_withdrawals(mqtt);
        return true;
    }
    if (!withdrawn_topic(mqtt, withdrawal, topic)) {
        withdrawal->sent = true;
        return true;
    }
    if (topic[0] && !clear_topic(mqtt, topic))
        return false;
    withdrawal->step++;
    return true;
}

void withdraw_again(struct mqtt *mqtt)
{
    for (struct withdrawal *one = mqtt->withdrawals; one; one = one->next) {
        one->step = 0;
        one->sent = false;
    }
}
