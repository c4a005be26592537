// SPDX-License-Identifier: MIT
/*
 * The reader (inifile) says what each line is, so that only one piece of code defines headings, keys and comments. A changed text is
 * read again, and returned only if it has the intended value.
 */
#include "edit.h"

#include "inifile.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\n\v\f\r"

static const char byte_order_mark[] = "\xEF\xBB\xBF";

struct line {
    const char *at;      /* in the text; the first one without a byte order mark */
    size_t size;         /* with the line end */
    char *heading, *key; /* NULL: it is none */
    char *value;         /* of the key; NULL: the line is too long for the reader */
    const char *section; /* of a heading or key: the heading that it is below, or itself */
};

struct lines {
    struct line *list; /* behind the last one is the end of the text */
    unsigned count;
    bool marked; /* the text begins with a byte order mark */
    bool failed;
    const char *section; /* while reading */
};

static void see_heading(void *user, unsigned number, const char *text)
{
    struct lines *lines = user;
    struct line *line = &lines->list[number - 1];
    lines->section = line->section = line->heading = strdup(text);
    lines->failed |= !line->heading;
}

static void see_key(void *user, unsigned number, const char *key, const char *value)
{
    struct lines *lines = user;
    struct line *line = &lines->list[number - 1];
    line->section = lines->section;
    line->key = strdup(key);
    line->value = value ? strdup(value) : NULL;
    lines->failed |= !line->key || (value && !line->value);
}

/* A byte order mark counts only at the beginning of the text: elsewhere, a line with it is not a heading, and must not become one. */
static bool has_mark(const char *text)
{
    return strncmp(text, byte_order_mark, sizeof byte_order_mark - 1) == 0;
}

/* False: out of memory. The caller calls free_lines in either case. */
static bool read_lines(const char *text, struct lines *lines)
{
    static const struct inifile_events events = {.heading = see_heading, .entry = see_key};
    const char *at = text;
    size_t most = 2;
    for (const char *c = text; *c; c++)
        most += *c == '\n';
    *lines = (struct lines){.list = calloc(most, sizeof *lines->list), .marked = has_mark(text)};
    if (!lines->list)
        return false;
    for (at += lines->marked ? sizeof byte_order_mark - 1 : 0; *at;) {
        struct line *line = &lines->list[lines->count++];
        const size_t size = strcspn(at, "\n");
        *line = (struct line){.at = at, .size = size + (at[size] == '\n')};
        at += line->size;
    }
    lines->list[lines->count].at = at;
    inifile_read(text, strlen(text), &events, lines);
    return !lines->failed;
}

static void free_lines(struct lines *lines)
{
    for (unsigned i = 0; i < lines->count; i++) {
        free(lines->list[i].heading);
        free(lines->list[i].key);
        free(lines->list[i].value);
    }
    free(lines->list);
}

/* Whether a heading, or a key, is that of [section name]. Blanks between them do not matter: "pack  house" is [pack house]. */
static bool is_in(const struct line *line, const char *section, const char *name)
{
    const char *text = line->section;
    const size_t length = text ? strcspn(text, " \t") : 0;
    return text && strlen(section) == length && memcmp(text, section, length) == 0 &&
           strcmp(text + length + strspn(text + length, " \t"), name) == 0;
}

static bool is_key(const struct line *line, const struct edit *edit)
{
    return line->key && is_in(line, edit->section, edit->name) && strcmp(line->key, edit->key) == 0;
}

/* The first line with the key from `line` on, or NULL. */
static const struct line *find_key(const struct lines *lines, const struct line *line,
                                   const struct edit *edit)
{
    const struct line *end = lines->list + lines->count;
    while (line < end && !is_key(line, edit))
        line++;
    return line < end ? line : NULL;
}

/* What follows the last key below a heading, or the heading if it has none. */
static const struct line *end_of_keys(const struct lines *lines, const struct line *heading)
{
    const struct line *end = heading + 1;
    for (const struct line *line = end; line < lines->list + lines->count && !line->heading; line++)
        if (line->key)
            end = line + 1;
    return end;
}

