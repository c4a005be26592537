// SPDX-License-Identifier: MIT
/*
 * The outlet `mqtt`: what is sent when.
 *
 * Nothing is queued here but what is still to be done, as bits of a pack: a message is made when
 * the broker takes one, from the values of that moment. So a slow broker gets less, never old
 * numbers, and after a connection was lost everything is simply to be done again. Values are sent
 * only while the door is open: right after the broker has answered a knock (connection.h).
 *
 * What a broker keeps of us (status, info, discovery) is noted in the state file, so that it can be
 * withdrawn when the configuration no longer has it.
 */
#include "connection.h"
#include "discovery.h"
#include "messages.h"
#include "smartbms.h"

#include "outlets/kinds.h"

#include "base/clock.h"
#include "base/log.h"
#include "bms/checksum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define ROOM_SIZE (128 * 1024) /* for one message: a device with everything has 50 kB */
#define SPARE_ROOM 32          /* of the queue, for events and results */
#define ORDERS_MAX 32          /* under way */
/* From one message that on_change makes to the next: once a second, and a little less, so that polls
 * of once a second are not kept back for ever once one was early. After a calm, a second one may
 * follow at once: a cycle can come in two parts. */
#define CHANGE_PAUSE_S 0.9
#define SHRINK_S 600.0  /* of another identity, until what it lacks is taken away */
#define REPORT_TICKS 5  /* seconds */
#define BIRTH_MIN_S 1.0 /* Home Assistant has come up: others answer it as well */
#define BIRTH_SPREAD_S 4.0
#define OPEN_S 0.5                     /* an answer of the broker is worth so long */
#define EVENTS_MAX 128                 /* that the broker has not confirmed yet */
#define MEMORY_MAX (256 * 1024 * 1024) /* a broker that announces a message of that size */

enum todo { ANNOUNCE = 1 << 0, STATUS = 1 << 1, INFO = 1 << 2, STATE = 1 << 3 };

/* Where retained messages are. */
struct place {
    char topic[MQTT_TOPIC_SIZE + 64];
    char prefix[MQTT_TOPIC_SIZE];
    enum mqtt_discovery form;
    bool retain;
};

struct mqtt_pack {
    struct outlet_pack *pack;
    unsigned todo;                /* enum todo */
    unsigned row;                 /* of an announcement in the single form, the next one */
    struct entity_set set;        /* as announced, or about to be */
    struct entity_set gone;       /* to be taken away */
    char protocol[NAME_SIZE];     /* that the set is of; empty: not known yet */
    unsigned identity;            /* the same */
    double strange_since;         /* another identity; NaN: it is the same */
    bool was_fresh;               /* in this life */
    bool online;                  /* its status, as it was told */
    double due;                   /* state, by its interval */
    double free_at;               /* state, for a change, not before */
    bool changed;                 /* since then */
    struct pack sent;             /* its values */
    uint32_t warning, protection; /* alarms that were told */
};

/* What is to be taken away of one pack, or of the gateway. */
struct withdrawal {
    char pack[NAME_SIZE]; /* empty: the gateway */
    struct entity_set set;
    unsigned step;
    bool sent; /* all of it; whether it arrived is not known yet */
    struct withdrawal *next;
};

/* An event that the broker has not confirmed: should the connection end before, the alarm is as it
 * was told before. */
struct unsure {
    int mid;           /* 0: free */
    unsigned sequence; /* the later ones are undone first */
    struct mqtt_pack *pack;
    int alarm;
    uint32_t warning, protection; /* its bit in what was told before */
};

struct asked {
    struct mqtt_pack *pack; /* NULL: free */
    enum order_topic which;
    int value;
};

struct mqtt {
    struct outlet *outlet;
    const struct mqtt_config *config;
    struct observer observer;
    struct connection *connection;
    char name[2 * NAME_SIZE], client_id[80];
    char will_topic[TOPIC_SIZE], will[160];
    char id[PIPE_ID_SIZE];
    struct place place, before; /* now, and as noted; empty topic: nothing noted */
    struct announcer announcer;
    struct mqtt_pack *packs;
    unsigned pack_count, turn;
    unsigned todo; /* of the gateway itself */
    unsigned row;
    unsigned fresh_told;
    bool heard_told;
    struct withdrawal *withdrawals;
    struct asked orders[ORDERS_MAX];
    struct unsure unsure[EVENTS_MAX];
    unsigned events;    /* sent */
    double answered_at; /* the broker, for values that have not been sent since; -INFINITY: none */
    ev_timer flush, later, second, birth, farewell;
    unsigned ticks;
    uint32_t failed_told; /* attempts to connect, to the gateway */
    bool ending, retained_told, foreign_told;
    char *room;
};

static bool is_smartbms(const struct mqtt *mqtt)
{
    return mqtt->config->layout != LAYOUT_PACKGATE;
}

static bool announces(const struct mqtt *mqtt)
{
    return mqtt->place.form != DISCOVERY_OFF;
}

/* Without a state file each section is a gateway of its own to Home Assistant. */
static bool speaks_for_gateway(const struct mqtt *mqtt)
{
    return !mqtt->config->second || !outlet_config(mqtt->outlet)->id_kept;
}

static double wall_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static struct tm local_now(void)
{
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    return local;
}

static struct text new_text(struct mqtt *mqtt)
{
    return text_in(mqtt->room, ROOM_SIZE);
}

static bool publish(struct mqtt *mqtt, const char *topic, const struct text *text, int qos,
                    bool retained)
{
    if (text->cut) {
        log_error("%s: a message for %s is too large", mqtt->name, topic);
        return true;
    }
    return connection_publish(mqtt->connection, topic, text->bytes, text->size, qos, retained,
                              NULL);
}

static bool clear(struct mqtt *mqtt, const char *topic)
{
    return connection_publish(mqtt->connection, topic, NULL, 0, 1, true, NULL);
}

/* ---- notes: what the broker keeps of us ---- */

static void note_key(const char *pack, char key[PIPE_KEY_SIZE])
{
    snprintf(key, PIPE_KEY_SIZE, "pack.%s", pack);
}

static void note_pack(struct mqtt *mqtt, const struct mqtt_pack *pack)
{
    char key[PIPE_KEY_SIZE], text[PIPE_NOTE_SIZE], word[ENTITY_WORD_SIZE];
    note_key(pack->pack->source.name, key);
    snprintf(text, sizeof text, "%s %04x %s", pack->protocol[0] ? pack->protocol : "-",
             pack->identity & 0xFFFF, entity_word(pack->set, word));
    outlet_keep(mqtt->outlet, key, text);
}

