// SPDX-License-Identifier: MIT
/* Frames of YD/T 1363: both checksums, and finding frames in what a line delivers. Numbers are
 * those of the sheet `topbms`, sections 2 and 3. */
#include "bms/topbms/ydt1363.h"

#include "bms/driver.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

#define REQUEST "~21014642E00201FD34\r"

/* Composes a frame with INFO of `size` equal bytes and returns its text. */
static const char *written(struct ydt_head head, const uint8_t *info, size_t size)
{
    static uint8_t out[BMS_FRAME_MAX + 1];
    size_t length = ydt_write(out, &head, info, size);
    assert_int_equal(length, YDT_FRAME_SIZE(2 * size));
    out[length] = '\0';
    return (const char *) out;
}

static enum ydt_state find(const char *text, size_t *span)
{
    *span = 0;
    return ydt_find((const uint8_t *) text, strlen(text), span);
}

TEST(lower_case_and_line_feed)
{
    /* The sum covers the characters as sent: 'e' is 20H more than 'E'. */
    size_t span;
    assert_int_equal(find("~21014642e00201fd14\r", &span), YDT_GOOD);
    assert_int_equal(find("~21014642E00201FD34\n", &span), YDT_GOOD);
    assert_int_equal(find("~21014642E00201FD34\t", &span), YDT_BROKEN);
    assert_int_equal(find("~21014642E00201FD35\r", &span), YDT_BAD_SUM);
    assert_int_equal(find("~21014642E00201FDG4\r", &span), YDT_BAD_SUM);
    assert_int_equal(find("~21014642D00201FD35\r", &span), YDT_BAD_LENGTH);
}

/* Bytes before a frame are skipped without damaging the frame. */
TEST(frame_behind_garbage)
{
    static const char *const garbage[] = {
        "",
        "noise\r",
        "~",
        "~~~",
        "~21014642E002",
        "~21014642E00201FD3",
        "~2101464",
        "~4FFF12",
        "~21014642E0E2",
        "\r\n",
        "~G",
        "~21014642E00201\r",
        "~52014600408401100D120D15",
        "~FFFFFFFF1FFF00112233445566778899",
        REQUEST,
    };
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        char text[200];
        snprintf(text, sizeof text, "%s%s", garbage[i], REQUEST);
        size_t at = 0, frames = 0, steps = 0;
        while (at < strlen(text) && steps++ < 200) {
            size_t span = 0;
            enum ydt_state found = find(text + at, &span);
            assert_int_not_equal(found, YDT_MORE);
            assert_true(span > 0);
            frames += found == YDT_GOOD;
            if (found == YDT_GOOD)
                assert_memory_equal(text + at, REQUEST, span);
            at += span;
        }
        if (frames != (strcmp(garbage[i], REQUEST) == 0 ? 2 : 1))
            fail_msg("behind '%s': %zu frames", garbage[i], frames);
    }
}

/* LENID FFE is the longest even one: 2047 bytes, 4112 characters, which has to fit a receiver's
 * buffer. */
TEST(longest_frame)
{
    uint8_t info[YDT_INFO_MAX], read[YDT_INFO_MAX];
    memset(info, 0xFF, sizeof info); /* a sum beyond 65535: modulo 65536, not 65535 */
    const char *text = written((struct ydt_head){0x52, 1, 0x46, 0}, info, sizeof info);
    struct ydt_frame frame;
    size_t size = 0;
    assert_true(strlen(text) == 4112 && strlen(text) <= BMS_FRAME_MAX);
    assert_true(ydt_parse((const uint8_t *) text, strlen(text), &frame));
    assert_true(ydt_read_info(&frame, read, &size));
    assert_int_equal(size, sizeof info);
    assert_memory_equal(read, info, size);
    unsigned sum = 0;
    for (size_t i = 1; i < strlen(text) - 5; i++)
        sum += (unsigned char) text[i];
    char expected[5];
    snprintf(expected, sizeof expected, "%04X", (0x10000 - sum % 0x10000) % 0x10000);
    assert_memory_equal(text + strlen(text) - 5, expected, 4);
}

TEST(plain_text_and_odd_info)
{
    uint8_t out[100], info[YDT_INFO_MAX];
    struct ydt_frame frame;
    size_t size = ydt_write_text(out, &(struct ydt_head){0x21, 1, 0x46, 0},
                                 (const uint8_t *) "TB-4850 rev.2", 13);
    assert_true(ydt_parse(out, size, &frame));
    assert_int_equal(frame.info_size, 13);
    assert_memory_equal(frame.info, "TB-4850 rev.2", 13);
    assert_false(ydt_read_info(&frame, info, &size)); /* odd */
    size = ydt_write_text(out, &(struct ydt_head){0x21, 1, 0x46, 0},
                          (const uint8_t *) "TB-4850 rev2", 12);
    assert_true(ydt_parse(out, size, &frame));
    assert_false(ydt_read_info(&frame, info, &size)); /* not hexadecimal */
}
