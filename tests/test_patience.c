// SPDX-License-Identifier: MIT
/* How long a line waits for a reply. */
#include "lines/patience.h"

#include <math.h>

#include "unit.h"

#define MOST_S 12.0

static void expect_wait(const struct patience *patience, double seconds)
{
    assert_true(fabs(patience_wait_s(patience, MOST_S) - seconds) < 1e-6);
}

/* The numbers of RFC 6298: srtt and rttvar, computed by hand. */
TEST(learns)
{
    struct patience patience = {0};
    expect_wait(&patience, 0);
    patience_learn(&patience, 0.1);
    expect_wait(&patience, 0.1 + 4 * 0.05);
    patience_learn(&patience, 0.2); /* 0.1125; 0.75 * 0.05 + 0.25 * 0.1 */
    expect_wait(&patience, 0.1125 + 4 * 0.0625);
    for (unsigned i = 0; i < 100; i++)
        patience_learn(&patience, 0.3);
    assert_true(fabs(patience_wait_s(&patience, MOST_S) - 0.3) < 0.01);
    patience_learn(&patience, 60);
    expect_wait(&patience, MOST_S);
}

/* A single reply after several requests, later than usual: the next request gets this time, and half of it in
 * addition. If that is in vain, it is not repeated before a reply has arrived in time. */
TEST(tries_once)
{
    struct patience patience = {0};
    patience_learn(&patience, 0.1);
    const double usual_s = patience_wait_s(&patience, MOST_S);
    patience_suspect(&patience, 0.05, 3, 0.5); /* as early as possible after the last one */
    expect_wait(&patience, usual_s);
    patience_suspect(&patience, 2, 3, 0.5);
    expect_wait(&patience, 4.5);
    patience_miss(&patience, 0.5, MOST_S); /* of another request, which did not get that time */
    expect_wait(&patience, 4.5);
    patience_miss(&patience, 4.5, MOST_S);
    expect_wait(&patience, usual_s);
    patience_suspect(&patience, 2, 3, 0.5);
    expect_wait(&patience, usual_s);
    patience_learn(&patience, 0.1);
    patience_suspect(&patience, 2, 3, 0.5);
    expect_wait(&patience, 4.5);
}

/* While no reply times are known, a reply within the awaited time is not late. */
TEST(suspects_nobody_at_first)
{
    struct patience patience = {0};
    patience_suspect(&patience, 0.4, 3, 0.5);
    expect_wait(&patience, 0);
    patience_suspect(&patience, 0.6, 3, 0.5);
    expect_wait(&patience, 4.5);
}

/* A bound that is longer than any reply is waited for has been tried once that time is over: a pack that
 * fell silent does not keep its line waiting with each request. */
TEST(tries_the_longest_time_once)
{
    struct patience patience = {0};
    patience_suspect(&patience, 9, 10, 0.5);
    expect_wait(&patience, MOST_S);
    patience_miss(&patience, MOST_S, MOST_S);
    expect_wait(&patience, 0);
}