/* What was told of alarms, so that it is not told again by another life. */
static void note_alarms(struct mqtt *mqtt, const struct mqtt_pack *pack)
{
    char key[PIPE_KEY_SIZE], text[PIPE_NOTE_SIZE];
    snprintf(key, sizeof key, "alarms.%s", pack->pack->source.name);
    snprintf(text, sizeof text, "%x %x", (unsigned) pack->warning, (unsigned) pack->protection);
    outlet_keep(mqtt->outlet, key, pack->warning | pack->protection ? text : NULL);
}

static void read_alarms(struct mqtt *mqtt, struct mqtt_pack *pack)
{
    char key[PIPE_KEY_SIZE];
    unsigned warning, protection;
    snprintf(key, sizeof key, "alarms.%s", pack->pack->source.name);
    const char *text = outlet_note(mqtt->outlet, key);
    if (!text || sscanf(text, "%x %x", &warning, &protection) != 2)
        return;
    pack->warning = warning;
    pack->protection = protection;
}

/* Of a table of another version everything is taken for announced. */
static struct entity_set read_note(const char *text, char protocol[NAME_SIZE], unsigned *identity)
{
    char word[PIPE_NOTE_SIZE] = "";
    struct entity_set set;
    protocol[0] = '\0';
    *identity = 0;
    if (sscanf(text, "%32s %x %100s", protocol, identity, word) == 3 && entity_read(word, &set))
        return set;
    return entity_or(entity_allowed(ENTITIES_ALL, true), entity_allowed(ENTITIES_ALL, false));
}

static const char *const forms[] = {"device", "single", "off"};

static void note_place(struct mqtt *mqtt)
{
    char form[32];
    if (is_smartbms(mqtt))
        return;
    snprintf(form, sizeof form, "%s%s", forms[mqtt->place.form], mqtt->place.retain ? "+" : "");
    outlet_keep(mqtt->outlet, "topic", mqtt->place.topic);
    outlet_keep(mqtt->outlet, "prefix", mqtt->place.prefix);
    outlet_keep(mqtt->outlet, "form", form);
    mqtt->before = mqtt->place;
}

static void read_place(struct mqtt *mqtt)
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

/* Announcements are where they were: what is sent now takes the place of what was. */
static bool same_announcements(const struct mqtt *mqtt)
{
    const struct place *a = &mqtt->place, *b = &mqtt->before;
    return !is_smartbms(mqtt) && b->topic[0] && a->form == b->form &&
           (a->form == DISCOVERY_OFF || strcmp(a->prefix, b->prefix) == 0);
}

static bool same_place(const struct mqtt *mqtt)
{
    const struct place *a = &mqtt->place, *b = &mqtt->before;
    return same_announcements(mqtt) && strcmp(a->topic, b->topic) == 0 && a->retain == b->retain;
}

static struct mqtt_pack *find_pack(struct mqtt *mqtt, const char *name)
{
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        if (strcmp(mqtt->packs[i].pack->source.name, name) == 0)
            return &mqtt->packs[i];
    return NULL;
}

/* ---- withdrawing ---- */

static void withdraw(struct mqtt *mqtt, const char *pack, struct entity_set set)
{
    struct withdrawal *withdrawal = calloc(1, sizeof *withdrawal);
    if (!withdrawal)
        return;
    snprintf(withdrawal->pack, sizeof withdrawal->pack, "%s", pack);
    withdrawal->set = set;
    struct withdrawal **end = &mqtt->withdrawals;
    while (*end)
        end = &(*end)->next;
    *end = withdrawal;
}

/* The packs that were noted: all of them, or those that are not there any more. The gateway, which
 * the others are connected by, goes last. */
static void withdraw_noted(struct mqtt *mqtt, bool all)
{
    const char *key, *text;
    char protocol[NAME_SIZE];
    unsigned identity;
    if (!mqtt->before.topic[0])
        return;
    for (unsigned n = 0; (text = outlet_note_at(mqtt->outlet, n, &key)); n++)
        if (strncmp(key, "pack.", 5) == 0 && (all || !find_pack(mqtt, key + 5)))
            withdraw(mqtt, key + 5, read_note(text, protocol, &identity));
    if (all)
        withdraw(mqtt, "", (struct entity_set){{0}});
}

/* The n-th topic of what an announcement has left there; false: no more. `*out` empty: none here. */
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

/* Only its topics are other ones now. Home Assistant would forget the area and the names that
 * people gave to a device if that was taken away and announced again. */
static bool stays_announced(struct mqtt *mqtt, const struct withdrawal *withdrawal)
{
    if (!withdrawal->pack[0] && !speaks_for_gateway(mqtt))
        return true;
    return !mqtt->ending && same_announcements(mqtt) &&
           (!withdrawal->pack[0] || find_pack(mqtt, withdrawal->pack));
}

/* First what Home Assistant knows, so that it does not show it as away for a moment, then the
 * topics themselves. */
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

/* What takes its place is noted at once: the outlet may end before there are new values. */
static void end_withdrawal(struct mqtt *mqtt, const struct withdrawal *withdrawal)
{
    char key[PIPE_KEY_SIZE];
    const struct mqtt_pack *pack = mqtt->ending ? NULL : find_pack(mqtt, withdrawal->pack);
    if (stays_announced(mqtt, withdrawal) && !mqtt->ending) {
        log_debug("%s: the former topics of %s are cleared", mqtt->name,
                  withdrawal->pack[0] ? withdrawal->pack : "the gateway");
    } else if (pack && pack->was_fresh) {
        note_pack(mqtt, pack);
    } else if (withdrawal->pack[0]) {
        note_key(withdrawal->pack, key);
        outlet_keep(mqtt->outlet, key, NULL);
        snprintf(key, sizeof key, "alarms.%s", withdrawal->pack);
        outlet_keep(mqtt->outlet, key, NULL);
    } else {
        outlet_keep(mqtt->outlet, "topic", NULL);
        outlet_keep(mqtt->outlet, "prefix", NULL);
        outlet_keep(mqtt->outlet, "form", NULL);
    }
    if (withdrawal->pack[0] && !pack)
        log_info("%s: withdrew %s", mqtt->name, withdrawal->pack);
}

