// SPDX-License-Identifier: MIT
/*
 * Fuzzer of changes to a configuration's text. The first line of the input says what is changed, "section|name|key|value",
 * without a value: removed; the rest is the text. Without such a line keys of the text itself are changed.
 */
#include "fuzz.h"

#include "tests/edit_property.h"

static void require(const char *text, size_t size, const struct edit *edit)
{
    bool made;
    const char *wrong = edit_property(text, size, edit, &made);
    if (wrong) {
        fprintf(stderr, "==BREACH== [%s %s] %s = %s: %s\n", edit->section, edit->name, edit->key,
                edit->value ? edit->value : "(removed)", wrong);
        abort();
    }
}

static void require_without(const char *text, size_t size, const char *word, const char *name)
{
    const char *wrong = without_property(text, size, word, name);
    if (wrong) {
        fprintf(stderr, "==BREACH== without [%s %s]: %s\n", word, name, wrong);
        abort();
    }
}

static void try_named(const char *text, size_t size)
{
    const char *end = memchr(text, '\n', size);
    if (!end)
        return;
    char *line = strndup(text, (size_t) (end - text)), *fields[4] = {"", "", "", NULL}, *at = line;
    for (int i = 0; i < 4 && at; i++)
        fields[i] = strsep(&at, "|");
    const struct edit edit = {EDIT_VALUE, fields[0], fields[1], fields[2], fields[3]};
    require(end + 1, size - (size_t) (end + 1 - text), &edit);
    free(line);
}

/* The first, and the last key of the text, and one that is not there. */
static void try_own(const char *text, size_t size)
{
    struct findings found = find_all(text, size);
    for (unsigned i = 0; i < found.count; i++) {
        char word[300] = "", name[300] = "";
        if (found.list[i].what != 'h' ||
            sscanf(found.list[i].key, "%299[^ \t] %299[^\n]", word, name) < 1)
            continue;
        const char *key =
            i + 1 < found.count && found.list[i + 1].what == 'e' ? found.list[i + 1].key : "port";
        require(text, size, &(struct edit){EDIT_VALUE, word, name, key, "value 7"});
        require_without(text, size, word, name);
        require(text, size, &(struct edit){EDIT_VALUE, word, name, key, NULL});
        require(text, size, &(struct edit){EDIT_VALUE, word, name, "other", "Küche"});
        for (unsigned k = 0; k < found.count; k++) {
            char same[300] = "", to[300] = "";
            bool made;
            if (found.list[k].what != 'h' ||
                sscanf(found.list[k].key, "%299[^ \t] %299[^\n]", same, to) < 1)
                continue;
            const char *wrong = moved_property(text, size, word, name, to, &made);
            if (wrong) {
                fprintf(stderr, "==BREACH== [%s %s] before [%s]: %s\n", word, name, to, wrong);
                abort();
            }
        }
    }
    require(text, size, &(struct edit){EDIT_VALUE, "pack", "new", "unit", "7"});
    free_findings(&found);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, bytes, size);
    text[size] = '\0';
    size = strlen(text);
    try_named(text, size);
    if (size < 2048)
        try_own(text, size);
    free(text);
    return 0;
}
