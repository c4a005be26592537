// SPDX-License-Identifier: MIT
/*
 * Which bit of the raw alarm words is which alarm: alarm_bits.tsv. Each bit of each reply of a calm board is flipped, and
 * the checksum corrected. If that changes one bit of the raw words, the alarms of its row are active, and no others, and
 * only the values of its row differ. A bit without a row has neither.
 */
#include "driver_test.h"
#include "fuzz/repair.h"

#include "battery_random.h"

#include <stdio.h>

#define TABLE "tests/alarm_bits.tsv"
#define ROWS_MOST 1000

static char rows[ROWS_MOST][200];
static bool seen[ROWS_MOST];
static unsigned row_count, wrong;

BEFORE_ALL
{
    FILE *file = fopen(TABLE, "r");
    assert_non_null(file);
    while (row_count < ROWS_MOST && fgets(rows[row_count], sizeof *rows, file))
        row_count += rows[row_count][0] != '#';
    fclose(file);
}

/* The values that are others than those of the calm board, such as the MOS that a bit shows. */
static void name_values(const struct pack *pack, const struct pack *calm, char *out, size_t size)
{
    char name[VALUE_NAME_SIZE];
    for (int id = 0; id < PACK_VALUES; id++)
        if (!(pack->value[id] == calm->value[id]) &&
            !(isnan(pack->value[id]) && isnan(calm->value[id]))) {
            const size_t at = strlen(out);
            snprintf(out + at, size - at, "\t%s %g", pack_value_name((enum pack_value) id, name),
                     pack->value[id]);
        }
}

static void name_alarms(const struct pack *pack, int level, char *out, size_t size)
{
    for (int i = 0; i < PACK_ALARM_COUNT; i++)
        if (pack_alarms_at(pack, level) >> i & 1) {
            const size_t at = strlen(out);
            snprintf(out + at, size - at, "\t%s %s",
                     pack_alarm_level_name((enum alarm_level) level),
                     pack_alarm_name((enum pack_alarm) i));
        }
}

/* The bit in which the raw words differ, counted from that of the first; -1: in none, or in several. */
static int differing_bit(const struct pack *a, const struct pack *b)
{
    int found = -1;
    for (unsigned i = 0; i < 16 * a->raw_alarm_count; i++)
        if ((a->raw_alarms[i / 16] ^ b->raw_alarms[i / 16]) >> i % 16 & 1)
            found = found == -1 ? (int) i : -2;
    return a->raw_alarm_count == b->raw_alarm_count ? found : -1;
}

static void check_bit(const char *protocol, const struct pack *calm, const struct pack *pack)
{
    const int bit = differing_bit(calm, pack);
    char place[100], row[200];
    if (bit < 0)
        return;
    snprintf(place, sizeof place, "%s\t%d\t%d", protocol, bit / 16, bit % 16);
    snprintf(row, sizeof row, "%s", place);
    name_alarms(pack, ALARM_WARNING, row, sizeof row - 1);
    name_alarms(pack, ALARM_PROTECTION, row, sizeof row - 1);
    name_values(pack, calm, row, sizeof row - 1);
    const bool alarms = strcmp(row, place) != 0;
    strcat(row, "\n");
    bool listed = false, same = false;
    const size_t length = strlen(place);
    for (unsigned i = 0; i < row_count; i++)
        if (strncmp(rows[i], place, length) == 0 && rows[i][length] == '\t') {
            listed = seen[i] = true;
            same = strcmp(rows[i], row) == 0;
        }
    if (listed ? !same : alarms) {
        wrong++;
        print_error("%s: %s", listed ? "not as listed" : "not listed", row);
    }
}

static void calm_pack(struct pack *pack)
{
    uint64_t seed = 1;
    battery_random(pack, &seed, 8, 4);
    pack_clear_alarms(pack);
    for (int i = 0; i < PACK_ALARM_COUNT; i++)
        pack_alarm(pack, (enum pack_alarm) i, 0);
    set_values(pack, {CURRENT_A, 0}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1});
}

static bool has_rows(const char *protocol)
{
    const size_t length = strlen(protocol);
    for (unsigned i = 0; i < row_count; i++)
        if (strncmp(rows[i], protocol, length) == 0 && rows[i][length] == '\t')
            return true;
    return false;
}

/* The replies to all steps; a bit is tried with what the driver knew before the reply. */
static void try_protocol(const struct bms_driver *driver, int variant)
{
    struct bms host = new_bms(driver);
    host.options.variant = variant;
    struct bms board = host;
    struct pack told;
    char protocol[60];
    snprintf(protocol, sizeof protocol, "%s %s", driver->name,
             driver->variants ? driver->variants[variant] : "");
    if (!has_rows(protocol))
        protocol[strlen(driver->name)] = '\0';
    if (!has_rows(protocol))
        return;
    calm_pack(&told);
    for (unsigned step = 0; step < driver->steps; step++) {
        struct bms_request request = {.size = 0};
        struct bms_output out;
        struct pack calm = cleared_pack();
        if (!driver->build(&host, step, &request))
            continue;
        bms_emulate(&board, &told, request.bytes, request.size, &out);
        const struct bms before = host;
        receive_all(&host, &request, out.bytes, out.size, &calm);
        for (size_t i = 0; i < 8 * out.size && calm.raw_alarm_count > 0; i++) {
            struct bms_output flipped = out;
            struct bms bms = before;
            struct pack pack = cleared_pack();
            flipped.bytes[i / 8] ^= (uint8_t) (1 << i % 8);
            repair(&request, flipped.bytes, flipped.size);
            for (int twice = 0; twice < 2; twice++) /* the second reply replaces the first */
                receive_all(&bms, &request, flipped.bytes, flipped.size, &pack);
            check_bit(protocol, &calm, &pack);
        }
    }
}

TEST(bits)
{
    for (size_t i = 0; bms_drivers[i]; i++) {
        repair_learn(bms_drivers[i], bms_drivers[i], NULL);
        try_protocol(bms_drivers[i], 0);
        for (int n = 1; bms_drivers[i]->variants && bms_drivers[i]->variants[n]; n++)
            try_protocol(bms_drivers[i], n);
    }
    for (unsigned i = 0; i < row_count; i++)
        if (!seen[i]) {
            wrong++;
            print_error("never seen: %s", rows[i]);
        }
    assert_int_equal(wrong, 0);
}
