// SPDX-License-Identifier: MIT
/* Messages between the gateway and an outlet: what was sent is received, and damage is detected. */
#include "outlets/pipe.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "unit.h"

static int ends[2];

BEFORE_ALL
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) < 0)
        abort();
}

static struct pipe_message receive(void)
{
    struct pipe_message message;
    int file;
    assert_true(pipe_receive(ends[1], &message, &file) > 0);
    assert_int_equal(file, -1);
    return message;
}

static struct pipe_message pass(const struct pipe_message *message)
{
    assert_true(pipe_send(ends[0], message, -1));
    return receive();
}

static struct pipe_values make_values(void)
{
    struct pipe_values values = {.pack = 3,
                                 .changes = SOURCE_PUBLISHED | SOURCE_ALARMS,
                                 .sequence = 77,
                                 .at = 1000.5,
                                 .wall = 1.7e9,
                                 .good_until = 1010.5,
                                 .settle_s = 12,
                                 .whole = true};
    values.status = (struct map_status){.state = MAP_STATE_FRESH,
                                        .age_s = 0.25,
                                        .polls = 12,
                                        .timezone_hours = -3,
                                        .peak = {.percent = 88, .hour = 12, .minute = 34},
                                        .charged_wh = 1234.5,
                                        .discharged_wh = NAN};
    snprintf(values.driver, sizeof values.driver, "daly");
    pack_clear(&values.values);
    pack_set(&values.values, VOLTAGE_V, 53.12);
    pack_set_cell(&values.values, 48, 3333);
    pack_alarm_at(&values.values, SOC_LOW, ALARM_WARNING, true);
    pack_alarm_at(&values.values, SHORT_CIRCUIT, ALARM_PROTECTION, false);
    pack_raw_alarm(&values.values, 0xABCD);
    snprintf(values.values.text[MODEL], TEXT_SIZE, "model");
    return values;
}

TEST(values)
{
    struct pipe_message sent = {.type = PIPE_VALUES, .values = make_values()};
    for (int whole = 1; whole >= 0; whole--) {
        sent.values.whole = whole;
        const struct pipe_message got = pass(&sent);
        const struct pipe_values *values = &got.values;
        assert_int_equal(got.type, PIPE_VALUES);
        assert_memory_equal(values, &sent.values, offsetof(struct pipe_values, values));
        assert_int_equal(pack_known(&values->values, VOLTAGE_V) && values->whole, whole);
        if (whole)
            assert_memory_equal(&values->values, &sent.values.values, sizeof values->values);
    }
}

/* A message of another size than that of its type is malformed. */
TEST(cut)
{
    const struct pipe_message sent = {.type = PIPE_VALUES, .values = make_values()};
    const size_t size = offsetof(struct pipe_message, values) + sizeof sent.values;
    for (size_t cut = 1; cut < size; cut++) {
        assert_true(pipe_send_file(ends[0], &sent, cut, -1));
        assert_int_equal(receive().type, 0);
    }
    for (int type = -1; type < 2 * PIPE_TYPES; type++) {
        struct pipe_message other = sent;
        other.type = (enum pipe_type) type;
        assert_true(pipe_send_file(ends[0], &other, size, -1));
        assert_int_equal(receive().type, type == PIPE_VALUES ? PIPE_VALUES : 0);
    }
}

