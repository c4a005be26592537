// SPDX-License-Identifier: MIT
/* No PIN and no password of a pack is shown: the secrets that the sheets of the JK protocols name are put into frames
 * of the captures, and must not pass the mask, however the frame is damaged. */
#include "commands/exchange.h"
#include "lines/mask.h"

#include "bms/checksum.h"
#include "bms/prng.h"

#include "driver_test.h"

#include <glob.h>

#define SECRET "SESAME"
#define SECRET_SIZE 6

extern const struct bms_driver jk_4e57_driver, jk02_driver, jk_pb_driver, daly_driver, ant_driver,
    ant_old_driver;

struct shown {
    uint8_t bytes[20000];
    size_t size, withheld;
};

static void show(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct shown *shown = data;
    if (direction == '#') {
        shown->withheld += size;
        return;
    }
    assert_true(shown->size + size <= sizeof shown->bytes);
    memcpy(shown->bytes + shown->size, bytes, size);
    shown->size += size;
}

static bool contains_secret(const struct shown *shown)
{
    return memmem(shown->bytes, shown->size, SECRET, SECRET_SIZE) != NULL;
}

static struct exchange *load(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    char error[200];
    struct exchange *exchange = exchange_parse(text, size, error, sizeof error);
    assert_non_null(exchange);
    return exchange;
}

/* Finds the first whole frame of a recording for which `choose` is true; returns its size. */
static size_t find_frame(const char *path, const struct bms *bms,
                         bool (*choose)(const uint8_t *frame, size_t size), uint8_t *out)
{
    struct exchange *exchange = load(path);
    struct bms_request request = {.size = 0};
    size_t found = 0;
    for (size_t i = 0; i < exchange->count && !found; i++) {
        const struct exchange_item *item = &exchange->items[i];
        for (size_t at = 0; item->kind == EXCHANGE_REPLY && at < item->size && !found; at++) {
            struct bms_span span =
                bms->driver->frame(bms, &request, item->bytes + at, item->size - at);
            if (span.kind == BMS_FRAME && choose(item->bytes + at, span.size)) {
                memcpy(out, item->bytes + at, span.size);
                found = span.size;
            }
        }
    }
    exchange_free(exchange);
    assert_true(found > 0);
    return found;
}

static struct shown pass(const struct bms *bms, const uint8_t *bytes, size_t size)
{
    static struct mask mask;
    static struct shown shown;
    struct bms_request request = {.size = 0};
    shown.size = shown.withheld = 0;
    mask_init(&mask, show, &shown);
    for (size_t at = 0; at < size; at += 7)
        mask_received(&mask, bms, bytes + at, size - at < 7 ? size - at : 7);
    mask_flush(&mask, bms, &request);
    return shown;
}

static bool is_about(const uint8_t *frame, size_t size)
{
    return size >= 300 && frame[4] == 0x03;
}

/* Sheet `jk02` section 8: Bluetooth PIN at 62, settings password at 118, 16 bytes each; byte 299 is the sum. */
TEST(about_record)
{
    struct bms bms = new_bms(&jk02_driver);
    struct bms_request request = {.size = 0};
    uint8_t frame[BMS_FRAME_MAX];
    size_t size =
        find_frame("tests/captures/jk02/01-jk-b2a8s30p-v19-8s.exch", &bms, is_about, frame);
    memcpy(frame + 62, SECRET, SECRET_SIZE);
    memcpy(frame + 118, SECRET, SECRET_SIZE);
    frame[299] = (uint8_t) sum_bytes(frame, 299);

    struct shown shown = pass(&bms, frame, size);
    assert_int_equal(shown.size, size);
    assert_false(contains_secret(&shown));
    struct bms_span span = bms.driver->frame(&bms, &request, shown.bytes, shown.size);
    assert_int_equal(span.kind, BMS_FRAME);
    assert_memory_equal(shown.bytes + 86, frame + 86, 16); /* the serial number may be seen */

    /* A damaged or truncated frame still contains its secrets: nothing of it is shown. */
    frame[200] ^= 1;
    shown = pass(&bms, frame, size);
    assert_false(contains_secret(&shown));
    assert_int_equal(shown.withheld, size);
    shown = pass(&bms, frame, 180);
    assert_false(contains_secret(&shown));
    assert_int_equal(shown.withheld, 180);
}

static bool is_long(const uint8_t *frame, size_t size)
{
    return size > 200;
}

