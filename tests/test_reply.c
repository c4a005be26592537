// SPDX-License-Identifier: MIT
/* The buffer between a port and a driver: pieces, false starts, floods. */
#include "lines/reply.h"

#include "driver_test.h"

extern const struct bms_driver jbd_driver;

/* Recorded, sheet `jbd` section 5: 3430, 3425, 3432, 3417 mV. */
#define CELLS "DD 04 00 08 0D 66 0D 61 0D 68 0D 59 FE 3C 77"
#define ASK_CELLS "DD A5 04 00 FF FC 77"

struct bench {
    struct reply feed;
    struct bms bms;
    struct bms_request request;
    struct pack pack;
};

static void open_bench(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    bench->bms = new_bms(&jbd_driver);
    bench->request = request_of(ASK_CELLS);
    pack_clear(&bench->pack);
}

static enum reply_state feed(struct bench *bench, const char *hex, bool silent)
{
    uint8_t bytes[256];
    size_t size = parse_hex(hex, bytes);
    assert_int_equal(reply_append(&bench->feed, bytes, size), size);
    return reply_decode(&bench->feed, &bench->bms, &bench->request, silent, &bench->pack);
}

TEST(pieces)
{
    struct bench bench;
    open_bench(&bench);
    assert_int_equal(feed(&bench, "DD 04 00 08 0D 66 0D", false), REPLY_WAITING);
    assert_int_equal(feed(&bench, "61 0D 68 0D 59 FE 3C 77", false), REPLY_DONE);
    assert_values(&bench.pack, {CELL_MV + 1, 3425});
}

TEST(what_follows_stays)
{
    struct bench bench;
    open_bench(&bench);
    assert_int_equal(feed(&bench, CELLS " " CELLS, false), REPLY_DONE);
    assert_int_equal(bench.feed.size, 15);
    assert_int_equal(feed(&bench, "", false), REPLY_DONE);
    assert_int_equal(bench.feed.size, 0);
}

/* Noise that looks like the head of a long frame must not swallow the reply after it. */
TEST(false_start)
{
    struct bench bench;
    open_bench(&bench);
    assert_int_equal(feed(&bench, "DD 04 00 F0 " CELLS, false), REPLY_WAITING);
    assert_values(&bench.pack, {CELL_MV, NAN});
    assert_int_equal(feed(&bench, "", true), REPLY_DONE);
    assert_values(&bench.pack, {CELL_MV, 3430});
}

TEST(counts)
{
    struct bench bench;
    open_bench(&bench);
    /* Noise, a wrong sum, a reply to something else, an echo, then the reply. */
    feed(&bench, "00 01", false);
    feed(&bench, "DD 04 00 08 0D 66 0D 61 0D 68 0D 59 FE 3D 77", false);
    feed(&bench, "DD 05 00 02 4A 42 FF 72 77", false);
    feed(&bench, ASK_CELLS, false);
    assert_int_equal(feed(&bench, CELLS, false), REPLY_DONE);
    assert_int_equal(bench.feed.counters.damaged, 1);
    assert_int_equal(bench.feed.counters.foreign, 2);
    assert_int_equal(bench.feed.counters.frames, 3);
    assert_true(bench.feed.counters.skipped_bytes >= 2);
}

TEST(refused)
{
    struct bench bench;
    open_bench(&bench);
    assert_int_equal(feed(&bench, "DD 04 80 00 FF 80 77", false), REPLY_REFUSED);
    assert_int_equal(bench.feed.counters.refused, 1);
}

/* A driver never waits with more than its longest frame in the buffer: a flood cannot fill it permanently. */
TEST(flood)
{
    struct bench bench;
    open_bench(&bench);
    uint8_t bytes[1000];
    memset(bytes, 0xDD, sizeof bytes);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(reply_append(&bench.feed, bytes, sizeof bytes), sizeof bytes);
        reply_decode(&bench.feed, &bench.bms, &bench.request, false, &bench.pack);
    }
    assert_int_equal(feed(&bench, CELLS, true), REPLY_DONE);
}
