// SPDX-License-Identifier: MIT
/*
 * Fuzzer of the files that describe a Modbus BMS: whatever the file, there is either a map that can be polled by, or
 * a reason with its line. A map is asked by all of its requests: of the board that it makes, and of one whose
 * registers are anything.
 */
#include "fuzz.h"

#include "tests/battery_random.h"
#include "bms/bytes.h"
#include "bms/prng.h"
#include "config/modbus_map.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#define NAME "fuzzed.txt"
#define CONFIG "fuzzed.ini"
#define CYCLES 2 /* what the first one remembers is used in the second */

/* "fuzzed.ini:1: map fuzzed.txt:3: …", in characters that a terminal may show. */
static void check_mistakes(const struct mistakes *mistakes)
{
    static const char head[] = CONFIG ":1: map " NAME ":";
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    REQUIRE(out);
    mistakes_print(mistakes, CONFIG, out);
    REQUIRE(fclose(out) == 0);
    unsigned count = 0;
    for (const char *line = text; *line; count++) {
        size_t length = strcspn(line, "\n");
        for (size_t i = 0; i < length; i++)
            REQUIRE(isprint((unsigned char) line[i]) || line[i] == '\t' || line[i] & 0x80);
        if (strncmp(line, head, sizeof head - 1) == 0) {
            const char *end = line + sizeof head - 1;
            size_t digits = strspn(end, "0123456789");
            REQUIRE(digits > 0 && strncmp(end + digits, ": ", 2) == 0);
        } else {
            REQUIRE(mistakes->list[count].line == 0 && mistakes->list[count].more > 0);
        }
        line += length + 1;
    }
    REQUIRE(count >= mistakes->listed);
    free(text);
}

static void check_map(const struct modbus_user *map)
{
    unsigned reads = 0;
    for (unsigned i = 0; i < 2 * MODBUS_USER_READS; i++) {
        const struct bms_read *read = &map->reads[i];
        reads += read->count > 0 && read->function != MODBUS_WRITE_MANY;
        REQUIRE(read->count == 0 || read->start + read->count <= 0x10000);
    }
    REQUIRE(reads > 0 && map->value_count > 0 && map->value_count <= MODBUS_USER_VALUES);
    REQUIRE(map->alarm_count <= MODBUS_USER_ALARMS && map->head_size <= MODBUS_USER_HEAD);
    REQUIRE(map->expected_count <= MODBUS_USER_EXPECTED && map->raw_count <= MAX_RAW_ALARMS);
    for (size_t i = 0; i < map->value_count; i++) {
        const struct modbus_value *row = &map->values[i];
        REQUIRE(row->reg + modbus_registers(row) <= 0x10000);
    }
}

static void check_pack(const struct pack *pack)
{
    for (int i = 0; i < PACK_VALUES; i++) {
        const struct pack_value_info *info = pack_value_info((enum pack_value) i);
        REQUIRE(isnan(pack->value[i]) ||
                (pack->value[i] >= info->min && pack->value[i] <= info->max));
    }
    for (int i = 0; i < PACK_TEXTS; i++) {
        REQUIRE(memchr(pack->text[i], '\0', TEXT_SIZE));
        for (const char *at = pack->text[i]; *at; at++)
            REQUIRE(*at >= ' ' && *at <= '~');
    }
    REQUIRE(((pack->alarms_warning | pack->alarms_protection) & ~pack->alarms_known) == 0);
}

/* A reply of any registers to the request that begins behind the head. */
static void reply_anything(const struct modbus_user *map, const struct bms_request *request,
                           uint64_t *seed, struct bms_output *out)
{
    const uint8_t *asked = request->bytes + map->head_size;
    unsigned count = be16(asked + 4);
    out->size = 0;
    if (asked[1] == MODBUS_WRITE_MANY)
        return;
    uint8_t *bytes = out->bytes;
    bytes[0] = asked[0];
    bytes[1] = asked[1];
    bytes[2] = (uint8_t) (asked[1] <= MODBUS_DISCRETE ? (count + 7) / 8 : 2 * count);
    for (unsigned i = 0; i < bytes[2]; i++)
        bytes[3 + i] = (uint8_t) (prng_next(seed) >> 7);
    out->size = modbus_put_crc(bytes, 3u + bytes[2]);
}

static void decode_reply(struct bms *bms, const struct bms_request *request,
                         const struct bms_output *out, struct pack *pack)
{
    const struct bms_driver *driver = bms->driver;
    for (size_t at = 0; at < out->size;) {
        struct bms_span span = driver->frame(bms, request, out->bytes + at, out->size - at);
        if (span.kind == BMS_MORE)
            return;
        REQUIRE(span.size > 0 && span.size <= out->size - at);
        if (span.kind == BMS_FRAME)
            driver->decode(bms, request, out->bytes + at, span.size, pack);
        check_pack(pack);
        at += span.size;
    }
}

static void poll_by(const struct modbus_user *map, uint64_t seed)
{
    static struct bms_output out;
    struct bms host, board;
    struct pack told, pack;
    bms_init(&host, &modbus_user_driver);
    bms_init(&board, &modbus_user_driver);
    host.options.map = board.options.map = map;
    battery_random(&told, &seed, 1 + (unsigned) (seed % MAX_CELLS), seed % (MAX_TEMPS + 1));
    for (unsigned i = 0; i < CYCLES * modbus_user_driver.steps; i++) {
        struct bms_request request = {.size = 0};
        if (!modbus_user_driver.build(&host, i % modbus_user_driver.steps, &request))
            continue;
        REQUIRE(request.size > map->head_size && request.size <= BMS_REQUEST_MAX);
        pack_clear(&pack);
        size_t used = bms_emulate(&board, &told, request.bytes, request.size, &out);
        REQUIRE(used == request.size && out.size > 0 && out.size <= sizeof out.bytes);
        decode_reply(&host, &request, &out, &pack);
        reply_anything(map, &request, &seed, &out);
        decode_reply(&host, &request, &out, &pack);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    REQUIRE(text);
    if (size > 0)
        memcpy(text, bytes, size);
    text[size] = '\0';
    struct mistakes mistakes = {0};
    struct modbus_user *map = modbus_map_parse(text, NAME, 1, &mistakes);
    REQUIRE((map == NULL) == (mistakes.count > 0));
    check_mistakes(&mistakes);
    if (map) {
        check_map(map);
        poll_by(map, map->contents);
    }
    free(map);
    mistakes_free(&mistakes);
    free(text);
    return 0;
}
