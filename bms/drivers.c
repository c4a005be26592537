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

const struct bms_setting *bms_setting_find(const struct bms_driver *driver, enum pack_value id)
{
    for (unsigned i = 0; i < driver->setting_count; i++)
        if (driver->settings[i].id == id)
            return &driver->settings[i];
    return NULL;
}

void bms_init(struct bms *bms, const struct bms_driver *driver)
{
    memset(bms, 0, sizeof *bms);
    bms->driver = driver;
    bms->options.address = -1;
    bms->options.adr = -1;
}

void bms_forget(struct bms *bms)
{
    memset(&bms->memory, 0, sizeof bms->memory);
    memset(bms->remark, 0, sizeof bms->remark);
}

int bms_address(const struct bms *bms)
{
    return bms->options.address >= 0 ? bms->options.address : bms->driver->address_default;
}

void bms_set_current(const struct bms *bms, struct pack *pack, double current_a)
{
    pack_set(pack, CURRENT_A,
             bms->options.current == BMS_CURRENT_INVERTED ? -current_a : current_a);
}

bool bms_request_same(const struct bms_request *a, const struct bms_request *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* A request of the plan that the bytes begin with. What one step builds can depend on the step before. */
static size_t find_planned(const struct bms *bms, const uint8_t *bytes, size_t size)
{
    struct bms asked = *bms;
    struct bms_request request;
    size_t end = 0;
    for (unsigned i = 0; i < bms->driver->steps && end == 0; i++)
        if (bms->driver->build(&asked, i, &request) && request.size <= size &&
            memcmp(request.bytes, bytes, request.size) == 0)
            end = request.size;
    return end;
}

size_t bms_request_end(const struct bms *bms, const uint8_t *bytes, size_t size, int *address)
{
    *address = -1;
    if (size == 0)
        return 0;
    if (!bms->driver->question)
        return find_planned(bms, bytes, size);
    const struct bms_span span = bms->driver->question(bms, bytes, size, address);
    return span.kind == BMS_FRAME && span.size <= size ? span.size : 0;
}

bool bms_talks(const struct bms_driver *driver)
{
    return driver->plan == NULL;
}

bool bms_has_address(const struct bms_driver *driver)
{
    return driver->address_min != driver->address_max;
}
