// SPDX-License-Identifier: MIT
/* The simulated inverter: it polls, decodes the replies, obeys its limits or ignores them, and
 * stops without them. */
#include "simulator/inverter.h"

#include "bms/inverter/pylon_system.h"
#include "bms/modbus/modbus.h"
#include "driver_test.h"
#include "registers/map.h"

static struct shown in_answer; /* decoded from an answer */

static struct shown battery(void)
{
    struct shown shown;
    shown_clear(&shown);
    shown.stopping = false;
    pack_clear(&shown.values);
    set_values(&shown.values, {VOLTAGE_V, 53.2}, {CURRENT_A, -10}, {SOC_PERCENT, 80},
               {CHARGE_VOLTAGE_LIMIT_V, 55.2}, {DISCHARGE_VOLTAGE_LIMIT_V, 46},
               {CHARGE_CURRENT_LIMIT_A, 30}, {DISCHARGE_CURRENT_LIMIT_A, 80}, {CHARGE_MOS, 1},
               {DISCHARGE_MOS, 1});
    return shown;
}

static struct inverter new_inverter(const char *name, double wants_a)
{
    struct inverter inverter;
    assert_true(inverter_init(&inverter, name, -1));
    inverter.wants_a = wants_a;
    return inverter;
}

static void expect_current(const struct inverter *inverter, double now, double expected)
{
    const double current = inverter_current(inverter, now);
    if (!(fabs(current - expected) < 1e-6) && !(isnan(current) && isnan(expected)))
        fail_msg("takes %g A, expected %g", current, expected);
}

static void answer_pylontech(struct inverter *inverter, const struct shown *shown, double now)
{
    struct bms_request request;
    struct bms_output out;
    inverter_ask(inverter, &request);
    assert_true(request.size > 0);
    pylon_system_answer(2, shown, request.bytes, request.size, &out, &in_answer);
    assert_int_equal(inverter_hear(inverter, out.bytes, out.size, now), out.size);
}

TEST(pylontech)
{
    struct shown shown = battery();
    struct inverter inverter = new_inverter("pylontech", 50);
    expect_current(&inverter, 0, NAN);
    for (int i = 0; i < 2; i++)
        answer_pylontech(&inverter, &shown, 1);
    expect_current(&inverter, 1, 30);
    inverter.wants_a = 20;
    expect_current(&inverter, 1, 20);
    inverter.wants_a = -100;
    expect_current(&inverter, 1, -80);
    expect_current(&inverter, 2 + INVERTER_PATIENCE_S, 0);
    inverter.obeys = false;
    expect_current(&inverter, 2 + INVERTER_PATIENCE_S, -100);
}

TEST(can)
{
    struct shown shown = battery();
    struct inverter inverter = new_inverter("pylon-1.2", 50);
    uint8_t data[TABLE_MESSAGE_MAX], line[SLCAN_LINE];
    struct can_message frame = {.id = 0x351};
    frame.size = (uint8_t) table_write(inverter.table, 0x351, &shown, data);
    memcpy(frame.data, data, frame.size);
    size_t size = slcan_write(&frame, line);
    assert_int_equal(inverter_hear(&inverter, line, size - 1, 1), 0);
    assert_int_equal(inverter_hear(&inverter, line, size, 1), size);
    expect_current(&inverter, 1, 30);
    struct bms_request alive;
    inverter_ask(&inverter, &alive);
    assert_memory_equal(alive.bytes, "t30580000000000000000\r", alive.size);
}

/* Requests both ranges. */
static void answer_modbus(struct inverter *inverter, const struct pack *values,
                          const struct map_status *status)
{
    struct map_settings settings = {.base = MAP_BASE_DEFAULT, .also_at = MAP_NONE};
    static uint16_t registers[2000];
    map_encode(&settings, values, status, registers);
    for (int i = 0; i < 2; i++) {
        struct bms_request request;
        inverter_ask(inverter, &request);
        const unsigned start = (unsigned) (request.bytes[2] << 8 | request.bytes[3]);
        const unsigned count = request.bytes[5];
        uint8_t answer[40] = {1, MODBUS_HOLDING, (uint8_t) (2 * count)};
        for (unsigned n = 0; n < count; n++) {
            answer[3 + 2 * n] = (uint8_t) (registers[start + n] >> 8);
            answer[4 + 2 * n] = (uint8_t) registers[start + n];
        }
        size_t size = modbus_put_crc(answer, 3 + 2 * count);
        assert_int_equal(inverter_hear(inverter, answer, size, 1), size);
    }
}

/* Registers are at the addresses of the map. An unknown limit allows nothing. */
TEST(modbus)
{
    struct shown shown = battery();
    struct map_status status = {.state = MAP_STATE_FRESH,
                                .allowed = {.configured = true,
                                            .charge_voltage_v = 55.2,
                                            .charge_current_a = 30,
                                            .discharge_current_a = 80}};
    struct inverter inverter = new_inverter("modbus-rtu", 50);
    answer_modbus(&inverter, &shown.values, &status);
    expect_current(&inverter, 1, 30);
    char text[256];
    inverter_describe(&inverter, 1, text, sizeof text);
    assert_string_equal(
        text,
        "53.20 V, -10.0 A, SOC 80.0 %, may charge 30.0 A up to 55.20 V, discharge 80.0 A: wants "
        "50.0 A, takes 30.0 A");
    status.allowed.configured = false;
    answer_modbus(&inverter, &shown.values, &status);
    expect_current(&inverter, 1, 0);
    inverter.wants_a = -50;
    expect_current(&inverter, 1, 0);
    inverter_describe(&inverter, 1, text, sizeof text);
    assert_string_equal(text,
                        "53.20 V, -10.0 A, SOC 80.0 %, limits unknown: wants -50.0 A, takes 0.0 A");
}

TEST(slcan)
{
    struct can_message frame;
    assert_int_equal(slcan_read((const uint8_t *) "t3558", 5, &frame), 0);
    assert_int_equal(slcan_read((const uint8_t *) "t35541A006400\r", 14, &frame), 14);
    assert_int_equal(frame.id, 0x355);
    assert_int_equal(frame.size, 4);
    assert_int_equal(frame.data[2], 0x64);
    static const char *const others[] = {
        "\r", "z\r", "t3559\r", "t35541A0064\r", "t3x541A006400\r", "T0000035500\r"};
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_int_equal(slcan_read((const uint8_t *) others[i], strlen(others[i]), &frame),
                         strlen(others[i]));
        assert_int_equal(frame.size, 9);
    }
}

TEST(names)
{
    struct inverter inverter;
    char names[200];
    inverter_names(names, sizeof names);
    assert_string_equal(names, "pylontech, modbus-rtu, pylon-1.2, pylon-1.3, victron");
    assert_false(inverter_init(&inverter, "toaster", -1));
}
