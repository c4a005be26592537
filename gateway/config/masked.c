// SPDX-License-Identifier: MIT
/* A configuration's text without its secrets. */
#include "masked.h"

#include "keys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANK "***"
/* digits of an encryption key; no other value in a configuration has as many */
#define KEY_DIGITS 32

/* Whether a key holds a secret: an unknown one whose name suggests it. Where the path of a file is expected, the value may
 * be the password itself, by mistake. */
static bool is_secret(const char *name, size_t size, const char *value)
{
    static const char *const words[] = {"pass", "secret", "token", "pin", "key", "crypt"};
    bool known = false;
    for (unsigned s = 0; config_sections[s]; s++)
        for (unsigned k = 0; k < config_sections[s]->key_count; k++) {
            const struct config_key *key = &config_sections[s]->keys[k];
            known |= strlen(key->name) == size && strncasecmp(key->name, name, size) == 0;
        }
    bool is_file = size > 5 && strncasecmp(name + size - 5, "_file", 5) == 0;
    if (is_file)
        return value[0] != '/' && strncasecmp(value, "none", 4) != 0;
    for (size_t i = 0; !known && i < sizeof words / sizeof *words; i++)
        for (size_t at = 0; at + strlen(words[i]) <= size; at++)
            if (strncasecmp(name + at, words[i], strlen(words[i])) == 0)
                return true;
    return false;
}

/* Keys belong into files, but get pasted anywhere: long hex strings are masked in any text. */
static void write_text(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t digits = 0;
        while (i + digits < size && isxdigit((unsigned char) text[i + digits]))
            digits++;
        if (digits >= KEY_DIGITS)
            fputs(BLANK, out);
        else
            fwrite(text + i, 1, digits, out);
        i += digits;
        if (i < size)
            fputc(text[i++], out);
    }
}

/* "tcp://user:password@host": what precedes the @ is masked. */
static void write_value(FILE *out, const char *value, size_t size)
{
    const char *address = memmem(value, size, "://", 3);
    const char *at = address ? memrchr(address, '@', size - (size_t) (address - value)) : NULL;
    if (at) {
        fwrite(value, 1, (size_t) (address + 3 - value), out);
        fputs(BLANK, out);
        write_text(out, at, size - (size_t) (at - value));
    } else {
        write_text(out, value, size);
    }
}

/* A comment may hold an entry that was used before. */
static void write_blanked_line(FILE *out, const char *line, size_t size)
{
    size_t begin = 0;
    while (begin < size && (isspace((unsigned char) line[begin]) || strchr(";#", line[begin])))
        begin++;
    const char *equals = memchr(line + begin, '=', size - begin);
    const char *colon = memchr(line + begin, ':', size - begin);
    const char *sign = equals ? equals : colon;
    if (!sign) {
        write_value(out, line, size);
        return;
    }
    size_t name_size = (size_t) (sign - line) - begin;
    while (name_size > 0 && isspace((unsigned char) line[begin + name_size - 1]))
        name_size--;
    size_t value = (size_t) (sign - line) + 1;
    while (value < size && isblank((unsigned char) line[value]))
        value++;
    write_text(out, line, value);
    if (value < size && is_secret(line + begin, name_size, line + value))
        fputs(BLANK, out);
    else
        write_value(out, line + value, size - value);
}

char *config_masked(const char *text)
{
    char *masked = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&masked, &size);
    if (!out)
        return NULL;
    while (*text) {
        size_t length = strcspn(text, "\n");
        write_blanked_line(out, text, length);
        text += length;
        if (*text) {
            fputc('\n', out);
            text++;
        }
    }
    bool good = !ferror(out);
    if (fclose(out) == 0 && good)
        return masked;
    free(masked);
    return NULL;
}