static void free_withdrawals(struct mqtt *mqtt)
{
    while (mqtt->withdrawals) {
        struct withdrawal *withdrawal = mqtt->withdrawals;
        mqtt->withdrawals = withdrawal->next;
        free(withdrawal);
    }
}

/* The broker has confirmed all of it. */
static void end_withdrawals(struct mqtt *mqtt)
{
    for (const struct withdrawal *one = mqtt->withdrawals; one; one = one->next)
        end_withdrawal(mqtt, one);
    free_withdrawals(mqtt);
    if (!mqtt->ending)
        note_place(mqtt);
}

/* The next message of a withdrawal. False: nothing can be sent now, or the broker has to confirm
 * what was. */
static bool step_withdrawal(struct mqtt *mqtt)
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
    if (topic[0] && !clear(mqtt, topic))
        return false;
    withdrawal->step++;
    return true;
}

/* ---- what a pack has ---- */

static bool has_switches(const struct mqtt *mqtt, const struct mqtt_pack *pack)
{
    return mqtt->config->switching && pack->pack->source.writable && !pack->pack->source.members;
}

static struct entity_set allowed(const struct mqtt *mqtt, const struct mqtt_pack *pack)
{
    return entity_allowed(mqtt->config->entities, has_switches(mqtt, pack));
}

static unsigned identity_of(const struct source *source)
{
    char text[2 * TEXT_SIZE + 32];
    const struct pack *values = source->values;
    int size = snprintf(text, sizeof text, "%s %s %.0f %.0f", values->text[SERIAL],
                        values->text[MODEL], values->value[CELL_COUNT], values->value[TEMP_COUNT]);
    return crc16_modbus((const uint8_t *) text, (size_t) size);
}

static void shrink(struct mqtt *mqtt, struct mqtt_pack *pack, struct entity_set known)
{
    pack->gone = entity_or(pack->gone, entity_without(pack->set, known));
    pack->set = known;
    pack->strange_since = NAN;
    pack->todo |= ANNOUNCE | INFO;
    log_info("%s: %s is another battery now, or another protocol: announced anew", mqtt->name,
             pack->pack->source.name);
}

/* Takes from fresh values what there is to announce. It grows at once; a value that is missing for
 * a while takes nothing away. */
static void learn(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    const struct source *source = &pack->pack->source;
    const char *protocol = source->members         ? "bank"
                           : source->status.driver ? source->status.driver
                                                   : "-";
    struct entity_values values;
    entity_gather(source, 0, 0, &values);
    struct entity_set known = entity_and(entity_known(&values), allowed(mqtt, pack));
    struct entity_set before = pack->set;
    unsigned identity = identity_of(source);
    bool strange = pack->protocol[0] && identity != pack->identity;
    if (!strange)
        pack->strange_since = NAN;
    else if (isnan(pack->strange_since))
        pack->strange_since = now;
    bool renewed = pack->protocol[0] && strcmp(pack->protocol, protocol) != 0;
    if (renewed || (strange && now - pack->strange_since >= SHRINK_S)) {
        shrink(mqtt, pack, known);
        strange = false;
    }
    pack->set = entity_or(pack->set, known);
    pack->gone = entity_without(pack->gone, pack->set);
    if (!strange)
        pack->identity = identity;
    snprintf(pack->protocol, sizeof pack->protocol, "%s", protocol);
    if (!pack->was_fresh || !entity_same(before, pack->set)) {
        pack->todo |= ANNOUNCE;
        pack->row = 0;
    }
    pack->was_fresh = true;
    note_pack(mqtt, pack);
}

/* ---- sending ---- */

static bool send_announcement(struct mqtt *mqtt, struct mqtt_pack *pack)
{
    char topic[TOPIC_SIZE];
    struct text text = new_text(mqtt);
    const struct source *source = &pack->pack->source;
    announce_device(&text, &mqtt->announcer, source, pack->set, pack->gone);
    announce_topic(&mqtt->announcer, source->name, topic);
    if (!publish(mqtt, topic, &text, 1, true))
        return false;
    /* Home Assistant wants to see what is taken away once, and then no more of it. */
    if (entity_none(pack->gone))
        pack->todo &= ~(unsigned) ANNOUNCE;
    pack->gone = (struct entity_set){{0}};
    return true;
}

static bool send_single(struct mqtt *mqtt, struct mqtt_pack *pack)
{
    char topic[TOPIC_SIZE];
    const struct source *source = &pack->pack->source;
    while (pack->row < entity_count() && !entity_in(&pack->set, pack->row) &&
           !entity_in(&pack->gone, pack->row))
        pack->row++;
    if (pack->row == entity_count()) {
        pack->row = 0;
        pack->todo &= ~(unsigned) ANNOUNCE;
        pack->gone = (struct entity_set){{0}};
        return true;
    }
    struct entity entity;
    entity_describe(pack->row, &entity);
    announce_single_topic(&mqtt->announcer, source->name, entity.key, entity.platform, topic);
    struct text text = new_text(mqtt);
    if (entity_in(&pack->set, pack->row))
        announce_single(&text, &mqtt->announcer, source, pack->row);
    if (!publish(mqtt, topic, &text, 1, true))
        return false;
    pack->row++;
    return true;
}

static bool send_pack_status(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    char topic[TOPIC_SIZE];
    bool online = outlet_fresh(mqtt->outlet, pack->pack, now) && !mqtt->ending;
    struct text text = new_text(mqtt);
    text_add(&text, online ? "online" : "offline");
    if (!publish(mqtt, topic_of(mqtt->place.topic, pack->pack->source.name, "status", topic), &text,
                 1, true))
        return false;
    pack->online = online;
    pack->todo &= ~(unsigned) STATUS;
    return true;
}

static bool send_info(struct mqtt *mqtt, struct mqtt_pack *pack)
{
    char topic[TOPIC_SIZE];
    struct text text = new_text(mqtt);
    message_info(&text, &pack->pack->source);
    if (!publish(mqtt, topic_of(mqtt->place.topic, pack->pack->source.name, "info", topic), &text,
                 1, true))
        return false;
    pack->todo &= ~(unsigned) INFO;
    return true;
}

static bool send_last(struct mqtt *mqtt, const char *topic, const struct text *text)
{
    return publish(mqtt, topic, text, 0, mqtt->config->retain && !is_smartbms(mqtt));
}

