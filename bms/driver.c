// SPDX-License-Identifier: MIT
/* What is the same for all protocols. */
#include "driver.h"

#include "bytes.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CELL_MV_MAX 6000
#define SUM_TOLERANCE 0.02

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

void bms_set(const struct bms *bms, struct pack *pack, enum pack_value id, double value)
{
    const bool turns = id == CURRENT_A || id == POWER_W;
    pack_set(pack, id, turns && bms->options.current == BMS_CURRENT_INVERTED ? -value : value);
}

bool bms_control_by_set(struct bms *bms, enum bms_switch which, bool on,
                        struct bms_request *request)
{
    const enum pack_value id = which == BMS_CHARGE_MOS ? CHARGE_MOS : DISCHARGE_MOS;
    return bms->driver->set(bms, id, on, 0, NULL, request);
}

const struct bms_code *bms_code_find(const struct bms_code *rows, size_t count, unsigned code)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

uint16_t bms_code_of(const struct bms_code *rows, size_t count, enum pack_value id)
{
    while (count > 1 && rows[count - 1].id != id)
        count--;
    return rows[count - 1].code;
}

bool bms_request_same(const struct bms_request *a, const struct bms_request *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

size_t bms_request_end(const struct bms *bms, const uint8_t *bytes, size_t size, int *address)
{
    *address = -1;
    if (size == 0)
        return 0;
    if (bms->driver->question) {
        const struct bms_span span = bms->driver->question(bms, bytes, size, address);
        return span.kind == BMS_FRAME && span.size <= size ? span.size : 0;
    }
    /* A request of the plan that the bytes begin with. What one step builds can depend on the step
     * before. */
    struct bms asked = *bms;
    struct bms_request request;
    for (unsigned i = 0; i < bms->driver->steps; i++)
        if (bms->driver->build(&asked, i, &request) && request.size <= size &&
            memcmp(request.bytes, bytes, request.size) == 0)
            return request.size;
    return 0;
}

size_t bms_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                   struct bms_output *out)
{
    out->size = 0;
    return size > 0 || bms_talks(bms->driver) ? bms->driver->emulate(bms, pack, bytes, size, out)
                                              : 0;
}

void bms_print(struct bms_output *out, const char *format, ...)
{
    const size_t room = sizeof out->bytes - out->size;
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf((char *) out->bytes + out->size, room, format, arguments);
    va_end(arguments);
    if (size > 0)
        out->size += (size_t) size < room ? (size_t) size : room - 1;
}

bool bms_cells_fit(const uint8_t *cells, unsigned count, double volts)
{
    double sum = 0, highest = 0, missing = 0;
    for (unsigned i = 0; i < count; i++) {
        double mv = be16(cells + 2 * i);
        if (mv > CELL_MV_MAX)
            return false;
        sum += mv / 1000;
        highest = fmax(highest, mv / 1000);
        missing += mv == 0;
    }
    return sum > 0 && volts >= sum * (1 - SUM_TOLERANCE) &&
           volts <= (sum + missing * highest) * (1 + SUM_TOLERANCE);
}
