// SPDX-License-Identifier: MIT
/*
 * "did you mean": edit distance of two words. An extra letter, a missing one, a wrong one, or two
 * swapped neighbours count as one mistake; upper and lower case are equal.
 */
#include "suggest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define LONGEST 32

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int differ(char a, char b)
{
    return tolower((unsigned char) a) != tolower((unsigned char) b);
}

static unsigned distance(const char *a, const char *b)
{
    unsigned d[LONGEST + 1][LONGEST + 1];
    size_t rows = strlen(a), columns = strlen(b);
    for (unsigned i = 0; i <= rows; i++) {
        for (unsigned j = 0; j <= columns; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(d[i - 1][j], d[i][j - 1]) + 1;
            d[i][j] = least(d[i][j], d[i - 1][j - 1] + (unsigned) differ(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && !differ(a[i - 1], b[j - 2]) && !differ(a[i - 2], b[j - 1]))
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[rows][columns];
}

struct suggest suggest_for(const char *word)
{
    size_t length = strlen(word);
    unsigned tolerated = length < 6 ? 1 : length < 9 ? 2 : 3;
    return (struct suggest){.word = word, .distance = tolerated + 1};
}

void suggest_offer(struct suggest *suggest, const char *candidate)
{
    if (strlen(suggest->word) > LONGEST || strlen(candidate) > LONGEST)
        return;
    unsigned found = distance(suggest->word, candidate);
    if (found >= suggest->distance || found >= strlen(candidate))
        return;
    suggest->distance = found;
    strcpy(suggest->best, candidate);
}

const char *suggest_hint(struct suggest *suggest)
{
    if (suggest->best[0])
        snprintf(suggest->hint, sizeof suggest->hint, "; did you mean '%s'?", suggest->best);
    return suggest->hint;
}
