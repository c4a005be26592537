// SPDX-License-Identifier: MIT
/*
 * Executing an order to switch: the sequence of requests, and the effect of their replies. The
 * driver builds requests on demand of the test.
 */
#include "lines/order.h"
#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define CANNOT (-1)
#define NOW 1000.0

/* The next request that the driver builds: this many bytes, or CANNOT. The bytes contain the switch, its position,
 * and the way. */
static struct {
    int size;
    uint8_t way;
    unsigned asked;
    int cannot; /* the request of a setting in several requests that cannot be built; none: -1 */
    char parts[16]; /* the requests that were built: "012" */
} device;

static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    device.asked++;
    assert_int_equal(request->size, 0); /* the previous request was cleared */
    if (device.size == CANNOT)
        return false;
    memset(request->bytes, 0xA5, (size_t) device.size);
    memcpy(request->bytes, (const uint8_t[]){(uint8_t) which, on, device.way}, 3);
    request->size = (size_t) device.size;
    return true;
}

static const struct bms_setting settings[] = {
    {SOC_PERCENT, 0, 100, 0.1, 0}, {SET_BALANCER, 0, 1, 1, 0}, {RATED_AH, 1, 600, 0.1, 3}};

static bool build_setting(struct bms *bms, enum pack_value id, double value, unsigned part,
                          const struct bms_moment *now, struct bms_request *request)
{
    if (device.cannot == (int) part)
        return false;
    snprintf(device.parts + strlen(device.parts), sizeof device.parts - strlen(device.parts), "%u",
             part);
    if (part == 0)
        bms->way = 1; /* the device may be in another mode now */
    device.asked++;
    request->size = device.size == CANNOT ? 0 : (size_t) device.size;
    return device.size != CANNOT;
}

static const struct bms_step plan[] = {{.name = "state", .vital = true}};
static const struct bms_driver driver = {.name = "test",
                                         .control = build_switch,
                                         .settings = settings,
                                         .setting_count = COUNT(settings),
                                         .set = build_setting,
                                         .plan = plan,
                                         .steps = 1};
static const struct bms_driver blind_driver = {
    .name = "blind", .control = build_switch, .control_blindly = true, .plan = plan, .steps = 1};
static const struct pack_config config = {.driver = &driver};
static struct poller_step step;
static struct poller poller;
static struct order order;

static int set_up(void **state)
{
    device.size = 3;
    device.way = 0;
    device.asked = 0;
    device.cannot = -1;
    device.parts[0] = '\0';
    order = (struct order){.poller = &poller, .queued_at = NOW};
    poller = (struct poller){.bms = {.driver = &driver}, .config = &config, .steps = &step};
    pack_clear(&step.part);
    pack_clear(&poller.values);
    return 0;
}

#define ORDER_TEST(name) TEST_WITH(name, set_up, NULL)

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
ORDER_TEST(one)
{
    for (int which = 0; which < ORDER_SWITCHES; which++)
        for (int on = 0; on <= 1; on++) {
            set_up(state);
            want((enum bms_switch) which, on);
            assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
            expect_request((enum bms_switch) which, on, 0);
            assert_int_equal(order_settle(&order, REPLY_DONE, true, NOW), ORDER_DONE);
            assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_DONE);
            assert_int_equal(device.asked, 1);
        }
}

/* Both switches: charge first, then discharge, whose request is built after the first one was confirmed, from the
 * state at that time. */
ORDER_TEST(both)
{
    want(BMS_CHARGE_MOS, false);
    want(BMS_DISCHARGE_MOS, true);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    expect_request(BMS_CHARGE_MOS, false, 0);
    assert_int_equal(order_settle(&order, REPLY_DONE, true, NOW), ORDER_PENDING);
    assert_int_equal(device.asked, 1);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    expect_request(BMS_DISCHARGE_MOS, true, 0);
    assert_int_equal(order_settle(&order, REPLY_DONE, true, NOW), ORDER_DONE);
}

