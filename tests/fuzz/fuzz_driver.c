// SPDX-License-Identifier: MIT
/*
 * Fuzzer of one driver, FUZZ_DRIVER, behind gateway/lines/reply.c as on a line: several requests in a row,
 * replies cut, merged, damaged and late, and the driver's own simulated pack on the other side. An
 * input is a script (script.h). Beside what the sanitizers see, the contract of bms/driver.h is
 * checked; a breach prints what it is and aborts. FUZZ_DRIVER=modbus is `protocol = modbus` with the
 * example of a map, before the simulated pack that the example describes.
 */
#include "repair.h"
#include "script.h"

#include "lines/reply.h"

#include "tests/battery_random.h"
#include "config/modbus_map.h"
#include "registers/map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EMULATED_MAX 64 /* answers to one piece of host's bytes */

#define REQUIRE(condition, what)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            breach(what);                                                                          \
    } while (0)

#define EXAMPLE "conf/modbus-map-example.txt"
#define EVERY_KIND "tests/maps/every-kind.txt"
#define EXAMPLE_OF "eg4-ll"

static const struct bms_driver *driver;
static const struct bms_driver *board; /* the other side: the same, where it has one */
/* The example and a map with every kind of row, whose board is one by itself; NULL: not of use. */
static const struct modbus_user *example, *every_kind;
static const struct bms_driver *board_of_example;

struct input {
    const uint8_t *bytes;
    size_t size;
};