static bool send_state(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    char topic[TOPIC_SIZE];
    struct text text = new_text(mqtt);
    message_state(&text, &pack->pack->source, outlet_age(pack->pack, now), wall_now());
    return send_last(mqtt, topic_of(mqtt->place.topic, pack->pack->source.name, "state", topic),
                     &text);
}

static bool send_flat(struct mqtt *mqtt, struct mqtt_pack *pack)
{
    const char *name;
    char topic[TOPIC_SIZE];
    for (unsigned n = 0;; n++) {
        struct text text = new_text(mqtt);
        name = smartbms_flat(&text, &pack->pack->source, n);
        if (!name)
            return true;
        if (text.size > 0 &&
            !send_last(mqtt, topic_of(mqtt->place.topic, NULL, name, topic), &text))
            return false;
    }
}

static bool send_smartbms(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    const struct source *source = &pack->pack->source;
    bool fresh = outlet_fresh(mqtt->outlet, pack->pack, now) && !mqtt->ending;
    struct tm local = local_now();
    struct text text = new_text(mqtt);
    smartbms_status(&text, fresh, &local, source->status.seconds,
                    source->status.memory_mib * 1048576.0);
    if (!send_last(mqtt, mqtt->place.topic, &text) || !fresh)
        return !fresh;
    if (mqtt->config->layout == LAYOUT_SMARTBMS_FLAT)
        return send_flat(mqtt, pack);
    text = new_text(mqtt);
    smartbms_extremes(&text, source);
    if (!send_last(mqtt, mqtt->place.topic, &text))
        return false;
    text = new_text(mqtt);
    smartbms_values(&text, source, mqtt->config->layout);
    return send_last(mqtt, mqtt->place.topic, &text);
}

/* What has grown old while it waited for the broker is not sent any more. */
static bool send_values(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    if (is_smartbms(mqtt) && !send_smartbms(mqtt, pack, now))
        return false;
    if (!is_smartbms(mqtt) && outlet_fresh(mqtt->outlet, pack->pack, now) &&
        !send_state(mqtt, pack, now))
        return false;
    pack->todo &= ~(unsigned) STATE;
    pack->free_at = fmax(pack->free_at, now - CHANGE_PAUSE_S) + CHANGE_PAUSE_S;
    pack->changed = false;
    pack->sent = *pack->pack->source.values;
    return true;
}

/* One message of what is to be done; false: it was not taken. */
static bool serve_pack(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    if (pack->todo & ANNOUNCE) {
        if (!announces(mqtt) || !pack->was_fresh) {
            pack->todo &= ~(unsigned) ANNOUNCE;
            return true;
        }
        return mqtt->announcer.single ? send_single(mqtt, pack) : send_announcement(mqtt, pack);
    }
    if (pack->todo & STATUS)
        return send_pack_status(mqtt, pack, now);
    if (pack->todo & INFO)
        return send_info(mqtt, pack);
    return send_values(mqtt, pack, now);
}

static unsigned count_fresh(const struct mqtt *mqtt, double now)
{
    unsigned count = 0;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        count += outlet_fresh(mqtt->outlet, mqtt->packs[i].pack, now);
    return count;
}

static bool announce_gateway_now(struct mqtt *mqtt)
{
    char topic[TOPIC_SIZE];
    struct text text = new_text(mqtt);
    if (!announces(mqtt) || !speaks_for_gateway(mqtt)) {
        mqtt->todo &= ~(unsigned) ANNOUNCE;
        return true;
    }
    if (mqtt->announcer.single) {
        enum entity_platform platform;
        const char *key = announce_gateway_key(mqtt->row, &platform);
        announce_gateway_single(&text, &mqtt->announcer, mqtt->row);
        announce_single_topic(&mqtt->announcer, NULL, key, platform, topic);
    } else {
        announce_gateway(&text, &mqtt->announcer);
        announce_topic(&mqtt->announcer, NULL, topic);
    }
    if (!publish(mqtt, topic, &text, 1, true))
        return false;
    if (mqtt->announcer.single && ++mqtt->row < GATEWAY_COMPONENTS)
        return true;
    mqtt->row = 0;
    mqtt->todo &= ~(unsigned) ANNOUNCE;
    return true;
}

/* The gateway itself: before its packs, since a device is only connected by one that is known. */
static bool serve_gateway(struct mqtt *mqtt, double now)
{
    char topic[TOPIC_SIZE];
    struct text text = new_text(mqtt);
    if (mqtt->todo & ANNOUNCE)
        return announce_gateway_now(mqtt);
    if (mqtt->todo & STATUS) {
        bool heard = outlet_hears(mqtt->outlet, now) && !mqtt->ending;
        text_add(&text, heard ? "online" : "offline");
        if (!publish(mqtt, topic_of(mqtt->place.topic, NULL, "status", topic), &text, 1, true))
            return false;
        mqtt->heard_told = heard;
        mqtt->todo &= ~(unsigned) STATUS;
        return true;
    }
    mqtt->fresh_told = count_fresh(mqtt, now);
    message_gateway(&text, outlet_config(mqtt->outlet)->version, mqtt->pack_count,
                    mqtt->fresh_told);
    if (!publish(mqtt, topic_of(mqtt->place.topic, NULL, "info", topic), &text, 1, true))
        return false;
    mqtt->todo &= ~(unsigned) INFO;
    return true;
}

/* What of a pack can be sent now. */
static unsigned ready(const struct mqtt *mqtt, const struct mqtt_pack *pack, double now)
{
    bool open = now - mqtt->answered_at < OPEN_S;
    return open ? pack->todo : pack->todo & ~(unsigned) STATE;
}

/* As much as the broker takes, one message a pack in turn. */
static void pump(struct mqtt *mqtt, double now)
{
    unsigned idle = 0;
    while (connection_room(mqtt->connection) > SPARE_ROOM) {
        if (mqtt->withdrawals) {
            if (!step_withdrawal(mqtt))
                return;
            continue;
        }
        if (mqtt->todo) {
            if (!serve_gateway(mqtt, now))
                return;
            continue;
        }
        if (idle >= mqtt->pack_count)
            return;
        struct mqtt_pack *pack = &mqtt->packs[mqtt->turn];
        mqtt->turn = (mqtt->turn + 1) % mqtt->pack_count;
        idle++;
        if (!ready(mqtt, pack, now))
            continue;
        idle = 0;
        if (!serve_pack(mqtt, pack, now))
            return;
    }
}

/* All that can be sent. An answer of the broker is good for one round: the next values want
 * another one, by which it also confirms that it has read these. */
