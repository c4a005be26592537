// SPDX-License-Identifier: MIT
#include "gaps.h"

#include "base/regular.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEADING "packgate sent 1"
#define ENDING "end"

static void drop_gap(struct gaps *gaps, unsigned n)
{
    memmove(&gaps->at[n], &gaps->at[n + 1], (gaps->count - n - 1) * sizeof *gaps->at);
    gaps->count--;
}

void gaps_add(struct gaps *gaps, int64_t from, int64_t to)
{
    if (from >= to)
        return;
    unsigned n = 0;
    while (n < gaps->count && gaps->at[n].to < from)
        n++;
    /* All spans that it touches are merged into it. */
    while (n < gaps->count && gaps->at[n].from <= to) {
        from = earlier(gaps->at[n].from, from);
        to = later(gaps->at[n].to, to);
        drop_gap(gaps, n);
    }
    memmove(&gaps->at[n + 1], &gaps->at[n], (gaps->count - n) * sizeof *gaps->at);
    gaps->at[n] = (struct gap){from, to};
    if (++gaps->count <= GAPS_MAX)
        return;
    /* There is no room: the two closest ones are joined. */
    unsigned closest = 0;
    for (unsigned i = 1; i + 1 < gaps->count; i++)
        if (gaps->at[i + 1].from - gaps->at[i].to <
            gaps->at[closest + 1].from - gaps->at[closest].to)
            closest = i;
    gaps->at[closest].to = gaps->at[closest + 1].to;
    drop_gap(gaps, closest + 1);
}

void gaps_remove(struct gaps *gaps, int64_t from, int64_t to)
{
    const struct gaps before = *gaps;
    if (from >= to)
        return;
    gaps->count = 0;
    for (unsigned n = 0; n < before.count; n++) {
        gaps_add(gaps, before.at[n].from, earlier(before.at[n].to, from));
        gaps_add(gaps, later(before.at[n].from, to), before.at[n].to);
    }
}

int64_t gaps_total(const struct gaps *gaps)
{
    int64_t total = 0;
    for (unsigned i = 0; i < gaps->count; i++)
        total += gaps->at[i].to - gaps->at[i].from;
    return total;
}

static bool read_gaps(struct gaps *gaps, FILE *file)
{
    char line[100];
    if (!fgets(line, sizeof line, file) || strcmp(line, HEADING "\n") != 0)
        return false;
    while (fgets(line, sizeof line, file)) {
        int64_t from, to;
        if (strcmp(line, ENDING "\n") == 0)
            return gaps->until > 0;
        if (sscanf(line, "until %" SCNd64, &to) == 1)
            gaps->until = to;
        else if (sscanf(line, "health %" SCNd64, &to) == 1)
            gaps->health = to;
        else if (sscanf(line, "gap %" SCNd64 " %" SCNd64, &from, &to) == 2 && from < to)
            gaps_add(gaps, from, to);
        else
            return false;
    }
    return false;
}

bool gaps_load(struct gaps *gaps, const char *path)
{
    const char *why;
    FILE *file = regular_open(path, &why);
    memset(gaps, 0, sizeof *gaps);
    const bool good = file && read_gaps(gaps, file);
    if (file)
        fclose(file);
    if (!good)
        memset(gaps, 0, sizeof *gaps);
    return good;
}

bool gaps_save(const struct gaps *gaps, const char *path)
{
    char fresh[4096], bytes[1000];
    struct text text = text_in(bytes, sizeof bytes);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    text_format(&text, HEADING "\nuntil %" PRId64 "\n", gaps->until);
    if (gaps->health > 0)
        text_format(&text, "health %" PRId64 "\n", gaps->health);
    for (unsigned i = 0; i < gaps->count; i++)
        text_format(&text, "gap %" PRId64 " %" PRId64 "\n", gaps->at[i].from, gaps->at[i].to);
    text_add(&text, ENDING "\n");
    return regular_replace(path, fresh, bytes, NULL);
}
