// SPDX-License-Identifier: MIT
/* A packgate that was built without Bluetooth reports that if a configuration needs it. */
#undef WITH_BLE
#include "config/check.c" /* in place of the one in the library */

#include "config_test.h"

TEST(left_out)
{
    static const struct said row = {"[line a]\nport = ble:AA:BB:CC:DD:EE:FF\nprotocol = daly\n"
                                    "[pack a]\nline = a\nunit = 1\n",
                                    "f:2: this packgate was built without Bluetooth\n"};
    expect_said("", &row, 1);
}