static void send_all(struct mqtt *mqtt, double now)
{
    pump(mqtt, now);
    mqtt->answered_at = -INFINITY;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        if (mqtt->packs[i].todo & STATE) {
            connection_knock(mqtt->connection);
            return;
        }
}

/* ---- when ---- */

static void judge(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    double interval = mqtt->config->interval_s;
    bool fresh = outlet_fresh(mqtt->outlet, pack->pack, now);
    if (!is_smartbms(mqtt) && fresh != pack->online)
        pack->todo |= STATUS;
    if (!fresh && !is_smartbms(mqtt))
        return;
    if (now >= pack->due) {
        /* What was due the last time has not been sent: these values take its place. */
        if (pack->todo & STATE)
            connection_drop(mqtt->connection);
        pack->todo |= STATE;
        pack->due = now - pack->due > interval ? now + interval : pack->due + interval;
    }
    if (pack->changed && now >= pack->free_at)
        pack->todo |= STATE;
}

/* A change that has to wait is told as soon as it may be. */
static void wait_for_changes(struct mqtt *mqtt, double now)
{
    struct ev_loop *loop = outlet_loop(mqtt->outlet);
    double next = INFINITY;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        if (mqtt->packs[i].changed && mqtt->packs[i].free_at > now)
            next = fmin(next, mqtt->packs[i].free_at);
    ev_timer_stop(loop, &mqtt->later);
    if (next == (double) INFINITY)
        return;
    ev_timer_set(&mqtt->later, next - now, 0);
    ev_timer_start(loop, &mqtt->later);
}

static void flush(struct mqtt *mqtt)
{
    double now = clock_now();
    if (!connection_is_up(mqtt->connection) || mqtt->ending)
        return;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        judge(mqtt, &mqtt->packs[i], now);
    if (!is_smartbms(mqtt) && outlet_hears(mqtt->outlet, now) != mqtt->heard_told)
        mqtt->todo |= STATUS;
    if (!is_smartbms(mqtt) && count_fresh(mqtt, now) != mqtt->fresh_told)
        mqtt->todo |= INFO;
    send_all(mqtt, now);
    wait_for_changes(mqtt, now);
}

static void on_flush(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    flush(timer->data);
}

/* With the next turn of the loop, when all that the pipe holds has been taken. */
static void flush_soon(struct mqtt *mqtt)
{
    struct ev_loop *loop = outlet_loop(mqtt->outlet);
    if (ev_is_active(&mqtt->flush))
        return;
    ev_timer_set(&mqtt->flush, 0, 0);
    ev_timer_start(loop, &mqtt->flush);
}

static void report(struct mqtt *mqtt)
{
    struct connection_counters counters = connection_counters(mqtt->connection);
    struct pipe_report report = {.connected = connection_is_up(mqtt->connection),
                                 .sent = counters.sent,
                                 .dropped = counters.dropped,
                                 .failed = counters.failed,
                                 .queued = counters.queued};
    snprintf(report.words, sizeof report.words, "%.127s", counters.words);
    mqtt->failed_told = counters.failed;
    outlet_report(mqtt->outlet, &report);
}

static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    struct mqtt *mqtt = timer->data;
    flush(mqtt);
    if (mqtt->ticks++ % REPORT_TICKS == 0 ||
        connection_counters(mqtt->connection).failed != mqtt->failed_told)
        report(mqtt);
}

/* ---- what comes from the gateway ---- */

static int level_of(uint32_t warning, uint32_t protection, int alarm)
{
    return protection >> alarm & 1 ? ALARM_PROTECTION : warning >> alarm & 1 ? ALARM_WARNING : 0;
}

/* Where the number of an event is remembered until it is confirmed. NULL: there is no place, it is
 * believed to arrive. */
static struct unsure *doubt(struct mqtt *mqtt, struct mqtt_pack *pack, int alarm)
{
    uint32_t bit = 1u << alarm;
    struct unsure *place = mqtt->unsure;
    while (place < mqtt->unsure + EVENTS_MAX && place->mid)
        place++;
    if (place == mqtt->unsure + EVENTS_MAX)
        return NULL;
    *place = (struct unsure){
        .sequence = ++mqtt->events,
        .pack = pack,
        .alarm = alarm,
        .warning = pack->warning & bit,
        .protection = pack->protection & bit,
    };
    return place;
}

static bool send_event(struct mqtt *mqtt, struct mqtt_pack *pack, int alarm, int before, int level,
                       double time)
{
    char topic[TOPIC_SIZE];
    struct text text = new_text(mqtt);
    struct unsure *place = doubt(mqtt, pack, alarm);
    message_event(&text, time, (enum pack_alarm) alarm, (enum alarm_level)(level ? level : before),
                  level > 0);
    topic_of(mqtt->place.topic, pack->pack->source.name, "event", topic);
    bool good = connection_publish(mqtt->connection, topic, text.bytes, text.size, 1, false,
                                   place ? &place->mid : NULL);
    if (!good && place)
        place->mid = 0;
    return good;
}

/* The connection is gone, and with it what was not confirmed: it is told again, as far as it is
 * still true then. */
static void undo_events(struct mqtt *mqtt)
{
    for (;;) {
        struct unsure *last = NULL;
        for (unsigned i = 0; i < EVENTS_MAX; i++)
            if (mqtt->unsure[i].mid && (!last || mqtt->unsure[i].sequence > last->sequence))
                last = &mqtt->unsure[i];
        if (!last)
            return;
        uint32_t bit = 1u << last->alarm;
        last->pack->warning = (last->pack->warning & ~bit) | last->warning;
        last->pack->protection = (last->pack->protection & ~bit) | last->protection;
        note_alarms(mqtt, last->pack);
        last->mid = 0;
    }
}

/* What has changed since it was told last. What cannot be sent now is told later, as far as it is
 * still true then. */