/* Each byte of a message of an outlet in turn is wrong: what the gateway takes is valid. */
TEST(garbage)
{
    static const struct pipe_message all[] = {
        {.type = PIPE_ORDER, .order = {.ticket = 1, .what = {.wanted = {true}}}},
        {.type = PIPE_ORDER, .order = {.what = {.sets = true, .setting = RATED_AH, .value = 280}}},
        {.type = PIPE_NOTE, .note = {.key = "pack.a", .text = "daly 1234"}},
        {.type = PIPE_REPORT, .report = {.connected = true, .words = "refused"}},
    };
    for (size_t n = 0; n < sizeof all / sizeof *all; n++)
        for (size_t at = sizeof all->type; at < sizeof all->report; at++)
            for (unsigned value = 0; value < 256; value += 51) {
                struct pipe_message sent = all[n];
                ((uint8_t *) &sent)[at] = (uint8_t) value;
                const struct pipe_message got = pass(&sent);
                const uint8_t *flags = (const uint8_t *) got.order.what.wanted;
                for (int i = 0; got.type == PIPE_ORDER && i < ORDER_SWITCHES; i++)
                    assert_true(flags[i] <= 1);
                if (got.type == PIPE_ORDER && got.order.what.sets)
                    assert_true(got.order.what.setting < PACK_VALUES &&
                                isfinite(got.order.what.value));
            }
}

static void assert_malformed(const struct pipe_message *message)
{
    assert_int_equal(pass(message).type, 0);
}

TEST(malformed)
{
    struct pipe_message message = {.type = PIPE_ORDER, .order = {.what = {.wanted = {true}}}};
    assert_int_equal(pass(&message).order.what.wanted[0], true);
    *(uint8_t *) &message.order.what.on[0] = 2;
    assert_malformed(&message);
    message = (struct pipe_message){
        .type = PIPE_ORDER, .order = {.what = {.sets = true, .setting = RATED_AH, .value = NAN}}};
    assert_malformed(&message); /* a setting is a number */
    message = (struct pipe_message){.type = PIPE_NOTE};
    memset(message.note.text, 'x', PIPE_NOTE_SIZE);
    assert_malformed(&message);
    message = (struct pipe_message){.type = PIPE_REPORT};
    memset(message.report.words, 'x', sizeof message.report.words);
    assert_malformed(&message);
}

struct settings {
    char name[NAME_SIZE];
    double number;
};

TEST(config)
{
    static const struct settings settings = {.name = "x", .number = 2.5};
    const struct source first = {.name = "first", .title = "First", .line = "shed", .unit = 7};
    const struct source second = {.name = "second", .title = "second", .writable = true};
    const struct source *const members[] = {&first, &second};
    const struct source bank = {
        .name = "house", .title = "house", .members = members, .member_count = 2};
    const struct source *const sources[] = {&first, &bank, &second};
    struct pipe_config config = {.kind = "mqtt",
                                 .id = "3f9a0c11",
                                 .settings = &settings,
                                 .settings_size = sizeof settings,
                                 .pack_count = 3};
    struct pipe_config got = {.version = ""};
    struct pipe_pack packs[3];
    size_t size = 0;
    char *bytes = pipe_compose(&config, sources, &size);
    assert_non_null(bytes);
    const char *at = pipe_parse(bytes, size, &got);
    assert_non_null(at);
    assert_string_equal(got.version, PACKGATE_VERSION);
    assert_string_equal(got.id, "3f9a0c11");
    assert_int_equal((uintptr_t) got.settings % 16, 0);
    assert_true(((const struct settings *) got.settings)->number == 2.5);
    for (int i = 0; i < 3; i++)
        at = pipe_parse_pack(at, &packs[i]);
    assert_ptr_equal(at, bytes + size);
    assert_string_equal(packs[0].title, "First");
    assert_string_equal(packs[0].line, "shed");
    assert_true(packs[0].unit == 7 && !packs[0].writable && packs[2].writable);
    assert_true(packs[1].is_bank && packs[1].member_count == 2);
    assert_string_equal(packs[1].members[1], "second");

    bytes[0]++; /* another version */
    got = (struct pipe_config){.version = ""};
    assert_null(pipe_parse(bytes, size, &got));
    assert_memory_equal(got.version + 1, &PACKGATE_VERSION[1], sizeof PACKGATE_VERSION - 1);
    assert_null(pipe_parse(bytes, 3, &got));
    free(bytes);
}
