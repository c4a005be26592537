// SPDX-License-Identifier: MIT
/* The properties of every change of a configuration text: the parser finds the same as before except for that key,
 * and all lines except those of that key are the same, byte for byte. */
#pragma once

#include "config/ini/edit.h"
#include "config/ini/inifile.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Something that the parser has found. */
struct found {
    char what; /* heading, entry, lost, mistake */
    unsigned line;
    char *key, *value; /* "" */
};

struct findings {
    struct found *list;
    unsigned count;
};

static void note(struct findings *findings, char what, unsigned line, const char *key,
                 const char *value)
{
    findings->list = realloc(findings->list, (findings->count + 1) * sizeof *findings->list);
    if (!findings->list)
        abort();
    findings->list[findings->count++] =
        (struct found){what, line, strdup(key), strdup(value ? value : "")};
}

static void note_heading(void *user, unsigned line, const char *text)
{
    note(user, 'h', line, text, NULL);
}

static void note_entry(void *user, unsigned line, const char *key, const char *value)
{
    note(user, value ? 'e' : 'l', line, key, value);
}

static void note_mistake(void *user, unsigned line, const char *message)
{
    note(user, 'm', line, message, NULL);
}

static struct findings find_all(const char *text, size_t size)
{
    static const struct inifile_events events = {note_heading, note_entry, note_mistake};
    struct findings findings = {0};
    inifile_read(text, size, &events, &findings);
    return findings;
}

static void free_findings(struct findings *findings)
{
    for (unsigned i = 0; i < findings->count; i++) {
        free(findings->list[i].key);
        free(findings->list[i].value);
    }
    free(findings->list);
}

static bool is_same_heading(const struct edit *edit, const char *text)
{
    char word[300], name[300] = "";
    const int got = sscanf(text, "%299[^ \t] %299[^\n]", word, name);
    return got >= 1 && strcmp(word, edit->section) == 0 && strcmp(name, edit->name) == 0;
}

/* Marks the lines of the key, from 1; `section`: the lines below the first heading of the section (0: none). */
static bool *lines_of(const struct findings *findings, const struct edit *edit, unsigned lines,
                      unsigned *section)
{
    bool *of_key = calloc(lines + 2, sizeof *of_key), inside = false;
    if (!of_key)
        abort();
    *section = 0;
    for (unsigned i = 0; i < findings->count; i++) {
        const struct found *found = &findings->list[i];
        if (found->what == 'h') {
            inside = is_same_heading(edit, found->key);
            if (inside && *section == 0)
                *section = found->line;
        } else if (found->what != 'm' && inside && strcmp(found->key, edit->key) == 0) {
            of_key[found->line] = true;
        }
    }
    return of_key;
}

static unsigned count_lines(const char *text, size_t size)
{
    unsigned count = 0;
    for (size_t at = 0; at < size; at++)
        count += text[at] == '\n';
    return count + (size > 0 && text[size - 1] != '\n');
}

/* The next line that is not skipped; false: none. */
static bool next_kept(const char *text, size_t size, size_t *at, unsigned *number,
                      const bool *left_out, const char **line, size_t *length)
{
    while (*at < size) {
        const char *end = memchr(text + *at, '\n', size - *at);
        *line = text + *at;
        *length = end ? (size_t) (end - *line) : size - *at;
        *at += *length + (end != NULL);
        if (!left_out[++*number])
            return true;
    }
    return false;
}

static bool is_same_line(const char *a, size_t a_size, const char *b, size_t b_size, bool last)
{
    if (last && b_size == a_size + 1 && b[a_size] == '\r')
        b_size--; /* it had no line end; the change added one */
    return a_size == b_size && memcmp(a, b, a_size) == 0;
}

static const char *compare_lines(const char *before, size_t before_size, const bool *before_out,
                                 const char *after, size_t after_size, const bool *after_out)
{
    size_t a = 0, b = 0, a_length, b_length;
    unsigned a_number = 0, b_number = 0;
    const char *a_line, *b_line;
    for (;;) {
        const bool more =
            next_kept(before, before_size, &a, &a_number, before_out, &a_line, &a_length);
        if (more != next_kept(after, after_size, &b, &b_number, after_out, &b_line, &b_length))
            return "a line came or went";
        if (!more)
            return NULL;
        if (!is_same_line(a_line, a_length, b_line, b_length, a == before_size))
            return "another line has changed";
    }
}

