// SPDX-License-Identifier: MIT
/*
 * Runs each row of conformance.tsv through a socket against a server with the described content.
 */
#include "server_bench.h"

#include <stdlib.h>

#define TABLE "tests/conformance.tsv"
#define MAX_ROWS 400
#define MAX_BYTES 800

struct row {
    unsigned line;
    char clause[16], meaning[160];
    uint8_t request[MAX_BYTES], reply[MAX_BYTES];
    size_t request_size, reply_size;
    bool closes;
};

static struct row rows[MAX_ROWS];
static unsigned row_count;
static struct bench bench;

static size_t append_hex(uint8_t *bytes, size_t size, const char *text, unsigned line)
{
    size_t more;
    if (*hex_bytes(text, bytes + size, MAX_BYTES - size, &more))
        fail_msg("%s:%u: \"%s\" is no hex, or too long", TABLE, line, text);
    return size + more;
}

static size_t append_version(uint8_t *bytes, size_t size)
{
    const size_t length = strlen(PACKGATE_VERSION);
    bytes[size] = (uint8_t) length;
    memcpy(bytes + size + 1, PACKGATE_VERSION, length);
    return size + 1 + length;
}

static void read_reply(struct row *row, char *text)
{
    size_t length_at = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (strcmp(word, "close") == 0) {
            row->closes = true;
        } else if (strcmp(word, "VERSION") == 0) {
            row->reply_size = append_version(row->reply, row->reply_size);
        } else if (strcmp(word, "LENGTH") == 0) {
            length_at = row->reply_size;
            row->reply_size += 2;
        } else if (strcmp(word, "-") != 0) {
            row->reply_size = append_hex(row->reply, row->reply_size, word, row->line);
        }
    }
    if (length_at)
        row->reply[length_at + 1] = (uint8_t) (row->reply_size - length_at - 2);
}

static void read_row(struct row *row, char *text, unsigned line)
{
    char *columns[4], *rest = NULL;
    for (unsigned i = 0; i < COUNT(columns); i++) {
        columns[i] = strtok_r(i == 0 ? text : NULL, "\t\n", &rest);
        if (!columns[i])
            fail_msg("%s:%u: four columns are expected", TABLE, line);
    }
    row->line = line;
    snprintf(row->clause, sizeof row->clause, "%s", columns[0]);
    snprintf(row->meaning, sizeof row->meaning, "%s", columns[3]);
    row->request_size = append_hex(row->request, 0, columns[1], line);
    read_reply(row, columns[2]);
}

BEFORE_ALL
{
    char text[4096];
    unsigned line = 0;
    bool heading = true;
    FILE *file = fopen(TABLE, "r");
    assert_non_null(file);
    while (fgets(text, sizeof text, file)) {
        line++;
        if (text[0] == '#')
            continue;
        if (!heading) {
            assert_true(row_count < MAX_ROWS);
            read_row(&rows[row_count++], text, line);
        }
        heading = false;
    }
    fclose(file);
    assert_true(row_count >= 120);
    alarm(120); /* a hang is a failure, not a wait for ever */
}

/* A BMS that executes each order at once; its client gets the result in the next turn of the loop. There is only one
 * client, so only one order at a time. */
static ev_timer over;
static uint64_t ticket_under_way;

static void on_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    server_order_over(bench.server, ticket_under_way, 0);
}

static uint8_t carry_out(void *data, struct unit *unit, const struct switches *switches,
                         const struct sockaddr *client, uint64_t ticket)
{
    static const struct {
        unsigned coil, registers[2];
    } places[ORDER_SWITCHES] = {
        [BMS_CHARGE_MOS] = {0, {118, 308}}, [BMS_DISCHARGE_MOS] = {1, {117, 307}}};
    for (unsigned i = 0; i < ORDER_SWITCHES; i++) {
        if (!switches->wanted[i])
            continue;
        unit->coils[places[i].coil] = switches->on[i];
        for (unsigned n = 0; n < COUNT(places[i].registers); n++)
            unit->registers[places[i].registers[n]] = switches->on[i];
    }
    ticket_under_way = ticket;
    ev_timer_init(&over, on_over, 0, 0);
    ev_timer_start(bench.loop, &over);
    return 0;
}

