// SPDX-License-Identifier: MIT
/* Ranges of monitoring plug-ins: the examples of the guidelines, and invalid texts. */
#include "commands/threshold.h"

#include <math.h>

#include "unit.h"

TEST(examples)
{
    // clang-format off
    static const struct {
        const char *range;
        double quiet[4], alerts[4]; /* NaN: no more */
    } cases[] = {
        {"10",     {0, 5, 10, NAN},                    {-0.001, 10.001, 1e9, NAN}},
        {"10:",    {10, 11, 1e9, NAN},                 {9.999, 0, -5, NAN}},
        {"~:10",   {-1e9, 0, 10, NAN},                 {10.001, 11, NAN, NAN}},
        {"10:20",  {10, 15, 20, NAN},                  {9.999, 20.001, -1, NAN}},
        {"@10:20", {9.999, 20.001, -1, NAN},           {10, 15, 20, NAN}},
        {"~:0",    {0, -1, NAN, NAN},                  {0.5, 1, NAN, NAN}},
        {"1:",     {1, 2, NAN, NAN},                   {0, 0.9, NAN, NAN}},
        {"5:6",    {5, 5.5, 6, NAN},                   {4, 7, NAN, NAN}},
        {"-5:-2",  {-5, -3, -2, NAN},                  {-6, -1, 0, NAN}},
        {"@10",    {-1, 11, NAN, NAN},                 {0, 5, 10, NAN}},
        {"0.5:1.5",{0.5, 1, 1.5, NAN},                 {0.4, 1.6, NAN, NAN}},
        {"0",      {0, NAN, NAN, NAN},                 {-1, 1, NAN, NAN}},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct threshold threshold;
        if (!threshold_parse(cases[i].range, &threshold))
            fail_msg("%s is no range", cases[i].range);
        for (int k = 0; k < 4 && !isnan(cases[i].quiet[k]); k++)
            if (threshold_alerts(&threshold, cases[i].quiet[k]))
                fail_msg("%s: %g raises an alert", cases[i].range, cases[i].quiet[k]);
        for (int k = 0; k < 4 && !isnan(cases[i].alerts[k]); k++)
            if (!threshold_alerts(&threshold, cases[i].alerts[k]))
                fail_msg("%s: %g raises none", cases[i].range, cases[i].alerts[k]);
    }
}

TEST(none)
{
    static const char *const cases[] = {"",     ":",     "@",        "~",      "x",   "10x",
                                        "10:x", "20:10", "10:20:30", "--5",    "-5",  "1e999",
                                        "inf:", "nan",   "0x10:",    "10: 20", " 10", "@@1:2"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct threshold threshold;
        if (threshold_parse(cases[i], &threshold))
            fail_msg("'%s' is a range", cases[i]);
    }
}
