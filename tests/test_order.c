// SPDX-License-Identifier: MIT
/*
 * Carrying out an order to switch: which requests are sent one after the other, and what their
 * answers make of it. The driver is one that says on command what it can build.
 */
#include "lines/order.h"
#include "bms/count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CANNOT (-1)
#define NOW 1000.0

/* What the driver builds next: a request of this many bytes, or CANNOT. The bytes tell what it was
 * asked for: the switch, its position, and the way. */
static struct {
    int size;
    uint8_t way;
    unsigned asked;
} device;

static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    (void) bms;
    device.asked++;
    assert_int_equal(request->size, 0); /* nothing is left over of the request before */
    if (device.size == CANNOT)
        return false;
    memset(request->bytes, 0xA5, (size_t) device.size);
    memcpy(request->bytes, (const uint8_t[]){(uint8_t) which, on, device.way}, 3);
    request->size = (size_t) device.size;
    return true;
}

static const struct bms_step plan[] = {{.name = "state", .vital = true}};
static const struct bms_driver driver = {
    .name = "test", .control = build_switch, .plan = plan, .steps = 1};
static const struct bms_driver blind_driver = {
    .name = "blind", .control = build_switch, .control_blindly = true, .plan = plan, .steps = 1};
static const struct pack_config config = {.driver = &driver};
static struct poller_step step;
static struct poller poller;
static struct order order;

static int set_up(void **state)
{
    (void) state;
    device.size = 3;
    device.way = 0;
    device.asked = 0;
    order = (struct order){.poller = &poller, .given_at = NOW};
    poller = (struct poller){.bms = {.driver = &driver}, .config = &config, .steps = &step};
    pack_clear(&step.part);
    pack_clear(&poller.values);
    return 0;
}

static void want(enum bms_switch which, bool on)
{
    order.switches.wanted[which] = true;
    order.switches.on[which] = on;
}

static void expect_request(enum bms_switch which, bool on, uint8_t way)
{
    assert_int_equal(order.request.size, device.size);
    assert_int_equal(order.request.bytes[0], which);
    assert_int_equal(order.request.bytes[1], on);
    assert_int_equal(order.request.bytes[2], way);
}

/* Each switch in each position is one request. */
static void test_one(void **state)
{
    for (int which = 0; which < ORDER_SWITCHES; which++)
        for (int on = 0; on <= 1; on++) {
            set_up(state);
            want((enum bms_switch) which, on);
            assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
            expect_request((enum bms_switch) which, on, 0);
            assert_int_equal(order_settle(&order, REPLY_DONE, NOW), ORDER_DONE);
            assert_int_equal(order_build(&order, NOW), ORDER_DONE);
            assert_int_equal(device.asked, 1);
        }
}

/* Both: charge first, then discharge, which is built when the first one is done, on the state that
 * it has left. */
static void test_both(void **state)
{
    (void) state;
    want(BMS_CHARGE_MOS, false);
    want(BMS_DISCHARGE_MOS, true);
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    expect_request(BMS_CHARGE_MOS, false, 0);
    assert_int_equal(order_settle(&order, REPLY_DONE, NOW), ORDER_PENDING);
    assert_int_equal(device.asked, 1);
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    expect_request(BMS_DISCHARGE_MOS, true, 0);
    assert_int_equal(order_settle(&order, REPLY_DONE, NOW), ORDER_DONE);
}

static void test_nothing_wanted(void **state)
{
    (void) state;
    assert_int_equal(order_build(&order, NOW), ORDER_DONE);
    assert_int_equal(device.asked, 0);
}

/* The state that a request builds on may not be known yet, at first or in between. */
static void test_not_now(void **state)
{
    (void) state;
    want(BMS_CHARGE_MOS, true);
    want(BMS_DISCHARGE_MOS, true);
    device.size = CANNOT;
    assert_int_equal(order_build(&order, NOW), ORDER_NOT_NOW);
    device.size = 3;
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_DONE, NOW), ORDER_PENDING);
    device.size = CANNOT;
    assert_int_equal(order_build(&order, NOW), ORDER_NOT_NOW);
}

/* ---- what is read back ---- */

static void read_back(enum pack_value id, double value, double at)
{
    pack_clear(&step.part);
    pack_set(&step.part, id, value);
    step.at = at;
    poller.values = step.part;
}

/* Whether it was carried out is not known before the state is read back, and the first readings may be old. */
static void test_unanswered(void **state)
{
    (void) state;
    want(BMS_CHARGE_MOS, true);
    want(BMS_DISCHARGE_MOS, true);
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_WAITING, NOW), ORDER_LOOK);
    assert_true(order.looking);
    read_back(CHARGE_MOS, 1, NOW - 1);
    assert_int_equal(order_look(&order, NOW), ORDER_LOOK);
    read_back(CHARGE_MOS, 0, NOW);
    assert_int_equal(order_look(&order, NOW), ORDER_LOOK);
    assert_int_equal(device.asked, 1);
    read_back(CHARGE_MOS, 1, NOW);
    assert_int_equal(order_look(&order, NOW), ORDER_PENDING);
    assert_false(order.looking);
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    expect_request(BMS_DISCHARGE_MOS, true, 0);
}