/* A recorded answer, and where its password begins: B1 (one byte) precedes B2, and B3 follows its ten bytes. */
static size_t find_password(struct bms *bms, uint8_t *frame, size_t *at)
{
    size_t size =
        find_frame("tests/captures/jk-4e57/01-hw6-14s-charging.exch", bms, is_long, frame);
    *at = 0;
    for (size_t i = 11; i + 13 < size; i++)
        if (frame[i] == 0xB1 && frame[i + 2] == 0xB2 && frame[i + 13] == 0xB3)
            *at = i + 3;
    assert_true(*at > 0);
    return size;
}

/* Sheet `jk-4e57` section 4: register B2 with ten bytes of password in each answer; the sum covers everything up to
 * 68. */
TEST(4e57_password)
{
    struct bms bms = new_bms(&jk_4e57_driver);
    struct bms_request request = {.size = 0};
    uint8_t frame[BMS_FRAME_MAX];
    size_t at, size = find_password(&bms, frame, &at);
    memcpy(frame + at, SECRET, SECRET_SIZE);
    put_be16(frame + size - 2, sum_bytes(frame, size - 4));

    struct shown shown = pass(&bms, frame, size);
    assert_int_equal(shown.size, size);
    assert_false(contains_secret(&shown));
    assert_int_equal(bms.driver->frame(&bms, &request, shown.bytes, shown.size).kind, BMS_FRAME);
    shown = pass(&bms, frame, size - 1);
    assert_false(contains_secret(&shown));
}

#define STREAMS 200000

/* Changes two bytes, one up by as much as the other one down. */
static void damage(uint8_t *frame, size_t size, uint64_t *seed)
{
    size_t a = (size_t) prng_range(seed, 2, (int) size - 6), b = a;
    while (b == a)
        b = (size_t) prng_range(seed, 2, (int) size - 6);
    int most_up = 255 - frame[a], most_down = frame[b];
    int most = most_up < most_down ? most_up : most_down;
    if (most == 0)
        return;
    int by = prng_range(seed, 1, most);
    frame[a] = (uint8_t) (frame[a] + by);
    frame[b] = (uint8_t) (frame[b] - by);
}

/* Bytes that occur nowhere else in the frame, so that each can be recognized. */
static void put_secret(uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t) ("SQXZW!?@^~"[i % 10]);
}

/* Three consecutive bytes of the secret count as a leak; damage may have changed one of them. */
static bool shows_secret(const struct shown *shown, const uint8_t *secret, size_t size)
{
    for (size_t i = 0; i + 3 <= size; i++)
        if (memmem(shown->bytes, shown->size, secret + i, 3))
            return true;
    return false;
}

static void try_streams(const struct bms_driver *driver, const uint8_t *frame, size_t size,
                        const size_t *secrets, size_t secret_size)
{
    struct bms bms = new_bms(driver);
    uint64_t seed = 1;
    unsigned masked = 0;
    for (unsigned stream = 0; stream < STREAMS; stream++) {
        uint8_t damaged[BMS_FRAME_MAX];
        memcpy(damaged, frame, size);
        damage(damaged, size, &seed);
        struct shown shown = pass(&bms, damaged, size);
        masked += shown.size > 0;
        for (size_t i = 0; i < 2; i++)
            if (shows_secret(&shown, frame + secrets[i], secret_size))
                fail_msg("%s: stream %u shows the secret at %zu", driver->name, stream, secrets[i]);
    }
    assert_true(masked > STREAMS / 2);
}

TEST(damaged_about_record)
{
    struct bms bms = new_bms(&jk02_driver);
    uint8_t frame[BMS_FRAME_MAX];
    size_t size =
        find_frame("tests/captures/jk02/01-jk-b2a8s30p-v19-8s.exch", &bms, is_about, frame);
    put_secret(frame + 62, 16);
    put_secret(frame + 118, 16);
    frame[299] = (uint8_t) sum_bytes(frame, 299);
    try_streams(&jk02_driver, frame, size, (const size_t[]){62, 118}, 16);
    try_streams(&jk_pb_driver, frame, size, (const size_t[]){62, 118}, 16);
}

TEST(damaged_4e57_answer)
{
    struct bms bms = new_bms(&jk_4e57_driver);
    uint8_t frame[BMS_FRAME_MAX];
    size_t at, size = find_password(&bms, frame, &at);
    put_secret(frame + at, 10);
    put_be16(frame + size - 2, sum_bytes(frame, size - 4));
    try_streams(&jk_4e57_driver, frame, size, (const size_t[]){at, at}, 10);
}

static bool same_packs(const struct pack *a, const struct pack *b)
{
    for (int i = 0; i < PACK_VALUES; i++)
        if (a->value[i] != b->value[i] && !(isnan(a->value[i]) && isnan(b->value[i])))
            return false;
    return a->alarms_known == b->alarms_known && a->alarms_warning == b->alarms_warning &&
           a->alarms_protection == b->alarms_protection &&
           a->raw_alarm_count == b->raw_alarm_count &&
           memcmp(a->raw_alarms, b->raw_alarms, sizeof a->raw_alarms) == 0 &&
           memcmp(a->text, b->text, sizeof a->text) == 0;
}

