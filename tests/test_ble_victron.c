// SPDX-License-Identifier: MIT
/* Victron's advertisements: from received bytes to values. */
#include "ports/ble/victron.h"

#include "bms/driver.h"
#include "commands/exchange.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pack_test.h"

#define AIR "# air: 1A FF E1 02 "

/* The test vector of the sheet `ble`, section 6. */
static const char vector_key[] = "aff4d0995b7d1e176c0c33ecb9e70dcd";
static const uint8_t vector[] = {0x10, 0x02, 0x89, 0xA3, 0x02, 0xB0, 0x40, 0xAF,
                                 0x92, 0x5D, 0x09, 0xA4, 0xD8, 0x9A, 0xA0, 0x12,
                                 0x8B, 0xDE, 0xF4, 0x8C, 0x62, 0x98, 0xA9};
static const uint8_t plain[] = {0xFF, 0xFF, 0xE5, 0x04, 0x00, 0x00, 0x00, 0x00,
                                0x03, 0x00, 0x00, 0xF4, 0x01, 0x40, 0xDF};

static bool key_of(const char *text, uint8_t key[VICTRON_KEY], char *why, size_t size)
{
    char path[] = "/tmp/packgate-key-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    const bool good = victron_read_key(path, key, why, size);
    unlink(path);
    return good;
}

TEST(vector)
{
    uint8_t key[VICTRON_KEY], frame[VICTRON_FRAME_MAX];
    char why[160];
    assert_true(key_of(vector_key, key, why, sizeof why));
    assert_true(victron_fits(vector, sizeof vector, key));
    assert_int_equal(victron_decrypt(vector, sizeof vector, key, frame), sizeof vector + 5);
    assert_memory_equal(frame + 3, vector, 8);
    assert_memory_equal(frame + 3 + 8, plain, sizeof plain);
    key[0] ^= 1;
    assert_false(victron_fits(vector, sizeof vector, key));
    assert_int_equal(victron_decrypt(vector, 8, key, frame), 0);
    uint8_t longest[30] = {0x10};
    assert_int_equal(victron_decrypt(longest, 29, key, frame), 34);
    assert_int_equal(victron_decrypt(longest, 30, key, frame), 0);
}

TEST(key_files)
{
    uint8_t key[VICTRON_KEY] = {0};
    char why[160];
    static const char *const good[] = {"AFF4D0995B7D1E176C0C33ECB9E70DCD\n",
                                       "aff4d0995b7d1e176c0c33ecb9e70dcd \r\n"};
    static const char *const bad[] = {"",
                                      "aff4",
                                      "aff4d0995b7d1e176c0c33ecb9e70dc",
                                      "aff4d0995b7d1e176c0c33ecb9e70dcdd",
                                      "aff4d0995b7d1e176c0c33ecb9e70dcg",
                                      "key aff4d0995b7d1e176c0c33ecb9e70dcd"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(key_of(good[i], key, why, sizeof why));
        assert_int_equal(key[15], 0xCD);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(key_of(bad[i], key, why, sizeof why));
        assert_null(strstr(why, "aff4")); /* never what is in it */
    }
    assert_false(victron_read_key("/nonexistent/key", key, why, sizeof why));
    assert_string_equal(why, "its key_file: No such file or directory");
}

static size_t read_hex(const char *text, uint8_t *out, size_t room)
{
    size_t size = 0;
    unsigned byte;
    for (int used; size < room && sscanf(text, " %2x%n", &byte, &used) == 1; text += used)
        out[size++] = (uint8_t) byte;
    return size;
}

/* Each advertisement of the captures decodes to the frame below it. */
static void check_capture(const char *path)
{
    char line[256];
    uint8_t key[VICTRON_KEY] = {0}, made[VICTRON_FRAME_MAX], wanted[VICTRON_FRAME_MAX];
    size_t size = 0, seen = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "# key: ", 7) == 0) {
            assert_int_equal(read_hex(line + 7, key, sizeof key), sizeof key);
        } else if (strncmp(line, AIR, strlen(AIR)) == 0) {
            uint8_t record[32];
            const size_t length = read_hex(line + strlen(AIR), record, sizeof record);
            assert_true(victron_fits(record, length, key));
            size = victron_decrypt(record, length, key, made);
        } else if (line[0] == '<') {
            assert_int_equal(read_hex(line + 1, wanted, sizeof wanted), size);
            assert_memory_equal(made, wanted, size);
            seen++;
        }
    }
    fclose(file);
    assert_true(seen > 0);
}

