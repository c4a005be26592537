// SPDX-License-Identifier: MIT
/* Sections while a configuration is read: setting keys, with the mistakes that a single key can
 * have. */
#include "draft.h"

#include "types.h"

#include "base/alloc.h"
#include "bms/count.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Sets what the fields of a key hold before any key is read. */
static void start_fields(const struct config_key *key, char *settings)
{
    static const double not_a_number = NAN;
    static const int none = -1;
    if (key->start)
        key->type->parse(key, key->start, settings + key->offset);
    if (key->unknown)
        memcpy(settings + key->offset,
               key->size == sizeof none ? (const void *) &none : &not_a_number, key->size);
    for (const struct config_key *part = key->parts; part && part->size > 0; part++)
        start_fields(part, settings);
}

struct config_draft *config_drafts_add(struct config_drafts *drafts,
                                       const struct config_section *section, const char *name,
                                       unsigned heading)
{
    void *settings = alloc_zeroed(1, section->size);
    drafts->list = alloc_checked(realloc(drafts->list, (drafts->count + 1) * sizeof *drafts->list));
    struct config_draft *draft = &drafts->list[drafts->count++];
    *draft = (struct config_draft){
        .drafts = drafts, .section = section, .heading = heading, .as = {settings}};
    snprintf(draft->name, sizeof draft->name, "%s", name);
    if (section->times == SECTION_NAMED)
        memcpy(settings, draft->name, sizeof draft->name);
    for (unsigned row = 0; row < section->key_count; row++)
        start_fields(&section->keys[row], settings);
    return draft;
}

struct config_draft *config_drafts_find(const struct config_drafts *drafts,
                                        const struct config_draft *after,
                                        const struct config_section *section, const char *name)
{
    for (size_t i = after ? (size_t) (after - drafts->list) + 1 : 0; i < drafts->count; i++) {
        struct config_draft *at = &drafts->list[i];
        if ((section ? at->section == section
                     : at->section == &pack_section || at->section == &bank_section) &&
            (!name || strcmp(at->name, name) == 0))
            return at;
    }
    return NULL;
}

void config_drafts_free(struct config_drafts *drafts)
{
    for (unsigned i = 0; i < drafts->count; i++) {
        for (unsigned t = 0; t < drafts->list[i].text_count; t++)
            free(drafts->list[i].texts[t].text);
        free(drafts->list[i].texts);
    }
    free(drafts->list);
}

static bool has_secret(const struct config_key *key)
{
    static const char *const names[] = {"password_file", "token_file", "key_file", "url_file"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(key->name, names[i]) == 0)
            return true;
    return false;
}

/* Lists of names are kept as texts only, so their length is checked here. */
static bool allows_another(const struct config_draft *draft, const struct config_key *key)
{
    if (!key->type->list || !key->type->later || key->max == 0)
        return true;
    unsigned count = 0;
    while (config_draft_text(draft, key->name, count))
        count++;
    return count < key->max;
}

static bool set_value(struct config_draft *draft, const struct config_key *key, const char *text,
                      unsigned line)
{
    char expected[EXPECTED_SIZE], hint[HINT_SIZE];
    if (!text[0]) {
        config_mistake_at(draft, line, "'%s' has no value; expected %s", key->name,
                          config_key_expected(key, expected));
        return false;
    }
    if (!allows_another(draft, key) ||
        !key->type->parse(key, text, (char *) draft->as.any + key->offset)) {
        /* The part of an address before '@', or the value of a key for a password file, may be the
         * password itself: it is not logged. */
        const char *address = strstr(text, "://");
        config_key_expected(key, expected);
        if ((address && strchr(address, '@')) || has_secret(key))
            config_mistake_at(draft, line, "'%s' cannot be used; expected %s", key->name, expected);
        else
            config_mistake_at(draft, line, "'%s' is '%s'; expected %s%s", key->name, text, expected,
                              config_hint(key, text, hint));
        return false;
    }
    draft->texts =
        alloc_checked(realloc(draft->texts, (draft->text_count + 1) * sizeof *draft->texts));
    struct config_entry *entry = &draft->texts[draft->text_count++];
    *entry = (struct config_entry){
        .section = draft->section, .key = key, .line = line, .text = alloc_checked(strdup(text))};
    memcpy(entry->name, draft->name, sizeof entry->name);
    /* The address of a network, without its prefix length. */
    const size_t size = strlen(text);
    if (key->type == &type_allow && !strchr(text, '/') && size > 2 &&
        (strcmp(text + size - 2, ".0") == 0 || strcmp(text + size - 2, "::") == 0))
        config_warn_at(draft, line,
                       "'%s' has %s, which is one address; expected a prefix length behind it if a "
                       "network is meant, such as %s/%d",
                       key->name, text, text, strchr(text, ':') ? 64 : 24);
    return true;
}

