// SPDX-License-Identifier: MIT
/* What is wrong in a file, kept in the order of its lines. */
#include "mistakes.h"

#include <stdlib.h>
#include <string.h>

void mistakes_free(struct mistakes *mistakes)
{
    for (unsigned i = 0; i < mistakes->listed; i++) {
        free(mistakes->list[i].text);
        free(mistakes->list[i].subject);
    }
    memset(mistakes, 0, sizeof *mistakes);
}

struct mistake *mistakes_insert(struct mistakes *mistakes, unsigned line, bool warning,
                                const char *format, va_list values)
{
    struct mistake *list = mistakes->list;
    char text[1024];
    mistakes->count += !warning;
    if (mistakes->listed == MAX_MISTAKES) {
        mistakes->dropped++;
        return NULL;
    }
    int length = snprintf(text, sizeof text, "%s", warning ? "warning: " : "");
    vsnprintf(text + length, sizeof text - (size_t) length, format, values);
    unsigned at = mistakes->listed++;
    for (; at > 0 && list[at - 1].line > line; at--)
        list[at] = list[at - 1];
    list[at] = (struct mistake){.line = line, .text = strdup(text)};
    return &list[at];
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
        if (before->subject && strcmp(before->subject, subject) == 0) {
            before->more++;
            mistakes->count++;
            return;
        }
    }
    va_start(values, format);
    struct mistake *mistake = mistakes_insert(mistakes, line, false, format, values);
    va_end(values);
    if (mistake)
        mistake->subject = strdup(subject);
}

void mistakes_print(const struct mistakes *mistakes, const char *name, FILE *out)
{
    for (unsigned i = 0; i < mistakes->listed; i++) {
        const struct mistake *mistake = &mistakes->list[i];
        fprintf(out, "%s:", name);
        if (mistake->line > 0)
            fprintf(out, "%u:", mistake->line);
        fprintf(out, " %s", mistake->text ? mistake->text : "out of memory");
        if (mistake->more > 0)
            fprintf(out, " (and in %u more line%s)", mistake->more, mistake->more > 1 ? "s" : "");
        fputc('\n', out);
    }
    if (mistakes->dropped > 0)
        fprintf(out, "%s: and %u more\n", name, mistakes->dropped);
}