TEST(captures)
{
    glob_t found;
    assert_int_equal(glob("tests/captures/victron-ble/*.exch", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 3);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_capture(found.gl_pathv[i]);
    globfree(&found);
}

/* What `text` with one reply is decoded to: its bytes, the voltage of `voltage_v` if it has one. */
static size_t parse_reply(const char *text, uint8_t *bytes, double *voltage_v)
{
    char error[200];
    struct exchange *exchange = exchange_parse(text, strlen(text), error, sizeof error);
    assert_non_null(exchange);
    assert_int_equal(exchange->count, 1);
    const size_t size = exchange->items[0].size;
    memcpy(bytes, exchange->items[0].bytes, size);
    struct bms bms;
    struct pack pack;
    struct reply_counters counters;
    bms_init(&bms, exchange->driver);
    exchange_replay(exchange, &bms, &pack, &counters);
    *voltage_v = pack_known(&pack, VOLTAGE_V) ? pack.value[VOLTAGE_V] : 0;
    exchange_free(exchange);
    return size;
}

/* Advertisements as they are recorded, encrypted, with the key in a comment: what other programs
 * have of them. Without the right key, and cut or of another company, they stay as they are. */
TEST(exchange_of_adverts)
{
#define HEAD "protocol victron-ble\n"
#define KEY "# key: aff4d0995b7d1e176c0c33ecb9e70dcd\n"
#define RECORD "10 02 89 A3 02 B0 40 AF 92 5D 09 A4 D8 9A A0 12 8B DE F4 8C 62 98 A9\n"
    static const char *const others[] = {
        HEAD "< 1A FF E1 02 " RECORD,
        HEAD "# key: aff4d0995b7d1e176c0c33ecb9e70d\n< 1A FF E1 02 " RECORD,
        HEAD "# key: bff4d0995b7d1e176c0c33ecb9e70dcd\n< 1A FF E1 02 " RECORD,
        HEAD KEY "< 19 FF E1 02 " RECORD,
        HEAD KEY "< 1A FE E1 02 " RECORD,
        HEAD KEY "< 1A FF E2 02 " RECORD,
        HEAD KEY "< 02 FF E1\n",
    };
    uint8_t bytes[VICTRON_FRAME_MAX];
    double voltage_v;
    const size_t size = parse_reply(HEAD KEY "< 1A FF E1 02 " RECORD, bytes, &voltage_v);
    assert_int_equal(size, sizeof vector + 5);
    assert_memory_equal(bytes + 3 + 8, plain, sizeof plain);
    assert_true(voltage_v > 12.529 && voltage_v < 12.531);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        parse_reply(others[i], bytes, &voltage_v);
        assert_int_equal(bytes[1] & 0xFE, 0xFE);
        assert_true(voltage_v == 0);
    }
}

/* Unused bits that are not 1: a wrong key with the same first byte. */
TEST(noise)
{
    const struct bms_driver *driver = bms_driver_find("victron-ble");
    uint8_t key[VICTRON_KEY], frame[VICTRON_FRAME_MAX];
    char why[160];
    assert_non_null(driver);
    assert_true(key_of(vector_key, key, why, sizeof why));
    unsigned passed = 0;
    for (unsigned n = 0; n < 256; n++) {
        struct bms bms;
        struct bms_request none = {0};
        bms_init(&bms, driver);
        struct pack pack = cleared_pack();
        key[5] = (uint8_t) n;
        const size_t size = victron_decrypt(vector, sizeof vector, key, frame);
        assert_int_equal(driver->frame(&bms, &none, frame, size).kind, BMS_FRAME);
        const enum bms_result result = driver->decode(&bms, &none, frame, size, &pack);
        passed += result == BMS_DONE;
        assert_true(result == BMS_DONE || (result == BMS_INVALID && !pack_known(&pack, VOLTAGE_V)));
    }
    assert_in_range(passed, 1, 100); /* the right key, and by chance a quarter of the others */
}
