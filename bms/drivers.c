// SPDX-License-Identifier: MIT
/* The list of drivers: the only file besides its own that a new protocol changes. */
#include "driver.h"

#include <string.h>

/* A search on an unknown port tries them in this order. Sinowealth's short, unprotected requests
 * can disturb other boards (section 1 of its sheet): it is the last. */
// clang-format off
#define DRIVERS(X) \
    X(topbms_driver) X(daren_driver) \
    X(daly_driver) X(daly_d2_driver) X(daly_p81_driver) \
    X(jbd_driver) X(jbd_addressed_driver) X(jbd_up_driver) \
    X(seplos_v3_driver) \
    X(ant_driver) X(ant_old_driver) \
    X(renogy_driver) \
    X(eg4_ll_driver) \
    X(felicity_driver) \
    X(jk_pb_driver) \
    X(pace_modbus_driver) \
    X(jk_4e57_driver) X(jk02_driver) X(jk_balancer_driver) \
    X(pylon_console_driver) \
    X(vedirect_driver) X(vedirect_hex_driver) X(victron_ble_driver) \
    X(daly_sinowealth_driver)

#define DECLARE(driver) extern const struct bms_driver driver;
#define LIST(driver) &driver,
DRIVERS(DECLARE)
const struct bms_driver *const bms_drivers[] = {DRIVERS(LIST) NULL};
// clang-format on

const struct bms_driver *bms_driver_find(const char *name)
{
    for (size_t i = 0; bms_drivers[i]; i++)
        if (strcmp(bms_drivers[i]->name, name) == 0)
            return bms_drivers[i];
    return NULL;
}