ORDER_TEST(nothing_wanted)
{
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_DONE);
    assert_int_equal(device.asked, 0);
}

/* The state on which a request depends may be unknown, at first or later. */
ORDER_TEST(not_now)
{
    want(BMS_CHARGE_MOS, true);
    want(BMS_DISCHARGE_MOS, true);
    device.size = CANNOT;
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_NOT_NOW);
    device.size = 3;
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_DONE, true, NOW), ORDER_PENDING);
    device.size = CANNOT;
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_NOT_NOW);
}

static void read_back(enum pack_value id, double value, double at)
{
    pack_clear(&step.part);
    pack_set(&step.part, id, value);
    step.at = at;
    poller.values = step.part;
}

/* Without an acknowledgement, the state must be read back, and the first readings may be old. */
ORDER_TEST(unanswered)
{
    want(BMS_CHARGE_MOS, true);
    want(BMS_DISCHARGE_MOS, true);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_WAITING, true, NOW), ORDER_LOOK);
    assert_true(order.looking);
    read_back(CHARGE_MOS, 1, NOW - 1);
    assert_int_equal(order_look(&order, false, NOW), ORDER_LOOK);
    read_back(CHARGE_MOS, 0, NOW);
    assert_int_equal(order_look(&order, false, NOW), ORDER_LOOK);
    assert_int_equal(device.asked, 1);
    read_back(CHARGE_MOS, 1, NOW);
    assert_int_equal(order_look(&order, false, NOW), ORDER_PENDING);
    assert_false(order.looking);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    expect_request(BMS_DISCHARGE_MOS, true, 0);
}

/* A cycle that has read the switches and then failed publishes nothing: the published state still shows the ordered
 * position, and the new reading does not. */
ORDER_TEST(published_before)
{
    want(BMS_CHARGE_MOS, false);
    read_back(CHARGE_MOS, 0, NOW - 1);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_WAITING, true, NOW), ORDER_LOOK);
    const struct pack published = poller.values;
    read_back(CHARGE_MOS, 1, NOW);
    poller.values = published;
    assert_int_equal(order_look(&order, false, NOW), ORDER_LOOK);
}

/* Sent again, but only once. */
ORDER_TEST(not_carried_out)
{
    want(BMS_CHARGE_MOS, false);
    for (unsigned sent = 1; sent <= 2; sent++) {
        assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
        assert_int_equal(order_settle(&order, REPLY_WAITING, true, NOW), ORDER_LOOK);
        read_back(CHARGE_MOS, 1, NOW);
        for (unsigned looks = 1; looks < 3; looks++)
            assert_int_equal(order_look(&order, false, NOW), ORDER_LOOK);
        assert_int_equal(order_look(&order, false, NOW),
                         sent == 1 ? ORDER_PENDING : ORDER_UNANSWERED);
    }
    assert_int_equal(device.asked, 2);
}

/* The order is too old by now. */
ORDER_TEST(not_sent_again_late)
{
    want(BMS_CHARGE_MOS, false);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_WAITING, true, NOW), ORDER_LOOK);
    for (unsigned looks = 1; looks < 3; looks++)
        assert_int_equal(order_look(&order, false, NOW), ORDER_LOOK);
    assert_int_equal(order_look(&order, false, NOW + 5 + 1), ORDER_UNANSWERED);
}

/* Not sent as the first order, nor as the second of two whose first one took long, nor as a repetition. */
ORDER_TEST(not_sent_late)
{
    const double late = NOW + 5 + 1;
    want(BMS_CHARGE_MOS, false);
    want(BMS_DISCHARGE_MOS, false);
    assert_int_equal(order_build(&order, NULL, false, late), ORDER_TOO_LATE);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_WAITING, true, NOW + 1), ORDER_LOOK);
    read_back(CHARGE_MOS, 0, late);
    assert_int_equal(order_look(&order, false, late), ORDER_PENDING);
    assert_int_equal(order_build(&order, NULL, false, late), ORDER_UNANSWERED);
    assert_int_equal(device.asked, 1);
}

