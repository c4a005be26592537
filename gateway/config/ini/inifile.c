// SPDX-License-Identifier: MIT
/*
 * Strict reading of INI text. Each line is looked at here first, and inih gets to see only one that
 * can be an entry. Headings are taken here because inih does not tell about a section without keys
 * and cuts long names; line numbers because Debian's build does not hand them to the handler.
 */
#include "inifile.h"

#include <ctype.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct reader {
    const char *text; /* what is left of it */
    size_t size;
    unsigned line; /* the current one */
    bool found;    /* inih has found an entry in it */
    const struct inifile_events *events;
    void *user;
};

/* A line without its end and the blanks around it. */
struct span {
    const char *start;
    size_t size;
};

static void __attribute__((format(printf, 2, 3)))
mistake(const struct reader *reader, const char *format, ...)
{
    char message[160];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    if (reader->events->mistake)
        reader->events->mistake(reader->user, reader->line, message);
}

static struct span trim(const char *start, size_t size)
{
    while (size > 0 && isspace((unsigned char) start[0]))
        start++, size--;
    while (size > 0 && isspace((unsigned char) start[size - 1]))
        size--;
    return (struct span){start, size};
}

static bool is_comment(struct span span)
{
    return span.size > 0 && (span.start[0] == ';' || span.start[0] == '#');
}

static bool check_characters(const struct reader *reader, struct span span)
{
    for (size_t i = 0; i < span.size; i++) {
        const unsigned char c = (unsigned char) span.start[i];
        if ((c >= 0x20 && c != 0x7F) || c == '\t')
            continue;
        if (c == 0)
            mistake(reader, "a NUL byte; expected plain text (UTF-8)");
        else
            mistake(reader, "control character 0x%02X; expected plain text", c);
        return false;
    }
    return true;
}

static void parse_heading(const struct reader *reader, struct span span)
{
    char text[256];
    const char *end = memchr(span.start, ']', span.size);
    if (!end) {
        mistake(reader, "a heading without its ']'");
        return;
    }
    struct span behind = trim(end + 1, span.size - (size_t) (end + 1 - span.start));
    if (behind.size > 0 && !is_comment(behind)) {
        mistake(reader, "text behind a heading; expected a line of its own");
        return;
    }
    struct span inside = trim(span.start + 1, (size_t) (end - span.start) - 1);
    snprintf(text, sizeof text, "%.*s", (int) inside.size, inside.start);
    if (reader->events->heading)
        reader->events->heading(reader->user, reader->line, text);
}

/* The key of a line that is too long is not missing in its section. */
static void lose_entry(const struct reader *reader, struct span span)
{
    char key[64];
    const char *end = memchr(span.start, '=', span.size);
    if (!end || !reader->events->entry)
        return;
    const struct span name = trim(span.start, (size_t) (end - span.start));
    if (name.size >= sizeof key)
        return;
    snprintf(key, sizeof key, "%.*s", (int) name.size, name.start);
    reader->events->entry(reader->user, reader->line, key, NULL);
}

/* True when the line is one for inih to split. */
static bool check_line(const struct reader *reader, struct span span)
{
    if (span.size == 0 || is_comment(span) || !check_characters(reader, span))
        return false;
    if (span.size > INIFILE_LINE_MOST) {
        mistake(
            reader,
            "a line of %zu characters; expected at most %d: a list can continue in a further line "
            "with the same key",
            span.size, INIFILE_LINE_MOST);
        lose_entry(reader, span);
        return false;
    }
    if (span.start[0] == '[') {
        parse_heading(reader, span);
        return false;
    }
    return true;
}

static int parse_entry(void *user, const char *section, const char *key, const char *value)
{
    struct reader *reader = user;
    reader->found = value;
    if (value && reader->events->entry)
        reader->events->entry(reader->user, reader->line, key, value);
    return 1;
}

unsigned inifile_read(const char *text, size_t size, const struct inifile_events *events,
                      void *user)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    struct reader reader = {.text = text, .size = size, .events = events, .user = user};
    char line[INIFILE_LINE_MOST + 2];
    if (size >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
        reader.text += 3;
        reader.size -= 3;
    }
    while (reader.size > 0) {
        const char *start = reader.text, *end = memchr(start, '\n', reader.size);
        const size_t used = end ? (size_t) (end - start) + 1 : reader.size;
        const struct span span = trim(start, used);
        reader.text += used;
        reader.size -= used;
        reader.line++;
        if (!check_line(&reader, span))
            continue;
        /* Behind a blank, inih takes no byte order mark away. */
        snprintf(line, sizeof line, " %.*s", (int) span.size, span.start);
        reader.found = false;
        if (ini_parse_string(line, parse_entry, &reader) == -2)
            mistake(&reader, "out of memory");
        else if (!reader.found)
            mistake(&reader, "neither 'key = value' nor a [section] nor a comment");
    }
    return reader.line;
}
