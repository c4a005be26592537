// SPDX-License-Identifier: MIT
/*
 * Batteries presented to inverters in the protocols of BMS: an inverter reads the presented values,
 * an unknown value is never a number, and no request changes anything.
 */
#include "bms/inverter/dialect.h"

#include "battery_random.h"
#include "bms/modbus/modbus.h"
#include "bms/topbms/ydt1363.h"
#include "bms/prng.h"
#include "packs/bank.h"
#include "driver_test.h"
#include "property_protocols.h"

static struct pack in_answer; /* decoded from an answer */

static int find_variant(const struct bms_driver *driver, const char *name)
{
    for (int i = 0; name; i++)
        if (strcmp(driver->variants[i], name) == 0)
            return i;
    return 0;
}

/* False: no inverter asks in this protocol. */
static bool open_dialect(struct dialect *dialect, const struct protocol *protocol)
{
    struct bms_options options = {.address = protocol->address ? protocol->address : -1, .adr = -1};
    const struct bms_driver *driver = bms_driver_find(protocol->driver);
    if (!dialect_possible(driver))
        return false;
    options.variant = find_variant(driver, protocol->variant);
    dialect_init(dialect, driver, &options);
    return true;
}

static const struct protocol *find_protocol(const char *driver, const char *variant)
{
    for (size_t i = 0; i < COUNT(protocols); i++)
        if (strcmp(protocols[i].driver, driver) == 0 &&
            (!variant || strcmp(protocols[i].variant, variant) == 0))
            return &protocols[i];
    fail_msg("no protocol %s", driver);
    return NULL;
}

static struct shown new_shown(void)
{
    struct shown shown;
    shown_clear(&shown);
    pack_clear(&shown.values);
    shown.stopping = false;
    return shown;
}

/* A random battery of a size that the protocol supports. */
static struct shown random_battery(const struct protocol *protocol, uint64_t *seed)
{
    struct shown shown = new_shown();
    struct pack *values = &shown.values;
    unsigned cells =
        (unsigned) prng_range(seed, (int) protocol->cells_min, (int) protocol->cells_max);
    unsigned temps =
        (unsigned) prng_range(seed, (int) protocol->temps_min, (int) protocol->temps_max);
    battery_random(values, seed, cells ? cells : 16, protocol->temp_per_cell ? cells : temps);
    if (protocol->mask_bits > 0) {
        pack_set(values, BALANCE_MASK,
                 fmod(values->value[BALANCE_MASK], ldexp(1, (int) protocol->mask_bits)));
        pack_set(values, BALANCING, values->value[BALANCE_MASK] > 0);
    }
    if (protocol->hottest_mos_c > 0)
        pack_set(values, MOS_TEMP_C, fmin(values->value[MOS_TEMP_C], protocol->hottest_mos_c));
    for (unsigned i = 0; protocol->no_zero_celsius && i < temps; i++)
        if (values->value[TEMP_C + i] == 0)
            pack_set_temp(values, i + 1, 1);
    unsigned mos_sensor = protocol->mos_sensor_last ? temps : protocol->mos_sensor;
    if (mos_sensor > 0)
        pack_set(values, MOS_TEMP_C, values->value[TEMP_C + mos_sensor - 1]);
    pack_unset(values, TEMP_AVG_C);
    pack_derive(values);
    return shown;
}

/* A bank of a pack with all values and one whose BMS reports fewer. */
static struct shown mixed_bank(uint64_t *seed)
{
    struct shown shown = new_shown();
    struct map_bank extras = {0};
    struct pack packs[2];
    battery_random(&packs[0], seed, 16, 4);
    battery_random(&packs[1], seed, 15, 2);
    pack_unset(&packs[1], SOH_PERCENT);
    pack_unset(&packs[1], RATED_AH);
    pack_unset(&packs[1], MOS_TEMP_C);
    pack_derive(&packs[0]);
    pack_derive(&packs[1]);
    const struct bank_member members[] = {{.pack = &packs[0], .fresh = true},
                                          {.pack = &packs[1], .fresh = true}};
    bank_combine(members, COUNT(members), &shown.values, &extras);
    return shown;
}

static double step_of(const struct protocol *protocol, int id)
{
    int stem = id >= TEMP_C ? TEMP_C : id >= CELL_MV ? CELL_MV : id;
    for (const struct carried *row = protocol->values; row->step > 0; row++)
        if (row->id == stem)
            return row->step;
    return 0;
}

