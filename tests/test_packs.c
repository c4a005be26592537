// SPDX-License-Identifier: MIT
/* What of a pack's status is the gateway's own: the clock and the time zone of its host. */
#include "packs/packs.h"
#include "bms/count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_time_zone(void **state)
{
    (void) state;
    static const struct {
        const char *name;
        long seconds; /* ahead of UTC */
        int hours;
    } zones[] = {
        {"UTC", 0, 0},
        {"Berlin in summer", 2 * 3600, 2},
        {"New York in winter", -5 * 3600, -5},
        {"Kathmandu", 5 * 3600 + 45 * 60, 6},
        {"Kolkata", 5 * 3600 + 30 * 60, 6},
        {"Eucla", 8 * 3600 + 45 * 60, 9},
        {"Newfoundland", -(3 * 3600 + 30 * 60), -4},
        {"a quarter of an hour", 15 * 60, 0},
        {"Kiritimati", 14 * 3600, 14},
    };
    for (size_t i = 0; i < COUNT(zones); i++) {
        const struct tm local = {.tm_gmtoff = zones[i].seconds};
        const int hours = packs_host_status(0, 0, &local, 10).timezone_hours;
        if (hours != zones[i].hours)
            fail_msg("%s: expected %d, got %d", zones[i].name, zones[i].hours, hours);
    }
}

static void test_seconds(void **state)
{
    (void) state;
    const struct tm local = {0};
    assert_int_equal(packs_host_status(1000, 77, &local, 1000.9).seconds, 0);
    assert_int_equal(packs_host_status(1000, 77, &local, 1000 + 65536 + 5.5).seconds, 5);
    assert_int_equal(packs_host_status(1000, 77, &local, 1000).memory_mib, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_zone),
        cmocka_unit_test(test_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