struct session {
    struct bms *bms;      /* on the heap, so that reaching beyond it is seen */
    struct bms *emulated; /* the simulated pack's side */
    struct pack told;     /* what it tells */
    struct pack pack;
    struct reply feed;
    struct bms_request request;
    bool own_request; /* the driver made it */
    bool genuine; /* all that is in `feed` is what the simulated pack answered to it, undamaged */
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void breach(const char *what)
{
    fprintf(stderr, "==BREACH== %s: %s\n", driver->name, what);
    abort();
}

static void *checked(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* A copy that ends where its memory ends: reading on is seen by the address sanitizer. */
static uint8_t *exact_copy(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = checked(calloc(1, size ? size : 1));
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static unsigned take_byte(struct input *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->bytes++;
}

static unsigned take_word(struct input *input)
{
    unsigned low = take_byte(input);
    return low | take_byte(input) << 8;
}

static struct input take_bytes(struct input *input, size_t size)
{
    struct input taken = {input->bytes, size < input->size ? size : input->size};
    input->bytes += taken.size;
    input->size -= taken.size;
    return taken;
}

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static bool same_values(const struct pack *a, const struct pack *b)
{
    char name[VALUE_NAME_SIZE];
    for (int i = 0; i < PACK_VALUES; i++)
        if (!same_number(a->value[i], b->value[i])) {
            fprintf(stderr, "%s: %g and %g\n", pack_value_name((enum pack_value) i, name),
                    a->value[i], b->value[i]);
            return false;
        }
    return true;
}

/* Packs that should be the same; says what of them is not. */
static bool same_pack(const struct pack *a, const struct pack *b)
{
    bool same_alarms =
        a->alarms_known == b->alarms_known && a->alarms_warning == b->alarms_warning &&
        a->alarms_protection == b->alarms_protection && a->raw_alarm_count == b->raw_alarm_count &&
        memcmp(a->raw_alarms, b->raw_alarms, sizeof a->raw_alarms) == 0;
    bool same_texts = memcmp(a->text, b->text, sizeof a->text) == 0;
    if (!same_alarms || !same_texts || a->implausible != b->implausible)
        fprintf(stderr, "differs: %s%s%s\n", same_alarms ? "" : "alarms ",
                same_texts ? "" : "texts ", a->implausible == b->implausible ? "" : "implausible");
    return same_values(a, b) && same_alarms && same_texts && a->implausible == b->implausible;
}

static void check_text(const char *text)
{
    size_t length = strnlen(text, TEXT_SIZE);
    REQUIRE(length < TEXT_SIZE, "a text has no end");
    for (size_t i = 0; i < length; i++)
        REQUIRE(text[i] >= ' ' && text[i] <= '~', "a text is not printable");
    REQUIRE(length == 0 || (text[0] != ' ' && text[length - 1] != ' '), "a text has blanks around");
}

static void check_pack(const struct pack *pack)
{
    for (int i = 0; i < PACK_VALUES; i++) {
        const struct pack_value_info *info = pack_value_info((enum pack_value) i);
        double value = pack->value[i];
        REQUIRE(isnan(value) || (value >= info->min && value <= info->max),
                "a value is outside of its plausible range");
        REQUIRE(value != 0 || !signbit(value), "a value is minus zero");
    }
    for (int i = 0; i < PACK_TEXTS; i++)
        check_text(pack->text[i]);
    uint32_t active = pack->alarms_warning | pack->alarms_protection;
    REQUIRE((active & ~pack->alarms_known) == 0, "an alarm is active and not known");
    REQUIRE(pack->alarms_known < 1u << PACK_ALARM_COUNT, "an alarm does not exist");
    REQUIRE(pack->raw_alarm_count <= MAX_RAW_ALARMS, "too many raw alarm words");
}

/* Any pack can be served. */
static void check_map(const struct pack *pack)
{
    const struct map_settings settings = {.base = MAP_BASE_DEFAULT, .also_at = MAP_ALSO_AT_DEFAULT};
    const struct map_status status = {.state = MAP_STATE_FRESH, .peak = {.percent = -1}};
    uint8_t inputs[MAP_INPUTS], coils[MAP_COILS];
    uint16_t *registers = checked(calloc(map_size(&settings), sizeof *registers));
    map_encode(&settings, pack, &status, registers);
    map_encode_bits(pack, &status, inputs, coils);
    free(registers);
}

struct outcome {
    enum bms_result result;
    struct bms bms;
    struct pack pack;
};

/* Decodes on copies. `filler` stands behind the request, where nobody may look. */
static struct outcome try_decode(const struct session *session, const uint8_t *frame, size_t size,
                                 uint8_t filler)
{
    struct outcome outcome = {.bms = *session->bms, .pack = session->pack};
    struct bms_request request = session->request;
    memset(request.bytes + request.size, filler, sizeof request.bytes - request.size);
    outcome.result = driver->decode(&outcome.bms, &request, frame, size, &outcome.pack);
    return outcome;
}

static bool same_outcome(const struct outcome *a, const struct outcome *b)
{
    return a->result == b->result && same_pack(&a->pack, &b->pack) &&
           memcmp(a->bms.memory.bytes, b->bms.memory.bytes, BMS_MEMORY) == 0;
}

/* `left` bytes are there, the frame and what follows it, which may tell where it ends. */
static void check_mask(const struct session *session, const uint8_t *bytes, size_t left,
                       size_t size, const struct outcome *plain)
{
    uint8_t *masked = exact_copy(bytes, left);
    driver->mask(masked, size);
    REQUIRE(memcmp(masked + size, bytes + size, left - size) == 0, "mask goes beyond the frame");
    struct bms_span span = driver->frame(session->bms, &session->request, masked, left);
    REQUIRE(span.kind == BMS_FRAME && span.size == size, "a masked frame is no frame any more");
    /* Of another program's frames it can blank too much. Those of JK blank in doubt as well: damage
     * that keeps the sum may have put a secret into another place. What a board says is never in
     * doubt (the unit test of masks has the recorded ones). */
    bool can_doubt =
        !session->own_request || (strncmp(driver->name, "jk", 2) == 0 && !session->genuine);
    struct outcome outcome = try_decode(session, masked, size, 0);
    REQUIRE(can_doubt ||
                (outcome.result == plain->result && same_pack(&outcome.pack, &plain->pack)),
            "masking changes values");
    uint8_t *twice = exact_copy(masked, size);
    driver->mask(twice, size);
    REQUIRE(memcmp(twice, masked, size) == 0, "masking twice differs from once");
    free(twice);
    free(masked);
}

static void check_frame(const struct session *session, const uint8_t *bytes, size_t left,
                        size_t size)
{
    uint8_t *frame = exact_copy(bytes, size);
    struct outcome outcome = try_decode(session, frame, size, 0x00);
    struct outcome other = try_decode(session, frame, size, 0xFF);
    REQUIRE(same_outcome(&outcome, &other), "decode looks behind the end of the request");
    REQUIRE(outcome.result <= BMS_INVALID, "decode returns no result");
    REQUIRE(outcome.result == BMS_DONE || outcome.result == BMS_PARTIAL ||
                same_pack(&outcome.pack, &session->pack),
            "a frame that is no answer changes values");
    check_pack(&outcome.pack);
    if (driver->mask)
        check_mask(session, bytes, left, size, &outcome);
    free(frame);
}

static struct bms_span find_frame(const struct session *session, const uint8_t *bytes, size_t size)
{
    struct bms before = *session->bms;
    struct bms_span span = driver->frame(session->bms, &session->request, bytes, size);
    REQUIRE(memcmp(before.memory.bytes, session->bms->memory.bytes, BMS_MEMORY) == 0,
            "frame changes the driver's memory");
    if (span.kind == BMS_MORE) {
        REQUIRE(size < BMS_FRAME_MAX, "frame wants more than the longest frame");
        return span;
    }
    REQUIRE(span.kind <= BMS_DAMAGED, "frame returns no kind");
    REQUIRE(span.size > 0, "frame returns a size of 0");
    REQUIRE(span.size <= size, "frame returns more than it was given");
    return span;
}

/* Walks over what is in the buffer as reply_decode is about to, but with every check. */
static void check_buffer(const struct session *session)
{
    size_t size = session->feed.size;
    uint8_t *bytes = exact_copy(session->feed.bytes, size);
    for (size_t at = 0; at < size;) {
        struct bms_span span = find_frame(session, bytes + at, size - at);
        if (span.kind == BMS_FRAME)
            check_frame(session, bytes + at, size - at, span.size);
        at += span.kind == BMS_MORE ? 1 : span.size;
    }
    free(bytes);
}

static void decode_all(struct session *session, bool silent)
{
    check_buffer(session);
    while (reply_decode(&session->feed, session->bms, &session->request, silent, &session->pack) !=
           REPLY_WAITING)
        check_pack(&session->pack);
    check_pack(&session->pack);
    REQUIRE(!silent || session->feed.size == 0, "silence leaves bytes behind");
}

static void receive(struct session *session, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        size_t taken = reply_append(&session->feed, bytes, size);
        bytes += taken;
        size -= taken;
        decode_all(session, false);
    }
}

static void receive_repaired(struct session *session, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = exact_copy(bytes, size);
    repair(&session->request, copy, size);
    receive(session, copy, size);
    free(copy);
}

static void take_request(struct session *session, struct input *input)
{
    struct input bytes = take_bytes(input, take_byte(input) % (BMS_REQUEST_MAX + 1));
    session->request = (struct bms_request){.size = bytes.size};
    session->own_request = false;
    if (bytes.size > 0)
        memcpy(session->request.bytes, bytes.bytes, bytes.size);
}

static void build(struct session *session, unsigned step)
{
    if (driver->steps == 0)
        return;
    struct bms_request request = {.size = 0};
    if (!driver->build(session->bms, step % driver->steps, &request))
        return;
    REQUIRE(request.size > 0 && request.size <= BMS_REQUEST_MAX, "build makes no request");
    session->request = request;
    session->own_request = true;
}

/* What the simulated pack says is whole and undamaged to a host that has just started. */
static void check_output(const struct session *session, const struct bms_output *out)
{
    struct session host = *session;
    struct bms bms;
    bms_init(&bms, driver);
    bms.options = session->bms->options;
    host.bms = &bms;
    for (size_t at = 0; at < out->size;) {
        struct bms_span span = find_frame(&host, out->bytes + at, out->size - at);
        REQUIRE(span.kind == BMS_FRAME || span.kind == BMS_SKIP,
                "the simulated pack says what is no frame");
        at += span.size;
    }
}

static size_t emulate(struct session *session, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    out->size = 0;
    uint8_t *copy = exact_copy(bytes, size);
    size_t used = bms_emulate(session->emulated, &session->told, copy, size, out);
    free(copy);
    REQUIRE(used <= size, "emulate takes more than it was given");
    REQUIRE(used > 0 || size == 0 || out->size == 0, "emulate answers again and again");
    REQUIRE(out->size <= sizeof out->bytes, "emulate says too much");
    check_pack(&session->told);
    return used;
}

/* The simulated pack answers the request in flight. */
static void answer(struct session *session, struct input *input)
{
    size_t at = take_word(input);
    struct input change = take_bytes(input, take_byte(input));
    struct bms_output *out = checked(malloc(sizeof *out));
    size_t used = emulate(session, session->request.bytes, session->request.size, out);
    /* Otherwise the board has heard another request than the host has sent. */
    if (used == session->request.size)
        check_output(session, out);
    if (out->size > 0 && change.size > 0) {
        at %= out->size;
        if (change.size > out->size - at)
            change.size = out->size - at;
        memcpy(out->bytes + at, change.bytes, change.size);
    }
    session->genuine = change.size == 0 && session->feed.size == 0 && session->own_request;
    if (change.size > 0)
        receive_repaired(session, out->bytes, out->size);
    else
        receive(session, out->bytes, out->size);
    session->genuine = false;
    free(out);
}

/* Any host's bytes; what comes back goes to ours. */
static void ask(struct session *session, struct input bytes)
{
    struct bms_output *out = checked(malloc(sizeof *out));
    for (int i = 0; i < EMULATED_MAX && bytes.size > 0; i++) {
        struct input rest = bytes;
        size_t used = emulate(session, rest.bytes, rest.size, out);
        if (used == 0)
            break;
        take_bytes(&bytes, used);
        receive(session, out->bytes, out->size);
    }
    free(out);
}

/* FFFF makes it unknown; anything else lies in its plausible range, which emulators must bear. */
static void set_value(struct pack *told, unsigned id, unsigned number)
{
    enum pack_value value = (enum pack_value)(id % PACK_VALUES);
    const struct pack_value_info *info = pack_value_info(value);
    double exact = info->min + (info->max - info->min) * number / 0xFFFE;
    if (number == 0xFFFF)
        pack_unset(told, value);
    else
        pack_set(told, value, (info->decimals == 0 ? round(exact) : exact) + 0.0);
}

static void control(struct session *session, unsigned choice)
{
    struct bms_request request = {.size = 0};
    enum bms_switch which = choice & 1 ? BMS_DISCHARGE_MOS : BMS_CHARGE_MOS;
    if (!driver->control || !driver->control(session->bms, which, choice & 2, &request))
        return;
    REQUIRE(request.size > 0 && request.size <= BMS_REQUEST_MAX, "control makes no request");
    session->request = request;
    session->own_request = true;
}

static void finish(struct session *session)
{
    if (driver->finish)
        driver->finish(session->bms, &session->pack);
    check_pack(&session->pack);
    pack_derive(&session->pack);
    check_pack(&session->pack);
    check_map(&session->pack);
    pack_clear(&session->pack);
}

static void run_event(struct session *session, struct input *input)
{
    struct input bytes;
    unsigned first;
    switch ((enum script_event)(take_byte(input) % SCRIPT_EVENTS)) {
    case EVENT_REQUEST:
        take_request(session, input);
        break;
    case EVENT_BUILD:
        build(session, take_byte(input));
        break;
    case EVENT_REPLY:
        bytes = take_bytes(input, take_word(input));
        receive(session, bytes.bytes, bytes.size);
        break;
    case EVENT_REPAIRED:
        bytes = take_bytes(input, take_word(input));
        receive_repaired(session, bytes.bytes, bytes.size);
        break;
    case EVENT_SILENCE:
        decode_all(session, true);
        break;
    case EVENT_FINISH:
        finish(session);
        break;
    case EVENT_EMULATE:
        answer(session, input);
        break;
    case EVENT_ASK:
        ask(session, take_bytes(input, take_word(input)));
        break;
    case EVENT_VALUE:
        first = take_byte(input);
        set_value(&session->told, first, take_word(input));
        break;
    case EVENT_CONTROL:
        control(session, take_byte(input));
        break;
    case SCRIPT_EVENTS:
        break;
    }
}

static unsigned variant_count(void)
{
    unsigned count = 0;
    while (driver->variants && driver->variants[count])
        count++;
    return count;
}

static struct bms_options take_options(struct input *input)
{
    unsigned variants = variant_count(), variant = take_byte(input), address = take_byte(input);
    unsigned current = take_byte(input), capacity_ah = take_byte(input);
    unsigned addresses = (unsigned) (driver->address.max - driver->address.min) + 1;
    return (struct bms_options){
        .variant = variants > 0 ? (int) (variant % variants) : 0,
        .address = address == 0 ? -1 : driver->address.min + (int) ((address - 1) % addresses),
        .adr = -1,
        .current = (enum bms_current)(current % 3),
        .capacity_ah = capacity_ah,
        .map = capacity_ah % 2 ? every_kind : example,
    };
}

static struct bms *new_bms(const struct bms_driver *of, const struct bms_options *options)
{
    struct bms *bms = checked(malloc(sizeof *bms));
    bms_init(bms, of);
    bms->options = *options;
    return bms;
}

static void run_script(struct input input)
{
    static struct session session; /* its buffer is large */
    memset(&session, 0, sizeof session);
    struct bms_options options = take_options(&input);
    session.bms = new_bms(driver, &options);
    if (driver == &modbus_user_driver)
        board = options.map == example ? board_of_example : driver;
    session.emulated = new_bms(board, &options);
    uint64_t seed = take_word(&input);
    unsigned cells = 1 + take_byte(&input) % MAX_CELLS, temps = take_byte(&input);
    battery_random(&session.told, &seed, cells, temps % (MAX_TEMPS + 1));
    pack_clear(&session.pack);
    while (input.size > 0)
        run_event(&session, &input);
    decode_all(&session, true);
    finish(&session);
    free(session.bms);
    free(session.emulated);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    run_script((struct input){bytes, size});
    return 0;
}

static void load_example(void)
{
    struct mistakes mistakes = {0};
    driver = &modbus_user_driver;
    board = bms_driver_find(EXAMPLE_OF);
    board_of_example = board;
    example = modbus_map_load(EXAMPLE, 0, &mistakes);
    every_kind = modbus_map_load(EVERY_KIND, 0, &mistakes);
    mistakes_print(&mistakes, EXAMPLE, stderr);
    mistakes_free(&mistakes);
    if (!example || !every_kind || !board)
        driver = NULL;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc, (void) argv;
    const char *name = getenv("FUZZ_DRIVER");
    driver = board = name ? bms_driver_find(name) : NULL;
    if (name && strcmp(name, modbus_user_driver.name) == 0)
        load_example();
    if (!driver) {
        fprintf(stderr, "FUZZ_DRIVER=%s: not a driver\n", name ? name : "");
        exit(2);
    }
    if (!repair_learn(driver, board, example))
        fprintf(stderr, "%s: no form of checksum in repair.c is its own; frames stay as they are\n",
                name);
    return 0;
}
