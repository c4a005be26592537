// SPDX-License-Identifier: MIT
/* Exchange files: the reader, the writer and the replay. The format is described in
 * tests/captures/README.md. */
#include "exchange.h"

#include "base/alloc.h"
#include "bms/bytes.h"
#include "ports/ble/victron.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MOST (16u << 20) /* bytes; recordings are small, a larger file is something else */
#define KEY_COMMENT "# key:"
#define VARIANT_COMMENT "# variant:"

/* A structure of an advertisement: its length, "maker's data", the company, the record. */
#define AD_HEAD 4
#define AD_MAKER 0xFF
#define AD_VICTRON 0x02E1

struct reader {
    struct exchange *exchange;
    unsigned line;
    char *error;
    size_t error_size;
    uint8_t key[VICTRON_KEY]; /* of the advertisements in the file, if it names one */
    size_t key_size;
};

static bool set_error(struct reader *reader, const char *what)
{
    snprintf(reader->error, reader->error_size, "line %u: %s", reader->line, what);
    return false;
}

static struct exchange_item *add_item(struct reader *reader, enum exchange_kind kind)
{
    struct exchange *exchange = reader->exchange;
    exchange->items =
        alloc_checked(realloc(exchange->items, (exchange->count + 1) * sizeof *exchange->items));
    exchange->items[exchange->count] = (struct exchange_item){.kind = kind, .line = reader->line};
    return &exchange->items[exchange->count++];
}

/* Replaces Victron's advertisement, as it was on the air, by the frame that the port makes of it. */
static void decrypt_advert(const struct reader *reader, struct exchange_item *item)
{
    const uint8_t *advert = item->bytes, *record = advert + AD_HEAD;
    if (item->size < AD_HEAD || item->size != advert[0] + 1u || advert[1] != AD_MAKER ||
        le16(advert + 2) != AD_VICTRON || !victron_fits(record, item->size - AD_HEAD, reader->key))
        return;
    uint8_t *frame = alloc_zeroed(VICTRON_FRAME_MAX, 1);
    item->size = victron_decrypt(record, item->size - AD_HEAD, reader->key, frame);
    free(item->bytes);
    item->bytes = frame;
}

/* Nothing follows but blanks and a comment. */
static bool is_comment(const char *rest)
{
    rest += strspn(rest, " \t");
    return !*rest || *rest == '#';
}

/* "A5 40 90" or "A54090", up to the end or a comment. */
static bool read_bytes(struct reader *reader, enum exchange_kind kind, const char *text)
{
    struct exchange_item *item = add_item(reader, kind);
    item->bytes = alloc_zeroed(strlen(text) / 2 + 1, 1);
    text = hex_bytes(text, item->bytes, strlen(text) / 2, &item->size);
    if (kind == EXCHANGE_REPLY && reader->key_size == VICTRON_KEY)
        decrypt_advert(reader, item);
    return is_comment(text) || set_error(reader, "expected bytes as pairs of hexadecimal digits");
}

/* "soc_percent 99.1 0.05": texts may contain blanks, so only numbers have a tolerance. */
static bool read_value(struct reader *reader, const char *text)
{
    struct exchange_item *item = add_item(reader, EXCHANGE_VALUE);
    size_t name_size = strcspn(text, " \t");
    const char *value = text + name_size + strspn(text + name_size, " \t");
    item->name = alloc_checked(strndup(text, name_size));
    item->value = alloc_checked(strdup(value));
    if (name_size == 0 || !*value)
        return set_error(reader, "expected a name and a value after ~");
    char *end;
    strtod(item->value, &end);
    if (end == item->value || !isspace((unsigned char) *end))
        return true;
    char *rest = end;
    double tolerance = strtod(rest, &end);
    if (!is_comment(end) || !isfinite(tolerance) || tolerance < 0)
        return true;
    item->tolerance = tolerance; /* 0 without one */
    *rest = '\0';
    return true;
}

/* Comments that say how to read the bytes. */
static void read_comment(struct reader *reader, const char *text)
{
    struct exchange *exchange = reader->exchange;
    if (strncmp(text, KEY_COMMENT, strlen(KEY_COMMENT)) == 0)
        hex_bytes(text + strlen(KEY_COMMENT), reader->key, VICTRON_KEY, &reader->key_size);
    if (strncmp(text, VARIANT_COMMENT, strlen(VARIANT_COMMENT)) != 0 || !exchange->driver)
        return;
    text += strlen(VARIANT_COMMENT);
    text += strspn(text, " \t");
    const size_t size = strcspn(text, " \t");
    const char *const *variants = exchange->driver->variants;
    for (int i = 0; variants && variants[i]; i++)
        if (strlen(variants[i]) == size && strncmp(variants[i], text, size) == 0)
            exchange->variant = i;
}

