// SPDX-License-Identifier: MIT
/* What all fuzzers share: their entry, and a condition that ends the program, as tests/fuzz/run expects it. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "==BREACH== %s\n", #condition);                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
