// SPDX-License-Identifier: MIT
#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct text text_in(char *bytes, size_t room)
{
    bytes[0] = '\0';
    return (struct text){.bytes = bytes, .room = room};
}

size_t text_fitting(const char *words, size_t most)
{
    const size_t size = strlen(words);
    if (size <= most)
        return size;
    while (most > 0 && ((unsigned char) words[most] & 0xC0) == 0x80)
        most--;
    return most;
}

static void append_bytes(struct text *text, const char *more, size_t size)
{
    if (text->cut || size >= text->room - text->size) {
        text->cut = true;
        return;
    }
    memcpy(text->bytes + text->size, more, size);
    text->size += size;
    text->bytes[text->size] = '\0';
}

void text_add(struct text *text, const char *more)
{
    append_bytes(text, more, strlen(more));
}

void text_format(struct text *text, const char *format, ...)
{
    if (text->cut)
        return;
    va_list arguments;
    va_start(arguments, format);
    size_t left = text->room - text->size;
    int size = vsnprintf(text->bytes + text->size, left, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t) size >= left) {
        text->bytes[text->size] = '\0';
        text->cut = true;
        return;
    }
    text->size += (size_t) size;
}

void text_known(struct text *text, const char *format, double number)
{
    if (!isnan(number))
        text_format(text, format, number);
}

#define DIGITS 340

/* Writes at most 330 characters; returns how many. A day of 64 packs has 13 million numbers, and printf takes ten times as
 * long; it decides where a number is too large, or too close to the middle of two, for a product to be exact enough. */
static int print_fixed(char digits[DIGITS], double number, int decimals)
{
    static const double scales[] = {1, 1e1, 1e2, 1e3, 1e4};
    const bool known = decimals >= 0 && (size_t) decimals < sizeof scales / sizeof *scales;
    const double scaled = known ? fabs(number) * scales[decimals] : (double) INFINITY;
    if (!(scaled < 1e12) || fabs(scaled - floor(scaled) - 0.5) < 1e-3) {
        const int size = snprintf(digits, DIGITS, "%.*f", decimals, number);
        if (digits[0] != '-' || strspn(digits + 1, "0.") != (size_t) size - 1)
            return size;
        memmove(digits, digits + 1, (size_t) size); /* a number that rounds to 0 has no sign */
        return size - 1;
    }
    int64_t rest = llround(scaled);
    const bool negative = number < 0 && rest > 0;
    char *const end = digits + DIGITS - 1, *at = end;
    *at = '\0';
    for (int n = 0; rest > 0 || n <= decimals; n++, rest /= 10) {
        if (n == decimals && n > 0)
            *--at = '.';
        *--at = (char) ('0' + rest % 10);
    }
    if (negative)
        *--at = '-';
    memmove(digits, at, (size_t) (end - at) + 1);
    return (int) (end - at);
}

void text_fixed(struct text *text, double number, int decimals)
{
    char digits[DIGITS];
    print_fixed(digits, number, decimals);
    text_add(text, digits);
}

void text_expand(struct text *text, const char *pattern, const char *host)
{
    for (const char *c = pattern; *c; c++)
        if (c[0] == '%' && c[1] == 'h') {
            text_add(text, host);
            c++;
        } else {
            text_format(text, "%c", *c);
        }
}

void text_number(struct text *text, double number, int decimals)
{
    char digits[DIGITS];
    if (!isfinite(number)) {
        text_add(text, "null");
        return;
    }
    int size = print_fixed(digits, number, decimals);
    if (decimals > 0) {
        while (digits[size - 1] == '0')
            size--;
        if (digits[size - 1] == '.')
            size--;
    }
    digits[size] = '\0';
    text_add(text, digits);
}

void text_quote(struct text *text, const char *string)
{
    text_add(text, "\"");
    for (const char *c = string; *c; c++) {
        if (*c == '"' || *c == '\\')
            text_format(text, "\\%c", *c);
        else if ((unsigned char) *c < 0x20)
            text_format(text, "\\u%04x", (unsigned) *c);
        else
            append_bytes(text, c, 1);
    }
    text_add(text, "\"");
}

void text_key(struct text *text, const char *name)
{
    const char last = text->size > 0 ? text->bytes[text->size - 1] : '{';
    if (last != '{' && last != '[')
        text_add(text, ",");
    text_quote(text, name);
    text_add(text, ":");
}

void text_json(struct text *text, const char *name, const char *json)
{
    text_key(text, name);
    text_add(text, json);
}

void text_member(struct text *text, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    text_key(text, name);
    text_quote(text, value);
}

void text_member_number(struct text *text, const char *name, double number, int decimals)
{
    if (isnan(number))
        return;
    text_key(text, name);
    text_number(text, number, decimals);
}
