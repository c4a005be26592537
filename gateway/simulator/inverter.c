// SPDX-License-Identifier: MIT
#include "inverter.h"

#include "base/text.h"
#include "bms/bytes.h"
#include "bms/count.h"
#include "bms/inverter/can.h"
#include "bms/inverter/pylon_system.h"
#include "bms/modbus/modbus.h"

#include <math.h>
#include <string.h>

/* Registers of packgate's map with the usual base, see register-map.md: 32-bit floats, low word first. */
#define MODBUS_VALUES 500 /* voltage, current, power, SOC */
#define MODBUS_LIMITS 788 /* allowed charge voltage, charge current, discharge current */

void inverter_names(char *out, size_t size)
{
    struct text text = text_in(out, size);
    text_add(&text, "pylontech, modbus-rtu");
    for (const struct table *table = can_tables; table->name; table++)
        text_format(&text, ", %s", table->name);
}

bool inverter_init(struct inverter *inverter, const char *name, int address)
{
    memset(inverter, 0, sizeof *inverter);
    inverter->table = can_table_find(name);
    inverter->kind = inverter->table                  ? INVERTER_CAN
                     : strcmp(name, "pylontech") == 0 ? INVERTER_PYLONTECH
                                                      : INVERTER_MODBUS;
    if (inverter->kind == INVERTER_MODBUS && strcmp(name, "modbus-rtu") != 0)
        return false;
    inverter->address = (uint8_t) (address >= 0                           ? address
                                   : inverter->kind == INVERTER_PYLONTECH ? PYLON_SYSTEM_ADDRESS
                                                                          : 1);
    inverter->obeys = true;
    inverter->limits_at = NAN;
    shown_clear(&inverter->told);
    return true;
}

void inverter_ask(struct inverter *inverter, struct bms_request *out)
{
    static const uint8_t commands[] = {PYLON_SYSTEM_LIMITS, PYLON_SYSTEM_ANALOG};
    const unsigned turn = inverter->turn++;
    out->size = 0;
    if (inverter->kind == INVERTER_PYLONTECH)
        pylon_system_ask(inverter->address, commands[turn % COUNT(commands)], out);
    else if (inverter->kind == INVERTER_MODBUS)
        modbus_read(inverter->address, MODBUS_HOLDING, turn % 2 ? MODBUS_VALUES : MODBUS_LIMITS,
                    turn % 2 ? 8 : 6, out);
    else
        out->size =
            slcan_write(&(struct can_message){.id = CAN_INVERTER_ALIVE, .size = 8}, out->bytes);
    inverter->request = *out;
}

static void apply_limits(struct inverter *inverter, double now)
{
    inverter->limits_at = now;
    inverter->request.size = 0;
}

static void take_registers(struct inverter *inverter, const uint8_t *data, double now)
{
    static const enum pack_value values[] = {VOLTAGE_V, CURRENT_A, POWER_W, SOC_PERCENT},
                                 limits[] = {CHARGE_VOLTAGE_LIMIT_V, CHARGE_CURRENT_LIMIT_A,
                                             DISCHARGE_CURRENT_LIMIT_A};
    const bool are_limits = be16(inverter->request.bytes + 2) == MODBUS_LIMITS;
    const enum pack_value *ids = are_limits ? limits : values;
    for (size_t i = 0; i < (are_limits ? COUNT(limits) : COUNT(values)); i++) {
        const uint32_t pattern = (uint32_t) be16(data + 4 * i + 2) << 16 | be16(data + 4 * i);
        float number;
        memcpy(&number, &pattern, sizeof number);
        pack_unset(&inverter->told.values, ids[i]);
        if (!isnan(number))
            pack_set(&inverter->told.values, ids[i], (double) number);
    }
    if (are_limits)
        apply_limits(inverter, now);
}

static size_t hear_frames(struct inverter *inverter, const uint8_t *bytes, size_t size, double now)
{
    const struct bms bms = {
        .driver = bms_driver_find(inverter->kind == INVERTER_MODBUS ? "seplos-v3" : "topbms")};
    size_t at = 0;
    while (at < size) {
        const struct bms_span span =
            bms.driver->frame(&bms, &inverter->request, bytes + at, size - at);
        if (span.kind == BMS_MORE)
            break;
        if (span.kind == BMS_FRAME) {
            const uint8_t *frame = bytes + at;
            const uint8_t command = inverter->turn % 2 ? PYLON_SYSTEM_LIMITS : PYLON_SYSTEM_ANALOG;
            if (inverter->kind == INVERTER_MODBUS) {
                if (frame[1] == MODBUS_HOLDING)
                    take_registers(inverter, frame + 3, now);
            } else if (pylon_system_read(inverter->address, command, frame, span.size,
                                         &inverter->told) &&
                       command == PYLON_SYSTEM_LIMITS) {
                apply_limits(inverter, now);
            }
        }
        at += span.size;
    }
    return at;
}

size_t inverter_hear(struct inverter *inverter, const uint8_t *bytes, size_t size, double now)
{
    struct can_message frame;
    size_t at = 0, used;
    if (inverter->kind != INVERTER_CAN)
        return hear_frames(inverter, bytes, size, now);
    while ((used = slcan_read(bytes + at, size - at, &frame)) > 0) {
        if (frame.size <= 8 &&
            table_read(inverter->table, frame.id, frame.data, frame.size, &inverter->told) &&
            frame.id == 0x351)
            apply_limits(inverter, now);
        at += used;
    }
    return at;
}

static bool is_lost(const struct inverter *inverter, double now)
{
    return !(now - inverter->limits_at <= INVERTER_PATIENCE_S);
}

double inverter_current(const struct inverter *inverter, double now)
{
    const double *told = inverter->told.values.value;
    if (isnan(inverter->limits_at))
        return NAN;
    if (!inverter->obeys)
        return inverter->wants_a;
    if (is_lost(inverter, now))
        return 0;
    const bool charges = inverter->wants_a >= 0;
    const double limit_a = told[charges ? CHARGE_CURRENT_LIMIT_A : DISCHARGE_CURRENT_LIMIT_A];
    if (isnan(limit_a))
        return 0;
    return charges ? fmin(inverter->wants_a, limit_a) : fmax(inverter->wants_a, -limit_a);
}

void inverter_describe(const struct inverter *inverter, double now, char *out, size_t size)
{
    const double *told = inverter->told.values.value;
    struct text text = text_in(out, size);
    if (isnan(inverter->limits_at)) {
        text_add(&text, "received nothing yet");
        return;
    }
    if (is_lost(inverter, now))
        text_format(&text, "received no limits for %.0f s; before: ", now - inverter->limits_at);
    text_known(&text, "%.2f V, ", told[VOLTAGE_V]);
    text_known(&text, "%.1f A, ", told[CURRENT_A]);
    text_known(&text, "SOC %.1f %%, ", told[SOC_PERCENT]);
    if (isnan(told[CHARGE_CURRENT_LIMIT_A]) && isnan(told[DISCHARGE_CURRENT_LIMIT_A]))
        text_add(&text, "limits unknown");
    text_known(&text, "may charge %.1f A", told[CHARGE_CURRENT_LIMIT_A]);
    text_known(&text, " up to %.2f V", told[CHARGE_VOLTAGE_LIMIT_V]);
    text_known(&text, ", discharge %.1f A", told[DISCHARGE_CURRENT_LIMIT_A]);
    text_format(&text, ": wants %.1f A", inverter->wants_a);
    text_known(&text, inverter->obeys ? ", takes %.1f A" : ", ignores that and draws %.1f A",
               inverter_current(inverter, now));
}