static void tell_events(struct mqtt *mqtt, struct mqtt_pack *pack, double now)
{
    const struct pack *values = pack->pack->source.values;
    if (is_smartbms(mqtt) || connection_room(mqtt->connection) == 0 || !pack->was_fresh)
        return;
    double time = wall_now() - (now - pack->pack->last.at);
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        uint32_t bit = 1u << i;
        int before = level_of(pack->warning, pack->protection, i);
        int level = level_of(values->alarms_warning, values->alarms_protection, i);
        /* What has not been read yet, after a start, says nothing of an alarm's end. */
        if (before == level || (!level && !(values->alarms_known & bit)) ||
            !send_event(mqtt, pack, i, before, level, time))
            continue;
        pack->warning = (pack->warning & ~bit) | (values->alarms_warning & bit);
        pack->protection = (pack->protection & ~bit) | (values->alarms_protection & bit);
        note_alarms(mqtt, pack);
    }
}

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static bool differs(const struct pack *a, const struct pack *b)
{
    for (int i = 0; i < PACK_VALUES; i++)
        if (!same_number(a->value[i], b->value[i]))
            return true;
    return a->alarms_known != b->alarms_known || a->alarms_warning != b->alarms_warning ||
           a->alarms_protection != b->alarms_protection;
}

static void on_changed(void *data, const struct source *source, unsigned changes, double now)
{
    struct mqtt *mqtt = data;
    struct mqtt_pack *pack = &mqtt->packs[outlet_pack_of(mqtt->outlet, source)->index];
    bool fresh = outlet_fresh(mqtt->outlet, pack->pack, now);
    if (fresh && pack->pack->last.whole && !mqtt->ending) {
        if (!is_smartbms(mqtt))
            learn(mqtt, pack, now);
        tell_events(mqtt, pack, now);
        if (mqtt->config->on_change && differs(source->values, &pack->sent))
            pack->changed = true;
        /* Whoever has ordered something, or is to be warned, does not want to wait. */
        if (changes & (SOURCE_SWITCHES | SOURCE_ALARMS))
            pack->changed = true;
    }
    if (changes & SOURCE_IDENTITY && !is_smartbms(mqtt))
        pack->todo |= INFO | ANNOUNCE;
    flush_soon(mqtt);
}

/* ---- orders ---- */

static void send_result(struct mqtt *mqtt, const char *pack, const char *order, int value,
                        const char *result)
{
    char topic[TOPIC_SIZE];
    struct text text = new_text(mqtt);
    if (is_smartbms(mqtt))
        return;
    message_result(&text, order, value, result);
    publish(mqtt, topic_of(mqtt->place.topic, pack, "set/result", topic), &text, 1, false);
}

static const char *order_name(enum order_topic which)
{
    return which == TOPIC_CHARGE_MOS ? "charge_mos" : "discharge_mos";
}

static void on_order_over(void *data, uint64_t ticket, enum order_result result)
{
    struct mqtt *mqtt = data;
    struct asked *order = &mqtt->orders[ticket];
    send_result(mqtt, order->pack->pack->source.name, order_name(order->which), order->value,
                message_outcome(result));
    order->pack = NULL;
}

static const char *give_order(struct mqtt *mqtt, struct mqtt_pack *pack, enum order_topic which,
                              int value)
{
    int place = which == TOPIC_CHARGE_MOS ? BMS_CHARGE_MOS : BMS_DISCHARGE_MOS;
    struct switches what = {0};
    struct asked *order = mqtt->orders;
    while (order < mqtt->orders + ORDERS_MAX && order->pack)
        order++;
    if (order == mqtt->orders + ORDERS_MAX)
        return "busy";
    what.wanted[place] = true;
    what.on[place] = value == 1;
    *order = (struct asked){pack, which, value};
    if (outlet_order(mqtt->outlet, pack->pack, &what, on_order_over, mqtt,
                     (uint64_t) (order - mqtt->orders)))
        return NULL;
    order->pack = NULL;
    return "busy";
}

/* Once, since whoever sends such things sends them again and again; the answers tell each. */
static void tell_refused(struct mqtt *mqtt, bool *told, const char *topic, const char *why)
{
    if (!*told)
        log_warn("%s: order on %s refused: %s", mqtt->name, topic, why);
    else
        log_debug("%s: order on %s refused: %s", mqtt->name, topic, why);
    *told = true;
}

/* NULL: it is under way. */
static const char *judge_order(struct mqtt *mqtt, struct mqtt_pack *pack, enum order_topic which,
                               int value, bool retained, const char *topic)
{
    if (!pack || which == TOPIC_UNKNOWN) {
        tell_refused(mqtt, &mqtt->foreign_told, topic, "there is no such switch");
        return "unknown";
    }
    if (retained) {
        tell_refused(mqtt, &mqtt->retained_told, topic,
                     "it is an old one, retained by the broker; clear it with an empty retained "
                     "message");
        return "retained";
    }
    if (value < 0) {
        tell_refused(mqtt, &mqtt->foreign_told, topic, "neither 1 nor 0");
        return "invalid";
    }
    if (pack->pack->source.members || !pack->pack->source.writable)
        return "not allowed";
    if (!outlet_fresh(mqtt->outlet, pack->pack, clock_now()))
        return "no answer";
    return give_order(mqtt, pack, which, value);
}

static void take_order(struct mqtt *mqtt, const char *topic, const void *payload, size_t size,
                       bool retained)
{
    char name[NAME_SIZE];
    enum order_topic which = topic_parse(mqtt->place.topic, is_smartbms(mqtt), topic, name);
    /* An empty message is how a retained one is cleared. */
    if (which == TOPIC_NOT_OURS || size == 0)
        return;
    struct mqtt_pack *pack = is_smartbms(mqtt) ? mqtt->packs : find_pack(mqtt, name);
    int value = order_payload(payload, size);
    const char *word = which == TOPIC_UNKNOWN ? strrchr(topic, '/') + 1 : order_name(which);
    const char *result = judge_order(mqtt, pack, which, value, retained, topic);
    char order[64];
    snprintf(order, sizeof order, "%s", word);
    if (result)
        send_result(mqtt, is_smartbms(mqtt) ? "" : name, order, value, result);
}

/* Home Assistant says that it has come up. Only what is said now counts: a retained word is as old
 * as our own announcements. */
static bool take_birth(struct mqtt *mqtt, const char *topic, const void *payload, size_t size,
                       bool retained)
{
    char birth[TOPIC_SIZE];
    if (!announces(mqtt) || strcmp(topic, topic_of(mqtt->place.prefix, NULL, "status", birth)) != 0)
        return false;
    if (!retained && size == strlen("online") && memcmp(payload, "online", size) == 0 &&
        !ev_is_active(&mqtt->birth)) {
        ev_timer_set(&mqtt->birth,
                     BIRTH_MIN_S + BIRTH_SPREAD_S * (double) random() / (double) RAND_MAX, 0);
        ev_timer_start(outlet_loop(mqtt->outlet), &mqtt->birth);
    }
    return true;
}