/* The next item of a comma-separated list; commas within quotation marks belong to the item. Without `list` all of it is
 * one item. */
static char *next_item(char **rest, bool list)
{
    char *item = *rest, *end = item;
    bool quoted = false;
    if (!item)
        return NULL;
    for (; *end && (quoted || !list || *end != ','); end++)
        quoted ^= *end == '"';
    *rest = *end ? end + 1 : NULL;
    *end = 0;
    return item;
}

/* Sets the value, or each item of a list. */
static bool set_values(struct config_draft *draft, unsigned row, const char *text, unsigned line)
{
    const struct config_key *key = &draft->section->keys[row];
    bool good = true;
    char *copy = alloc_checked(strdup(text)), *rest = copy;
    for (char *item; (item = next_item(&rest, key->type->list));) {
        size_t length = strlen(item);
        while (length > 0 && isspace((unsigned char) item[length - 1]))
            item[--length] = 0;
        item += strspn(item, " \t");
        good &= set_value(draft, key, item, line);
    }
    free(copy);
    return good;
}

void config_draft_set(struct config_draft *draft, unsigned row, const char *text, unsigned line)
{
    const struct config_key *key = &draft->section->keys[row];
    bool first = draft->given[row] == 0;
    if (key->folded)
        config_warn_at(draft, line, "'%s' is a key of older versions: %s", key->name, key->help);
    if (!first && !key->type->list) {
        config_mistake_at(draft, line, "'%s' is given twice, first in line %u", key->name,
                          draft->given[row]);
        return;
    }
    bool good = text && set_values(draft, row, text, line);
    /* A key of older versions does not change what a newer one in front of it says: a browser sets the newer one only,
     * and nobody expects the order of lines to matter. What a list says is left alone, as it would be added again. */
    for (unsigned i = 0; key->folded && i < draft->text_count; i++) {
        const struct config_key *newer = draft->texts[i].key;
        if (!newer->folded && !newer->type->list)
            newer->type->parse(newer, draft->texts[i].text, (char *) draft->as.any + newer->offset);
    }
    draft->usable[row] = good && (first || draft->usable[row]);
    draft->given[row] = first ? line : draft->given[row];
}

void config_draft_complete(struct config_draft *draft)
{
    char expected[EXPECTED_SIZE];
    for (unsigned row = 0; row < draft->section->key_count; row++) {
        const struct config_key *key = &draft->section->keys[row];
        if (draft->given[row] > 0)
            continue;
        if (key->preset)
            draft->usable[row] = set_values(draft, row, key->preset, draft->heading);
        else if (!key->otherwise)
            config_mistake(draft, NULL, "[%s%s%s] has no '%s'; expected %s%s%s",
                           draft->section->word, draft->name[0] ? " " : "", draft->name, key->name,
                           config_key_expected(key, expected), draft->section->explains ? ": " : "",
                           draft->section->explains ? key->help : "");
    }
}

bool config_draft_given(const struct config_draft *draft, const char *key)
{
    int row = config_key_find(draft->section, key);
    return row >= 0 && draft->given[row] > 0;
}

bool config_draft_usable(const struct config_draft *draft, const char *key)
{
    int row = config_key_find(draft->section, key);
    return row >= 0 && draft->usable[row];
}

unsigned config_draft_line(const struct config_draft *draft, const char *key)
{
    int row = key ? config_key_find(draft->section, key) : -1;
    return row >= 0 && draft->given[row] > 0 ? draft->given[row] : draft->heading;
}

const struct config_entry *config_draft_text(const struct config_draft *draft, const char *key,
                                             unsigned n)
{
    for (unsigned i = 0; i < draft->text_count; i++)
        if (strcmp(draft->texts[i].key->name, key) == 0 && n-- == 0)
            return &draft->texts[i];
    return NULL;
}

void config_report(const struct config_draft *draft, unsigned line, bool warning,
                   const char *format, ...)
{
    va_list values;
    va_start(values, format);
    mistakes_insert(draft->drafts->mistakes, line, warning, format, values);
    va_end(values);
}

struct config_draft *config_draft_refer(const struct config_draft *draft, const char *key,
                                        const struct config_section *section, const char *name)
{
    struct config_draft *found = config_drafts_find(draft->drafts, NULL, section, name);
    if (found)
        return found;
    struct suggest suggest = suggest_for(name);
    for (CONFIG_EACH(other, draft, section))
        suggest_offer(&suggest, other->name);
    if (section)
        config_mistake(draft, key, "there is no [%s %s]%s", section->word, name,
                       suggest_hint(&suggest));
    else
        config_mistake(draft, key, "there is no [pack %s] or [bank %s]%s", name, name,
                       suggest_hint(&suggest));
    return NULL;
}
