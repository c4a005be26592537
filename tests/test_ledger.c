// SPDX-License-Identifier: MIT
/* The rules of the open requests, one by one, with a protocol whose replies contain nothing but
 * their kind. */
#include "lines/ledger.h"

#include <math.h>
#include <string.h>

#include "unit.h"

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    if (bytes[0] == ' ' ||
        request->size == 0) /* like Modbus, it recognizes frames only with a request */
        return (struct bms_span){BMS_SKIP, 1};
    return size < 2 ? (struct bms_span){BMS_MORE, 0} : (struct bms_span){BMS_FRAME, 2};
}

/* A lower-case letter answers any request of its kind, whatever its number; in a value from '5' on, the number
 * counts. */
static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    if (request->bytes[0] != frame[0] || bms->options.address != request->bytes[2])
        return BMS_FOREIGN;
    if (frame[1] == '!')
        return BMS_REFUSED;
    pack_set(pack, VOLTAGE_V, frame[1] - '0' + (frame[1] >= '5' ? request->bytes[1] - '0' : 0));
    return frame[1] == '4' ? BMS_PARTIAL : BMS_DONE;
}

static const struct bms_step plan[] = {{.name = "a", .vital = true}};
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    return false;
}
static const struct bms_driver driver = {.name = "test",
                                         .plan = plan,
                                         .steps = 1,
                                         .build = build,
                                         .frame = find_frame,
                                         .decode = decode};
static const struct pack_config config = {.name = "pack", .driver = &driver};

static struct ledger ledger;
static struct reply buffer;
static struct poller *packs[2];

static int set_up(void **state)
{
    memset(&ledger, 0, sizeof ledger);
    memset(&buffer, 0, sizeof buffer);
    for (int i = 0; i < 2; i++) {
        packs[i] = poller_new(&config);
        packs[i]->bms.options.address = i;
    }
    return 0;
}

static int tear_down(void **state)
{
    poller_free(packs[0]);
    poller_free(packs[1]);
    return 0;
}

#define LEDGER_TEST(name) TEST_WITH(name, set_up, tear_down)

static void ask_pack(unsigned i, const char *words, enum ledger_owner owner, double now)
{
    struct bms_request request = {.size = 3,
                                  .bytes = {(uint8_t) words[0], (uint8_t) words[1], (uint8_t) i}};
    ledger_send(&ledger, packs[i], &request, owner, 0, now);
}

static void ask(const char *words, enum ledger_owner owner, double now)
{
    ask_pack(0, words, owner, now);
}

static bool hear(const char *frame, struct answer *answer)
{
    reply_append(&buffer, (const uint8_t *) frame, strlen(frame));
    return ledger_receive(&ledger, &buffer, false, answer);
}

/* Rules 1 and 2. */
LEDGER_TEST(counts_for_the_oldest)
{
    struct answer answer;
    ask("a0", POLL, 1);
    ask("a0", POLL, 2);
    ask("b0", POLL, 3);
    assert_true(hear("a1", &answer));
    assert_true(answer.oldest.sent_at == 1 && answer.newest_at == 2 && !answer.single);
    assert_true(answer.usable && packs[0]->incoming.value[VOLTAGE_V] == 1);
    assert_int_equal(ledger.count, 2);
    assert_true(hear("b1", &answer));
    assert_true(answer.oldest.sent_at == 3 && answer.single);
    assert_int_equal(ledger.count, 0);
}

LEDGER_TEST(is_nobodys)
{
    struct answer answer;
    assert_false(hear("a1", &answer));
    assert_int_equal(buffer.size, 0);
    ask("a0", POLL, 1);
    assert_false(hear("  b1", &answer));
    assert_int_equal(buffer.counters.foreign, 1);
    assert_int_equal(ledger.count, 1);
}

/* A reply that would have different values as the answer to either of two requests. */
LEDGER_TEST(throws_away_what_two_could_mean)
{
    struct answer answer;
    ask("a0", POLL, 1);
    ask("a1", POLL, 2);
    assert_true(hear("a7", &answer));
    assert_false(answer.usable);
    assert_int_equal(ledger.count, 1);
    /* A reply with the same values for both requests is accepted, as old as the first request. */
    ask("a2", POLL, 3);
    assert_true(hear("a1", &answer));
    assert_true(answer.usable && answer.oldest.sent_at == 2);
}

LEDGER_TEST(puts_parts_together)
{
    struct answer answer;
    ask("a0", POLL, 1);
    assert_true(hear("a4", &answer));
    assert_int_equal(answer.result, BMS_PARTIAL);
    assert_int_equal(ledger.count, 1);
    assert_true(hear("a2", &answer));
    assert_int_equal(answer.result, BMS_DONE);
    assert_int_equal(ledger.count, 0);
}

