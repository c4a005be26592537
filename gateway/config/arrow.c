// SPDX-License-Identifier: MIT
/* Parses lines with an arrow. */
#include "arrow.h"

#include "hints.h"
#include "types.h"

#include <string.h>
#include <strings.h>

#define ITSELF "gateway" /* stands for the gateway in place of a pack */

/* ---- words ---- */

static char *find_arrow(char *text)
{
    bool quoted = false;
    for (; *text; text++) {
        quoted ^= *text == '"';
        if (!quoted && strncmp(text, "->", 2) == 0)
            return text;
    }
    return NULL;
}

bool arrow_split(struct arrow *arrow, char *text)
{
    char *mark = find_arrow(text);
    if (!mark)
        return false;
    arrow->rest = mark + 2;
    while (mark > text && strchr(ARROW_BLANKS, mark[-1]))
        mark--;
    *mark = 0;
    arrow->from = text + strspn(text, ARROW_BLANKS);
    return *arrow->from != 0;
}

char *arrow_word(struct arrow *arrow)
{
    char *word = arrow->rest + strspn(arrow->rest, ARROW_BLANKS);
    size_t length = strcspn(word, ARROW_BLANKS);
    arrow->rest = word + length + (word[length] != 0);
    word[length] = 0;
    return length > 0 ? word : NULL;
}

bool arrow_value(struct arrow *arrow, const struct config_key *key, void *settings)
{
    char expected[EXPECTED_SIZE], hint[HINT_SIZE];
    const char *word = arrow_word(arrow);
    if (word && key->type->parse(key, word, (char *) settings + key->offset))
        return true;
    mistakes_add(arrow->mistakes, arrow->line, "'%s' of '%s' is '%s'; expected %s%s", key->name,
                 arrow->from, word ? word : "", config_key_expected(key, expected),
                 config_hint(key, word ? word : "", hint));
    return false;
}

static bool report_option(const struct arrow *arrow, const struct config_key *keys, size_t count,
                          const char *what, const char *word)
{
    char list[EXPECTED_SIZE] = "", hint[SUGGEST_HINT_SIZE];
    struct suggest suggest;
    suggest_init(&suggest, word);
    for (size_t i = 0; i < count; i++) {
        const char *before = i == 0 ? "" : i + 1 < count ? ", " : " or ";
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", before, keys[i].name);
        suggest_offer(&suggest, keys[i].name);
    }
    mistakes_add(arrow->mistakes, arrow->line, "'%s' is no option of %s; expected %s%s", word, what,
                 list, suggest_hint(&suggest, hint));
    return false;
}

bool arrow_option(struct arrow *arrow, const struct config_key *keys, size_t count, bool *given,
                  const char *what, const char *word, void *settings)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].name, word) != 0)
            continue;
        if (given[i])
            mistakes_add(arrow->mistakes, arrow->line, "'%s' of '%s' is given twice", word,
                         arrow->from);
        bool first = !given[i];
        given[i] = true;
        return arrow_value(arrow, &keys[i], settings) && first;
    }
    return report_option(arrow, keys, count, what, word);
}

/* ---- numbers ---- */

/* Returns what follows "name." in the text, or NULL. */
static const char *behind(const char *text, const char *name)
{
    size_t length = strlen(name);
    return length > 0 && strncmp(text, name, length) == 0 && text[length] == '.' ? text + length + 1
                                                                                 : NULL;
}

bool arrow_is_source(const struct config_draft *draft)
{
    return draft->section == &pack_section || draft->section == &bank_section;
}

static bool find_number(struct arrow_number *found, const char *name, const char *source)
{
    if (strcmp(name, "fresh") == 0)
        found->what = PUSH_FRESH;
    else if (value_find(name, &found->value))
        found->what = PUSH_VALUE;
    else
        return false;
    snprintf(found->source, sizeof found->source, "%s", source);
    return true;
}

/* "soc" for soc_percent: the part before the unit, or before the number of a cell. */
static bool is_short_for(const char *word, const char *name)
{
    size_t length = strlen(word);
    return length > 0 && strncasecmp(word, name, length) == 0 && strchr("_.", name[length]);
}

/* Adds the name closest to suggest->word, written into `best`. */
static void suggest_value(struct suggest *suggest, char best[VALUE_NAME_SIZE])
{
    char name[VALUE_NAME_SIZE];
    for (unsigned n = 0; n < value_count() + value_more_count(); n++) {
        value_at(n, name);
        if (name[0] && is_short_for(suggest->word, name)) {
            suggest->best = memcpy(best, name, VALUE_NAME_SIZE);
            return;
        }
        suggest_offer(suggest, name);
        if (suggest->best == name)
            suggest->best = memcpy(best, name, VALUE_NAME_SIZE);
    }
}

static void report_number(const struct arrow *arrow, const char *source, const char *number)
{
    char best[VALUE_NAME_SIZE], hint[SUGGEST_HINT_SIZE];
    struct suggest suggest;
    suggest_init(&suggest, number);
    if (strcmp(source, ITSELF) == 0)
        suggest.best = "seconds"; /* the gateway has no other number */
    else
        suggest_value(&suggest, best);
    mistakes_add(arrow->mistakes, arrow->line, "'%s' has no number '%s'%s", source, number,
                 suggest_hint(&suggest, hint));
}

void arrow_report_source(const struct arrow *arrow, const char *text)
{
    char name[NAME_SIZE], hint[SUGGEST_HINT_SIZE];
    struct suggest suggest;
    snprintf(name, sizeof name, "%.*s", (int) strcspn(text, "."), text);
    suggest_init(&suggest, name);
    suggest_offer(&suggest, ITSELF);
    for (unsigned i = 0; i < arrow->drafts->count; i++)
        if (arrow_is_source(&arrow->drafts->list[i]))
            suggest_offer(&suggest, arrow->drafts->list[i].name);
    mistakes_add_of(arrow->mistakes, arrow->line, name,
                    "'%s' starts with the name of no pack or bank%s", text,
                    suggest_hint(&suggest, hint));
}

bool arrow_number(const struct arrow *arrow, const char *text, const char *usual,
                  struct arrow_number *found)
{
    const char *nearest = NULL, *number = behind(text, ITSELF);
    *found = (struct arrow_number){0};
    if (number && strcmp(number, "seconds") == 0) {
        found->what = PUSH_SECONDS;
        return true;
    }
    if (number)
        nearest = ITSELF;
    if (usual && usual[0] && find_number(found, text, usual))
        return true;
    for (unsigned i = 0; i < arrow->drafts->count; i++) {
        const struct config_draft *draft = &arrow->drafts->list[i];
        const char *rest = arrow_is_source(draft) ? behind(text, draft->name) : NULL;
        if (rest && find_number(found, rest, draft->name))
            return true;
        if (rest && (!nearest || strlen(draft->name) > strlen(nearest)))
            nearest = draft->name;
    }
    const char *dot = strchr(text, '.');
    struct arrow_number of_another;
    if (nearest)
        report_number(arrow, nearest, behind(text, nearest));
    else if (usual && usual[0] && !(dot && find_number(&of_another, dot + 1, "")))
        report_number(arrow, usual, text);
    else
        arrow_report_source(arrow, text);
    return false;
}
