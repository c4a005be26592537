// SPDX-License-Identifier: MIT
/*
 * Finds the longest common subsequence of lines by dynamic programming. Equal lines at the beginning and the end are skipped first,
 * so the table is small: an edited configuration differs in a few lines.
 */
#include "diff.h"

#include "base/alloc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MOST (4 * 1024 * 1024) /* entries, of 2 bytes: 2,000 lines on each side */

struct span {
    const char *at;
    size_t size;
};

struct lines {
    struct span *list;
    unsigned count;
};

struct diff {
    struct lines old, fresh;
    unsigned first;              /* number of equal lines at the beginning */
    unsigned old_end, fresh_end; /* from these lines on both are equal */
    uint16_t *common;            /* NULL: no table */
    void (*line)(void *data, char op, unsigned number, const char *text, size_t size);
    void *data;
    unsigned said; /* lines of the new text that were reported or skipped */
};

static struct lines split(const char *text)
{
    struct lines lines = {0};
    unsigned count = 1;
    for (const char *c = text; *c; c++)
        count += *c == '\n';
    lines.list = alloc_zeroed(count, sizeof *lines.list);
    while (*text) {
        const size_t size = strcspn(text, "\n");
        lines.list[lines.count++] = (struct span){text, size};
        text += size + (text[size] == '\n');
    }
    return lines;
}

static bool same(const struct diff *diff, unsigned a, unsigned b)
{
    const struct span *x = &diff->old.list[a], *y = &diff->fresh.list[b];
    return x->size == y->size && memcmp(x->at, y->at, x->size) == 0;
}

static void trim(struct diff *diff)
{
    diff->old_end = diff->old.count;
    diff->fresh_end = diff->fresh.count;
    while (diff->first < diff->old_end && diff->first < diff->fresh_end &&
           same(diff, diff->first, diff->first))
        diff->first++;
    while (diff->old_end > diff->first && diff->fresh_end > diff->first &&
           same(diff, diff->old_end - 1, diff->fresh_end - 1)) {
        diff->old_end--;
        diff->fresh_end--;
    }
}

static uint16_t *entry(const struct diff *diff, unsigned a, unsigned b)
{
    const size_t width = diff->fresh_end - diff->first + 1;
    return &diff->common[(a - diff->first) * width + (b - diff->first)];
}

/* Fills the table with the number of common lines from (a, b) on. */
static void fill(struct diff *diff)
{
    const size_t rows = diff->old_end - diff->first + 1, width = diff->fresh_end - diff->first + 1;
    if (rows * width > TABLE_MOST)
        return;
    diff->common = alloc_zeroed(rows * width, sizeof *diff->common);
    for (unsigned a = diff->old_end; a-- > diff->first;)
        for (unsigned b = diff->fresh_end; b-- > diff->first;) {
            const uint16_t below = *entry(diff, a + 1, b), right = *entry(diff, a, b + 1);
            *entry(diff, a, b) = same(diff, a, b) ? (uint16_t) (*entry(diff, a + 1, b + 1) + 1)
                                 : below > right  ? below
                                                  : right;
        }
}

static void report_line(struct diff *diff, char op, const struct lines *lines, unsigned n)
{
    diff->line(diff->data, op, n + 1, lines->list[n].at, lines->list[n].size);
}

/* Reports equal lines up to `to`, but only those near a difference. */
static void report_equal(struct diff *diff, unsigned to, bool behind, bool before)
{
    for (unsigned n = diff->said; n < to; n++)
        if ((behind && n < diff->said + DIFF_AROUND) || (before && n + DIFF_AROUND >= to))
            report_line(diff, ' ', &diff->fresh, n);
    diff->said = to;
}

static void walk(struct diff *diff)
{
    unsigned a = diff->first, b = a;
    bool any = false;
    while (a < diff->old_end || b < diff->fresh_end) {
        const bool both = a < diff->old_end && b < diff->fresh_end;
        if (both && diff->common && same(diff, a, b)) {
            a++;
            b++;
            continue;
        }
        report_equal(diff, b, any, true);
        any = true;
        const bool fewer = both && diff->common && *entry(diff, a + 1, b) < *entry(diff, a, b + 1);
        if (a < diff->old_end && !fewer) {
            report_line(diff, '-', &diff->old, a++);
        } else {
            report_line(diff, '+', &diff->fresh, b++);
            diff->said = b;
        }
    }
    if (any)
        report_equal(diff, diff->fresh.count, true, false);
}

void diff_lines(const char *old, const char *fresh,
                void (*line)(void *data, char op, unsigned number, const char *text, size_t size),
                void *data)
{
    struct diff diff = {.old = split(old), .fresh = split(fresh), .line = line, .data = data};
    trim(&diff);
    fill(&diff);
    walk(&diff);
    free(diff.common);
    free(diff.old.list);
    free(diff.fresh.list);
}
