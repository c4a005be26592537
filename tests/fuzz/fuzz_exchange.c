// SPDX-License-Identifier: MIT
/*
 * Fuzzer of exchange files, which users send: the reader, the replay through the driver that the
 * file names, and the writer, whose output must read as the same items.
 */
#include "fuzz.h"

#include "commands/exchange.h"

#include <string.h>

static struct exchange *parse(const char *text, size_t size)
{
    char error[100] = "";
    struct exchange *exchange = exchange_parse(text, size, error, sizeof error);
    REQUIRE(exchange ? error[0] == '\0' : error[0] != '\0');
    REQUIRE(memchr(error, '\0', sizeof error));
    REQUIRE(!exchange || exchange->driver);
    return exchange;
}

static void replay(const struct exchange *exchange)
{
    struct bms bms;
    struct pack pack;
    struct reply_counters counters;
    bms_init(&bms, exchange->driver);
    exchange_replay(exchange, &bms, &pack, &counters);
}

static void write_items(const struct exchange *exchange, FILE *out)
{
    exchange_write_head(out, exchange->driver->name, "fuzzed");
    for (size_t i = 0; i < exchange->count; i++) {
        const struct exchange_item *item = &exchange->items[i];
        if (item->kind != EXCHANGE_VALUE)
            exchange_write_bytes(out, item->kind == EXCHANGE_REQUEST ? '>' : '<', item->bytes,
                                 item->size);
    }
}

static void check_same_bytes(const struct exchange *a, const struct exchange *b)
{
    size_t j = 0;
    for (size_t i = 0; i < a->count; i++) {
        const struct exchange_item *item = &a->items[i];
        if (item->kind == EXCHANGE_VALUE)
            continue;
        REQUIRE(j < b->count);
        REQUIRE(b->items[j].kind == item->kind && b->items[j].size == item->size);
        REQUIRE(memcmp(b->items[j].bytes, item->bytes, item->size) == 0);
        j++;
    }
    REQUIRE(j == b->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct exchange *exchange = parse((const char *) bytes, size);
    if (!exchange)
        return 0;
    replay(exchange);
    char *text = NULL;
    size_t text_size = 0;
    FILE *out = open_memstream(&text, &text_size);
    REQUIRE(out);
    write_items(exchange, out);
    REQUIRE(fclose(out) == 0);
    struct exchange *again = parse(text, text_size);
    REQUIRE(again && again->driver == exchange->driver);
    check_same_bytes(exchange, again);
    exchange_free(again);
    exchange_free(exchange);
    free(text);
    return 0;
}
