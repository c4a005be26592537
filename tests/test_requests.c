// SPDX-License-Identifier: MIT
/* Builds each request of requests.tsv, and none where the table has none; and sends each of answers.tsv to an emulated
 * board, which handles as many bytes and answers as the table says. */
#include "driver_test.h"

#include <ctype.h>
#include <stdio.h>

/* The next row of a table in its columns; false: there are no more. */
static bool read_row(FILE *file, char line[400], char *columns[], unsigned count)
{
    char *rest = NULL;
    do
        if (!fgets(line, 400, file))
            return false;
    while (line[0] == '#' || line[0] == '\n');
    for (unsigned i = 0; i < count; i++)
        assert_non_null(columns[i] = strtok_r(i == 0 ? line : NULL, "\t\n", &rest));
    return true;
}

/* A driver with new notes, and its options: a variant, an address, as "pace @2", or "-". */
static void start(struct bms *bms, const char *driver, char *text)
{
    char *rest = NULL;
    if (strcmp(driver, "+") != 0)
        bms_init(bms, bms_driver_find(driver));
    if (strcmp(text, "-") == 0)
        return;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (word[0] == '@')
            bms->options.address = atoi(word + 1);
        else
            while (strcmp(bms->driver->variants[bms->options.variant], word) != 0)
                assert_non_null(bms->driver->variants[++bms->options.variant]);
    }
}

static bool build(struct bms *bms, const char *what, struct bms_request *request)
{
    static const char *const switches[] = {"charge off", "charge on", "discharge off",
                                           "discharge on"};
    for (unsigned i = 0; i < COUNT(switches); i++)
        if (strcmp(what, switches[i]) == 0)
            return bms->driver->control(bms, i < 2 ? BMS_CHARGE_MOS : BMS_DISCHARGE_MOS, i % 2,
                                        request);
    for (unsigned i = 0; i < bms->driver->setting_count; i++) {
        static const struct bms_moment june = {2026, 6, 15, 10, 30, 0};
        const enum pack_value id = bms->driver->settings[i].id;
        char name[VALUE_NAME_SIZE];
        const size_t length = strlen(pack_value_name(id, name));
        if (strncmp(what, name, length) == 0 && what[length] == ' ')
            return bms->driver->set(bms, id, strtod(what + length, NULL), 0, &june, request);
    }
    for (unsigned step = 0; step < bms->driver->steps; step++)
        if (strcmp(what, bms->driver->plan[step].name) == 0)
            return bms->driver->build(bms, step, request);
    fail_msg("%s has no step '%s'", bms->driver->name, what);
    return false;
}

static struct bms_request parse_request(const char *text)
{
    struct bms_request request = {.size = 0};
    if (!strchr("~:", text[0]) && !islower((unsigned char) text[0]))
        return request_of(text);
    for (; *text; text++) {
        const bool escaped = text[0] == '\\';
        text += escaped;
        request.bytes[request.size++] = (uint8_t) (!escaped         ? text[0]
                                                   : text[0] == 'r' ? '\r'
                                                                    : '\n');
    }
    return request;
}

TEST(requests)
{
    enum { DRIVER, OPTIONS, WHAT, REQUEST, COLUMNS };
    char line[400], *columns[COLUMNS];
    unsigned count = 0;
    struct bms bms = {.driver = NULL};
    FILE *file = fopen("tests/requests.tsv", "r");
    assert_non_null(file);
    for (; read_row(file, line, columns, COLUMNS); count++) {
        struct bms_request got = {.size = 0}, wanted = {.size = 0};
        const bool wants = strcmp(columns[REQUEST], "-") != 0;
        start(&bms, columns[DRIVER], columns[OPTIONS]);
        if (wants)
            wanted = parse_request(columns[REQUEST]);
        if (build(&bms, columns[WHAT], &got) != wants ||
            (wants && !bms_request_same(&got, &wanted)))
            fail_msg("%s: %s is another request", bms.driver->name, columns[WHAT]);
    }
    fclose(file);
    assert_true(count > 200);
}

TEST(answers)
{
    enum { DRIVER, OPTIONS, REQUEST, USED, ANSWER, COLUMNS };
    char line[400], *columns[COLUMNS];
    unsigned count = 0;
    FILE *file = fopen("tests/answers.tsv", "r");
    assert_non_null(file);
    for (; read_row(file, line, columns, COLUMNS); count++) {
        struct bms board;
        struct bms_output out;
        struct bms_request wanted = {.size = 0};
        struct pack told = cleared_pack();
        start(&board, columns[DRIVER], columns[OPTIONS]);
        struct bms_request request = parse_request(columns[REQUEST]);
        if (strcmp(columns[ANSWER], "-") != 0)
            wanted = parse_request(columns[ANSWER]);
        size_t used = bms_emulate(&board, &told, request.bytes, request.size, &out);
        if (used != strtoul(columns[USED], NULL, 10) || out.size != wanted.size ||
            memcmp(out.bytes, wanted.bytes, out.size) != 0)
            fail_msg("%s, %s: used %zu, answer of %zu bytes", columns[DRIVER], columns[REQUEST],
                     used, out.size);
    }
    fclose(file);
    assert_true(count > 40);
}