static int start(void **state)
{
    bench_prepare(&bench);
    assert_true(allow_add(&bench.config.allow_write, "127.0.0.0/8"));
    bench_start(&bench);
    server_set_orders(bench.server, &bench.config.allow_write, carry_out, NULL);
    return 0;
}

static int stop(void **state)
{
    bench_close(&bench);
    return 0;
}

#define CONFORMANCE_TEST(name) TEST_WITH(name, start, stop)

static const char *to_hex(const uint8_t *bytes, size_t size, char *text)
{
    text[0] = '\0';
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02X", bytes[i]);
    return text;
}

static void expect_reply(const struct row *row, int fd)
{
    static char expected[2 * MAX_BYTES + 1], got[2 * MAX_BYTES + 1];
    uint8_t bytes[MAX_BYTES];
    const size_t size = bench_receive(&bench, fd, bytes, row->reply_size);
    if (size != row->reply_size || memcmp(bytes, row->reply, size) != 0)
        fail_msg("%s:%u (%s, %s)\nexpected %s\ngot      %s", TABLE, row->line, row->clause,
                 row->meaning, to_hex(row->reply, row->reply_size, expected),
                 to_hex(bytes, size, got));
}

/* Sends a request after each row: if its response comes next, the row has produced no further bytes. */
static const struct row last = {
    .clause = "-",
    .meaning = "the request behind the row before",
    .request = {0xFE, 0xDC, 0, 0, 0, 6, 1, 3, 0x01, 0x22, 0, 1},
    .request_size = 12,
    .reply = {0xFE, 0xDC, 0, 0, 0, 5, 1, 3, 2, (290 * 7 + 3) / 256, (290 * 7 + 3) % 256},
    .reply_size = 11,
};

static void expect_end(const struct row *row, int fd)
{
    uint8_t more;
    if (!row->closes) {
        bench_send(&bench, fd, last.request, last.request_size);
        expect_reply(&last, fd);
    } else if (bench_receive(&bench, fd, &more, 1) != 0) {
        fail_msg("%s:%u (%s, %s): not closed", TABLE, row->line, row->clause, row->meaning);
    }
}

CONFORMANCE_TEST(rows)
{
    for (unsigned i = 0; i < row_count; i++) {
        const int fd = bench_connect(&bench);
        bench_send(&bench, fd, rows[i].request, rows[i].request_size);
        expect_reply(&rows[i], fd);
        expect_end(&rows[i], fd);
        close(fd);
    }
}

CONFORMANCE_TEST(rows_byte_by_byte)
{
    for (unsigned i = 0; i < row_count; i++) {
        const int fd = bench_connect(&bench);
        bench_turn(&bench);
        for (size_t at = 0; at < rows[i].request_size; at++) {
            if (send(fd, rows[i].request + at, 1, MSG_NOSIGNAL) < 0)
                assert_true(rows[i].closes);
            bench_turn(&bench);
        }
        expect_reply(&rows[i], fd);
        expect_end(&rows[i], fd);
        close(fd);
    }
}

/* Sends all rows on one connection, as many at once as the socket accepts. */
CONFORMANCE_TEST(rows_in_one_stream)
{
    const int fd = bench_connect(&bench);
    for (unsigned i = 0; i < row_count; i++)
        if (!rows[i].closes)
            bench_send(&bench, fd, rows[i].request, rows[i].request_size);
    for (unsigned i = 0; i < row_count; i++)
        if (!rows[i].closes)
            expect_reply(&rows[i], fd);
    expect_end(&last, fd);
    close(fd);
}

/* A table with a wrong description of the server would prove nothing: checks that the register map agrees with it. */
CONFORMANCE_TEST(content)
{
    for (unsigned address = 0; address <= 0xFFFF; address++) {
        const bool there = (address >= 100 && address <= 157) ||
                           (address >= 290 && address <= 347) ||
                           (address >= 400 && address <= 799) || (address >= 900 && address <= 959);
        assert_int_equal(map_range(&bench.config.map, address, 1) != MAP_OUTSIDE, there);
        assert_int_equal(map_input_range(address, 1) != MAP_OUTSIDE, address < 48);
        assert_int_equal(map_coil_range(address, 1) != MAP_OUTSIDE, address < 2);
    }
}
