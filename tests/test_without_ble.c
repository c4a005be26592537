// SPDX-License-Identifier: MIT
/* A packgate that was built without Bluetooth reports that if a configuration needs it. */
#undef WITH_BLE
#include "config/check.c" /* in place of the one in the library */

#include "config/load.h"

#include <stdint.h>
#include <stdlib.h>

#include "unit.h"

TEST(left_out)
{
    char *messages;
    size_t size;
    FILE *errors = open_memstream(&messages, &size);
    assert_non_null(errors);
    assert_null(config_parse("[line a]\nport = ble:AA:BB:CC:DD:EE:FF\nprotocol = daly\n"
                             "[pack a]\nline = a\nunit = 1\n",
                             "f", errors));
    fclose(errors);
    assert_string_equal(messages, "f:2: this packgate was built without Bluetooth\n");
    free(messages);
}
