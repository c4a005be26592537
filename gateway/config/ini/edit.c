// SPDX-License-Identifier: MIT
/*
 * The reader (inifile) finds the lines, so that only one piece of code defines headings, keys and comments. The result is parsed
 * again, and returned only if it has the intended value.
 */
#include "edit.h"

#include "inifile.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the reader has found the section and the key. */
struct place {
    const struct config_edit *edit;
    bool inside;         /* the current line is in the section */
    unsigned section;    /* line of the section's first heading; 0: none */
    unsigned last;       /* line of the last key below that heading, or of the heading */
    unsigned *lines;     /* lines with the key, in order */
    unsigned line_count; /* of `lines` */
    bool first;          /* the current line is below the first heading */
    char *value;         /* on the first of `lines`; NULL: that line is too long for the reader */
    bool failed;
};

/* Blanks between word and name do not matter: "pack  house" is [pack house]. */
static bool is_heading_of(const struct config_edit *edit, const char *text)
{
    const size_t length = strcspn(text, " \t");
    const char *name = text + length + strspn(text + length, " \t");
    return strlen(edit->section) == length && memcmp(text, edit->section, length) == 0 &&
           strcmp(name, edit->name) == 0;
}

static void see_heading(void *user, unsigned line, const char *text)
{
    struct place *place = user;
    place->inside = is_heading_of(place->edit, text);
    place->first = place->inside && place->section == 0;
    if (place->first)
        place->section = place->last = line;
}

static void see_key(void *user, unsigned line, const char *key, const char *value)
{
    struct place *place = user;
    if (place->first)
        place->last = line;
    if (!place->inside || strcmp(key, place->edit->key) != 0)
        return;
    unsigned *lines = realloc(place->lines, (place->line_count + 1) * sizeof *lines);
    if (!lines) {
        place->failed = true;
        return;
    }
    place->lines = lines;
    lines[place->line_count++] = line;
    if (place->line_count > 1 || !value)
        return;
    place->value = strdup(value);
    place->failed |= !place->value;
}

static void find_place(const char *text, size_t size, struct place *place)
{
    static const struct inifile_events events = {.heading = see_heading, .entry = see_key};
    inifile_read(text, size, &events, place);
}

static void close_place(struct place *place)
{
    free(place->lines);
    free(place->value);
}

/* ---- writing ---- */

static const char byte_order_mark[] = "\xEF\xBB\xBF";

/* A byte order mark counts only at the beginning of the text: elsewhere, a line with it is not a heading, and must not become one. */
static bool has_mark(const char *text, size_t size)
{
    return size >= 3 && memcmp(text, byte_order_mark, 3) == 0;
}

static size_t line_size(const char *text, size_t size)
{
    const char *end = memchr(text, '\n', size);
    return end ? (size_t) (end - text) + 1 : size;
}

/* Ends a stream of open_memstream and returns its text; NULL: out of memory, or not `good`. */
static char *end_text(FILE *out, char **text, bool good)
{
    if (out && fclose(out) == 0 && good)
        return *text;
    free(*text);
    return NULL;
}

/* The line end of the text's first line. */
static const char *line_end(const char *text, size_t size)
{
    const char *end = memchr(text, '\n', size);
    return end && end > text && end[-1] == '\r' ? "\r\n" : "\n";
}

/* Writes a line with another value, and keeps the text before and after the value; the rest of a line that is too long is dropped. */
static void write_changed(FILE *out, const struct config_edit *edit, const char *line, size_t size,
                          const char *old)
{
    size_t at = 0, rest = size;
    while (at < size && line[at] != '=' && line[at] != ':')
        at++;
    at += at < size;
    if (old && old[0]) {
        while (at < size && isspace((unsigned char) line[at]))
            at++;
        rest = at + strlen(old);
        fwrite(line, 1, at, out);
    } else {
        while (!old && rest > at && isspace((unsigned char) line[rest - 1]))
            rest--;
        rest = old ? at : rest;
        fwrite(line, 1, at, out);
        fputc(' ', out);
    }
    fputs(edit->value, out);
    if (rest < size)
        fwrite(line + rest, 1, size - rest, out);
}

static void write_edited_line(FILE *out, const struct place *place, unsigned number,
                              const char *line, size_t size)
{
    for (unsigned i = 0; i < place->line_count; i++)
        if (place->lines[i] == number) {
            if (i == 0 && place->edit->value)
                write_changed(out, place->edit, line, size, place->value);
            return;
        }
    fwrite(line, 1, size, out);
}

