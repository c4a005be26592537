// SPDX-License-Identifier: MIT
/* Compares two configurations by the table of keys. */
#include "changes.h"

#include "types.h"

#include <stdarg.h>
#include <string.h>

static bool same_key(const struct config_key *key, const void *a, const void *b)
{
    for (const struct config_key *part = key->parts; part && part->size > 0; part++)
        if (memcmp((const char *) a + part->offset, (const char *) b + part->offset, part->size) !=
            0)
            return false;
    if (key->parts)
        return true;
    const void *x = (const char *) a + key->offset, *y = (const char *) b + key->offset;
    return key->type->same ? key->type->same(x, y) : memcmp(x, y, key->size) == 0;
}

bool config_same(const struct config_section *section, const void *a, const void *b,
                 enum config_change change)
{
    if (section->times == SECTION_NAMED && strcmp(a, b) != 0)
        return false;
    for (unsigned row = 0; row < section->key_count; row++)
        if (section->keys[row].on_change == change && !same_key(&section->keys[row], a, b))
            return false;
    return true;
}

struct telling {
    const struct config *old, *fresh;
    const struct config_section *section;
    const char *name; /* name of the section being compared */
    void (*tell)(void *data, enum config_change change, const char *text);
    void *data;
};

__attribute__((format(printf, 3, 4))) static void
report_change(const struct telling *telling, enum config_change change, const char *format, ...)
{
    char text[1000];
    int used = snprintf(text, sizeof text, "[%s%s%s] ", telling->section->word,
                        telling->name[0] ? " " : "", telling->name);
    va_list values;
    va_start(values, format);
    vsnprintf(text + used, sizeof text - (size_t) used, format, values);
    va_end(values);
    telling->tell(telling->data, change, text);
}

/* Item `n` of a key in the section being compared, or NULL. */
static const char *text_of(const struct telling *telling, const struct config *config,
                           const struct config_key *key, unsigned n)
{
    const struct config_entry *entry =
        config_entry_find(config, telling->section, telling->name, key->name, n);
    return entry ? entry->text : NULL;
}

/* Reports items that only one of the two has; returns how many. */
static unsigned tell_items(const struct telling *telling, const struct config_key *key,
                           const struct config *has, const struct config *lacks, const char *what)
{
    unsigned told = 0;
    const char *text, *other;
    for (unsigned n = 0; (text = text_of(telling, has, key, n)); n++) {
        unsigned i = 0;
        while ((other = text_of(telling, lacks, key, i)) && strcmp(other, text) != 0)
            i++;
        if (other)
            continue;
        report_change(telling, key->on_change, "%s: '%s' %s", key->name, text, what);
        told++;
    }
    return told;
}

static void tell_list(const struct telling *telling, const struct config_key *key)
{
    unsigned told = tell_items(telling, key, telling->old, telling->fresh, "is gone") +
                    tell_items(telling, key, telling->fresh, telling->old, "is new");
    if (told == 0 && text_of(telling, telling->fresh, key, 0))
        report_change(telling, key->on_change, "%s: in another order, or written otherwise",
                      key->name);
}

static void tell_value(const struct telling *telling, const struct config_key *key)
{
    const char *was = text_of(telling, telling->old, key, 0);
    const char *is = text_of(telling, telling->fresh, key, 0);
    if (key->folded && was && is && strcmp(was, is) == 0)
        return; /* it gave way to another key, which is reported */
    if (was && is)
        report_change(telling, key->on_change, "%s: %s, was %s", key->name, is, was);
    else if (is)
        report_change(telling, key->on_change, "%s: %s, was not given (%s)", key->name, is,
                      key->otherwise);
    else if (was)
        report_change(telling, key->on_change, "%s: not given any more (%s), was %s", key->name,
                      key->otherwise, was);
}

/* Its path may stand behind the protocol, and its content may change under the same path. */
static void tell_map(const struct telling *telling, const struct config_key *key,
                     const struct pack_map *was, const struct pack_map *is)
{
    if (!was->path[0] || !is->path[0])
        tell_value(telling, key);
    else if (strcmp(was->path, is->path) == 0)
        report_change(telling, key->on_change, "%s: %s has changed", key->name, is->path);
    else
        report_change(telling, key->on_change, "%s: %s, was %s", key->name, is->path, was->path);
}

/* A key that was not given before and is not given now has changed through another key, which is
 * reported. */
static void tell_section(const struct telling *telling, const char *old, const char *fresh)
{
    for (unsigned row = 0; row < telling->section->key_count; row++) {
        const struct config_key *key = &telling->section->keys[row];
        if (same_key(key, old, fresh))
            continue;
        if (key->type == &type_map)
            tell_map(telling, key, (const void *) (old + key->offset),
                     (const void *) (fresh + key->offset));
        else if (key->type->list)
            tell_list(telling, key);
        else
            tell_value(telling, key);
    }
}

static void tell_named(struct telling *telling, const struct config *config, bool old)
{
    const struct config *against = old ? telling->fresh : telling->old;
    const char *settings = config_structs(config, telling->section);
    const unsigned count = config_struct_count(config, telling->section);
    for (unsigned i = 0; i < count; i++, settings += telling->section->size) {
        const bool named = telling->section->times == SECTION_NAMED;
        telling->name = named ? settings : "";
        const void *other = named ? config_struct_find(against, telling->section, settings)
                                  : config_structs(against, telling->section);
        if (!other)
            report_change(telling, CHANGE_AT_ONCE, "%s", old ? "is gone" : "is new");
        else if (!old)
            tell_section(telling, other, settings);
    }
}

void config_tell_changes(const struct config *old, const struct config *fresh,
                         void (*tell_one)(void *data, enum config_change change, const char *text),
                         void *data)
{
    struct telling telling = {.old = old, .fresh = fresh, .tell = tell_one, .data = data};
    for (unsigned i = 0; config_sections[i]; i++) {
        telling.section = config_sections[i];
        tell_named(&telling, old, true);
        tell_named(&telling, fresh, false);
    }
}