/* After an order that stayed unanswered, no answer counts while it may belong to that one: neither as a confirmation,
 * nor as a refusal, nor for what the driver learns from it. */
ORDER_TEST(late_answer)
{
    static const enum reply_state answers[] = {REPLY_DONE, REPLY_REFUSED};
    for (size_t i = 0; i < COUNT(answers); i++) {
        set_up(state);
        want(BMS_CHARGE_MOS, false);
        order_build(&order, NULL, false, NOW);
        order_settle(&order, REPLY_WAITING, true, NOW);
        order = (struct order){.poller = &poller, .queued_at = NOW + 1};
        want(BMS_CHARGE_MOS, true);
        assert_int_equal(order_build(&order, NULL, false, NOW + 1), ORDER_PENDING);
        *(uint8_t *) bms_memory(&poller.bms) = 7;
        assert_int_equal(order_settle(&order, answers[i], false, NOW + 1), ORDER_LOOK);
        assert_int_equal(*(uint8_t *) bms_memory(&poller.bms), 0);
        read_back(CHARGE_MOS, 1, NOW + 1);
        assert_int_equal(order_look(&order, false, NOW + 1), ORDER_DONE);
    }
}

/* If an adapter echoes, a Daly that is away seems to confirm at once: before the pack has answered, it is unknown
 * whether the line echoes. */
ORDER_TEST(echo)
{
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
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    reply_append(&reply, order.request.bytes, order.request.size);
    enum reply_state heard =
        reply_decode(&reply, &silent->bms, &order.request, true, &silent->incoming);
    assert_int_equal(order_settle(&order, heard, true, NOW), ORDER_LOOK);
    poller_free(silent);
}

/* An answer that matches any request never confirms. */
ORDER_TEST(blind_driver)
{
    poller.bms.driver = &blind_driver;
    want(BMS_DISCHARGE_MOS, false);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_DONE, true, NOW), ORDER_LOOK);
    read_back(DISCHARGE_MOS, 0, NOW);
    assert_int_equal(order_look(&order, false, NOW), ORDER_DONE);
}

static void want_setting(enum pack_value id, double value)
{
    order.switches = (struct switches){.sets = true, .setting = id, .value = value, .before = NAN};
}

/* A setting whose value was just read: it is written, and counts as written only after it was read back. */
ORDER_TEST(setting)
{
    want_setting(SET_BALANCER, 0);
    read_back(SET_BALANCER, 1, NOW - 1);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    assert_int_equal(device.asked, 1);
    assert_true(order.switches.before == 1);
    assert_int_equal(order_settle(&order, REPLY_DONE, true, NOW), ORDER_LOOK);
    assert_int_equal(order_look(&order, false, NOW), ORDER_LOOK); /* read before the order */
    read_back(SET_BALANCER, 0, NOW);
    assert_int_equal(order_look(&order, false, NOW), ORDER_DONE);
}

/* The setting was read long ago or never: it is read first, and not written if it has the value already. */
ORDER_TEST(setting_read_first)
{
    want_setting(SET_BALANCER, 1);
    read_back(SET_BALANCER, 0, NOW - 5 - 1);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_LOOK);
    assert_true(order.looking);
    assert_int_equal(device.asked, 0);
    assert_int_equal(order_look(&order, false, NOW), ORDER_LOOK);
    read_back(SET_BALANCER, 1, NOW);
    assert_int_equal(order_look(&order, false, NOW), ORDER_DONE);
    assert_int_equal(device.asked, 0);
}

/* An earlier order was not confirmed, and may still be executed: even if the value is already as ordered, it is
 * written again. */
ORDER_TEST(setting_behind_another)
{
    want_setting(SET_BALANCER, 1);
    read_back(SET_BALANCER, 1, NOW - 1);
    assert_int_equal(order_build(&order, NULL, true, NOW), ORDER_PENDING);
    assert_int_equal(device.asked, 1);
    assert_int_equal(order_settle(&order, REPLY_DONE, true, NOW), ORDER_LOOK);
    read_back(SET_BALANCER, 1, NOW);
    assert_int_equal(order_look(&order, false, NOW), ORDER_DONE);
}