/* Everything except the key must be the same. The mistake about a line that is too long disappears with the line. */
static const char *compare_findings(const struct findings *before, const bool *before_out,
                                    const struct findings *after, const bool *after_out)
{
    unsigned a = 0, b = 0;
    for (;; a++, b++) {
        while (a < before->count && before_out[before->list[a].line])
            a++;
        while (b < after->count && after_out[after->list[b].line])
            b++;
        if (a == before->count || b == after->count)
            return a == before->count && b == after->count ? NULL : "something came or went";
        const struct found *x = &before->list[a], *y = &after->list[b];
        if (x->what != y->what || strcmp(x->key, y->key) != 0 || strcmp(x->value, y->value) != 0)
            return "something else is read differently";
    }
}

/* * Returns NULL if the properties hold. `*made`: whether the change could be made. */
static const char *edit_property(const char *text, size_t size, const struct edit *edit, bool *made)
{
    char why[EDIT_WHY];
    char *edited = config_edited(text, edit, why);
    *made = edited != NULL;
    if (!edited)
        return why[0] ? NULL : "no reason is given";
    const size_t new_size = strlen(edited);
    struct findings before = find_all(text, size), after = find_all(edited, new_size);
    unsigned was, is;
    const unsigned lines = count_lines(edited, new_size);
    bool *before_out = lines_of(&before, edit, count_lines(text, size), &was);
    bool *after_out = lines_of(&after, edit, lines, &is);
    unsigned keys = 0, seen = 0;
    const char *wrong = NULL;
    for (unsigned i = 0; i < after.count; i++)
        if (after.list[i].what == 'e' && after_out[after.list[i].line]) {
            seen++;
            if (!edit->value || strcmp(after.list[i].value, edit->value) != 0)
                wrong = "the key has another value";
        }
    for (unsigned line = 1; line <= lines; line++)
        keys += after_out[line];
    if (keys != seen || keys != (edit->value ? 1u : 0u))
        wrong = "the key is not there once";
    if (was == 0 && is > 0) {
        after_out[is] = true;
        if (size > 0)
            after_out[is - 1] = true; /* the blank line before a new section */
    }
    if (!wrong)
        wrong = compare_lines(text, size, before_out, edited, new_size, after_out);
    if (!wrong)
        wrong = compare_findings(&before, before_out, &after, after_out);
    free(before_out);
    free(after_out);
    free_findings(&before);
    free_findings(&after);
    free(edited);
    return wrong;
}

/* The n-th finding from `*at` on that is neither a mistake nor in the section; NULL: no more. */
static const struct found *next_other(const struct findings *findings, unsigned *at, bool *inside,
                                      const struct edit *edit)
{
    while (*at < findings->count) {
        const struct found *found = &findings->list[(*at)++];
        if (found->what == 'h')
            *inside = is_same_heading(edit, found->key);
        if (found->what != 'm' && !*inside)
            return found;
    }
    return NULL;
}

/* Whether all lines of `after` are in `before`, in the same order. */
static bool has_lines_of(const char *before, size_t before_size, const char *after,
                         size_t after_size)
{
    bool *none = calloc(before_size + after_size + 3, sizeof *none);
    size_t a = 0, b = 0, a_length, b_length;
    unsigned a_number = 0, b_number = 0;
    const char *a_line, *b_line;
    bool good = none != NULL;
    while (good && next_kept(after, after_size, &b, &b_number, none, &b_line, &b_length)) {
        do
            good = next_kept(before, before_size, &a, &a_number, none, &a_line, &a_length);
        while (good && (a_length != b_length || memcmp(a_line, b_line, a_length) != 0));
    }
    free(none);
    return good;
}

/* The properties of removing a section: the parser finds nothing of it, and everything else as before. Returns NULL,
 * or what is wrong. */