static bool is_blank(const struct line *line)
{
    size_t size = line->size;
    while (size > 0 && strchr(BLANKS, line->at[size - 1]))
        size--;
    return size == 0;
}

static bool is_ended(const struct line *line)
{
    return line->at[line->size - 1] == '\n';
}

/* The line end of the first line. */
static const char *line_end(const struct lines *lines)
{
    const char *text = lines->list->at, *end = strchr(text, '\n');
    return end && end > text && end[-1] == '\r' ? "\r\n" : "\n";
}

static void write_lines(FILE *out, const struct line *from, const struct line *end)
{
    fwrite(from->at, 1, (size_t) (end->at - from->at), out);
}

/* Writes a line with another value, and keeps the text before and after the value; the rest of a line that is too long is dropped. */
static void write_changed(FILE *out, const struct line *line, const char *value)
{
    const char *text = line->at;
    const bool filled = line->value && line->value[0];
    size_t at = strcspn(text, "=:") + 1, rest = line->size;
    if (filled)
        at += strspn(text + at, BLANKS);
    if (line->value)
        rest = at + strlen(line->value);
    while (!line->value && rest > at && strchr(BLANKS, text[rest - 1]))
        rest--;
    fwrite(text, 1, at, out);
    fprintf(out, "%s%s", filled ? "" : " ", value);
    fwrite(text + rest, 1, line->size - rest, out);
}

/* If the text lacks its last line end (`ended` false), a new line at its end lacks it, too, and the line end is written before it. */
static bool write_edited(FILE *out, const struct lines *lines, const struct edit *edit)
{
    const struct line *first = find_key(lines, lines->list, edit), *behind = NULL;
    const char *end = line_end(lines);
    const bool empty = lines->count == 0 && !lines->marked;
    bool ended = empty;
    for (const struct line *line = lines->list; line < lines->list + lines->count; line++) {
        ended = is_ended(line);
        if (!behind && line->heading && is_in(line, edit->section, edit->name))
            behind = end_of_keys(lines, line);
        if (!is_key(line, edit))
            write_lines(out, line, line + 1);
        else if (line == first && edit->value)
            write_changed(out, line, edit->value);
        if (edit->value && !first && line + 1 == behind)
            fprintf(out, "%s%s = %s%s", ended ? "" : end, edit->key, edit->value, ended ? end : "");
    }
    if (edit->value && !behind)
        fprintf(out, "%s%s[%s%s%s]%s%s = %s%s", ended ? "" : end, empty ? "" : end, edit->section,
                edit->name[0] ? " " : "", edit->name, end, edit->key, edit->value,
                ended ? end : "");
    return true;
}

static bool reads_back(const char *text, const struct edit *edit)
{
    struct lines lines;
    bool good = read_lines(text, &lines);
    const struct line *line = find_key(&lines, lines.list, edit);
    good &= edit->value ? line && line->value && strcmp(line->value, edit->value) == 0 &&
                              !find_key(&lines, line + 1, edit)
                        : !line;
    free_lines(&lines);
    return good;
}

char *config_value(const char *text, const char *section, const char *name, const char *key)
{
    const struct edit edit = {.section = section, .name = name, .key = key};
    struct lines lines;
    read_lines(text, &lines);
    const struct line *line = find_key(&lines, lines.list, &edit);
    char *value = line && line->value ? strdup(line->value) : NULL;
    free_lines(&lines);
    return value;
}

static bool write_without(FILE *out, const struct lines *lines, const struct edit *edit)
{
    const struct line *end = lines->list; /* of the lines that go */
    bool any = false;
    for (const struct line *line = lines->list; line < lines->list + lines->count; line++) {
        if (line->heading && is_in(line, edit->section, edit->name))
            end = end_of_keys(lines, line);
        const bool behind = line == end && line > lines->list;
        if (line < end || (behind && is_blank(line)))
            continue;
        if (!any && line > lines->list && !lines->marked && has_mark(line->at))
            fputs(byte_order_mark, out);
        write_lines(out, line, line + 1);
        any = true;
    }
    return true;
}