/* Checks that all decoded values are the presented ones. Returns how many there are. */
static unsigned expect_shown(const struct protocol *protocol, const struct shown *shown,
                             const struct pack *read)
{
    char name[VALUE_NAME_SIZE];
    unsigned count = 0;
    for (int id = 0; id < PACK_VALUES; id++) {
        double told = shown->values.value[id], got = read->value[id];
        if (id == SOC_PERCENT && isnan(told)) /* computed from the capacities */
            told = 100 * shown->values.value[REMAINING_AH] / shown->values.value[FULL_AH];
        double step = fmax(step_of(protocol, id), id == SOC_PERCENT ? 1 : 0);
        /* the decoder counts cells and sensors */
        if (isnan(got) || id == FLOW || id == CELL_COUNT || id == TEMP_COUNT || id == BALANCING ||
            id == BALANCE_MASK)
            continue;
        count++;
        if (!(fabs(got - told) <= step / 2 + 1e-6) && !(step == 0 && fabs(got - told) <= 1))
            fail_msg("%s %s: %s is %g, shown %g", protocol->driver,
                     protocol->variant ? protocol->variant : "",
                     pack_value_name((enum pack_value) id, name), got, told);
    }
    return count;
}

/* If the battery reports everything, the inverter gets every value that the protocol carries. */
TEST(full_batteries)
{
    uint64_t seed = 1;
    for (size_t p = 0; p < COUNT(protocols); p++)
        for (int i = 0; i < 20; i++) {
            struct dialect dialect;
            struct pack read;
            if (!open_dialect(&dialect, &protocols[p]))
                continue;
            struct shown shown = random_battery(&protocols[p], &seed);
            dialect_read(&dialect, &shown, &read);
            expect_shown(&protocols[p], &shown, &read);
            for (int id = 0; id < PACK_VALUES; id++)
                if ((id < SETTINGS_FIRST || id >= SETTINGS_END) && step_of(&protocols[p], id) > 0 &&
                    pack_known(&shown.values, (enum pack_value) id) &&
                    !pack_known(&read, (enum pack_value) id)) {
                    char name[VALUE_NAME_SIZE];
                    fail_msg("%s %s: %s is not answered", protocols[p].driver,
                             protocols[p].variant ? protocols[p].variant : "",
                             pack_value_name((enum pack_value) id, name));
                }
        }
}

/* No answer contains a number for an unknown value. */
TEST(unknown_values)
{
    uint64_t seed = 2;
    unsigned read_count = 0;
    for (size_t p = 0; p < COUNT(protocols); p++)
        for (int i = 0; i < 40; i++) {
            struct dialect dialect;
            struct pack read;
            if (!open_dialect(&dialect, &protocols[p]))
                continue;
            struct shown shown = random_battery(&protocols[p], &seed);
            for (int n = prng_range(&seed, 1, 4); n > 0; n--)
                pack_unset(&shown.values, (enum pack_value) prng_range(&seed, 0, CELL_MV + 3));
            dialect_read(&dialect, &shown, &read);
            read_count += expect_shown(&protocols[p], &shown, &read);
        }
    assert_true(read_count > 5000);
}

TEST(unknown_alarms)
{
    uint64_t seed = 3;
    for (size_t p = 0; p < COUNT(protocols); p++) {
        struct dialect dialect;
        struct pack read;
        if (!open_dialect(&dialect, &protocols[p]))
            continue;
        struct shown shown = random_battery(&protocols[p], &seed);
        pack_clear_alarms(&shown.values);
        shown.values.alarms_known = shown.values.alarms_can_warn = 0;
        shown.values.alarms_can_protect = 0;
        dialect_read(&dialect, &shown, &read);
        if (read.alarms_known)
            fail_msg("%s %s: %x", protocols[p].driver,
                     protocols[p].variant ? protocols[p].variant : "", read.alarms_known);
    }
}

/* A bank of different makes has no single cells. Values that are still decoded must be its own. */
TEST(banks)
{
    uint64_t seed = 4;
    for (size_t p = 0; p < COUNT(protocols); p++) {
        struct dialect dialect;
        struct pack read;
        if (!open_dialect(&dialect, &protocols[p]))
            continue;
        struct shown shown = mixed_bank(&seed);
        dialect_read(&dialect, &shown, &read);
        expect_shown(&protocols[p], &shown, &read);
        if (pack_known(&read, CELL_COUNT) || pack_known(&read, TEMP_COUNT))
            fail_msg("%s: a bank has no cells or sensors", protocols[p].driver);
    }
}