ORDER_TEST(setting_unreadable)
{
    want_setting(SET_BALANCER, 1);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_LOOK);
    for (unsigned looks = 1; looks < 5; looks++)
        assert_int_equal(order_look(&order, false, NOW), ORDER_LOOK);
    assert_int_equal(order_look(&order, false, NOW), ORDER_NOT_NOW);
    assert_int_equal(device.asked, 0);
}

/* An acknowledgement without an effect; a lost acknowledgement with an effect; and a refusal, which counts only if it
 * cannot belong to another request. */
ORDER_TEST(setting_answers)
{
    static const struct {
        enum reply_state answer;
        bool open; /* an earlier order was left unanswered */
        bool carried_out;
        enum order_result result;
        unsigned sent;
    } cases[] = {
        {REPLY_DONE, false, false, ORDER_UNANSWERED, 2},
        {REPLY_WAITING, false, true, ORDER_DONE, 1},
        {REPLY_WAITING, false, false, ORDER_UNANSWERED, 2},
        {REPLY_REFUSED, false, false, ORDER_REFUSED, 1},
        {REPLY_REFUSED, true, true, ORDER_DONE, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        set_up(state);
        want_setting(SOC_PERCENT, 80);
        read_back(SOC_PERCENT, 63.4, NOW - 1);
        enum order_result result = order_build(&order, NULL, false, NOW);
        while (result == ORDER_PENDING) {
            result = order_settle(&order, cases[i].answer, !cases[i].open, NOW);
            read_back(SOC_PERCENT, cases[i].carried_out ? 80 : 63.4, NOW);
            while (result == ORDER_LOOK)
                result = order_look(&order, false, NOW);
            if (result == ORDER_PENDING)
                result = order_build(&order, NULL, false, NOW);
        }
        if (result != cases[i].result || device.asked != cases[i].sent)
            fail_msg("case %zu: result %d, sent %u times", i, (int) result, device.asked);
    }
}

/* While the pack charges, the SOC changes from the value that was set. A value that it had before confirms
 * nothing. */
ORDER_TEST(setting_moves)
{
    want_setting(SOC_PERCENT, 80);
    read_back(SOC_PERCENT, 79.7, NOW - 1);
    order_build(&order, NULL, false, NOW);
    assert_int_equal(order_settle(&order, REPLY_DONE, true, NOW), ORDER_LOOK);
    read_back(SOC_PERCENT, 79.7, NOW);
    assert_int_equal(order_look(&order, false, NOW), ORDER_LOOK);
    read_back(SOC_PERCENT, 80.2, NOW);
    assert_int_equal(order_look(&order, false, NOW), ORDER_DONE);
    order.switches.before = 60; /* a value that is merely nearer does not suffice */
    read_back(SOC_PERCENT, 79, NOW);
    assert_int_equal(order_look(&order, false, NOW), ORDER_LOOK);
}

ORDER_TEST(setting_late)
{
    want_setting(SET_BALANCER, 1);
    read_back(SET_BALANCER, 0, NOW + 10);
    assert_int_equal(order_build(&order, NULL, false, NOW + 10 + 1), ORDER_TOO_LATE);
    assert_int_equal(device.asked, 0);
    device.size = CANNOT;
    assert_int_equal(order_build(&order, NULL, false, NOW + 10), ORDER_NOT_NOW);
}

/* Range and steps are those of the protocol; a switch is 0 or 1 and nothing between. */
ORDER_TEST(setting_checked)
{
    static const struct {
        enum pack_value id;
        double value, written;
        enum order_result result;
    } cases[] = {
        {SOC_PERCENT, 80.52, 80.5, ORDER_PENDING},
        {SOC_PERCENT, 0, 0, ORDER_PENDING},
        {SOC_PERCENT, 100, 100, ORDER_PENDING},
        {SOC_PERCENT, 100.1, 0, ORDER_OUT_OF_RANGE},
        {SOC_PERCENT, -0.1, 0, ORDER_OUT_OF_RANGE},
        {SOC_PERCENT, NAN, 0, ORDER_OUT_OF_RANGE},
        {SOC_PERCENT, INFINITY, 0, ORDER_OUT_OF_RANGE},
        {SET_BALANCER, 1, 1, ORDER_PENDING},
        {SET_BALANCER, 0.5, 0, ORDER_OUT_OF_RANGE},
        {SET_BALANCER, 2, 0, ORDER_OUT_OF_RANGE},
        {FULL_AH, 100, 0, ORDER_NO_SETTING},
        {SET_CELL_HIGH_MV, 3650, 0, ORDER_NO_SETTING},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        want_setting(cases[i].id, cases[i].value);
        enum order_result result = order_check(&driver, &order.switches);
        bool good =
            result == cases[i].result &&
            (result != ORDER_PENDING || fabs(order.switches.value - cases[i].written) < 1e-9);
        if (!good)
            fail_msg("case %zu: result %d, value %g", i, (int) result, order.switches.value);
    }
}

/* No driver has a setting that it cannot read, and none has secrets as settings. */
ORDER_TEST(setting_of_drivers)
{
    for (size_t i = 0; bms_drivers[i]; i++)
        for (unsigned n = 0; n < bms_drivers[i]->setting_count; n++) {
            const struct bms_setting *row = &bms_drivers[i]->settings[n];
            assert_non_null(bms_drivers[i]->set);
            assert_true(row->step > 0 && row->min < row->max);
            assert_true(row->id == SOC_PERCENT || row->id == RATED_AH || row->id == SET_BALANCER);
        }
}

/* A gateway without a valid time does not set a board's clock. */
ORDER_TEST(setting_without_time)
{
    static const struct bms_moment unset = {1970, 1, 1, 0, 0, 0};
    struct bms bms;
    struct bms_request request;
    bms_init(&bms, bms_driver_find("daly"));
    assert_false(bms.driver->set(&bms, SOC_PERCENT, 80.5, 0, &unset, &request));
}

/* The emulators accept them: the value changes, and the answer confirms it. */
ORDER_TEST(setting_emulated)
{
    static const struct bms_moment june = {2026, 6, 15, 10, 30, 0};
    static struct bms_output out;
    static struct reply reply;
    for (size_t i = 0; bms_drivers[i]; i++)
        for (unsigned n = 0; n < bms_drivers[i]->setting_count; n++) {
            enum pack_value id = bms_drivers[i]->settings[n].id;
            const struct bms_setting *setting = &bms_drivers[i]->settings[n];
            double value = id == SET_BALANCER ? 0 : setting->step < 1 ? 77.5 : 77;
            struct bms host, board;
            struct bms_request request = {.size = 0};
            struct pack pack, heard;
            pack_clear(&pack);
            pack_clear(&heard);
            pack_set(&pack, RATED_AH, 280);
            pack_set(&pack, id, 1);
            snprintf(pack.text[FIRMWARE], TEXT_SIZE, "H6.X__S6.1.3S__");
            bms_init(&host, bms_drivers[i]);
            bms_init(&board, bms_drivers[i]);
            for (unsigned part = 0; part == 0 || part < setting->parts; part++) {
                assert_true(host.driver->set(&host, id, value, part, &june, &request));
                bms_emulate(&board, &pack, request.bytes, request.size, &out);
                reply_clear(&reply);
                reply_append(&reply, out.bytes, out.size);
                assert_int_equal(reply_decode(&reply, &host, &request, true, &heard), REPLY_DONE);
            }
            assert_true(fabs(pack.value[id] - value) < 1e-9);
        }
}

/* A setting in several requests. `answers` are the answers to them: D done, R refused, - none. The last request,
 * which ends the special mode, is sent in any case, and repeated while nothing answers it. */
// clang-format off
static const struct {
    const char *name, *answers;
    int cannot;              /* the request that the driver cannot build */
    bool open, carried_out;  /* an earlier order was left unanswered; the value is read as ordered */
    const char *sent;
    enum order_result result;
} several[] = {
    /* name                       answers   cannot open   carried  sent       result           */
    {"all is well",               "DDD",    -1,   false,  true,  "012",       ORDER_DONE},
    {"the mode is refused",       "RD",     -1,   false,  false, "02",        ORDER_REFUSED},
    {"writing is refused",        "DRD",    -1,   false,  false, "012",       ORDER_REFUSED},
    {"so is leaving",             "DDR",    -1,   false,  true,  "012",       ORDER_DONE},
    {"writing is not answered",   "D-D",    -1,   false,  true,  "012",       ORDER_DONE},
    {"nor carried out",           "D-DD-D", -1,   false,  false, "012012",    ORDER_UNANSWERED},
    {"leaving is not answered",   "DD-D",   -1,   false,  true,  "0122",      ORDER_DONE},
    {"never",                     "DD---",  -1,   false,  true,  "01222",     ORDER_DONE},
    {"nothing is",                "--------", -1, false,  false, "02220222",  ORDER_UNANSWERED},
    {"what to write is unknown",  "DD",     1,    false,  false, "02",        ORDER_NOT_NOW},
    {"nothing can be sent",       "",       0,    false,  false, "",          ORDER_NOT_NOW},
    {"a refusal may be an old one", "RDRD", -1,   true,   false, "0202",      ORDER_UNANSWERED},
};
// clang-format on

ORDER_TEST(setting_in_several)
{
    for (size_t i = 0; i < COUNT(several); i++) {
        set_up(state);
        device.cannot = several[i].cannot;
        want_setting(RATED_AH, 280);
        read_back(RATED_AH, 100, NOW - 1);
        const char *answer = several[i].answers;
        enum order_result result = order_build(&order, NULL, false, NOW);
        while (result == ORDER_PENDING) {
            poller.bms.way =
                *answer == 'D' && device.parts[strlen(device.parts) - 1] == '2' ? 2 : 1;
            result = order_settle(&order,
                                  *answer == 'D'   ? REPLY_DONE
                                  : *answer == 'R' ? REPLY_REFUSED
                                                   : REPLY_WAITING,
                                  !several[i].open, NOW);
            answer += *answer != '\0';
            read_back(RATED_AH, several[i].carried_out ? 280 : 100, NOW);
            while (result == ORDER_LOOK)
                result = order_look(&order, false, NOW);
            if (result == ORDER_PENDING)
                result = order_build(&order, NULL, false, NOW);
        }
        if (result != several[i].result || strcmp(device.parts, several[i].sent) != 0)
            fail_msg("%s: result %d, sent %s", several[i].name, (int) result, device.parts);
    }
}

/* What the driver has learned from an answer is discarded if the answer may belong to another request; that the
 * device may be in another mode is not. */
ORDER_TEST(setting_in_doubt)
{
    for (int open = 0; open < 2; open++) {
        set_up(state);
        want_setting(RATED_AH, 280);
        read_back(RATED_AH, 100, NOW - 1);
        for (unsigned part = 0; part < 3; part++) {
            assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
            assert_int_equal(poller.bms.way, 1);
            if (part == 1)
                *(uint8_t *) bms_memory(&poller.bms) = 7; /* the last request is built from it */
            assert_int_equal(*(uint8_t *) bms_memory(&poller.bms), part > 0 ? 7 : 0);
            if (part == 2)
                poller.bms.way = 2; /* it confirms that it has left the mode */
            assert_int_equal(order_settle(&order, REPLY_DONE, !open, NOW),
                             part == 2 ? ORDER_LOOK : ORDER_PENDING);
        }
        assert_int_equal(poller.bms.way, open ? 1 : 2);
    }
}

/* An order that took too long in the middle: the special mode is ended, nothing more is sent. */
ORDER_TEST(setting_in_several_late)
{
    want_setting(RATED_AH, 280);
    read_back(RATED_AH, 100, NOW - 1);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    const double late = NOW + 10 + 1;
    assert_int_equal(order_settle(&order, REPLY_DONE, true, late), ORDER_PENDING);
    assert_int_equal(order_build(&order, NULL, false, late), ORDER_PENDING);
    assert_string_equal(device.parts, "02");
    assert_int_equal(order_settle(&order, REPLY_DONE, true, late), ORDER_LOOK);
}

/* After a refusal: the request that the driver builds next, and the result of the order. */
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

ORDER_TEST(refused)
{
    for (size_t i = 0; i < COUNT(second_ways); i++) {
        set_up(state);
        want(BMS_DISCHARGE_MOS, false);
        assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
        device.size = second_ways[i].size;
        device.way = second_ways[i].way;
        if (order_settle(&order, REPLY_REFUSED, true, NOW) != second_ways[i].result)
            fail_msg("%s: another result", second_ways[i].name);
    }
}

/* The second way succeeds, is refused as well, or is followed by a third: no request is sent twice in a row. */
ORDER_TEST(second_way)
{
    static const struct {
        enum reply_state answer;
        enum order_result result;
    } ends[] = {
        {REPLY_DONE, ORDER_DONE}, {REPLY_REFUSED, ORDER_REFUSED}, {REPLY_WAITING, ORDER_LOOK}};
    for (size_t i = 0; i < COUNT(ends); i++) {
        set_up(state);
        want(BMS_DISCHARGE_MOS, true);
        assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
        for (device.way = 1; device.way < 4; device.way++) {
            assert_int_equal(order_settle(&order, REPLY_REFUSED, true, NOW), ORDER_PENDING);
            /* The line builds a request again before it sends it. */
            assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
            expect_request(BMS_DISCHARGE_MOS, true, device.way);
        }
        device.way--;
        assert_int_equal(order_settle(&order, ends[i].answer, true, NOW), ends[i].result);
    }
}

/* If the first switch is refused, the second one is not sent. */
ORDER_TEST(refused_first)
{
    want(BMS_CHARGE_MOS, true);
    want(BMS_DISCHARGE_MOS, true);
    assert_int_equal(order_build(&order, NULL, false, NOW), ORDER_PENDING);
    assert_int_equal(order_settle(&order, REPLY_REFUSED, true, NOW), ORDER_REFUSED);
    assert_true(order.switches.wanted[BMS_DISCHARGE_MOS]);
}

// clang-format off
static const struct {
    struct switches switches; /* charge, discharge */
    const char *text;
} texts[] = {
    /* wanted           on               */
    {{.wanted = {false, false}, .on = {false, false}}, ""},
    {{.wanted = {false, false}, .on = {true, true}},   ""},
    {{.wanted = {true, false}, .on = {true, false}},  "charge on"},
    {{.wanted = {true, false}, .on = {false, true}},  "charge off"},
    {{.wanted = {false, true}, .on = {false, true}},  "discharge on"},
    {{.wanted = {false, true}, .on = {true, false}},  "discharge off"},
    {{.wanted = {true, true}, .on = {true, true}},   "charge on, discharge on"},
    {{.wanted = {true, true}, .on = {true, false}},  "charge on, discharge off"},
    {{.wanted = {true, true}, .on = {false, true}},  "charge off, discharge on"},
    {{.wanted = {true, true}, .on = {false, false}}, "charge off, discharge off"},
};
// clang-format on

TEST(format)
{
    for (size_t i = 0; i < COUNT(texts); i++) {
        char out[SWITCHES_TEXT];
        memset(out, 'x', sizeof out);
        assert_ptr_equal(switches_format(&texts[i].switches, out), out);
        assert_string_equal(out, texts[i].text);
    }
}