static void on_message(void *data, const char *topic, const void *payload, size_t size,
                       bool retained)
{
    struct mqtt *mqtt = data;
    if (mqtt->ending || take_birth(mqtt, topic, payload, size, retained))
        return;
    if (mqtt->config->switching)
        take_order(mqtt, topic, payload, size, retained);
}

/* ---- the connection ---- */

static void do_everything(struct mqtt *mqtt)
{
    mqtt->todo = is_smartbms(mqtt) ? 0 : ANNOUNCE | STATUS | INFO;
    mqtt->row = 0;
    for (unsigned i = 0; i < mqtt->pack_count; i++) {
        struct mqtt_pack *pack = &mqtt->packs[i];
        pack->todo = is_smartbms(mqtt) ? 0 : ANNOUNCE | STATUS | INFO;
        pack->row = 0;
        pack->due = 0;
    }
    flush_soon(mqtt);
}

static void on_birth(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    do_everything(timer->data);
}

static void subscribe(struct mqtt *mqtt)
{
    char topic[TOPIC_SIZE];
    if (mqtt->config->switching && is_smartbms(mqtt)) {
        connection_subscribe(mqtt->connection, topic_of(mqtt->place.topic, NULL, "CMS", topic),
                             "orders");
        connection_subscribe(mqtt->connection, topic_of(mqtt->place.topic, NULL, "DMS", topic),
                             "orders");
    } else if (mqtt->config->switching) {
        connection_subscribe(mqtt->connection, topic_of(mqtt->place.topic, "+", "set/+", topic),
                             "orders");
    }
    if (announces(mqtt))
        connection_subscribe(mqtt->connection, topic_of(mqtt->place.prefix, NULL, "status", topic),
                             "the start of Home Assistant");
}

static void on_up(void *data)
{
    struct mqtt *mqtt = data;
    double now = clock_now();
    for (struct withdrawal *withdrawal = mqtt->withdrawals; withdrawal;
         withdrawal = withdrawal->next) {
        withdrawal->step = 0;
        withdrawal->sent = false;
    }
    report(mqtt);
    if (mqtt->ending)
        return;
    subscribe(mqtt);
    do_everything(mqtt);
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        if (outlet_fresh(mqtt->outlet, mqtt->packs[i].pack, now))
            tell_events(mqtt, &mqtt->packs[i], now);
    mqtt->retained_told = mqtt->foreign_told = false;
}

static void on_down(void *data)
{
    struct mqtt *mqtt = data;
    undo_events(mqtt);
    mqtt->answered_at = -INFINITY;
    report(mqtt);
    if (mqtt->ending && !mqtt->withdrawals)
        outlet_over(mqtt->outlet);
}

static void on_sent(void *data, int mid)
{
    struct mqtt *mqtt = data;
    for (unsigned i = 0; i < EVENTS_MAX; i++)
        if (mqtt->unsure[i].mid == mid)
            mqtt->unsure[i].mid = 0;
    flush_soon(mqtt);
}

/* The values are made in the next turn of the loop, within which the library lets them out. */
static void on_answered(void *data)
{
    struct mqtt *mqtt = data;
    mqtt->answered_at = clock_now();
    flush_soon(mqtt);
}

/* ---- life ---- */

/* Says last words until all of them have left. */
static void on_farewell(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    struct mqtt *mqtt = timer->data;
    bool left = !mqtt->withdrawals && !mqtt->todo;
    send_all(mqtt, clock_now());
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        left &= mqtt->packs[i].todo == 0;
    /* What is to be withdrawn waits for the broker as long as it may. */
    if ((!connection_is_up(mqtt->connection) && !mqtt->withdrawals) ||
        (left && connection_counters(mqtt->connection).queued == 0))
        outlet_over(mqtt->outlet);
}

static void stop(void *self, bool gone)
{
    struct mqtt *mqtt = self;
    mqtt->ending = true;
    ev_timer_stop(outlet_loop(mqtt->outlet), &mqtt->birth);
    mqtt->todo = gone || is_smartbms(mqtt) ? 0 : STATUS;
    for (unsigned i = 0; i < mqtt->pack_count; i++)
        mqtt->packs[i].todo = gone ? 0 : is_smartbms(mqtt) ? STATE : STATUS;
    free_withdrawals(mqtt);
    if (gone && !is_smartbms(mqtt))
        withdraw_noted(mqtt, true);
    ev_timer_set(&mqtt->farewell, 0, 0.02);
    ev_timer_start(outlet_loop(mqtt->outlet), &mqtt->farewell);
}

static void free_mqtt(void *self)
{
    struct mqtt *mqtt = self;
    struct ev_loop *loop = outlet_loop(mqtt->outlet);
    ev_timer_stop(loop, &mqtt->flush);
    ev_timer_stop(loop, &mqtt->later);
    ev_timer_stop(loop, &mqtt->second);
    ev_timer_stop(loop, &mqtt->birth);
    ev_timer_stop(loop, &mqtt->farewell);
    if (mqtt->ending && mqtt->withdrawals)
        log_warn("%s: the broker cannot be reached: what it was told to keep stays there",
                 mqtt->name);
    connection_free(mqtt->connection);
    free_withdrawals(mqtt);
    free(mqtt->packs);
    free(mqtt->room);
    free(mqtt);
}

/* Without a state file it is that of the machine, on which there may be two gateways: their topics
 * differ. FNV-1a. */
static void make_id(struct mqtt *mqtt)
{
    const struct pipe_config *config = outlet_config(mqtt->outlet);
    uint32_t id = 2166136261u;
    snprintf(mqtt->id, sizeof mqtt->id, "%s", config->id);
    if (config->id_kept)
        return;
    for (const char *c = config->id; *c; c++)
        id = (id ^ (uint8_t) *c) * 16777619u;
    for (const char *c = mqtt->place.topic; *c; c++)
        id = (id ^ (uint8_t) *c) * 16777619u;
    snprintf(mqtt->id, sizeof mqtt->id, "%08x", (unsigned) id);
    log_warn("%s: state_file = none: what Home Assistant is told now cannot be withdrawn later",
             mqtt->name);
}

/* Under which name a pack was announced first, if it was renamed since: `packgate rename` has noted it.
 * A later pack of that first name gets an id of its own. */
