// SPDX-License-Identifier: MIT
/* Sections while a configuration is read: setting keys, with the mistakes that a single key can
 * have. */
#include "draft.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct config_draft *config_drafts_add(struct config_drafts *drafts, enum config_section section,
                                       const char *name, unsigned heading)
{
    struct config_draft *list = realloc(drafts->list, (drafts->count + 1) * sizeof *list);
    if (!list)
        return NULL;
    drafts->list = list;
    struct config_draft *draft = &list[drafts->count++];
    memset(draft, 0, sizeof *draft);
    draft->section = section;
    draft->heading = heading;
    snprintf(draft->name, sizeof draft->name, "%s", name);
    if (section == SECTION_PACK) {
        draft->as.pack.pack.options.address = -1;
        draft->as.pack.pack.options.adr = -1;
    }
    return draft;
}

struct config_draft *config_drafts_find(const struct config_drafts *drafts,
                                        enum config_section section, const char *name)
{
    for (unsigned i = 0; i < drafts->count; i++)
        if (drafts->list[i].section == section && strcmp(drafts->list[i].name, name) == 0)
            return &drafts->list[i];
    return NULL;
}

static void free_push(struct push_draft *push)
{
    for (unsigned i = 0; i < push->text_count; i++)
        free(push->texts[i].text);
    free(push->texts);
    free(push->push.writes);
}

void config_drafts_free(struct config_drafts *drafts)
{
    for (unsigned i = 0; i < drafts->count; i++)
        if (drafts->list[i].section == SECTION_PUSH)
            free_push(&drafts->list[i].as.push);
    free(drafts->list);
    memset(drafts, 0, sizeof *drafts);
}

static void report_value(const struct config_key *key, const char *text, unsigned line,
                         struct mistakes *mistakes)
{
    char expected[EXPECTED_SIZE], hint[SUGGEST_HINT_SIZE];
    struct suggest suggest;
    suggest_init(&suggest, text);
    if (key->type->offer)
        key->type->offer(key, &suggest);
    const char *comment = strstr(text, " #") ? "; a comment behind a value starts with ' ;'" : "";
    mistakes_add(mistakes, line, "'%s' is '%s'; expected %s%s%s", key->name, text,
                 config_key_expected(key, expected), suggest_hint(&suggest, hint), comment);
}

static void report_empty(const struct config_key *key, unsigned line, struct mistakes *mistakes)
{
    char expected[EXPECTED_SIZE];
    mistakes_add(mistakes, line, "'%s' has no value; expected %s", key->name,
                 config_key_expected(key, expected));
}

static bool set_value(struct config_draft *draft, const struct config_key *key, const char *text,
                      unsigned line, struct mistakes *mistakes)
{
    bool good = text[0] && key->type->parse(key, text, (char *) &draft->as + key->offset);
    if (!text[0])
        report_empty(key, line, mistakes);
    else if (!good)
        report_value(key, text, line, mistakes);
    return good;
}

static bool set_list(struct config_draft *draft, const struct config_key *key, const char *text,
                     unsigned line, struct mistakes *mistakes)
{
    bool good = true;
    char *copy = strdup(text), *rest = copy;
    if (!copy) {
        mistakes_add(mistakes, line, "out of memory");
        return false;
    }
    for (char *item = strsep(&rest, ","); item; item = strsep(&rest, ",")) {
        size_t length = strlen(item);
        while (length > 0 && isspace((unsigned char) item[length - 1]))
            item[--length] = 0;
        item += strspn(item, " \t");
        good &= set_value(draft, key, item, line, mistakes);
    }
    free(copy);
    return good;
}

static bool set_any(struct config_draft *draft, unsigned row, const char *text, unsigned line,
                    struct mistakes *mistakes)
{
    const struct config_key *key = &config_keys[row];
    if (key->type->list)
        return set_list(draft, key, text, line, mistakes);
    return set_value(draft, key, text, line, mistakes);
}

void config_draft_set(struct config_draft *draft, unsigned row, const char *text, unsigned line,
                      struct mistakes *mistakes)
{
    bool first = draft->given[row] == 0;
    if (!first && !config_keys[row].type->list) {
        mistakes_add(mistakes, line, "'%s' is given twice, first in line %u", config_keys[row].name,
                     draft->given[row]);
        return;
    }
    if (draft->section == SECTION_PUSH)
        draft->as.push.line = line;
    bool good = set_any(draft, row, text, line, mistakes);
    draft->usable[row] = good && (first || draft->usable[row]);
    draft->given[row] = first ? line : draft->given[row];
}

static void report_missing(const struct config_draft *draft, const struct config_key *key,
                           struct mistakes *mistakes)
{
    char expected[EXPECTED_SIZE];
    mistakes_add(mistakes, draft->heading, "[%s %s] has no '%s'; expected %s",
                 config_section_info(draft->section)->word, draft->name, key->name,
                 config_key_expected(key, expected));
}

void config_draft_complete(struct config_draft *draft, struct mistakes *mistakes)
{
    for (unsigned row = 0; row < config_key_count; row++) {
        const struct config_key *key = &config_keys[row];
        if (key->section != draft->section || draft->given[row] > 0)
            continue;
        if (key->preset)
            draft->usable[row] = set_any(draft, row, key->preset, draft->heading, mistakes);
        else if (!key->otherwise)
            report_missing(draft, key, mistakes);
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
    int row = config_key_find(draft->section, key);
    return row >= 0 && draft->given[row] > 0 ? draft->given[row] : draft->heading;
}