/* Both directions with the same state; what the intact frame has taught is kept. */
static void expect_same(const char *path, struct bms *bms, const struct bms_request *request,
                        const uint8_t *frame, size_t size)
{
    struct bms blind = *bms;
    struct pack plain_pack, masked_pack;
    pack_clear(&plain_pack);
    pack_clear(&masked_pack);
    uint8_t masked[BMS_FRAME_MAX];
    memcpy(masked, frame, size);
    bms->driver->mask(masked, size);
    enum bms_result result = bms->driver->decode(bms, request, frame, size, &plain_pack);
    if (bms->driver->decode(&blind, request, masked, size, &masked_pack) != result ||
        !same_packs(&plain_pack, &masked_pack))
        fail_msg("%s: the mask changes values", path);
}

static unsigned count_unchanged(const char *path)
{
    struct exchange *exchange = load(path);
    struct bms bms = new_bms(exchange->driver);
    struct bms_request request = {.size = 0};
    unsigned frames = 0;
    for (size_t i = 0; i < exchange->count; i++) {
        const struct exchange_item *item = &exchange->items[i];
        if (item->kind == EXCHANGE_REQUEST) {
            request.size = item->size;
            memcpy(request.bytes, item->bytes, item->size);
        }
        for (size_t at = 0; item->kind == EXCHANGE_REPLY && at < item->size;) {
            struct bms_span span =
                bms.driver->frame(&bms, &request, item->bytes + at, item->size - at);
            if (span.kind == BMS_FRAME) {
                expect_same(path, &bms, &request, item->bytes + at, span.size);
                frames++;
            }
            at += span.kind == BMS_MORE ? 1 : span.size;
        }
    }
    exchange_free(exchange);
    return frames;
}

/* Every recording of a protocol that has something to hide
 * values are the same with and without the mask. */
TEST(recorded_values_stay)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        char pattern[100];
        glob_t found = {0};
        unsigned frames = 0;
        if (!bms_drivers[d]->mask)
            continue;
        snprintf(pattern, sizeof pattern, "tests/captures/%s/*.exch", bms_drivers[d]->name);
        assert_int_equal(glob(pattern, 0, NULL, &found), 0);
        for (size_t i = 0; i < found.gl_pathc; i++)
            frames += count_unchanged(found.gl_pathv[i]);
        globfree(&found);
        print_message("%s: %u frames say the same behind the mask\n", bms_drivers[d]->name, frames);
        assert_true(frames >= 2);
    }
}

/* If a protocol has no secrets, everything is shown as it arrives, frames or not. */
TEST(nothing_to_hide)
{
    struct bms bms = new_bms(&daly_driver);
    static const uint8_t bytes[] = {1, 2, 3, 0xA5, 1, 0x93, 8};
    struct shown shown = pass(&bms, bytes, sizeof bytes);
    assert_int_equal(shown.size, sizeof bytes);
    assert_memory_equal(shown.bytes, bytes, sizeof bytes);
}

/* The maker's program sends its password through a tunnel: neither protocol of ANT shows it, whatever precedes it. */
TEST(sent_password)
{
    static const struct {
        const struct bms_driver *driver;
        const char *sent, *shown;
    } cases[] = {
        {&ant_driver, "7E A1 23 6A 01 08 31 32 33 34 35 36 37 38 70 90 AA 55",
         "7E A1 23 6A 01 08 2A 2A 2A 2A 2A 2A 2A 2A 4D 6A AA 55"},
        {&ant_driver, "7E A1 51 01 00 00 D8 E5 AA 55", "7E A1 51 01 00 00 D8 E5 AA 55"},
        {&ant_old_driver, "A5 A5 F1 31 32 54", "A5 A5 F1 2A 2A 45"},
        {&ant_old_driver, "00 5A 5A 00 00 01 01 A5 A5 F4 38 39 65",
         "00 5A 5A 00 00 01 01 A5 A5 F4 2A 2A 48"},
        {&daly_driver, "A5 40 90 08 00 00 00 00 00 00 00 00 7D",
         "A5 40 90 08 00 00 00 00 00 00 00 00 7D"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(cases[i].driver);
        struct bytes sent = unhex(cases[i].sent);
        mask_sent(&bms, sent.bytes, sent.size);
        assert_bytes(sent.bytes, sent.size, cases[i].shown);
    }
}
