// SPDX-License-Identifier: MIT
/* What is wrong in a file, kept in the order of its lines. */
#include "mistakes.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MOST 1024 /* bytes of a text, before how many there are more */

void mistakes_free(struct mistakes *mistakes)
{
    free(mistakes->list);
    *mistakes = (struct mistakes){0};
}

__attribute__((format(printf, 4, 0))) static struct mistake *
append(struct mistakes *mistakes, unsigned line, bool warning, const char *format, va_list values)
{
    mistakes->list =
        alloc_checked(realloc(mistakes->list, (mistakes->listed + 1) * sizeof *mistakes->list));
    struct mistake *last = &mistakes->list[mistakes->listed++];
    *last = (struct mistake){.line = line, .warning = warning};
    const int size = sprintf(last->text, "%s", warning ? MISTAKE_WARNING : "");
    vsnprintf(last->text + size, TEXT_MOST - (size_t) size, format, values);
    return last;
}

struct mistake *mistakes_insert(struct mistakes *mistakes, unsigned line, bool warning,
                                const char *format, va_list values)
{
    struct mistake *at = mistakes->listed > MAX_MISTAKES
                             ? &mistakes->list[MAX_MISTAKES]
                             : append(mistakes, line, warning, format, values);
    mistakes->count += !warning;
    if (mistakes->listed > MAX_MISTAKES) {
        *at = (struct mistake){.more = at->more + 1};
        sprintf(at->text, "and %u more", at->more);
        return NULL;
    }
    const struct mistake fresh = *at;
    for (; at > mistakes->list && at[-1].line > line; at--)
        *at = at[-1];
    *at = fresh;
    return at;
}

void mistakes_warn(struct mistakes *mistakes, unsigned line, const char *format, va_list values)
{
    append(mistakes, line, true, format, values);
}

void mistakes_add(struct mistakes *mistakes, unsigned line, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    mistakes_insert(mistakes, line, false, format, values);
    va_end(values);
}

void mistakes_add_of(struct mistakes *mistakes, unsigned line, const char *subject,
                     const char *format, ...)
{
    va_list values;
    for (unsigned i = 0; i < mistakes->listed; i++) {
        struct mistake *before = &mistakes->list[i];
        if (before->size == 0 || strcmp(before->subject, subject) != 0)
            continue;
        mistakes->count++;
        before->more++;
        sprintf(before->text + before->size, " (and in %u more line%s)", before->more,
                before->more > 1 ? "s" : "");
        return;
    }
    va_start(values, format);
    struct mistake *mistake = mistakes_insert(mistakes, line, false, format, values);
    va_end(values);
    if (!mistake)
        return;
    snprintf(mistake->subject, sizeof mistake->subject, "%s", subject);
    mistake->size = strlen(mistake->text);
}

void mistakes_print(const struct mistakes *mistakes, const char *name, FILE *out)
{
    for (unsigned i = 0; out && i < mistakes->listed; i++) {
        const struct mistake *mistake = &mistakes->list[i];
        fprintf(out, "%s:", name);
        if (mistake->line > 0)
            fprintf(out, "%u:", mistake->line);
        fprintf(out, " %s\n", mistake->text);
    }
}
