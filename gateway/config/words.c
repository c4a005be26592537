// SPDX-License-Identifier: MIT
/* Rows of words. */
#include "words.h"

#include "types.h"

#include <stdarg.h>
#include <string.h>

const char *words_peek(const struct words *words)
{
    return words->rest + strspn(words->rest, WORDS_BLANKS);
}

char *words_next(struct words *words)
{
    char *word = words->rest + strspn(words->rest, WORDS_BLANKS);
    const size_t length = strcspn(word, WORDS_BLANKS);
    words->rest = word + length + (word[length] != 0);
    word[length] = 0;
    return length > 0 ? word : NULL;
}

bool words_mistake(const struct words *words, const char *format, ...)
{
    char text[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (words->map)
        mistakes_add(words->mistakes, words->line, "map %s:%u: %s", words->map, words->map_line,
                     text);
    else
        mistakes_add(words->mistakes, words->line, "%s", text);
    return false;
}

bool words_value(struct words *words, const struct config_key *key, void *settings)
{
    char expected[EXPECTED_SIZE], hint[HINT_SIZE];
    const char *word = words_next(words);
    if (word && key->type->parse(key, word, (char *) settings + key->offset))
        return true;
    return words_mistake(words, "'%s' of '%s' is '%s'; expected %s%s", key->name, words->subject,
                         word ? word : "", config_key_expected(key, expected),
                         config_hint(key, word ? word : "", hint));
}

int words_option(struct words *words, const struct config_key *keys, size_t count, bool *given,
                 const char *what, void *settings)
{
    char known[EXPECTED_SIZE];
    struct text list = text_in(known, sizeof known);
    const char *word = words_next(words);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].name, word) != 0)
            continue;
        /* In a map of an older version the last one counts. */
        const bool twice = given[i] && !words->map;
        given[i] = true;
        if (twice)
            words_mistake(words, "'%s' of '%s' is given twice", word, words->subject);
        const bool good = !keys[i].type || words_value(words, &keys[i], settings);
        return good && !twice ? (int) i : -1;
    }
    struct suggest suggest = suggest_for(word);
    for (size_t i = 0; i < count; i++) {
        config_list(&list, (unsigned) i, (unsigned) count, keys[i].name);
        suggest_offer(&suggest, keys[i].name);
    }
    words_mistake(words, "'%s' is no option of %s; expected %s%s", word, what, known,
                  suggest_hint(&suggest));
    return -1;
}
