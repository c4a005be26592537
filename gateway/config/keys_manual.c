// SPDX-License-Identifier: MIT
/* The table of keys, as text and for the manual page: there one subsection for each section of the
 * file, one tagged paragraph for each key. */
#include "keys_manual.h"

#include "keys.h"

/* For a manual page: a leading dot or apostrophe would be a request to troff, and a plain '-' would become a hyphen,
 * which does not work when copied into a file. */
static void print_line(const char *before, const char *text, const char *after, bool manual,
                       FILE *out)
{
    fputs(before, out);
    if (manual && (*text == '.' || *text == '\''))
        fputs("\\&", out);
    for (; *text; text++)
        if (manual && *text == '\\')
            fputs("\\e", out);
        else if (manual && *text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    fputs(after, out);
}

static void print_key(const struct config_key *key, bool manual, FILE *out)
{
    const char *end = manual ? "\n.br\n" : "\n", *indent = manual ? "" : "      ";
    const char *usual = key->preset ? key->preset : key->otherwise;
    char expected[EXPECTED_SIZE];
    print_line(manual ? ".TP\n.B " : "  ", key->name, "\n", manual, out);
    print_line(indent, key->help, end, manual, out);
    fputs(indent, out);
    print_line("Value: ", config_key_expected(key, expected), end, manual, out);
    fputs(indent, out);
    print_line(usual ? "Default: " : "", usual ? usual : "Must be given.", end, manual, out);
    print_line(indent, config_key_on_change(key), "\n", manual, out);
}

void keys_manual_print(bool manual, FILE *out)
{
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        fputs(i > 0 && !manual ? "\n" : "", out);
        print_line(manual ? ".SS \"" : "", section->heading, manual ? "\"\n" : "\n", manual, out);
        print_line(manual ? "" : "    ", section->help, manual ? "\n" : "\n\n", manual, out);
        for (unsigned row = 0; row < section->key_count; row++)
            if (!section->keys[row].folded)
                print_key(&section->keys[row], manual, out);
    }
}
