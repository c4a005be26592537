// SPDX-License-Identifier: MIT
/*
 * The reader (inifile) says what each line is, so that only one piece of code defines headings, keys and comments. A changed text is
 * read again, and returned only if it has the intended value.
 */
#include "edit.h"

#include "inifile.h"

#include "base/alloc.h"

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
    bool marked;         /* the text begins with a byte order mark */
    const char *section; /* while reading */
};

static void see_heading(void *user, unsigned number, const char *text)
{
    struct lines *lines = user;
    struct line *line = &lines->list[number - 1];
    lines->section = line->section = line->heading = alloc_checked(strdup(text));
}

static void see_key(void *user, unsigned number, const char *key, const char *value)
{
    struct lines *lines = user;
    struct line *line = &lines->list[number - 1];
    line->section = lines->section;
    line->key = alloc_checked(strdup(key));
    line->value = value ? alloc_checked(strdup(value)) : NULL;
}

/* A byte order mark counts only at the beginning of the text: elsewhere, a line with it is not a heading, and must not become one. */
static bool has_mark(const char *text)
{
    return strncmp(text, byte_order_mark, sizeof byte_order_mark - 1) == 0;
}

static struct lines read_lines(const char *text)
{
    static const struct inifile_events events = {.heading = see_heading, .entry = see_key};
    size_t most = 2;
    for (const char *c = text; *c; c++)
        most += *c == '\n';
    struct lines lines = {.list = alloc_zeroed(most, sizeof *lines.list), .marked = has_mark(text)};
    const char *at = text + (lines.marked ? sizeof byte_order_mark - 1 : 0);
    while (*at) {
        struct line *line = &lines.list[lines.count++];
        const size_t size = strcspn(at, "\n");
        *line = (struct line){.at = at, .size = size + (at[size] == '\n')};
        at += line->size;
    }
    lines.list[lines.count].at = at;
    inifile_read(text, strlen(text), &events, &lines);
    return lines;
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
    return strspn(line->at, BLANKS) >= line->size;
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
static void write_edited(FILE *out, const struct lines *lines, const struct edit *edit)
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
}

static bool reads_back(const char *text, const struct edit *edit)
{
    struct lines lines = read_lines(text);
    const struct line *line = find_key(&lines, lines.list, edit);
    const bool good = edit->value ? line && line->value && strcmp(line->value, edit->value) == 0 &&
                                        !find_key(&lines, line + 1, edit)
                                  : !line;
    free_lines(&lines);
    return good;
}

char *config_value(const char *text, const char *section, const char *name, const char *key)
{
    const struct edit edit = {.section = section, .name = name, .key = key};
    struct lines lines = read_lines(text);
    const struct line *line = find_key(&lines, lines.list, &edit);
    char *value = line && line->value ? alloc_checked(strdup(line->value)) : NULL;
    free_lines(&lines);
    return value;
}

static void write_without(FILE *out, const struct lines *lines, const struct edit *edit)
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
}

/* The lines of a section, without blank ones at its end. */
struct block {
    const struct line *heading, *from, *end;
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
        blocks[count++] = (struct block){line, from, end};
        above = line + 1;
    }
    for (unsigned i = 0; i < count; i++)
        while (is_blank(blocks[i].end - 1))
            blocks[i].end--;
    return count;
}

/* Finds the only block with this name. False: there is none, or more than one. */
static bool find_block(const struct block *blocks, unsigned count, const char *section,
                       const char *name, unsigned *at)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++)
        if (is_in(blocks[i].heading, section, name)) {
            *at = i;
            found++;
        }
    return found == 1;
}

/* What is between two blocks stays where it is. */
static bool write_moved(FILE *out, const struct lines *lines, const struct edit *edit)
{
    struct block *blocks = alloc_zeroed(lines->count, sizeof *blocks);
    struct block *fresh = alloc_zeroed(lines->count + 1, sizeof *fresh); /* in their new order */
    const unsigned count = find_blocks(lines, blocks);
    unsigned from, to;
    const bool both = find_block(blocks, count, edit->section, edit->name, &from) &&
                      find_block(blocks, count, edit->section, edit->value, &to);
    if (both) {
        to -= from < to;
        memcpy(fresh, blocks, from * sizeof *fresh);
        memcpy(fresh + from, blocks + from + 1, (count - from - 1) * sizeof *fresh);
        memmove(fresh + to + 1, fresh + to, (count - to - 1) * sizeof *fresh);
        fresh[to] = blocks[from];
        write_lines(out, lines->list, blocks[0].from);
    }
    for (unsigned i = 0; both && i < count; i++) {
        const bool last = i + 1 == count;
        write_lines(out, fresh[i].from, fresh[i].end);
        if (!last && !is_ended(fresh[i].end - 1))
            fputs(line_end(lines), out);
        write_lines(out, blocks[i].end, last ? lines->list + lines->count : blocks[i + 1].from);
    }
    free(blocks);
    free(fresh);
    return both;
}

char *config_edited(const char *text, const struct edit *edit, char why[EDIT_WHY])
{
    struct lines lines = read_lines(text);
    char *edited = NULL;
    size_t size;
    FILE *out = alloc_checked(open_memstream(&edited, &size));
    bool good = true;
    fputs(lines.marked ? byte_order_mark : "", out);
    if (edit->kind == EDIT_ORDER)
        good = write_moved(out, &lines, edit);
    else if (edit->kind == EDIT_SECTION)
        write_without(out, &lines, edit);
    else
        write_edited(out, &lines, edit);
    alloc_checked(fclose(out) == 0 ? edited : NULL);
    free_lines(&lines);
    if (!good)
        snprintf(why, EDIT_WHY, "[%s %s] cannot be moved before [%s %.40s]", edit->section,
                 edit->name, edit->section, edit->value);
    else if ((edit->kind == EDIT_VALUE || edit->kind == EDIT_SECRET) && !reads_back(edited, edit))
        snprintf(why, EDIT_WHY,
                 "'%s' cannot be written: its value is too long, or has a line end, a ';' behind a "
                 "blank, or blanks at its ends",
                 edit->key);
    else
        return edited;
    free(edited);
    return NULL;
}
