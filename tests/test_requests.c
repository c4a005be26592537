// SPDX-License-Identifier: MIT
/* Builds each request of requests.tsv, and none where the table has none. */
#include "driver_test.h"

#include <ctype.h>
#include <stdio.h>

#define TABLE "tests/requests.tsv"

enum { DRIVER, OPTIONS, WHAT, REQUEST, COLUMNS };

/* "pace @2": a variant, an address. */
static void set_options(struct bms *bms, char *text)
{
    char *rest = NULL;
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
    char line[400];
    unsigned number = 0;
    struct bms bms = {.driver = NULL};
    FILE *file = fopen(TABLE, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char *columns[COLUMNS], *rest = NULL;
        number++;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        for (unsigned i = 0; i < COLUMNS; i++)
            assert_non_null(columns[i] = strtok_r(i == 0 ? line : NULL, "\t\n", &rest));
        if (strcmp(columns[DRIVER], "+") != 0) {
            bms_init(&bms, bms_driver_find(columns[DRIVER]));
            assert_non_null(bms.driver);
        }
        if (strcmp(columns[OPTIONS], "-") != 0)
            set_options(&bms, columns[OPTIONS]);
        struct bms_request got = {.size = 0}, wanted = {.size = 0};
        const bool wants = strcmp(columns[REQUEST], "-") != 0;
        if (wants)
            wanted = parse_request(columns[REQUEST]);
        if (build(&bms, columns[WHAT], &got) != wants ||
            (wants && !bms_request_same(&got, &wanted)))
            fail_msg("%s:%u: %s is another request", TABLE, number, columns[WHAT]);
    }
    fclose(file);
    assert_true(number > 200);
}