static struct bytes ask(struct dialect *dialect, const struct shown *shown,
                        const struct bms_request *request)
{
    struct bms_output out;
    struct bytes answer;
    assert_int_equal(
        dialect_answer(dialect, shown, request->bytes, request->size, &out, &in_answer),
        request->size);
    memcpy(answer.bytes, out.bytes, out.size);
    answer.size = out.size;
    return answer;
}

/* A number that is too large for the protocol is not truncated. */
TEST(too_large)
{
    uint64_t seed = 5;
    const struct protocol *seplos = find_protocol("topbms", "seplos");
    struct dialect dialect;
    struct pack read;
    struct shown shown = random_battery(seplos, &seed);
    pack_set(&shown.values, FULL_AH, 1000); /* 655.35 is the maximum */
    assert_true(open_dialect(&dialect, seplos));
    dialect_read(&dialect, &shown, &read);
    assert_values(&read, {FULL_AH, NAN}, {VOLTAGE_V, NAN});
    /* Values in other messages are still sent. */
    const struct ydt_head head = {.version = 0x20, .address = 1, .device = 0x46, .code = 0x44};
    struct bms_request status;
    status.size = ydt_write(status.bytes, &head, (const uint8_t[]){1}, 1);
    assert_true(ask(&dialect, &shown, &status).size > 0);
}

/* An inverter cannot switch anything, and gets no confirmation. */
TEST(orders)
{
    uint64_t seed = 6;
    unsigned tried = 0;
    for (size_t p = 0; p < COUNT(protocols); p++) {
        struct dialect dialect;
        struct bms_request request;
        if (!open_dialect(&dialect, &protocols[p]) || !dialect.board.driver->control)
            continue;
        struct shown shown = random_battery(&protocols[p], &seed);
        pack_set(&shown.values, CHARGE_MOS, 1);
        pack_set(&shown.values, DISCHARGE_MOS, 1);
        struct shown before = shown;
        struct pack read;
        dialect_read(&dialect, &shown, &read);
        struct bms host = dialect.reader;
        if (!host.driver->control(&host, BMS_DISCHARGE_MOS, false, &request))
            continue;
        tried++;
        struct bms_output out;
        assert_true(
            dialect_answer(&dialect, &shown, request.bytes, request.size, &out, &in_answer) > 0);
        assert_int_equal(out.size, 0);
        assert_memory_equal(&shown, &before, sizeof shown);
    }
    assert_true(tried > 5);
}

/* Reads of single registers, or of other ranges than a driver uses, contain no unknown values either. */
TEST(any_registers)
{
    uint64_t seed = 7;
    const struct protocol *jk = find_protocol("jk-pb", "registers");
    struct dialect dialect;
    assert_true(open_dialect(&dialect, jk));
    struct shown shown = random_battery(jk, &seed);
    struct bms_request voltage, half, current;
    modbus_read(1, MODBUS_HOLDING, 0x1290, 2, &voltage);
    modbus_read(1, MODBUS_HOLDING, 0x1292, 1, &half); /* the lower word: JK counts bytes */
    modbus_read(1, MODBUS_HOLDING, 0x1298, 2, &current);
    assert_int_equal(ask(&dialect, &shown, &voltage).size, 9);
    assert_int_equal(ask(&dialect, &shown, &half).size, 7);
    pack_unset(&shown.values, VOLTAGE_V);
    assert_int_equal(ask(&dialect, &shown, &voltage).size, 0);
    assert_int_equal(ask(&dialect, &shown, &half).size, 0);
    assert_int_equal(ask(&dialect, &shown, &current).size, 9);
}

/* Rounding to the steps of a protocol never raises a limit. */
TEST(limits_are_rounded_down)
{
    static const struct {
        enum pack_value id;
        double lowest;
    } limits[] = {{CHARGE_VOLTAGE_LIMIT_V, 50},
                  {CHARGE_CURRENT_LIMIT_A, 20},
                  {DISCHARGE_CURRENT_LIMIT_A, 20}};
    uint64_t seed = 77;
    unsigned seen = 0;
    for (size_t i = 0; i < COUNT(protocols); i++) {
        struct dialect dialect;
        struct pack read;
        if (!open_dialect(&dialect, &protocols[i]))
            continue;
        for (int n = 0; n < 20; n++) {
            struct shown shown = random_battery(&protocols[i], &seed);
            for (size_t k = 0; k < COUNT(limits); k++)
                pack_set(&shown.values, limits[k].id, limits[k].lowest + 5 * prng_unit(&seed));
            dialect_read(&dialect, &shown, &read);
            for (size_t k = 0; k < COUNT(limits); k++) {
                const double got = read.value[limits[k].id];
                if (!isnan(got))
                    seen++;
                if (got > shown.values.value[limits[k].id] + 1e-6)
                    fail_msg("%s %s: %s is %g, shown %g", protocols[i].driver,
                             protocols[i].variant ? protocols[i].variant : "",
                             pack_value_info(limits[k].id)->name, got,
                             shown.values.value[limits[k].id]);
            }
        }
    }
    assert_true(seen > 100);
}