/* If the text lacks its last line end (`ended` false), a new line at its end lacks it, too, and the line end is written before it. */
static void write_text(FILE *out, const char *text, size_t size, const struct place *place)
{
    const struct config_edit *edit = place->edit;
    const char *end = line_end(text, size);
    bool ended = true;
    unsigned number = 0;
    for (size_t at = 0; at < size;) {
        const size_t length = line_size(text + at, size - at);
        ended = text[at + length - 1] == '\n';
        write_edited_line(out, place, ++number, text + at, length);
        if (edit->value && place->line_count == 0 && number == place->last)
            fprintf(out, "%s%s = %s%s", ended ? "" : end, edit->key, edit->value, ended ? end : "");
        at += length;
    }
    if (edit->value && place->section == 0)
        fprintf(out, "%s%s[%s%s%s]%s%s = %s%s", ended ? "" : end, size == 0 ? "" : end,
                edit->section, edit->name[0] ? " " : "", edit->name, end, edit->key, edit->value,
                ended ? end : "");
}

/* ---- verifying the result ---- */

static bool reads_back(const char *text, size_t size, const struct config_edit *edit)
{
    struct place place = {.edit = edit};
    find_place(text, size, &place);
    const bool good = !place.failed && (edit->value ? place.line_count == 1 && place.value &&
                                                          strcmp(place.value, edit->value) == 0
                                                    : place.line_count == 0);
    close_place(&place);
    return good;
}

char *config_edited(const char *text, size_t size, const struct config_edit *edit, size_t *new_size,
                    char why[CONFIG_EDIT_WHY])
{
    struct place place = {.edit = edit};
    char *edited = NULL;
    snprintf(why, CONFIG_EDIT_WHY, "out of memory");
    find_place(text, size, &place);
    FILE *out = place.failed ? NULL : open_memstream(&edited, new_size);
    if (out)
        write_text(out, text, size, &place);
    edited = end_text(out, &edited, true);
    close_place(&place);
    if (edited && reads_back(edited, *new_size, edit))
        return edited;
    if (edited)
        snprintf(why, CONFIG_EDIT_WHY,
                 "'%s' cannot be written: its value is too long, or has a line end, a ';' behind a "
                 "blank, or blanks at its ends",
                 edit->key);
    free(edited);
    return NULL;
}

char *config_value(const char *text, const char *section, const char *name, const char *key)
{
    const struct config_edit edit = {.section = section, .name = name, .key = key};
    struct place place = {.edit = &edit};
    find_place(text, strlen(text), &place);
    free(place.lines);
    return place.value;
}

/* ---- a whole section ---- */

struct cut {
    struct config_edit edit;
    bool inside;
    bool *gone;    /* by line, from 1 */
    unsigned from; /* line of the heading */
};

static void cut_heading(void *user, unsigned line, const char *text)
{
    struct cut *cut = user;
    cut->inside = is_heading_of(&cut->edit, text);
    if (cut->inside)
        cut->gone[line] = true;
    cut->from = line;
}

static void cut_key(void *user, unsigned line, const char *key, const char *value)
{
    struct cut *cut = user;
    if (cut->inside)
        memset(&cut->gone[cut->from], true, line + 1 - cut->from);
}

static bool is_blank(const char *line, size_t size)
{
    while (size > 0 && isspace((unsigned char) line[size - 1]))
        size--;
    return size == 0;
}

char *config_without(const char *text, size_t size, const char *section, const char *name,
                     size_t *new_size)
{
    static const struct inifile_events events = {.heading = cut_heading, .entry = cut_key};
    struct cut cut = {.edit = {.section = section, .name = name}, .gone = calloc(size + 3, 1)};
    char *shorter = NULL;
    FILE *out = cut.gone ? open_memstream(&shorter, new_size) : NULL;
    if (out) {
        const bool marked = has_mark(text, size);
        bool before = false; /* the line before is gone */
        bool first = true;   /* no line has been written */
        unsigned number = 0;
        inifile_read(text, size, &events, &cut);
        if (marked && cut.gone[1])
            fputs(byte_order_mark, out);
        for (size_t at = 0; at < size;) {
            const size_t length = line_size(text + at, size - at);
            const bool gone = cut.gone[++number];
            if (!gone && !(before && is_blank(text + at, length))) {
                if (first && number > 1 && !marked && has_mark(text + at, length))
                    fputs(byte_order_mark, out);
                fwrite(text + at, 1, length, out);
                first = false;
            }
            before = gone;
            at += length;
        }
    }
    free(cut.gone);
    return end_text(out, &shorter, true);
}

