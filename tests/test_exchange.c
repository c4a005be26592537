// SPDX-License-Identifier: MIT
/* Exchange files: what is accepted, the messages for what is not, and that written files can be
 * read. */
#include "commands/exchange.h"

#include "driver_test.h"

static struct exchange *parse(const char *text, char error[200])
{
    error[0] = '\0';
    return exchange_parse(text, strlen(text), error, 200);
}

TEST(wrong)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "line 0: the file names no protocol"},
        {"# nothing\n", "line 1: the file names no protocol"},
        {"protocol nobody\n", "line 1: unknown protocol"},
        {"protocol daly\nhello\n", "line 2: expected 'protocol', 'source', '>', '<', '~' or '#'"},
        {"protocol daly\n> A5 4\n", "line 2: expected bytes as pairs of hexadecimal digits"},
        {"protocol daly\n> A5 4 0\n", "line 2: expected bytes as pairs of hexadecimal digits"},
        {"protocol daly\n< xyz\n", "line 2: expected bytes as pairs of hexadecimal digits"},
        {"protocol daly\n~ voltage_v\n", "line 2: expected a name and a value after ~"},
        {"protocol daly\n~\n", "line 2: expected a name and a value after ~"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char error[200];
        struct exchange *exchange = parse(cases[i].text, error);
        assert_null(exchange);
        assert_string_equal(error, cases[i].error);
    }
}

TEST(items)
{
    char error[200];
    struct exchange *exchange = parse("# a comment\r\n"
                                      "  protocol   daly  \r\n"
                                      "source somebody's log\r\n"
                                      ">A540 90# with a comment\r\n"
                                      "<\r\n"
                                      "~ voltage_v 52.5 0.05\r\n"
                                      "~ model BMS 12S 100A\r\n"
                                      "~ cycles 21",
                                      error);
    assert_string_equal(error, "");
    assert_non_null(exchange);
    assert_string_equal(exchange->driver->name, "daly");
    assert_int_equal(exchange->count, 5);
    assert_int_equal(exchange->items[0].kind, EXCHANGE_REQUEST);
    assert_int_equal(exchange->items[0].size, 3);
    assert_int_equal(exchange->items[0].bytes[2], 0x90);
    assert_int_equal(exchange->items[1].kind, EXCHANGE_REPLY);
    assert_int_equal(exchange->items[1].size, 0);
    assert_string_equal(exchange->items[2].value, "52.5");
    assert_true(fabs(exchange->items[2].tolerance - 0.05) < 1e-12);
    assert_string_equal(exchange->items[3].value, "BMS 12S 100A");
    assert_true(exchange->items[4].tolerance == 0);
    assert_int_equal(exchange->items[4].line, 8);
    exchange_free(exchange);
}

/* A comment names the variant: recordings of a pack that needs one are decoded as it. */
TEST(variant)
{
    static const struct {
        const char *text;
        int variant;
    } cases[] = {
        {"protocol renogy\n", 0},
        {"protocol renogy\n# variant: pro\n", 1},
        {"protocol renogy\n# variant:   pro (12 V)\n", 1},
        {"protocol renogy\n# variant: standard\n", 0},
        {"protocol renogy\n# variant: prodigy\n", 0},
        {"protocol renogy\n# variant:\n", 0},
        {"protocol renogy\n# the variant: pro\n", 0},
        {"protocol vedirect\n# variant: pro\n", 0},
        {"# variant: pro\nprotocol renogy\n", 0}, /* not known yet what it is a variant of */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char error[200];
        struct exchange *exchange = parse(cases[i].text, error);
        assert_non_null(exchange);
        assert_int_equal(exchange->variant, cases[i].variant);
        exchange_free(exchange);
    }
}

/* The example of tests/captures/README.md: comments stand behind items, too. */
TEST(comments_behind_items)
{
    char error[200];
    struct exchange *exchange = parse(
        "protocol daly                # the driver's name, as in the configuration\n"
        "source <where the bytes come from>\n"
        "> A5 40 90 08 00 00 00 00 00 00 00 00 7D      # bytes host -> BMS\n"
        "~ soc_percent 99.1 0.05                       # expected value: name, value, tolerance\n"
        "~ cycles 21 # exact\n"
        "~ model 12V 100 #3\n"
        "~ serial 7#8\n",
        error);
    assert_string_equal(error, "");
    assert_non_null(exchange);
    assert_string_equal(exchange->driver->name, "daly");
    assert_string_equal(exchange->items[1].value, "99.1");
    assert_true(fabs(exchange->items[1].tolerance - 0.05) < 1e-12);
    assert_string_equal(exchange->items[2].value, "21");
    assert_true(exchange->items[2].tolerance == 0);
    assert_string_equal(exchange->items[3].value, "12V 100 #3");
    assert_string_equal(exchange->items[4].value, "7#8");
    exchange_free(exchange);
    assert_null(parse("protocol daly d2\n", error));
    assert_string_equal(error, "line 1: unknown protocol");
}

TEST(written_can_be_read)
{
    static const uint8_t bytes[] = {0x00, 0x7E, 0xFF};
    char *text = NULL, error[200];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    exchange_write_head(out, "topbms", "a test");
    exchange_write_bytes(out, '>', bytes, sizeof bytes);
    exchange_write_bytes(out, '<', bytes, 2);
    fclose(out);
    struct exchange *exchange = exchange_parse(text, size, error, sizeof error);
    assert_non_null(exchange);
    assert_string_equal(exchange->driver->name, "topbms");
    assert_int_equal(exchange->count, 2);
    assert_memory_equal(exchange->items[0].bytes, bytes, sizeof bytes);
    assert_int_equal(exchange->items[1].size, 2);
    exchange_free(exchange);
    free(text);
}

/* Files with NUL bytes or without line ends are not read beyond their end. */
TEST(binary)
{
    char text[300], error[200];
    memset(text, 0, sizeof text);
    assert_null(exchange_parse(text, sizeof text, error, sizeof error));
    memset(text, '>', sizeof text);
    assert_null(exchange_parse(text, sizeof text, error, sizeof error));
}