static bool read_line(struct reader *reader, const char *text)
{
    switch (text[0]) {
    case '#':
        read_comment(reader, text);
        return true;
    case '\0':
        return true;
    case '>':
        return read_bytes(reader, EXCHANGE_REQUEST, text + 1);
    case '<':
        return read_bytes(reader, EXCHANGE_REPLY, text + 1);
    case '~':
        return read_value(reader, text + 1 + strspn(text + 1, " \t"));
    }
    if (strncmp(text, "source ", 7) == 0 || strcmp(text, "source") == 0)
        return true;
    if (strncmp(text, "protocol ", 9) != 0)
        return set_error(reader, "expected 'protocol', 'source', '>', '<', '~' or '#'");
    text += 9 + strspn(text + 9, " \t");
    const size_t size = strcspn(text, " \t#");
    char *name = alloc_checked(strndup(text, size));
    reader->exchange->driver = is_comment(text + size) ? bms_driver_find(name) : NULL;
    free(name);
    return reader->exchange->driver || set_error(reader, "unknown protocol");
}

/* A copy of the next line without its end and surrounding blanks. */
static char *cut_line(const char **text, const char *end)
{
    const char *start = *text;
    const char *stop = memchr(start, '\n', (size_t) (end - start));
    *text = stop ? stop + 1 : end;
    if (!stop)
        stop = end;
    while (start < stop && isspace((unsigned char) *start))
        start++;
    while (start < stop && isspace((unsigned char) stop[-1]))
        stop--;
    return alloc_checked(strndup(start, (size_t) (stop - start)));
}

struct exchange *exchange_parse(const char *text, size_t size, char *error, size_t error_size)
{
    struct reader reader = {.error = error, .error_size = error_size};
    reader.exchange = alloc_zeroed(1, sizeof *reader.exchange);
    bool ok = true;
    const char *end = text + size;
    while (ok && text < end) {
        reader.line++;
        char *line = cut_line(&text, end);
        ok = read_line(&reader, line);
        free(line);
    }
    if (ok && !reader.exchange->driver)
        ok = set_error(&reader, "the file names no protocol");
    if (ok)
        return reader.exchange;
    exchange_free(reader.exchange);
    return NULL;
}

struct exchange *exchange_load(const char *path)
{
    char error[200];
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char *text = alloc_checked(malloc(FILE_MOST));
    const size_t size = file ? fread(text, 1, FILE_MOST, file) : 0;
    struct exchange *exchange = NULL;
    if (!file || ferror(file) || size == FILE_MOST)
        snprintf(error, sizeof error, "%s", strerror(size == FILE_MOST ? EFBIG : errno));
    else
        exchange = exchange_parse(text, size, error, sizeof error);
    if (!exchange)
        fprintf(stderr, "packgate: %s: %s\n", path, error);
    free(text);
    if (file && file != stdin)
        fclose(file);
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++) {
        free(exchange->items[i].bytes);
        free(exchange->items[i].name);
        free(exchange->items[i].value);
    }
    free(exchange->items);
    free(exchange);
}

/* Decodes all frames in the buffer; a recording may contain more after a complete reply. */
static void decode_all(struct reply *reply, struct bms *bms, const struct bms_request *request,
                       bool silent, struct pack *pack)
{
    while (reply_decode(reply, bms, request, silent, pack) != REPLY_WAITING)
        continue;
}

void exchange_replay(const struct exchange *exchange, struct bms *bms, struct pack *pack,
                     struct reply_counters *counters)
{
    struct reply reply = {0};
    struct bms_request request = {0};
    pack_clear(pack);
    for (size_t i = 0; i < exchange->count; i++) {
        const struct exchange_item *item = &exchange->items[i];
        if (item->kind == EXCHANGE_VALUE)
            continue;
        if (item->kind == EXCHANGE_REQUEST) {
            decode_all(&reply, bms, &request, true, pack);
            /* A request that is longer than any of ours is from another program; its reply is
             * foreign. */
            request.size = item->size <= sizeof request.bytes ? item->size : sizeof request.bytes;
            memcpy(request.bytes, item->bytes, request.size);
            continue;
        }
        for (size_t at = 0; at < item->size;) {
            at += reply_append(&reply, item->bytes + at, item->size - at);
            decode_all(&reply, bms, &request, false, pack);
        }
    }
    decode_all(&reply, bms, &request, true, pack);
    if (bms->driver->finish)
        bms->driver->finish(bms, pack);
    pack_derive(pack);
    *counters = reply.counters;
}

void exchange_write_head(FILE *out, const char *protocol, const char *source)
{
    fprintf(out, "protocol %s\nsource %s\n", protocol, source);
}

void exchange_write_bytes(FILE *out, char direction, const uint8_t *bytes, size_t size)
{
    fputc(direction, out);
    for (size_t i = 0; i < size; i++)
        fprintf(out, " %02X", bytes[i]);
    fputc('\n', out);
}