/* A cycle that read the switches and then came to nothing publishes nothing: what is published still shows what was
 * ordered, and what was read does not. */
static void test_published_before(void **state)
{
    (void) state;
    want(BMS_CHARGE_MOS, false);
    read_back(CHARGE_MOS, 0, NOW - 1);
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_WAITING, NOW), ORDER_LOOK);
    const struct pack published = poller.values;
    read_back(CHARGE_MOS, 1, NOW);
    poller.values = published;
    assert_int_equal(order_look(&order, NOW), ORDER_LOOK);
}

/* Sent once more, and only once. */
static void test_not_carried_out(void **state)
{
    (void) state;
    want(BMS_CHARGE_MOS, false);
    for (unsigned sent = 1; sent <= 2; sent++) {
        assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
        assert_int_equal(order_settle(&order, REPLY_WAITING, NOW), ORDER_LOOK);
        read_back(CHARGE_MOS, 1, NOW);
        for (unsigned looks = 1; looks < ORDER_LOOKS; looks++)
            assert_int_equal(order_look(&order, NOW), ORDER_LOOK);
        assert_int_equal(order_look(&order, NOW), sent == 1 ? ORDER_PENDING : ORDER_UNANSWERED);
    }
    assert_int_equal(device.asked, 2);
}

/* Nobody expects it any more. */
static void test_not_sent_again_late(void **state)
{
    (void) state;
    want(BMS_CHARGE_MOS, false);
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_WAITING, NOW), ORDER_LOOK);
    for (unsigned looks = 1; looks < ORDER_LOOKS; looks++)
        assert_int_equal(order_look(&order, NOW), ORDER_LOOK);
    assert_int_equal(order_look(&order, NOW + ORDER_VALID_S + 1), ORDER_UNANSWERED);
}

/* Neither as the first, nor as the second of two whose first one took long, nor again. */
static void test_not_sent_late(void **state)
{
    (void) state;
    const double late = NOW + ORDER_VALID_S + 1;
    want(BMS_CHARGE_MOS, false);
    want(BMS_DISCHARGE_MOS, false);
    assert_int_equal(order_build(&order, late), ORDER_TOO_LATE);
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_WAITING, NOW + 1), ORDER_LOOK);
    read_back(CHARGE_MOS, 0, late);
    assert_int_equal(order_look(&order, late), ORDER_PENDING);
    assert_int_equal(order_build(&order, late), ORDER_UNANSWERED);
    assert_int_equal(device.asked, 1);
}

/* Behind an order that was left unanswered, no answer is believed: neither that it was done nor that it was refused,
 * nor what the driver learns from it. After long enough they are again. */
static void test_late_answer(void **state)
{
    static const enum reply_state answers[] = {REPLY_DONE, REPLY_REFUSED};
    for (size_t i = 0; i < COUNT(answers); i++) {
        set_up(state);
        want(BMS_CHARGE_MOS, false);
        order_build(&order, NOW);
        order_settle(&order, REPLY_WAITING, NOW);
        order = (struct order){.poller = &poller, .given_at = NOW + 1};
        want(BMS_CHARGE_MOS, true);
        assert_int_equal(order_build(&order, NOW + 1), ORDER_PENDING);
        *(uint8_t *) bms_memory(&poller.bms) = 7;
        assert_int_equal(order_settle(&order, answers[i], NOW + 1), ORDER_LOOK);
        assert_int_equal(*(uint8_t *) bms_memory(&poller.bms), 0);
        read_back(CHARGE_MOS, 1, NOW + 1);
        assert_int_equal(order_look(&order, NOW + 1), ORDER_DONE);
    }
    order = (struct order){.poller = &poller, .given_at = NOW + ORDER_LATE_S};
    want(BMS_CHARGE_MOS, true);
    order_build(&order, NOW + ORDER_LATE_S);
    assert_int_equal(order_settle(&order, REPLY_DONE, NOW + ORDER_LATE_S), ORDER_DONE);
}

/* Where an adapter returns what it sends, a Daly that is away seems to confirm at once: that the line echoes is not known
 * before the pack has answered. */
static void test_echo(void **state)
{
    (void) state;
    static struct reply reply;
    const struct line_config line = {.name = "line"};
    const struct pack_config daly = {.line = &line,
                                     .driver = bms_driver_find("daly-d2"),
                                     .options = {.address = -1, .adr = -1},
                                     .poll_s = 1,
                                     .stale_after_s = 10};
    struct poller *silent = poller_new(&daly);
    assert_non_null(silent);
    order.poller = silent;
    want(BMS_CHARGE_MOS, false);
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    reply_append(&reply, order.request.bytes, order.request.size);
    enum reply_state heard =
        reply_decode(&reply, &silent->bms, &order.request, true, &silent->incoming);
    assert_int_equal(order_settle(&order, heard, NOW), ORDER_LOOK);
    poller_free(silent);
}