/* The lines of a section, without blank ones at its end. */
struct block {
    const struct line *from, *end;
};

static bool is_comment(const struct line *line)
{
    const size_t blanks = strspn(line->at, " \t");
    return blanks < line->size && strchr(";#", line->at[blanks]);
}

/* The block of each heading, with the comments directly above it. Returns how many there are. */
static unsigned find_blocks(const struct lines *lines, struct block *blocks)
{
    const struct line *end = lines->list + lines->count, *above = lines->list;
    unsigned count = 0;
    for (const struct line *line = lines->list; line < end; line++) {
        if (!line->heading)
            continue;
        const struct line *from = line;
        while (from > above && is_comment(from - 1))
            from--;
        if (count > 0)
            blocks[count - 1].end = from;
        blocks[count++] = (struct block){from, end};
        above = line + 1;
    }
    for (unsigned i = 0; i < count; i++)
        while (is_blank(blocks[i].end - 1))
            blocks[i].end--;
    return count;
}

/* Writes the blocks in their new order. What is between two of them stays where it is. */
static void write_order(FILE *out, const struct lines *lines, const struct block *blocks,
                        unsigned count, unsigned from, unsigned to)
{
    write_lines(out, lines->list, blocks[0].from);
    for (unsigned i = 0; i < count; i++) {
        unsigned which = i;
        if (from > to && i >= to && i <= from)
            which = i == to ? from : i - 1;
        else if (from < to && i >= from && i < to)
            which = i == to - 1 ? from : i + 1;
        const bool last = i + 1 == count;
        write_lines(out, blocks[which].from, blocks[which].end);
        if (!last && !is_ended(blocks[which].end - 1))
            fputs(line_end(lines), out);
        write_lines(out, blocks[i].end, last ? lines->list + lines->count : blocks[i + 1].from);
    }
}

static bool write_moved(FILE *out, const struct lines *lines, const struct edit *edit)
{
    const char *const names[] = {edit->name, edit->value};
    unsigned at[2] = {0}, found[2] = {0}, headings = 0;
    for (const struct line *line = lines->list; line < lines->list + lines->count; line++) {
        for (int i = 0; i < 2; i++)
            if (line->heading && is_in(line, edit->section, names[i])) {
                at[i] = headings;
                found[i]++;
            }
        headings += line->heading != NULL;
    }
    const bool both = found[0] == 1 && found[1] == 1;
    struct block *blocks = both ? calloc(headings, sizeof *blocks) : NULL;
    if (blocks)
        write_order(out, lines, blocks, find_blocks(lines, blocks), at[0], at[1]);
    free(blocks);
    return blocks;
}

char *config_edited(const char *text, const struct edit *edit, char why[EDIT_WHY])
{
    static bool (*const writers[])(FILE * out, const struct lines *lines,
                                   const struct edit *edit) = {[EDIT_VALUE] = write_edited,
                                                               [EDIT_SECRET] = write_edited,
                                                               [EDIT_SECTION] = write_without,
                                                               [EDIT_ORDER] = write_moved};
    struct lines lines;
    char *edited = NULL;
    size_t size;
    FILE *out = read_lines(text, &lines) ? open_memstream(&edited, &size) : NULL;
    bool good = false;
    if (out) {
        fputs(lines.marked ? byte_order_mark : "", out);
        good = writers[edit->kind](out, &lines, edit);
        good &= fclose(out) == 0;
    }
    free_lines(&lines);
    const bool writes = writers[edit->kind] == write_edited;
    if (good && (!writes || reads_back(edited, edit)))
        return edited;
    if (edit->kind == EDIT_ORDER)
        snprintf(why, EDIT_WHY, "[%s %s] cannot be moved before [%s %.40s]", edit->section,
                 edit->name, edit->section, edit->value);
    else if (good)
        snprintf(why, EDIT_WHY,
                 "'%s' cannot be written: its value is too long, or has a line end, a ';' behind a "
                 "blank, or blanks at its ends",
                 edit->key);
    else
        snprintf(why, EDIT_WHY, "out of memory");
    free(edited);
    return NULL;
}
