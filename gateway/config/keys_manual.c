// SPDX-License-Identifier: MIT
/* The table of keys, as text and for the manual page: there one subsection for each section of the
 * file, one tagged paragraph for each key. */
#include "keys_manual.h"

#include "keys.h"

static void print_plain_key(const struct config_key *key, FILE *out)
{
    char expected[EXPECTED_SIZE];
    fprintf(out, "  %s\n      %s\n", key->name, key->help);
    fprintf(out, "      Value: %s\n", config_key_expected(key, expected));
    if (key->preset)
        fprintf(out, "      Default: %s\n", key->preset);
    else if (key->otherwise)
        fprintf(out, "      Default: %s\n", key->otherwise);
    else
        fprintf(out, "      Must be given.\n");
    fprintf(out, "      %s\n", config_key_on_change(key));
}

void keys_manual_print_plain(FILE *out)
{
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        fprintf(out, "%s%s\n    %s\n\n", i > 0 ? "\n" : "", section->heading, section->help);
        for (unsigned row = 0; row < section->key_count; row++)
            if (!section->keys[row].folded)
                print_plain_key(&section->keys[row], out);
    }
}

/* A leading dot or apostrophe would be a request to troff, and a plain '-' would become a hyphen,
 * which does not work when copied into a file. */
static void print_text(const char *text, FILE *out)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void print_line(const char *before, const char *text, const char *after, FILE *out)
{
    fputs(before, out);
    print_text(text, out);
    fputs(after, out);
}

static void print_key(const struct config_key *key, FILE *out)
{
    char expected[EXPECTED_SIZE];
    const char *usual = key->preset ? key->preset : key->otherwise;
    print_line(".TP\n.B ", key->name, "\n", out);
    print_line("", key->help, "\n.br\n", out);
    print_line("Value: ", config_key_expected(key, expected), "\n.br\n", out);
    if (usual)
        print_line("Default: ", usual, "\n.br\n", out);
    else
        fputs("Must be given.\n.br\n", out);
    print_line("", config_key_on_change(key), "\n", out);
}

void keys_manual_print(FILE *out)
{
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        print_line(".SS \"", section->heading, "\"\n", out);
        print_line("", section->help, "\n", out);
        for (unsigned row = 0; row < section->key_count; row++)
            if (!section->keys[row].folded)
                print_key(&section->keys[row], out);
    }
}
