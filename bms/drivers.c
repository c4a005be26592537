// SPDX-License-Identifier: MIT
/* The list of drivers: the only file besides its own that a new protocol changes. */
#include "driver.h"

#include <string.h>

extern const struct bms_driver topbms_driver;
extern const struct bms_driver daren_driver;
extern const struct bms_driver daly_driver;
extern const struct bms_driver daly_d2_driver;
extern const struct bms_driver daly_p81_driver;
extern const struct bms_driver jbd_driver;
extern const struct bms_driver jbd_addressed_driver;
extern const struct bms_driver jbd_up_driver;
extern const struct bms_driver seplos_v3_driver;
extern const struct bms_driver renogy_driver;
extern const struct bms_driver eg4_ll_driver;
extern const struct bms_driver felicity_driver;
extern const struct bms_driver ant_driver;
extern const struct bms_driver ant_old_driver;
extern const struct bms_driver jk_pb_driver;
extern const struct bms_driver pace_modbus_driver;
extern const struct bms_driver jk_4e57_driver;
extern const struct bms_driver jk02_driver;
extern const struct bms_driver jk_balancer_driver;
extern const struct bms_driver pylon_console_driver;
extern const struct bms_driver vedirect_driver;
extern const struct bms_driver vedirect_hex_driver;
extern const struct bms_driver victron_ble_driver;
extern const struct bms_driver daly_sinowealth_driver;

/* A search on an unknown port tries them in this order. Sinowealth's short, unprotected requests
 * can disturb other boards (section 1 of its sheet): it is the last. */
// clang-format off
const struct bms_driver *const bms_drivers[] = {
    &topbms_driver,
    &daren_driver,
    &daly_driver,
    &daly_d2_driver,
    &daly_p81_driver,
    &jbd_driver,
    &jbd_addressed_driver,
    &jbd_up_driver,
    &seplos_v3_driver,
    &ant_driver,
    &ant_old_driver,
    &renogy_driver,
    &eg4_ll_driver,
    &felicity_driver,
    &jk_pb_driver,
    &pace_modbus_driver,
    &jk_4e57_driver,
    &jk02_driver,
    &jk_balancer_driver,
    &pylon_console_driver,
    &vedirect_driver,
    &vedirect_hex_driver,
    &victron_ble_driver,
    &daly_sinowealth_driver,
    NULL,
};
// clang-format on

const struct bms_driver *bms_driver_find(const char *name)
{
    for (size_t i = 0; bms_drivers[i]; i++)
        if (strcmp(bms_drivers[i]->name, name) == 0)
            return bms_drivers[i];
    return NULL;
}
