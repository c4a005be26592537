// SPDX-License-Identifier: MIT
/*
 * Alarms as spells with a beginning and an end. Up to the last commit they come from the events of the database, exact to the
 * second; after it, from the ten-second rows in memory.
 */
#include "past.h"

#include "packs/json.h"

#include <stdlib.h>
#include <string.h>

struct spells {
    struct query_alarm *list;
    size_t count, room;
    int64_t last[PACK_ALARM_COUNT];    /* the end of an alarm in the database */
    size_t going_on[PACK_ALARM_COUNT]; /* place in the list plus 1; 0: it is not active */
    bool seen[PACK_ALARM_COUNT];       /* active in a row of memory */
};

static void add_spell(void *data, const struct query_alarm *spell)
{
    struct spells *spells = data;
    if (spells->count == spells->room) {
        spells->room = 2 * spells->room + 16;
        spells->list = alloc_checked(realloc(spells->list, spells->room * sizeof *spells->list));
    }
    spells->list[spells->count++] = *spell;
    if (spell->until == 0)
        spells->going_on[spell->alarm] = spells->count;
    if (spell->until > spells->last[spell->alarm])
        spells->last[spell->alarm] = spell->until;
}

/* An alarm ends only if it was seen in a row of memory before: the first rows after a start may lack
 * an alarm that was not read yet. Rows before its end in the database begin no new spell,
 * because the row in which it ended still contains it. */
static void add_row(struct spells *spells, const struct history_row *row)
{
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        const int level = row->flags & FLAG_PROTECTION(i) ? ALARM_PROTECTION
                          : row->flags & FLAG_WARNING(i)  ? ALARM_WARNING
                                                          : 0;
        struct query_alarm *spell =
            spells->going_on[i] ? &spells->list[spells->going_on[i] - 1] : NULL;
        if (spell && !level && spells->seen[i]) {
            spell->until = row->t;
            spells->going_on[i] = 0;
        } else if (spell && level > spell->level) {
            spell->level = level;
        } else if (!spell && level && row->t >= spells->last[i]) {
            add_spell(spells, &(struct query_alarm){(enum pack_alarm) i, level, row->t, 0});
        }
        spells->seen[i] = level > 0;
    }
}

static int by_time(const void *a, const void *b)
{
    const struct query_alarm *left = a, *right = b;
    return (left->since > right->since) - (left->since < right->since);
}

#define TOLD_S 10 /* the alarm of a bank begins with that of its pack, or soon after it */

/* Where an alarm began. */
struct place {
    const struct source *source;
    const char *pack; /* of a bank; NULL: unknown */
    int cell;         /* from 1; 0: unknown, or it concerns none */
};

static void find_pack(void *data, const char *pack)
{
    struct place *place = data;
    for (unsigned i = 0; !place->pack && i < place->source->member_count; i++)
        if (strcmp(place->source->members[i]->name, pack) == 0)
            place->pack = place->source->members[i]->name;
}

/* By the events at that time, and by the minute in which it began. */
static struct place place_of(const struct past_asked *asked, struct query *query,
                             const struct query_alarm *spell)
{
    const struct source *source = &asked->pack->source;
    struct place place = {.source = source};
    struct recent_reader rows;
    struct query_ask ask = {.pack = source->name,
                            .level = LEVEL_MINUTE,
                            .from = history_start(LEVEL_MINUTE, spell->since),
                            .to = spell->since + 1};
    if (source->members && query) {
        query_began(query, spell->alarm, spell->since - TOLD_S, spell->since, find_pack, &place);
        ask.pack = place.pack;
    }
    if (!ask.pack || !alarms_has_cell(spell->alarm))
        return place;
    for (unsigned i = 0; i < MAX_CELLS; i++)
        ask.wanted[ROW_CELL + i] = true;
    /* What memory has of a bank is without cells. */
    past_begin(&rows, asked->past, asked->pack->index, query, &ask);
    const struct history_row *row = recent_next(&rows);
    if (row) {
        struct pack values;
        pack_clear(&values);
        for (unsigned i = 0; i < MAX_CELLS; i++)
            if (row->mean[ROW_CELL + i] != ROW_UNKNOWN)
                pack_set_cell(&values, i + 1, row->mean[ROW_CELL + i]);
        pack_derive(&values);
        place.cell = alarms_cell(spell->alarm, &values);
    }
    return place;
}

char *past_alarms(struct past_asked *asked, struct query *query, struct worker_result *result)
{
    const struct query_ask *ask = &asked->ask.query;
    struct query_ask recent = {.pack = ask->pack, .level = LEVEL_RECENT, .to = INT64_MAX};
    struct spells spells = {.list = NULL};
    struct recent_reader rows;
    if (query)
        query_alarms(query, ask->pack, ask->from, ask->to, asked->ask.points, add_spell, &spells);
    recent.from = past_memory_from(query, &recent);
    past_begin(&rows, asked->past, asked->pack->index, query, &recent);
    for (const struct history_row *row; (row = recent_next(&rows));)
        add_row(&spells, row);
    json_t *list = json_array();
    if (spells.count > 0)
        qsort(spells.list, spells.count, sizeof *spells.list, by_time);
    for (size_t i = 0; i < spells.count; i++) {
        const struct query_alarm *spell = &spells.list[i];
        if (spell->since >= ask->to || (spell->until && spell->until <= ask->from))
            continue;
        const struct place place = place_of(asked, query, spell);
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:I, s:o, s:s*, s:o*}", "name", pack_alarm_name(spell->alarm),
                      "level", pack_alarm_level_name(spell->level), "since",
                      (json_int_t) spell->since, "until",
                      spell->until ? json_integer(spell->until) : json_null(), "pack", place.pack,
                      "cell", place.cell ? json_integer(place.cell) : NULL));
    }
    return json_text(list);
}