static inline const char *without_property(const char *text, size_t size, const char *section,
                                           const char *name)
{
    const struct edit edit = {EDIT_SECTION, section, name, NULL, NULL};
    char why[EDIT_WHY];
    const bool marked = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
    const size_t skip = marked ? 3 : 0;
    char *shorter = config_edited(text, &edit, why);
    if (!shorter)
        return "there is no result";
    const size_t shorter_size = strlen(shorter);
    struct findings before = find_all(text, size), after = find_all(shorter, shorter_size);
    unsigned a = 0, b = 0;
    bool a_inside = false, b_inside = false;
    const struct found *x, *y;
    const char *wrong = NULL;
    do {
        x = next_other(&before, &a, &a_inside, &edit);
        y = next_other(&after, &b, &b_inside, &edit);
        if (!x != !y || (x && (x->what != y->what || strcmp(x->key, y->key) != 0 ||
                               strcmp(x->value, y->value) != 0)))
            wrong = "another section is not as before";
    } while (x && y && !wrong);
    for (unsigned i = 0; i < after.count; i++)
        if (after.list[i].what == 'h' && is_same_heading(&edit, after.list[i].key))
            wrong = "the section is still there";
    /* A line that begins with a byte order mark and is now the first one gets another mark before it. */
    const bool two =
        !marked && shorter_size >= 6 && memcmp(shorter, "\xEF\xBB\xBF\xEF\xBB\xBF", 6) == 0;
    const size_t added = two ? 3 : skip;
    if (shorter_size < skip || memcmp(text, shorter, skip) != 0)
        wrong = "the byte order mark is gone";
    else if (!has_lines_of(text + skip, size - skip, shorter + added, shorter_size - added))
        wrong = "a line is another one";
    free_findings(&before);
    free_findings(&after);
    free(shorter);
    return wrong;
}

/* The n-th section with its keys, as one text; NULL: there are not so many. */
static char *section_text(const struct findings *findings, unsigned n)
{
    char *text = NULL;
    size_t size;
    unsigned i = 0, headings = 0;
    while (i < findings->count && (findings->list[i].what != 'h' || headings++ < n))
        i++;
    FILE *out = i < findings->count ? open_memstream(&text, &size) : NULL;
    if (!out)
        return NULL;
    fprintf(out, "%s\n", findings->list[i].key);
    while (++i < findings->count && findings->list[i].what != 'h')
        if (findings->list[i].what != 'm')
            fprintf(out, "%c %s=%s\n", findings->list[i].what, findings->list[i].key,
                    findings->list[i].value);
    fclose(out);
    return text;
}

/* The properties of moving a section: each section is as before, in the new order, and no byte is lost. Returns NULL, or what is wrong.
 * *made: whether there was anything to be moved. */
static inline const char *moved_property(const char *text, size_t size, const char *section,
                                         const char *name, const char *to, bool *made)
{
    const struct edit which[] = {{.section = section, .name = name},
                                 {.section = section, .name = to}};
    struct findings before = find_all(text, size), after = {0};
    unsigned at[2] = {0}, found[2] = {0}, headings = 0;
    for (unsigned i = 0; i < before.count; i++)
        if (before.list[i].what == 'h') {
            for (int w = 0; w < 2; w++)
                if (is_same_heading(&which[w], before.list[i].key)) {
                    at[w] = headings;
                    found[w]++;
                }
            headings++;
        }
    char why[EDIT_WHY];
    char *moved = config_edited(text, &(struct edit){EDIT_ORDER, section, name, NULL, to}, why);
    const size_t moved_size = moved ? strlen(moved) : 0;
    const char *wrong = NULL;
    *made = moved;
    if (!moved != (found[0] != 1 || found[1] != 1))
        wrong = "moved what is not there, or not what is";
    if (moved)
        after = find_all(moved, moved_size);
    for (unsigned n = 0; moved && !wrong && n <= headings; n++) {
        /* Which one is now the n-th. */
        unsigned from = n;
        const unsigned end = at[1] > at[0] ? at[1] - 1 : at[1];
        if (n == end)
            from = at[0];
        else if (n < headings)
            from = n + (n >= at[0] && n < end) - (n > end && n <= at[0]);
        char *was = section_text(&before, from), *is = section_text(&after, n);
        if (!was != !is || (was && strcmp(was, is) != 0))
            wrong = "a section is another one";
        free(was);
        free(is);
    }
    int bytes[256] = {0};
    for (size_t i = 0; moved && i < size; i++)
        bytes[(unsigned char) text[i]]++;
    for (size_t i = 0; moved && i < moved_size; i++)
        bytes[(unsigned char) moved[i]]--;
    bytes['\n'] += bytes['\n'] == -1 && text[size - 1] != '\n';
    bytes['\r'] += bytes['\r'] == -1;
    for (int i = 0; i < 256 && !wrong; i++)
        if (bytes[i] != 0)
            wrong = "a byte is lost, or too many";
    free_findings(&before);
    free_findings(&after);
    free(moved);
    return wrong;
}
