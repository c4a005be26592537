// SPDX-License-Identifier: MIT
/*
 * Every exchange file through its driver: whole, byte by byte, after noise, after an echo of the
 * request, after a late reply, truncated, and with every single bit flipped. Expected values come
 * from the files alone.
 *
 * tests/run: 10 s
 */
#include "commands/exchange.h"

#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MAX_FILES 256
#define CAPTURES "tests/captures"

/* What an expectation refers to, looked up once because there are millions of comparisons. */
struct place {
    enum { NOWHERE, VALUE, ALARM, TEXT } kind;
    int index;
    double expected;
    bool alone; /* see stands_alone */
};

struct capture {
    char path[600];
    struct exchange *exchange;
    struct place *places; /* of each item */
};
static struct capture captures[MAX_FILES];
static size_t capture_count;

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = malloc(1 << 20);
    assert_non_null(text);
    *size = fread(text, 1, 1 << 20, file);
    fclose(file);
    return text;
}

/* Values that depend on several messages may differ when one is missing: extremes of fewer cells, the direction of
 * the current, alarms and switches that an earlier reply of the exchange reported differently. */
static bool stands_alone(const char *name)
{
    static const char *const alone[] = {"cell_mv.",    "temp_c.", "voltage_v", "soc_percent",
                                        "soh_percent", "full_ah", "rated_ah",  "serial",
                                        "model",       "firmware"};
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        if (strncmp(name, alone[i], strlen(alone[i])) == 0)
            return true;
    return false;
}

static struct place find_place(const struct exchange_item *item)
{
    struct place place = {.kind = NOWHERE, .alone = stands_alone(item->name)};
    for (int i = 0; i < PACK_TEXTS; i++)
        if (strcmp(pack_text_name((enum pack_text) i), item->name) == 0)
            place.kind = TEXT, place.index = i;
    char buffer[VALUE_NAME_SIZE];
    for (int i = 0; i < PACK_VALUES; i++)
        if (strcmp(pack_value_name((enum pack_value) i, buffer), item->name) == 0)
            place.kind = VALUE, place.index = i;
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        snprintf(buffer, sizeof buffer, "alarm.%s", pack_alarm_name((enum pack_alarm) i));
        if (strcmp(buffer, item->name) == 0)
            place.kind = ALARM, place.index = i;
    }
    if (place.kind != TEXT)
        place.expected = strtod(item->value, NULL);
    return place;
}

static struct place *find_places(const struct exchange *exchange)
{
    struct place *places = calloc(exchange->count + 1, sizeof *places);
    assert_non_null(places);
    for (size_t i = 0; i < exchange->count; i++)
        if (exchange->items[i].kind == EXCHANGE_VALUE)
            places[i] = find_place(&exchange->items[i]);
    return places;
}

static void load_file(const char *path)
{
    size_t size;
    char *text = read_file(path, &size);
    char error[200] = "";
    assert_true(capture_count < MAX_FILES);
    struct capture *capture = &captures[capture_count++];
    snprintf(capture->path, sizeof capture->path, "%s", path);
    capture->exchange = exchange_parse(text, size, error, sizeof error);
    if (!capture->exchange)
        fail_msg("%s: %s", path, error);
    capture->places = find_places(capture->exchange);
    free(text);
}