/* The packs on a line answer independently of each other. */
LEDGER_TEST(settles_its_own_pack_only)
{
    struct answer answer;
    ask_pack(0, "a0", POLL, 1);
    ask_pack(1, "a0", POLL, 2);
    ask_pack(1, "b0", POLL, 3);
    packs[0]->bms.options.address = 9; /* its replies contain no address */
    assert_true(hear("b1", &answer));
    assert_ptr_equal(answer.oldest.pack, packs[1]);
    assert_int_equal(ledger.count, 1);
    assert_non_null(ledger_oldest(&ledger, packs[0]));
    assert_null(ledger_oldest(&ledger, packs[1]));
}

/* Rule 3. */
LEDGER_TEST(confirms_an_order_that_is_alone)
{
    struct answer answer;
    ask("o0", ORDER, 1);
    ask("o0", ORDER, 2);
    assert_true(ledger_has(&ledger, ORDER, packs[0]));
    assert_true(hear("o1", &answer));
    assert_true(answer.oldest.owner == ORDER && !answer.single);
    ask("a0", POLL, 3);
    assert_true(hear("a1", &answer)); /* which does not end it */
    assert_true(hear("o1", &answer));
    assert_true(answer.single);
    assert_false(ledger_has(&ledger, ORDER, packs[0]));
}

/* Rule 4: any frame of the pack may be the answer to a borrower, except an echo. */
LEDGER_TEST(gives_a_loan_any_frame)
{
    struct answer answer;
    ask("x0", LOAN, 1);
    ask("a0", POLL, 2);
    assert_true(hear("a1", &answer));
    assert_true(answer.oldest.owner == LOAN && !answer.usable);
    assert_true(hear("a1", &answer));
    assert_true(answer.oldest.owner == POLL && answer.usable);
    ledger_send(&ledger, packs[0], &(struct bms_request){.size = 0}, LOAN, 0, 3);
    ask("a0", POLL, 4);
    assert_true(hear("a1", &answer)); /* also when nobody knows what was asked */
    assert_true(answer.oldest.owner == LOAN && !answer.usable);
}

/* The pack was considered switched off, and came back while the line was lent. */
LEDGER_TEST(throws_away_what_was_open_when_lent)
{
    struct answer answer;
    ask("a0", POLL, 1);
    ledger_lend(&ledger);
    ask("a0", POLL, 2);
    assert_true(hear("a1", &answer)); /* it may be the borrower's */
    assert_true(answer.oldest.owner == NOBODY && answer.oldest.sent_at == 1 && !answer.usable);
    assert_true(hear("a1", &answer));
    assert_true(answer.oldest.owner == POLL && answer.usable);
}

/* Rule 5. */
LEDGER_TEST(expires)
{
    struct answer answer;
    ask("a0", POLL, 100);
    ask("b0", POLL, 101);
    assert_true(ledger_rested_at(&ledger, packs[0]) == 113);
    ask_pack(1, "c0", POLL, 112.5);
    packs[0]->bms.options.address = 9;
    assert_true(hear("c1", &answer)); /* what was held back before it would have come */
    assert_int_equal(ledger.count, 1);
    assert_true(ledger_oldest(&ledger, packs[0])->sent_at == 101);
    ledger_expire(&ledger, 102);
    assert_int_equal(ledger.count, 0);
    assert_true(isinf(ledger_rested_at(&ledger, packs[0])));
    ask("o0", ORDER, 120); /* lost: what was asked after it is answered */
    ask("a0", POLL, 121);
    assert_true(ledger_rested_at(&ledger, packs[0]) == 121 + ANSWER_MOST_S);
    packs[0]->bms.options.address = 0;
    assert_true(hear("a1", &answer));
    assert_true(ledger_has(&ledger, ORDER, packs[0]));
    assert_true(isinf(ledger_rested_at(&ledger, packs[0])));
}

/* A pack that is silent for days: forgotten requests make values look older, never younger. */
LEDGER_TEST(makes_room)
{
    struct answer answer;
    enum { ROOM = 64 };
    for (unsigned i = 0; i < ROOM + 1; i++)
        ask("a0", POLL, i);
    assert_int_equal(ledger.count, ROOM);
    for (unsigned i = 0; i < ROOM + 1; i++) {
        assert_true(hear("a1", &answer));
        assert_true(answer.oldest.sent_at <= i); /* the true age */
        assert_true(answer.single == (i == ROOM));
    }
    assert_int_equal(ledger.count, 0);
}

/* The requests of a tunnel are not counted: any frame may be an answer to them until none can arrive any more. */
LEDGER_TEST(counts_no_tunnel)
{
    struct answer answer;
    ledger_send(&ledger, packs[0], NULL, LOAN, BMS_PLAN_MAX, 1);
    ask("a0", POLL, 2);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(hear("a1", &answer));
        assert_true(answer.oldest.owner == LOAN && !answer.usable);
    }
    ledger_expire(&ledger, 1.5);
    assert_true(hear("a1", &answer));
    assert_true(answer.usable);
}