/* An answer that can be one to anything never confirms. */
static void test_blind_driver(void **state)
{
    (void) state;
    poller.bms.driver = &blind_driver;
    want(BMS_DISCHARGE_MOS, false);
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_DONE, NOW), ORDER_LOOK);
    read_back(DISCHARGE_MOS, 0, NOW);
    assert_int_equal(order_look(&order, NOW), ORDER_DONE);
}

/* ---- refusals ---- */

/* After a refusal: what the driver builds then, and what becomes of the order. */
// clang-format off
static const struct {
    const char *name;
    int size;
    uint8_t way;
    enum order_result result;
} second_ways[] = {
    /* name                           size    way  result         */
    {"the same request",              3,      0,   ORDER_REFUSED},
    {"a request with another byte",   3,      1,   ORDER_PENDING},
    {"a longer one",                  4,      0,   ORDER_PENDING},
    {"none any more",                 CANNOT, 0,   ORDER_REFUSED},
};
// clang-format on

static void test_refused(void **state)
{
    for (size_t i = 0; i < COUNT(second_ways); i++) {
        set_up(state);
        want(BMS_DISCHARGE_MOS, false);
        assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
        device.size = second_ways[i].size;
        device.way = second_ways[i].way;
        if (order_settle(&order, REPLY_REFUSED, NOW) != second_ways[i].result)
            fail_msg("%s: another result", second_ways[i].name);
    }
}

/* The second way works, is refused as well, or is followed by a third: no request goes out twice in
 * a row. */
static void test_second_way(void **state)
{
    static const struct {
        enum reply_state answer;
        enum order_result result;
    } ends[] = {
        {REPLY_DONE, ORDER_DONE}, {REPLY_REFUSED, ORDER_REFUSED}, {REPLY_WAITING, ORDER_LOOK}};
    for (size_t i = 0; i < COUNT(ends); i++) {
        set_up(state);
        want(BMS_DISCHARGE_MOS, true);
        assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
        for (device.way = 1; device.way < 4; device.way++) {
            assert_int_equal(order_settle(&order, REPLY_REFUSED, NOW), ORDER_PENDING);
            /* The line builds once more before it sends. */
            assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
            expect_request(BMS_DISCHARGE_MOS, true, device.way);
        }
        device.way--;
        assert_int_equal(order_settle(&order, ends[i].answer, NOW), ends[i].result);
    }
}

/* When the first switch is refused, the second one is left alone. */
static void test_refused_first(void **state)
{
    (void) state;
    want(BMS_CHARGE_MOS, true);
    want(BMS_DISCHARGE_MOS, true);
    assert_int_equal(order_build(&order, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_REFUSED, NOW), ORDER_REFUSED);
    assert_true(order.switches.wanted[BMS_DISCHARGE_MOS]);
}

// clang-format off
static const struct {
    struct switches switches; /* charge, discharge */
    const char *text;
} texts[] = {
    /* wanted           on               */
    {{{false, false}, {false, false}}, ""},
    {{{false, false}, {true, true}},   ""},
    {{{true, false},  {true, false}},  "charge on"},
    {{{true, false},  {false, true}},  "charge off"},
    {{{false, true},  {false, true}},  "discharge on"},
    {{{false, true},  {true, false}},  "discharge off"},
    {{{true, true},   {true, true}},   "charge on, discharge on"},
    {{{true, true},   {true, false}},  "charge on, discharge off"},
    {{{true, true},   {false, true}},  "charge off, discharge on"},
    {{{true, true},   {false, false}}, "charge off, discharge off"},
};
// clang-format on

static void test_format(void **state)
{
    (void) state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char out[SWITCHES_TEXT];
        memset(out, 'x', sizeof out);
        assert_ptr_equal(switches_format(&texts[i].switches, out), out);
        assert_string_equal(out, texts[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one, set_up),
        cmocka_unit_test_setup(test_both, set_up),
        cmocka_unit_test_setup(test_nothing_wanted, set_up),
        cmocka_unit_test_setup(test_not_now, set_up),
        cmocka_unit_test_setup(test_unanswered, set_up),
        cmocka_unit_test_setup(test_published_before, set_up),
        cmocka_unit_test_setup(test_not_carried_out, set_up),
        cmocka_unit_test_setup(test_not_sent_again_late, set_up),
        cmocka_unit_test_setup(test_not_sent_late, set_up),
        cmocka_unit_test_setup(test_late_answer, set_up),
        cmocka_unit_test_setup(test_echo, set_up),
        cmocka_unit_test_setup(test_blind_driver, set_up),
        cmocka_unit_test_setup(test_refused, set_up),
        cmocka_unit_test_setup(test_second_way, set_up),
        cmocka_unit_test_setup(test_refused_first, set_up),
        cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