static const char *known_as(const void *data, const char *pack)
{
    const struct outlet *outlet = data;
    static char other[OUTLET_NAME_SIZE + 2];
    char key[PIPE_KEY_SIZE];
    const char *text, *at;
    snprintf(key, sizeof key, "as.%s", pack);
    if ((text = outlet_note(outlet, key)))
        return text;
    for (unsigned n = 0; (text = outlet_note_at(outlet, n, &at)); n++)
        if (strncmp(at, "as.", 3) == 0 && strcmp(text, pack) == 0) {
            snprintf(other, sizeof other, "%s_2", pack);
            return other;
        }
    return NULL;
}

static void make_place(struct mqtt *mqtt)
{
    char host[65] = "";
    gethostname(host, sizeof host - 1);
    host[strcspn(host, ".")] = '\0';
    topic_expand(mqtt->config->topic, host, mqtt->place.topic, sizeof mqtt->place.topic);
    topic_expand(mqtt->config->discovery_prefix, host, mqtt->place.prefix,
                 sizeof mqtt->place.prefix);
    mqtt->place.form = is_smartbms(mqtt) ? DISCOVERY_OFF : mqtt->config->discovery;
    mqtt->place.retain = mqtt->config->retain;
    make_id(mqtt);
    mqtt->announcer = (struct announcer){
        .id = mqtt->id,
        .prefix = mqtt->place.prefix,
        .topic = mqtt->place.topic,
        .version = outlet_config(mqtt->outlet)->version,
        .url = outlet_config(mqtt->outlet)->page,
        .expire_s = mqtt->config->retain ? 0 : announce_expiry(mqtt->config->interval_s),
        .single = mqtt->place.form == DISCOVERY_SINGLE,
        .known_as = known_as,
        .data = mqtt->outlet,
    };
}

/* What was announced in an earlier life still is. */
static bool make_packs(struct mqtt *mqtt)
{
    while (outlet_pack(mqtt->outlet, mqtt->pack_count))
        mqtt->pack_count++;
    mqtt->packs = calloc(mqtt->pack_count + 1, sizeof *mqtt->packs);
    if (!mqtt->packs)
        return false;
    for (unsigned i = 0; i < mqtt->pack_count; i++) {
        struct mqtt_pack *pack = &mqtt->packs[i];
        char key[PIPE_KEY_SIZE];
        pack->pack = outlet_pack(mqtt->outlet, i);
        pack->strange_since = NAN;
        pack->free_at = -INFINITY;
        pack_clear(&pack->sent);
        read_alarms(mqtt, pack);
        note_key(pack->pack->source.name, key);
        const char *note = outlet_note(mqtt->outlet, key);
        if (!note || !same_announcements(mqtt))
            continue;
        struct entity_set noted = read_note(note, pack->protocol, &pack->identity);
        pack->set = entity_and(noted, allowed(mqtt, pack));
        pack->gone = entity_without(noted, pack->set);
        if (strcmp(pack->protocol, "-") == 0)
            pack->protocol[0] = '\0';
    }
    return true;
}

static void make_names(struct mqtt *mqtt)
{
    const struct pipe_config *config = outlet_config(mqtt->outlet);
    struct text text = text_in(mqtt->will, sizeof mqtt->will);
    snprintf(mqtt->client_id, sizeof mqtt->client_id, "packgate-%s-%s", mqtt->id, config->section);
    if (is_smartbms(mqtt)) {
        struct tm local = local_now();
        smartbms_status(&text, false, &local, 0, 0);
        snprintf(mqtt->will_topic, sizeof mqtt->will_topic, "%s", mqtt->place.topic);
    } else {
        text_add(&text, "offline");
        topic_of(mqtt->place.topic, NULL, "status", mqtt->will_topic);
    }
}

static void start_timers(struct mqtt *mqtt)
{
    struct ev_loop *loop = outlet_loop(mqtt->outlet);
    ev_init(&mqtt->flush, on_flush);
    ev_init(&mqtt->later, on_flush);
    ev_timer_init(&mqtt->second, on_second, 1, 1);
    ev_init(&mqtt->birth, on_birth);
    ev_init(&mqtt->farewell, on_farewell);
    mqtt->flush.data = mqtt->later.data = mqtt->second.data = mqtt->birth.data =
        mqtt->farewell.data = mqtt;
    ev_timer_start(loop, &mqtt->second);
}

static bool connect_broker(struct mqtt *mqtt)
{
    static const struct connection_events events = {.up = on_up,
                                                    .down = on_down,
                                                    .message = on_message,
                                                    .sent = on_sent,
                                                    .answered = on_answered};
    struct connection_settings settings = {
        .config = mqtt->config,
        .name = mqtt->name,
        .client_id = mqtt->client_id,
        .will_topic = mqtt->will_topic,
        .will_payload = mqtt->will,
        .will_retained = !is_smartbms(mqtt),
    };
    mqtt->connection = connection_new(outlet_loop(mqtt->outlet), &settings, &events, mqtt);
    return mqtt->connection != NULL;
}

static void limit_memory(void)
{
#ifndef __SANITIZE_ADDRESS__
    struct rlimit limit = {MEMORY_MAX, MEMORY_MAX};
    setrlimit(RLIMIT_DATA, &limit);
#endif
}

static void *start(struct outlet *outlet)
{
    struct mqtt *mqtt = calloc(1, sizeof *mqtt);
    if (!mqtt)
        return NULL;
    limit_memory();
    mqtt->outlet = outlet;
    mqtt->answered_at = -INFINITY;
    mqtt->config = outlet_config(outlet)->settings;
    mqtt->room = malloc(ROOM_SIZE);
    snprintf(mqtt->name, sizeof mqtt->name, "mqtt %s", outlet_config(outlet)->section);
    make_place(mqtt);
    read_place(mqtt);
    make_names(mqtt);
    start_timers(mqtt);
    if (!mqtt->room || !make_packs(mqtt) || !connect_broker(mqtt)) {
        log_error("%s: out of memory", mqtt->name);
        free_mqtt(mqtt);
        return NULL;
    }
    withdraw_noted(mqtt, !same_place(mqtt));
    if (!mqtt->withdrawals || same_place(mqtt))
        note_place(mqtt);
    mqtt->observer = (struct observer){.changed = on_changed, .data = mqtt};
    outlet_observe(outlet, &mqtt->observer);
    return mqtt;
}

const struct outlet_kind outlet_mqtt = {
    .name = "mqtt",
    .network = true,
    .settings_size = sizeof(struct mqtt_config),
    .start = start,
    .stop = stop,
    .free = free_mqtt,
};