/* ---- the order of sections ---- */

/* A section's lines, without blank ones at its end. */
struct block {
    size_t from, to;
};

struct order {
    struct config_edit which[2]; /* the one to be moved, and the one behind its new place */
    size_t at[2];                /* their blocks */
    unsigned found[2];           /* how many headings they have */
    unsigned *lines;             /* of all headings */
    size_t count;
    bool failed;
};

static void order_heading(void *user, unsigned line, const char *text)
{
    struct order *order = user;
    unsigned *lines =
        order->failed ? NULL : realloc(order->lines, (order->count + 1) * sizeof *lines);
    if (!lines) {
        order->failed = true;
        return;
    }
    order->lines = lines;
    for (int i = 0; i < 2; i++)
        if (is_heading_of(&order->which[i], text)) {
            order->at[i] = order->count;
            order->found[i]++;
        }
    lines[order->count++] = line;
}

static bool is_comment(const char *line, size_t size)
{
    while (size > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        size--;
    }
    return size > 0 && (*line == ';' || *line == '#');
}

/* Where each line of the text begins, and behind them its size; NULL: out of memory. */
static size_t *find_lines(const char *text, size_t size, unsigned *count)
{
    size_t *starts = malloc((size + 2) * sizeof *starts);
    *count = 0;
    for (size_t at = has_mark(text, size) ? 3 : 0; starts && at < size;
         at += line_size(text + at, size - at))
        starts[(*count)++] = at;
    if (starts)
        starts[*count] = size;
    return starts;
}

/* The block of each heading, with the comments directly above it. */
static bool find_blocks(const char *text, size_t size, const struct order *order,
                        struct block *blocks)
{
    unsigned count;
    size_t *starts = find_lines(text, size, &count);
    for (size_t i = order->count; starts && i-- > 0;) {
        unsigned first = order->lines[i] - 1, end = count;
        const unsigned above = i > 0 ? order->lines[i - 1] : 0;
        while (first > above &&
               is_comment(text + starts[first - 1], starts[first] - starts[first - 1]))
            first--;
        blocks[i].from = starts[first];
        while (i + 1 < order->count && starts[end] > blocks[i + 1].from)
            end--;
        while (is_blank(text + starts[end - 1], starts[end] - starts[end - 1]))
            end--;
        blocks[i].to = starts[end];
    }
    free(starts);
    return starts;
}

/* Writes the blocks in their new order. What is between two of them stays where it is. */
static void write_order(FILE *out, const char *text, size_t size, const struct order *order,
                        const struct block *blocks)
{
    const size_t from = order->at[0], to = order->at[1];
    size_t written = blocks[0].from;
    fwrite(text, 1, written, out);
    for (size_t i = 0; i < order->count; i++) {
        size_t which = i;
        if (from > to && i >= to && i <= from)
            which = i == to ? from : i - 1;
        else if (from < to && i >= from && i < to)
            which = i == to - 1 ? from : i + 1;
        const struct block *block = &blocks[which];
        const size_t end = i + 1 < order->count ? blocks[i + 1].from : size;
        fwrite(text + block->from, 1, block->to - block->from, out);
        if (i + 1 < order->count && text[block->to - 1] != '\n')
            fputs(line_end(text, size), out);
        fwrite(text + blocks[i].to, 1, end - blocks[i].to, out);
    }
}

char *config_moved(const char *text, size_t size, const char *section, const char *name,
                   const char *before, size_t *new_size)
{
    static const struct inifile_events events = {.heading = order_heading};
    struct order order = {
        .which = {{.section = section, .name = name}, {.section = section, .name = before}}};
    inifile_read(text, size, &events, &order);
    const bool good = !order.failed && order.found[0] == 1 && order.found[1] == 1;
    struct block *blocks = good ? calloc(order.count, sizeof *blocks) : NULL;
    char *moved = NULL;
    FILE *out = blocks ? open_memstream(&moved, new_size) : NULL;
    bool known = false;
    if (out)
        known = find_blocks(text, size, &order, blocks);
    if (known)
        write_order(out, text, size, &order, blocks);
    free(blocks);
    free(order.lines);
    return end_text(out, &moved, known);
}
