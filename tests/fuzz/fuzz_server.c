// SPDX-License-Identifier: MIT
/*
 * Fuzzer of the server behind its sockets: what a client sends, cut into frames, checked, answered
 * from three units with values: a fresh one whose switches may be written, a stale one,
 * and a stale one that holds. Each request must get one answer that belongs to it, none may change a
 * register, and orders must be for switches.
 */
#include "fuzz.h"

#include "modbus/answer.h"

#include "tests/battery_random.h"
#include "bms/bytes.h"

#include <math.h>
#include <netinet/in.h>
#include <string.h>

enum { FRESH = 1, STALE, HELD, UNITS = HELD };

#define TICKET 4711

static const struct map_settings settings = {.base = MAP_BASE_DEFAULT,
                                             .also_at = MAP_ALSO_AT_DEFAULT};
static const struct sockaddr_in client = {.sin_family = AF_INET};

static struct pack values[UNITS];
static struct source sources[UNITS];
static struct unit opened[UNITS];
static uint16_t *before[UNITS]; /* the registers as published */
static struct units units;
static struct allow_list everybody;
static struct answerer answerer;
static unsigned orders;

int LLVMFuzzerInitialize(int *argc, char ***argv);
static void open_unit(int n)
{
    struct unit *unit = &opened[n - 1];
    struct source *source = &sources[n - 1];
    *source = (struct source){.name = "fuzzed",
                              .values = &values[n - 1],
                              .status = {.state = MAP_STATE_FRESH,
                                         .driver = "daly",
                                         .pack_name = "fuzzed",
                                         .peak = {.percent = 80}},
                              .good_until = INFINITY};
    uint64_t seed = (uint64_t) n;
    battery_random(&values[n - 1], &seed, 16, 4);
    unit_open(unit, (uint8_t) n, source, &settings, n == HELD ? STALE_HOLD : STALE_EXCEPTION);
    unit_update(unit, true, 0);
    if (n != FRESH)
        source->status.state = MAP_STATE_STALE;
    unit_update(unit, false, 0);
    REQUIRE(units_add(&units, unit));
    size_t bytes = map_size(&settings) * sizeof *before[0];
    before[n - 1] = malloc(bytes);
    REQUIRE(before[n - 1]);
    memcpy(before[n - 1], unit->registers, bytes);
}

/* Nothing but a switch of the unit that may be written is ever ordered. */
static uint8_t take_order(void *data, struct unit *unit, const struct switches *switches,
                          const struct sockaddr *from, uint64_t ticket)
{
    (void) data;
    REQUIRE(unit == &opened[FRESH - 1] && from == (const struct sockaddr *) &client);
    REQUIRE(ticket == TICKET);
    REQUIRE(switches->wanted[BMS_CHARGE_MOS] || switches->wanted[BMS_DISCHARGE_MOS]);
    orders++;
    return orders % 3 == 0 ? 0x0B : 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc, (void) argv;
    for (int n = 1; n <= UNITS; n++)
        open_unit(n);
    units.by_id[0] = units.by_id[255] = &opened[0];
    answerer.units = &units;
    REQUIRE(allow_add(&everybody, "0.0.0.0/0"));
    answerer.allow_write = &everybody;
    answerer.carry_out = take_order;
    opened[FRESH - 1].writable = true;
    return 0;
}

static void check_unchanged(void)
{
    for (int n = 0; n < UNITS; n++)
        REQUIRE(memcmp(before[n], opened[n].registers, map_size(&settings) * sizeof *before[n]) ==
                0);
}

static bool is_known_exception(uint8_t code)
{
    static const uint8_t codes[] = {1, 2, 3, 0x0A, 0x0B};
    return memchr(codes, code, sizeof codes) != NULL;
}

/* What was read is what was published, and none of it is stale. */
static void check_registers(const struct unit *unit, const uint8_t *request, const uint8_t *reply,
                            size_t size)
{
    unsigned address = be16(request + 8), count = be16(request + 10);
    enum map_range range = map_range(&settings, address, count);
    REQUIRE(range != MAP_OUTSIDE);
    REQUIRE(unit->id != STALE || range == MAP_STATUS);
    REQUIRE(size == 9 + 2 * count && reply[8] == 2 * count);
    for (unsigned i = 0; i < count; i++)
        REQUIRE(be16(reply + 9 + 2 * i) == unit->registers[address + i]);
}

static void check_bits(const struct unit *unit, const uint8_t *request, const uint8_t *reply,
                       size_t size)
{
    bool coils = request[7] == 1;
    const uint8_t *bits = coils ? unit->coils : unit->inputs;
    unsigned address = be16(request + 8), count = be16(request + 10);
    enum map_range range = coils ? map_coil_range(address, count) : map_input_range(address, count);
    REQUIRE(range != MAP_OUTSIDE);
    REQUIRE(unit->id != STALE || range == MAP_STATUS);
    REQUIRE(size == 9 + (count + 7) / 8);
    for (unsigned i = 0; i < count; i++)
        REQUIRE((reply[9 + i / 8] >> i % 8 & 1) == bits[address + i]);
}

static void check_reply(const uint8_t *request, const uint8_t *reply, size_t size)
{
    const struct unit *unit = units.by_id[request[6]];
    REQUIRE(size >= 9 && size <= MBAP_ADU_MAX && be16(reply + 4) == size - 6);
    REQUIRE(memcmp(reply, request, 4) == 0 && reply[6] == request[6]);
    if (reply[7] & 0x80) {
        REQUIRE(reply[7] == (request[7] | 0x80) && size == 9 && is_known_exception(reply[8]));
        REQUIRE((reply[8] == 0x0A) == (unit == NULL));
        return;
    }
    REQUIRE(unit && reply[7] == request[7]);
    if (request[7] == 1 || request[7] == 2)
        check_bits(unit, request, reply, size);
    else if (request[7] == 3 || request[7] == 4)
        check_registers(unit, request, reply, size);
    else if (mbap_writes(request[7]))
        REQUIRE(size == 12 && memcmp(reply + 8, request + 8, 4) == 0);
    else
        REQUIRE(request[7] == MBAP_FC_IDENTIFY);
}

/* A write is answered later, when it was carried out or not. */
static void answer_now(const uint8_t *frame, size_t size, struct answers *answers)
{
    unsigned before_it = orders;
    const struct question question = {.client = (const struct sockaddr *) &client,
                                      .frame = frame,
                                      .size = size,
                                      .ticket = TICKET};
    if (answer(&answerer, &question, 0, answers))
        return;
    REQUIRE(orders == before_it + 1 && mbap_writes(frame[7]) && answers->size == 0);
    answer_order(&answerer, frame, orders % 2 ? 0 : 0x0B, answers);
}

static void ask(const uint8_t *frame, size_t size)
{
    struct answers answers = {.size = 0};
    uint8_t *copy = malloc(size); /* reading beyond it is seen */
    REQUIRE(copy);
    memcpy(copy, frame, size);
    answer_now(copy, size, &answers);
    REQUIRE(memcmp(copy, frame, size) == 0);
    check_reply(copy, answers.bytes, answers.size);
    check_unchanged();
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        struct mbap_span span = mbap_find(bytes, size);
        if (span.kind == MBAP_MORE || span.kind == MBAP_BROKEN)
            break;
        REQUIRE(span.size > MBAP_HEADER && span.size <= size && span.size <= MBAP_ADU_MAX);
        if (span.kind == MBAP_FRAME)
            ask(bytes, span.size);
        bytes += span.size;
        size -= span.size;
    }
    return 0;
}