/* Finds all files of all drivers. A driver without captures is a failure. */
BEFORE_ALL
{
    glob_t files;
    assert_int_equal(glob("tests/captures/*/*.exch", 0, NULL, &files), 0);
    assert_int_equal(glob("tests/exchanges/*/*.exch", GLOB_APPEND, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        load_file(files.gl_pathv[i]);
    globfree(&files);
    for (size_t d = 0; bms_drivers[d]; d++) {
        size_t found = 0;
        for (size_t i = 0; i < capture_count; i++)
            found += captures[i].exchange->driver == bms_drivers[d];
        if (!found)
            fail_msg("no captures for %s", bms_drivers[d]->name);
    }
}

/* NAN: unknown, or not a number. */
static double number_at(const struct pack *pack, const struct place *place)
{
    if (place->kind == VALUE)
        return pack->value[place->index];
    if (place->kind == ALARM && (pack->alarms_known >> place->index & 1))
        return pack_alarm_active(pack, (enum pack_alarm) place->index);
    return NAN;
}

static bool meets(const struct pack *pack, const struct exchange_item *item,
                  const struct place *place)
{
    if (place->kind == TEXT)
        return strcmp(pack->text[place->index], item->value) == 0;
    const double number = number_at(pack, place);
    return isnan(place->expected) ? isnan(number)
                                  : fabs(number - place->expected) <= item->tolerance + 1e-9;
}

static void describe(const struct pack *pack, const struct exchange_item *item,
                     const struct place *place, char problem[300])
{
    if (place->kind == NOWHERE)
        snprintf(problem, 300, "line %u: no such value '%s'", item->line, item->name);
    else if (place->kind == TEXT)
        snprintf(problem, 300, "%s: expected '%s', got '%s'", item->name, item->value,
                 pack->text[place->index]);
    else
        snprintf(problem, 300, "%s: expected %s within %g, got %.6g", item->name, item->value,
                 item->tolerance, number_at(pack, place));
}

static unsigned count_unmet(const struct capture *capture, const struct pack *pack)
{
    unsigned unmet = 0;
    char problem[300];
    for (size_t i = 0; i < capture->exchange->count; i++) {
        const struct exchange_item *item = &capture->exchange->items[i];
        if (item->kind == EXCHANGE_VALUE && !meets(pack, item, &capture->places[i])) {
            unmet++;
            describe(pack, item, &capture->places[i], problem);
            print_error("%s: %s\n", capture->path, problem);
        }
    }
    return unmet;
}

/* Copies an exchange and passes each reply through `change`, which may return several pieces. */
struct variation {
    const char *name;
    /* Appends the replacements of items[at]. */
    void (*change)(struct exchange *out, const struct exchange *in, size_t at);
};

static void append(struct exchange *out, enum exchange_kind kind, const uint8_t *bytes, size_t size)
{
    out->items = realloc(out->items, (out->count + 1) * sizeof *out->items);
    assert_non_null(out->items);
    struct exchange_item *item = &out->items[out->count++];
    *item = (struct exchange_item){.kind = kind, .size = size, .bytes = malloc(size + 1)};
    assert_non_null(item->bytes);
    memcpy(item->bytes, bytes, size);
}

static void append_copy(struct exchange *out, const struct exchange_item *item)
{
    if (item->kind != EXCHANGE_VALUE)
        append(out, item->kind, item->bytes, item->size);
}

static bool follows_request(const struct exchange *in, size_t at)
{
    while (at > 0 && in->items[at - 1].kind == EXCHANGE_VALUE)
        at--;
    return at > 0 && in->items[at - 1].kind == EXCHANGE_REQUEST;
}

static void keep(struct exchange *out, const struct exchange *in, size_t at)
{
    append_copy(out, &in->items[at]);
}

static void split(struct exchange *out, const struct exchange *in, size_t at)
{
    const struct exchange_item *item = &in->items[at];
    if (item->kind != EXCHANGE_REPLY) {
        append_copy(out, item);
        return;
    }
    for (size_t i = 0; i < item->size; i++)
        append(out, EXCHANGE_REPLY, item->bytes + i, 1);
}

/* Noise of a two-wire adapter's turn-around, with bytes that begin frames in several protocols. */
static void noise(struct exchange *out, const struct exchange *in, size_t at)
{
    static const uint8_t bytes[] = {0x00, 0xFF, 0x7E, 0x0D, 0xA5, 0xDD,
                                    0x4E, 0x55, 0xAA, 0xD2, 0x01, 0xFE};
    if (in->items[at].kind == EXCHANGE_REPLY && follows_request(in, at))
        append(out, EXCHANGE_REPLY, bytes, sizeof bytes);
    append_copy(out, &in->items[at]);
}

static void echo(struct exchange *out, const struct exchange *in, size_t at)
{
    append_copy(out, &in->items[at]);
    if (in->items[at].kind == EXCHANGE_REQUEST)
        append(out, EXCHANGE_REPLY, in->items[at].bytes, in->items[at].size);
}

/* Each request is first answered by the reply to the previous request, if that was a different one. */
static void late(struct exchange *out, const struct exchange *in, size_t at)
{
    append_copy(out, &in->items[at]);
    if (in->items[at].kind != EXCHANGE_REQUEST)
        return;
    size_t before = at;
    while (before > 0 && in->items[--before].kind != EXCHANGE_REQUEST)
        continue;
    bool other = before < at && in->items[before].kind == EXCHANGE_REQUEST &&
                 (in->items[before].size != in->items[at].size ||
                  memcmp(in->items[before].bytes, in->items[at].bytes, in->items[at].size) != 0);
    for (size_t i = before + 1; other && i < at; i++)
        append_copy(out, &in->items[i]);
}

static const struct variation variations[] = {
    {"whole", keep},          {"byte by byte", split},      {"after noise", noise},
    {"after its echo", echo}, {"after a late reply", late},
};

static struct exchange *vary(const struct exchange *in, const struct variation *variation)
{
    struct exchange *out = calloc(1, sizeof *out);
    assert_non_null(out);
    out->driver = in->driver;
    for (size_t i = 0; i < in->count; i++)
        variation->change(out, in, i);
    return out;
}

static void replay(const struct exchange *exchange, struct pack *pack,
                   struct reply_counters *counters)
{
    struct bms bms;
    bms_init(&bms, exchange->driver);
    exchange_replay(exchange, &bms, pack, counters);
}

TEST(variations)
{
    unsigned failed = 0, checked = 0;
    for (size_t v = 0; v < sizeof variations / sizeof *variations; v++)
        for (size_t i = 0; i < capture_count; i++) {
            struct exchange *varied = vary(captures[i].exchange, &variations[v]);
            struct pack pack;
            struct reply_counters counters;
            replay(varied, &pack, &counters);
            unsigned unmet = count_unmet(&captures[i], &pack);
            if (unmet)
                print_error("%s: %s: %u values differ\n", captures[i].path, variations[v].name,
                            unmet);
            failed += unmet != 0;
            checked++;
            exchange_free(varied);
        }
    print_message("%u replays of %zu captures\n", checked, capture_count);
    assert_int_equal(failed, 0);
}

static bool known(const struct pack *pack, const struct place *place)
{
    return place->kind == TEXT ? pack->text[place->index][0] != '\0'
                               : !isnan(number_at(pack, place));
}

/* If a request occurs several times in the file, an earlier answer is right when the last one is lost. */
static bool asks_twice(const struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++)
        for (size_t j = i + 1; j < exchange->count; j++) {
            const struct exchange_item *a = &exchange->items[i], *b = &exchange->items[j];
            if (a->kind == EXCHANGE_REQUEST && b->kind == EXCHANGE_REQUEST && a->size == b->size &&
                memcmp(a->bytes, b->bytes, a->size) == 0)
                return true;
        }
    return exchange->count > 0 && exchange->items[0].kind != EXCHANGE_REQUEST;
}

static bool equal(const struct pack *a, const struct pack *b, const struct place *place)
{
    if (place->kind == TEXT)
        return memcmp(a->text, b->text, sizeof a->text) == 0;
    return number_at(a, place) == number_at(b, place);
}

/* Replays a damaged exchange and counts values that are known and wrong; unknown values are right if their reply did
 * not arrive. `lost`: the result without the damaged reply, which is also right; NULL: none. */
static unsigned count_made_up(const struct capture *capture, const struct exchange_item *damaged,
                              size_t where, const struct pack *lost)
{
    struct pack pack;
    struct reply_counters counters;
    const struct exchange *exchange = capture->exchange;
    replay(exchange, &pack, &counters);
    unsigned wrong = 0;
    char problem[300];
    for (size_t i = 0; i < exchange->count; i++) {
        const struct exchange_item *item = &exchange->items[i];
        const struct place *place = &capture->places[i];
        if (item->kind != EXCHANGE_VALUE || !place->alone || !known(&pack, place) ||
            meets(&pack, item, place) || (lost && equal(&pack, lost, place)))
            continue;
        if (wrong++ == 0) {
            describe(&pack, item, place, problem);
            print_error("%s: line %u, damaged at %zu: %s\n", capture->path, damaged->line, where,
                        problem);
        }
    }
    return wrong;
}

/* Calls `damage` for each reply of each file, with the result without that reply if it may be right, too. */
static unsigned long damage_each_reply(unsigned long (*damage)(struct capture *capture,
                                                               struct exchange_item *item,
                                                               const struct pack *lost))
{
    unsigned long wrong = 0;
    for (size_t i = 0; i < capture_count; i++) {
        const struct exchange *exchange = captures[i].exchange;
        bool earlier_is_right = asks_twice(exchange);
        for (size_t at = 0; at < exchange->count; at++) {
            struct exchange_item *item = &exchange->items[at];
            if (item->kind != EXCHANGE_REPLY)
                continue;
            size_t size = item->size;
            struct pack lost;
            struct reply_counters counters;
            item->size = 0;
            replay(exchange, &lost, &counters);
            item->size = size;
            wrong += damage(&captures[i], item, earlier_is_right ? &lost : NULL);
        }
    }
    return wrong;
}

static unsigned long cut(struct capture *capture, struct exchange_item *item,
                         const struct pack *lost)
{
    unsigned long wrong = 0;
    size_t full = item->size;
    for (size_t size = 0; size < full; size += 1 + full / 40) {
        item->size = size;
        wrong += count_made_up(capture, item, size, lost);
    }
    item->size = full;
    return wrong;
}

TEST(truncated)
{
    assert_int_equal(damage_each_reply(cut), 0);
}

/* Bits that are wrong in the recording itself: flipped, they are right. */
static const struct repair {
    const char *path;
    unsigned line;
    size_t bit;
} repairs[] = {
    /* The last block was damaged by hand (a y in place of a 9). Without that damage its checksum and values are
     * right. */
    {CAPTURES "/vedirect/smartshunt-hex-in-text.exch", 44, 46},
};

static bool is_repair(const struct capture *capture, unsigned line, size_t bit)
{
    for (size_t i = 0; i < sizeof repairs / sizeof *repairs; i++)
        if (repairs[i].line == line && repairs[i].bit == bit &&
            strcmp(repairs[i].path, capture->path) == 0)
            return true;
    return false;
}

/* A console has neither sum nor CRC: a changed digit is still a number, and a single reply cannot show it.
 * test_damage shows that it is not published, because three readings must agree. */
static bool has_checksum(const struct bms_driver *driver)
{
    return strcmp(driver->name, "pylon-console") != 0;
}

static unsigned long flips;

static unsigned long flip_bits(struct capture *capture, struct exchange_item *item,
                               const struct pack *lost)
{
    unsigned long believed = 0;
    if (!has_checksum(capture->exchange->driver))
        return 0;
    for (size_t bit = 0; bit < item->size * 8; bit++, flips++) {
        if (is_repair(capture, item->line, bit))
            continue;
        uint8_t mask = (uint8_t) (1 << bit % 8);
        item->bytes[bit / 8] ^= mask;
        believed += count_made_up(capture, item, bit, lost) != 0;
        item->bytes[bit / 8] ^= mask;
    }
    return believed;
}

/* A sum or CRC detects every single flipped bit that it covers, and bits that it does not cover carry no value: so no
 * flip may change a value. */
TEST(bit_flips)
{
    unsigned long believed = damage_each_reply(flip_bits);
    print_message("%lu bits flipped, %lu changed a value unseen\n", flips, believed);
    assert_int_equal(believed, 0);
}
