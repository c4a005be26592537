// SPDX-License-Identifier: MIT
/* Lines, words and numbers of a console, and the frame of an answer. */
#include "pylon_text.h"

#include "bms/bytes.h"

#include <string.h>

#define DIGITS_MOST 10

static bool is_end(char c)
{
    return c == '\r' || c == '\n';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_text_char(char c)
{
    return (c >= ' ' && c <= '~') || c == '\t';
}

struct pylon_text pylon_trim(struct pylon_text text)
{
    while (text.size > 0 && (is_blank(text.at[0]) || is_end(text.at[0])))
        text.at++, text.size--;
    while (text.size > 0 && (is_blank(text.at[text.size - 1]) || is_end(text.at[text.size - 1])))
        text.size--;
    return text;
}

bool pylon_is_printable(struct pylon_text text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_text_char(text.at[i]))
            return false;
    return true;
}

static void advance(struct pylon_text *text, size_t size)
{
    text->at += size;
    text->size -= size;
}

bool pylon_line(struct pylon_text *text, struct pylon_text *line)
{
    while (text->size > 0) {
        size_t length = 0;
        while (length < text->size && !is_end(text->at[length]))
            length++;
        *line = pylon_trim((struct pylon_text){text->at, length});
        while (length < text->size && is_end(text->at[length]))
            length++;
        advance(text, length);
        if (line->size > 0)
            return true;
    }
    return false;
}

struct pylon_text pylon_word(struct pylon_text *line)
{
    while (line->size > 0 && is_blank(line->at[0]))
        advance(line, 1);
    struct pylon_text word = {line->at, 0};
    while (word.size < line->size && !is_blank(line->at[word.size]))
        word.size++;
    advance(line, word.size);
    return word;
}

bool pylon_label(struct pylon_text line, struct pylon_text *label, struct pylon_text *value)
{
    const char *colon = memchr(line.at, ':', line.size);
    if (!colon)
        return false;
    *label = pylon_trim((struct pylon_text){line.at, (size_t) (colon - line.at)});
    advance(&line, (size_t) (colon + 1 - line.at));
    *value = pylon_trim(line);
    return true;
}

bool pylon_integer(struct pylon_text word, int64_t *number)
{
    bool negative = word.size > 0 && word.at[0] == '-';
    int64_t sum = 0;
    if (negative)
        advance(&word, 1);
    if (word.size < 1 || word.size > DIGITS_MOST)
        return false;
    for (size_t i = 0; i < word.size; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        sum = 10 * sum + (word.at[i] - '0');
    }
    *number = negative ? -sum : sum;
    return true;
}

bool pylon_hex(struct pylon_text word, uint32_t *number)
{
    uint32_t sum = 0;
    if (word.size < 3 || word.size > 10 || word.at[0] != '0' || (word.at[1] | 0x20) != 'x')
        return false;
    for (size_t i = 2; i < word.size; i++) {
        const int digit = hex_digit(word.at[i]);
        if (digit < 0)
            return false;
        sum = sum << 4 | (uint32_t) digit;
    }
    *number = sum;
    return true;
}

/* One line with its end: where the next one begins, or 0 while it is not known. */
static size_t find_next_line(const char *text, size_t size, size_t at)
{
    while (at < size && is_text_char(text[at]))
        at++;
    if (at == size || !is_end(text[at]))
        return 0;
    while (at < size && is_end(text[at]))
        at++;
    return at == size ? 0 : at;
}

static bool is_mark(const char *text, size_t size, size_t at)
{
    return text[at] == '@' && (at + 1 == size || is_end(text[at + 1]));
}

/* From the "@" on up to "$$" at the beginning of a line. Another "@" begins the next answer: this one was cut off. */
static struct bms_span find_body(const char *text, size_t size, size_t at)
{
    for (size_t i = at + 1; i < size; i++) {
        if (!is_text_char(text[i]) && !is_end(text[i]))
            return (struct bms_span){BMS_DAMAGED, i + 1};
        if (i + 1 == size || !is_end(text[i - 1]))
            continue;
        if (text[i] == '$' && text[i + 1] == '$')
            return (struct bms_span){BMS_FRAME, i + 2};
        if (is_mark(text, size, i))
            return (struct bms_span){BMS_DAMAGED, at + 1};
    }
    return size < BMS_FRAME_MAX ? (struct bms_span){BMS_MORE, 0}
                                : (struct bms_span){BMS_DAMAGED, at + 1};
}

/* A line is the beginning of an answer when it is "@", or when the next one is. */
struct bms_span pylon_find(const struct bms *bms, const struct bms_request *request,
                           const uint8_t *bytes, size_t size)
{
    const char *text = (const char *) bytes;
    /* Skips the rest of a prompt, an empty line, or a byte that is no text. */
    size_t noise = is_text_char(text[0]) ? 0 : 1;
    for (size_t i = 0; i < size && is_text_char(text[i]); i++)
        if (text[i] == '>')
            noise = i + 1;
    if (noise > 0)
        return (struct bms_span){BMS_SKIP, noise};
    if (is_mark(text, size, 0))
        return size == 1 ? (struct bms_span){BMS_MORE, 0} : find_body(text, size, 0);
    size_t next = find_next_line(text, size, 0);
    if (next > 0)
        return is_mark(text, size, next) ? find_body(text, size, next)
                                         : (struct bms_span){BMS_SKIP, next};
    size_t end = 0;
    while (end < size && (is_text_char(text[end]) || is_end(text[end])))
        end++;
    if (end < size || size >= BMS_FRAME_MAX)
        return (struct bms_span){BMS_SKIP, end > 0 ? end : 1};
    return (struct bms_span){BMS_MORE, 0};
}

struct pylon_text pylon_take_echo(struct pylon_text *answer)
{
    struct pylon_text echo = {answer->at, 0}, line;
    if (answer->size >= 2)
        answer->size -= 2;
    if (!pylon_line(answer, &line) || pylon_is(line, "@"))
        return echo;
    echo = line;
    pylon_line(answer, &line);
    return echo;
}
