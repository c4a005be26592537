// SPDX-License-Identifier: MIT
#include "messages.h"

#include "entities.h"

#include "registers/types.h"
#include "registers/value.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PACK_SIZE 33

void topic_expand(const char *topic, const char *host, char *out, size_t size)
{
    struct text text = text_in(out, size);
    text_expand(&text, topic, host);
    for (char *c = out; *c; c++)
        if ((unsigned char) *c <= 0x20 || strchr("+#\x7F", *c))
            *c = '_';
}

const char *topic_of(const char *base, const char *pack, const char *leaf, char out[TOPIC_SIZE])
{
    snprintf(out, TOPIC_SIZE, "%s%s%s/%s", base, pack ? "/" : "", pack ? pack : "", leaf);
    return out;
}

static enum order_topic order_of_word(const char *word, const char *charge, const char *discharge)
{
    if (strcmp(word, charge) == 0)
        return TOPIC_CHARGE_MOS;
    return strcmp(word, discharge) == 0 ? TOPIC_DISCHARGE_MOS : TOPIC_UNKNOWN;
}

enum order_topic topic_parse(const char *base, bool smartbms, const char *topic, char pack[33])
{
    pack[0] = '\0';
    const size_t size = strlen(base);
    if (strncmp(topic, base, size) != 0 || topic[size] != '/')
        return TOPIC_NOT_OURS;
    const char *rest = topic + size + 1;
    if (smartbms)
        return order_of_word(rest, "CMS", "DMS");
    const char *slash = strchr(rest, '/');
    if (!slash || slash == rest || slash - rest >= PACK_SIZE ||
        strncmp(slash, "/set/", strlen("/set/")) != 0)
        return TOPIC_NOT_OURS;
    snprintf(pack, PACK_SIZE, "%.*s", (int) (slash - rest), rest);
    const char *word = slash + strlen("/set/");
    /* Our own response comes back, because the subscription covers it. */
    if (strcmp(word, "result") == 0)
        return TOPIC_NOT_OURS;
    return order_of_word(word, switch_names[BMS_CHARGE_MOS], switch_names[BMS_DISCHARGE_MOS]);
}

int order_payload(const void *payload, size_t size)
{
    static const struct {
        const char *word;
        int on;
    } words[] = {{"1", 1}, {"0", 0}, {"on", 1}, {"off", 0}, {"true", 1}, {"false", 0}};
    const char *text = payload;
    while (size > 0 && isspace((unsigned char) text[0]))
        text++, size--;
    while (size > 0 && isspace((unsigned char) text[size - 1]))
        size--;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == size && strncasecmp(text, words[i].word, size) == 0)
            return words[i].on;
    return -1;
}

void message_state(struct text *text, const struct source *source, double age_s, double time)
{
    struct entity entity;
    text_add(text, "{");
    for (unsigned n = 0; n < entity_count(); n++) {
        double number = entity_value(n, source, age_s, time);
        if (isnan(number))
            continue;
        entity_describe(n, &entity);
        if (strcmp(entity.field, entity.key) != 0)
            continue;
        const double steps = pow(10, entity.meaning.decimals);
        struct value_ref ref;
        /* Never more than is allowed. */
        if (value_find(entity.field, &ref) && value_traits(&ref).is_limit)
            number = map_lower(REG_S32, number * steps) / steps;
        text_member_number(text, entity.field, number, entity.meaning.decimals);
    }
    text_add(text, "}");
}

void message_info(struct text *text, const struct source *source)
{
    const struct pack *pack = source->values;
    text_add(text, "{");
    text_member(text, "protocol", source->members ? "bank" : source->status.driver);
    text_member(text, "serial", pack->text[SERIAL]);
    text_member(text, "model", pack->text[MODEL]);
    text_member(text, "firmware", pack->text[FIRMWARE]);
    text_member_number(text, "unit", source->unit, 0);
    text_member(text, "line", source->line);
    if (source->members) {
        text_json(text, "members", "[");
        for (unsigned i = 0; i < source->member_count; i++) {
            text_add(text, i > 0 ? "," : "");
            text_quote(text, source->members[i]->name);
        }
        text_add(text, "]");
    }
    text_add(text, "}");
}

void message_gateway(struct text *text, const char *version, unsigned packs, unsigned fresh)
{
    text_add(text, "{");
    text_member(text, "version", version);
    text_member_number(text, "packs", packs, 0);
    text_member_number(text, "fresh_packs", fresh, 0);
    text_add(text, "}");
}

void message_event(struct text *text, double time, enum pack_alarm alarm, enum alarm_level level,
                   bool active)
{
    text_add(text, "{");
    text_member_number(text, "time", floor(time), 0);
    text_member(text, "alarm", pack_alarm_name(alarm));
    text_member(text, "level", pack_alarm_level_name(level));
    text_member(text, "event_type", active ? pack_alarm_level_name(level) : "ended");
    text_json(text, "active", active ? "true}" : "false}");
}

void message_result(struct text *text, const char *order, int value, const char *result)
{
    text_add(text, "{");
    text_member(text, "order", order);
    if (value >= 0)
        text_member_number(text, "value", value, 0);
    text_member(text, "result", result);
    text_add(text, "}");
}
