// SPDX-License-Identifier: MIT
/* What is wrong in a file, kept in the order of its lines. */
#include "mistakes.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void mistakes_free(struct mistakes *mistakes)
{
    for (unsigned i = 0; i < mistakes->listed; i++)
        free(mistakes->list[i].text);
    memset(mistakes, 0, sizeof *mistakes);
}

/* Behind those of the same and of earlier lines. */
static void insert(struct mistakes *mistakes, unsigned line, char *text)
{
    struct mistake *list = mistakes->list;
    unsigned at = mistakes->listed++;
    for (; at > 0 && list[at - 1].line > line; at--)
        list[at] = list[at - 1];
    list[at] = (struct mistake){line, text};
}

__attribute__((format(printf, 4, 0))) static void
add(struct mistakes *mistakes, unsigned line, const char *mark, const char *format, va_list values)
{
    char text[1024];
    if (mistakes->listed == MAX_MISTAKES) {
        mistakes->dropped++;
        return;
    }
    int length = snprintf(text, sizeof text, "%s", mark);
    vsnprintf(text + length, sizeof text - (size_t) length, format, values);
    insert(mistakes, line, strdup(text));
}

void mistakes_add(struct mistakes *mistakes, unsigned line, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    add(mistakes, line, "", format, values);
    va_end(values);
    mistakes->count++;
}

void mistakes_warn(struct mistakes *mistakes, unsigned line, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    add(mistakes, line, "warning: ", format, values);
    va_end(values);
}

void mistakes_print(const struct mistakes *mistakes, const char *name, FILE *out)
{
    for (unsigned i = 0; i < mistakes->listed; i++) {
        const struct mistake *mistake = &mistakes->list[i];
        fprintf(out, "%s:", name);
        if (mistake->line > 0)
            fprintf(out, "%u:", mistake->line);
        fprintf(out, " %s\n", mistake->text ? mistake->text : "out of memory");
    }
    if (mistakes->dropped > 0)
        fprintf(out, "%s: and %u more\n", name, mistakes->dropped);
}