/* While stopping, only messages with limits or switches are sent. */
TEST(stopping)
{
    uint64_t seed = 8;
    const struct protocol *pylontech = find_protocol("topbms", "pylontech");
    struct dialect dialect;
    struct pack read;
    struct shown shown = random_battery(pylontech, &seed);
    set_values(&shown.values, {CHARGE_VOLTAGE_LIMIT_V, 54}, {DISCHARGE_VOLTAGE_LIMIT_V, 46},
               {CHARGE_CURRENT_LIMIT_A, 50}, {DISCHARGE_CURRENT_LIMIT_A, 80}, {DISCHARGE_MOS, 1});
    assert_true(open_dialect(&dialect, pylontech));
    dialect_read(&dialect, &shown, &read);
    assert_values(&read, {CHARGE_CURRENT_LIMIT_A, 50}, {DISCHARGE_CURRENT_LIMIT_A, 80});
    shown_stop(&shown, 80);
    dialect_read(&dialect, &shown, &read);
    assert_values(&read, {VOLTAGE_V, NAN}, {CHARGE_CURRENT_LIMIT_A, 0},
                  {DISCHARGE_CURRENT_LIMIT_A, 80}, {CHARGE_MOS, 0}, {DISCHARGE_MOS, 1});
    shown_stop(&shown, 0);
    dialect_read(&dialect, &shown, &read);
    assert_values(&read, {DISCHARGE_CURRENT_LIMIT_A, 0}, {DISCHARGE_MOS, 0},
                  {CHARGE_VOLTAGE_LIMIT_V, 54});
}

/* An incomplete request waits; a wrong checksum or another address gets nothing. */
TEST(odd_requests)
{
    uint64_t seed = 9;
    struct dialect dialect;
    struct bms_output out;
    const struct protocol *daly = find_protocol("seplos-v3", NULL);
    struct shown shown = random_battery(daly, &seed);
    assert_true(open_dialect(&dialect, daly));
    struct bms_request good, damaged, other;
    modbus_read(0, MODBUS_INPUT, 0x1000, 0x12, &good);
    modbus_read(5, MODBUS_INPUT, 0x1000, 0x12, &other);
    damaged = good;
    damaged.bytes[7] ^= 1;
    assert_int_equal(dialect_answer(&dialect, &shown, good.bytes, good.size - 1, &out, &in_answer),
                     0);
    assert_int_equal(dialect_answer(&dialect, &shown, good.bytes, good.size, &out, &in_answer),
                     good.size);
    assert_int_equal(out.size, 5 + 2 * 0x12);
    dialect_answer(&dialect, &shown, damaged.bytes, damaged.size, &out, &in_answer);
    assert_int_equal(out.size, 0);
    dialect_answer(&dialect, &shown, other.bytes, other.size, &out, &in_answer);
    assert_int_equal(out.size, 0);
}

/* Random bytes: never more are handled than arrived, and damaged requests get no values. */
TEST(hostile_bytes)
{
    uint64_t seed = 10;
    for (size_t p = 0; p < COUNT(protocols); p++) {
        struct dialect dialect;
        struct bms_request request;
        struct bms_output out;
        struct pack read;
        if (!open_dialect(&dialect, &protocols[p]))
            continue;
        struct shown shown = random_battery(&protocols[p], &seed);
        dialect_read(&dialect, &shown, &read);
        struct bms host = dialect.reader;
        for (int n = 0; n < 500; n++) {
            uint8_t bytes[300];
            size_t size = (size_t) prng_range(&seed, 1, sizeof bytes);
            for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t) prng_next(&seed);
            const unsigned step = (unsigned) n % host.driver->steps;
            if (n % 2 && host.driver->build(&host, step, &request)) {
                memcpy(bytes, request.bytes, size = request.size);
                bytes[prng_range(&seed, 0, (int) size - 1)] ^=
                    (uint8_t) (1 << prng_range(&seed, 0, 7));
            }
            for (size_t at = 0, used = 1; used > 0 && at < size; at += used) {
                used = dialect_answer(&dialect, &shown, bytes + at, size - at, &out, &in_answer);
                assert_true(used <= size - at);
                assert_true(out.size <= sizeof out.bytes);
            }
        }
    }
}
