// SPDX-License-Identifier: MIT
/* What walks the rows of keys: look-ups, descriptions, the comparison of two configurations, the manual. */
#include "keys.h"

#include "base/duration.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void *config_structs(const struct config *config, const struct config_section *section)
{
    char *at = (char *) (uintptr_t) config + section->at;
    void *structs;
    if (section->times == SECTION_ALWAYS)
        return at;
    memcpy(&structs, at, sizeof structs);
    return structs;
}

unsigned config_struct_count(const struct config *config, const struct config_section *section)
{
    unsigned count;
    if (section->times != SECTION_NAMED)
        return config_structs(config, section) != NULL;
    memcpy(&count, (const char *) config + section->count, sizeof count);
    return count;
}

void *config_struct_find(const struct config *config, const struct config_section *section,
                         const char *name)
{
    char *at = config_structs(config, section); /* each begins with its name */
    for (unsigned n = config_struct_count(config, section); n > 0; n--, at += section->size)
        if (strcmp(at, name) == 0)
            return at;
    return NULL;
}

const struct line_config *config_line_on(const struct config *config, const char *port)
{
    for (unsigned i = 0; i < config->line_count; i++)
        if (strcmp(config->lines[i].port, port) == 0)
            return &config->lines[i];
    return NULL;
}

const struct limits_config *config_limits_of(const struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->limits_count; i++)
        if (strcmp(config->limits[i].of, name) == 0)
            return &config->limits[i];
    return NULL;
}

const struct config_entry *config_entry_find(const struct config *config,
                                             const struct config_section *section, const char *name,
                                             const char *key, unsigned n)
{
    for (unsigned i = 0; i < config->entry_count; i++) {
        const struct config_entry *entry = &config->entries[i];
        if (entry->section == section && strcmp(entry->key->name, key) == 0 &&
            strcmp(entry->name, name) == 0 && n-- == 0)
            return entry;
    }
    return NULL;
}

const struct config_section *config_section_find(const char *word)
{
    for (unsigned i = 0; config_sections[i]; i++)
        if (strcmp(config_sections[i]->word, word) == 0)
            return config_sections[i];
    return NULL;
}

int config_key_find(const struct config_section *section, const char *name)
{
    for (unsigned i = 0; i < section->key_count; i++)
        if (strcmp(section->keys[i].name, name) == 0)
            return (int) i;
    return -1;
}

const struct config_key *config_key_of(const char *word, const char *name)
{
    const struct config_section *section = config_section_find(word);
    const int row = section ? config_key_find(section, name) : -1;
    return row >= 0 ? &section->keys[row] : NULL;
}

const char *config_key_alias(const struct config_section *section, const char *name)
{
    const size_t size = strlen(name);
    for (unsigned row = 0; row < section->key_count; row++)
        for (const char *also = section->keys[row].also; also && *also; also += strspn(also, " ")) {
            const size_t length = strcspn(also, " ");
            if (length == size && memcmp(also, name, size) == 0)
                return section->keys[row].name;
            also += length;
        }
    return NULL;
}

void config_list(struct text *text, unsigned n, unsigned count, const char *word)
{
    text_format(text, "%s%s", n == 0 ? "" : n + 1 < count ? ", " : " or ", word);
}

void config_describe(const struct config_key *key, struct text *text)
{
    char span[32];
    if (!key->type->expects)
        key->type->describe(key, text);
    for (const char *at = key->type->expects; at && *at; at++) {
        if (*at != '%') {
            text_format(text, "%c", *at);
        } else if (*++at == 'l') {
            text_format(text, "%g", key->min);
        } else if (*at == 'm') {
            text_format(text, "%.0f", key->max);
        } else if (*at == 's') {
            text_format(text, "%zu", key->size - 1);
        } else if (*at == 'f' || *at == 't') {
            duration_format(*at == 'f' ? key->min : key->max, span, sizeof span);
            text_add(text, span);
        } else { /* "a, b or c", or with commas alone */
            const char *word;
            for (unsigned n = 0; (word = key->type->word(key, n)); n++)
                config_list(text, n, *at == 'c' || key->type->word(key, n + 1) ? n + 2 : n + 1,
                            word);
        }
    }
}

const char *config_key_expected(const struct config_key *key, char out[EXPECTED_SIZE])
{
    struct text text = text_in(out, EXPECTED_SIZE);
    config_describe(key, &text);
    return out;
}

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
        if (telling->section == &pack_section && strcmp(key->name, "map") == 0) {
            tell_map(telling, key, (const void *) (old + key->offset),
                     (const void *) (fresh + key->offset));
        } else if (!key->type->list) {
            tell_value(telling, key);
        } else {
            unsigned told = tell_items(telling, key, telling->old, telling->fresh, "is gone") +
                            tell_items(telling, key, telling->fresh, telling->old, "is new");
            if (told == 0 && text_of(telling, telling->fresh, key, 0))
                report_change(telling, key->on_change, "%s: in another order, or written otherwise",
                              key->name);
        }
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

/* For a manual page: a leading dot or apostrophe would be a request to troff, and a plain '-' would become a hyphen,
 * which does not work when copied into a file. */
static void print_line(const char *before, const char *text, const char *after, bool manual,
                       FILE *out)
{
    fputs(before, out);
    if (manual && (*text == '.' || *text == '\''))
        fputs("\\&", out);
    for (; *text; text++)
        if (manual && *text == '\\')
            fputs("\\e", out);
        else if (manual && *text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    fputs(after, out);
}

static void print_key(const struct config_key *key, bool manual, FILE *out)
{
    static const char *const on_change[] = {
        [CHANGE_AT_ONCE] = "Reload: applied at once.",
        [CHANGE_LINE] = "Reload: reopens the line.",
        [CHANGE_SECTION] = "Reload: restarts what this section describes.",
        [CHANGE_RESTART] = "Reload: not enough, restart the gateway.",
    };
    const char *end = manual ? "\n.br\n" : "\n", *indent = manual ? "" : "      ";
    const char *usual = key->preset ? key->preset : key->otherwise;
    char expected[EXPECTED_SIZE];
    print_line(manual ? ".TP\n.B " : "  ", key->name, "\n", manual, out);
    print_line(indent, key->help, end, manual, out);
    fputs(indent, out);
    print_line("Value: ", config_key_expected(key, expected), end, manual, out);
    fputs(indent, out);
    print_line(usual ? "Default: " : "", usual ? usual : "Must be given.", end, manual, out);
    print_line(indent, on_change[key->on_change], "\n", manual, out);
}

void keys_manual_print(bool manual, FILE *out)
{
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        fputs(i > 0 && !manual ? "\n" : "", out);
        print_line(manual ? ".SS \"" : "", section->heading, manual ? "\"\n" : "\n", manual, out);
        print_line(manual ? "" : "    ", section->help, manual ? "\n" : "\n\n", manual, out);
        for (unsigned row = 0; row < section->key_count; row++)
            if (!section->keys[row].folded)
                print_key(&section->keys[row], manual, out);
    }
}
