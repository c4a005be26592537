// SPDX-License-Identifier: MIT
/*
 * A unit test, by cmocka. Each case registers itself, and main runs them in the order of the file:
 *
 *     TEST(empty)
 *     {
 *         assert_null(first(NULL));
 *     }
 *
 * One argument selects cases by name, with wildcards: build/cc/tests/test_mbap 'too_*'
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A case, and one with functions that prepare for it and clean up after it; each may be NULL. `*state` is theirs. */
#define TEST(name) TEST_WITH(name, NULL, NULL)
#define TEST_WITH(name, set_up, tear_down)                                                         \
    static void test_##name(void **state);                                                         \
    __attribute__((constructor)) static void register_##name(void)                                 \
    {                                                                                              \
        unit_register((struct CMUnitTest){#name, test_##name, set_up, tear_down, NULL}, __LINE__); \
    }                                                                                              \
    static void test_##name(void **state)

/* What the program does before its first case. */
#define BEFORE_ALL __attribute__((constructor)) static void before_all(void)

static struct {
    struct CMUnitTest tests[256];
    int lines[256];
    size_t count;
} unit_cases;

/* Keeps the order of the file: compilers are free in that of constructors. */
static void unit_register(struct CMUnitTest test, int line)
{
    size_t i = unit_cases.count++;
    for (; i > 0 && unit_cases.lines[i - 1] > line; i--) {
        unit_cases.tests[i] = unit_cases.tests[i - 1];
        unit_cases.lines[i] = unit_cases.lines[i - 1];
    }
    unit_cases.tests[i] = test;
    unit_cases.lines[i] = line;
}

/* A generator of its own, so that a failure can be repeated on any machine. */
static inline unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("tests", unit_cases.tests, unit_cases.count, NULL, NULL);
}
