// SPDX-License-Identifier: MIT
/* The messages of layout `packgate`. */
#include "messages.h"

#include "entities.h"

#include "registers/types.h"
#include "registers/value.h"

#include <math.h>
#include <string.h>

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
