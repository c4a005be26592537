// SPDX-License-Identifier: MIT
/*
 * The records of JK boards. Follows the sheet `jk02`, sections 3 to 8, and the sheet `jk-pb`,
 * sections 4, 5 and 7. Oddities: the frame does not say whether it is laid out for 24 or 32 cells;
 * its sum has 8 bits only; power, extreme cells and average are older than the cells beside them
 * and are therefore left to arithmetic; sensors that are not fitted read -200 °C. The about record
 * holds the Bluetooth PIN (62) and the settings password (118): never read.
 */
#include "jk_record.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_SIZE 4
#define CELLS 6           /* offset of the cell voltages in both layouts */
#define RESISTANCE_24 126 /* in the 32-cell layout: cell 24, followed by cells up to 32 */
#define RESISTANCES_END 144
#define CELL_HIGH 18       /* in settings: where the protection of high cells begins */
#define NOT_FITTED (-2000) /* tenths of a degree */
#define OLDEST_HARDWARE 6  /* boards before it send floats ("JK04") behind the same header */
#define FIRST_32S_SOFTWARE 11
#define FIRST_T4_SOFTWARE 14
#define BATTERY_HOT_BIT 21 /* the MOS show which direction is stopped */
#define CELL_COUNT_BIT 2   /* a broken sense wire, or a wrong setting */

static const uint8_t header[HEADER_SIZE] = {0x55, 0xAA, 0xEB, 0x90};

/*   55 AA EB 90 | 02   | 95      | 293 bytes | 61
 *   header      | type | counter | data      | sum of all before       (section 3) */
struct bms_span jk_record_find(const uint8_t *bytes, size_t size)
{
    if (memcmp(bytes, header, size < HEADER_SIZE ? size : HEADER_SIZE) != 0)
        return (struct bms_span){BMS_SKIP, 1};
    const uint8_t type = size > HEADER_SIZE ? bytes[HEADER_SIZE] : JK_STATUS;
    if (type != JK_SETTINGS && type != JK_STATUS && type != JK_ABOUT && type != JK_LOG)
        return (struct bms_span){BMS_SKIP, HEADER_SIZE};
    if (size < JK_RECORD_SIZE)
        return (struct bms_span){BMS_MORE, 0};
    if ((uint8_t) sum_bytes(bytes, JK_RECORD_SIZE - 1) != bytes[JK_RECORD_SIZE - 1] ||
        memmem(bytes + HEADER_SIZE, JK_RECORD_SIZE - HEADER_SIZE, header, HEADER_SIZE))
        return (struct bms_span){BMS_DAMAGED, HEADER_SIZE};
    return (struct bms_span){BMS_FRAME, JK_RECORD_SIZE};
}

enum kind { U8, U16, S16, U32, S32 };
static const uint8_t kind_size[] = {[U8] = 1, [U16] = 2, [S16] = 2, [U32] = 4, [S32] = 4};

static bool holds(const struct jk_record *record, size_t at, size_t size)
{
    return at >= record->first && at + size <= record->first + record->size;
}

static bool is_whole(const struct jk_record *record)
{
    return holds(record, CELLS, JK_RECORD_SIZE - CELLS);
}

#define ABSENT INT64_MIN /* no field has this value */

/* The field's value, or `absent` if it is not in this part of the record. */
static int64_t get(const struct jk_record *record, size_t at, enum kind kind, int64_t absent)
{
    if (!holds(record, at, kind_size[kind]))
        return absent;
    const uint8_t *b = record->bytes + (at - record->first);
    const uint64_t raw = get_sized(b, kind_size[kind], record->big_endian);
    return kind == S16 ? (int16_t) raw : kind == S32 ? (int32_t) raw : (int64_t) raw;
}

struct field {
    enum pack_value id;
    enum kind kind;
    uint16_t at_24s, at_32s;
    uint16_t divisor;
};

/* Section 5. Left out: average, difference, extremes and power, which lag. */
// clang-format off
static const struct field status_fields[] = {
    /* value          kind  24S  32S  divisor */
    {MOS_TEMP_C,      S16,  134, 144, 10},
    {VOLTAGE_V,       U32,  118, 150, 1000},
    {CURRENT_A,       S32,  126, 158, 1000},
    {SOC_PERCENT,     U8,   141, 173, 1},
    {REMAINING_AH,    S32,  142, 174, 1000},
    {FULL_AH,         U32,  146, 178, 1000},
    {CYCLES,          U32,  150, 182, 1},
    {SOH_PERCENT,     U8,   158, 190, 1},
    {CHARGE_MOS,      U8,   166, 198, 1},
    {DISCHARGE_MOS,   U8,   167, 199, 1},
};

/* Section 7. The switches (118, 122) are settings; the state of the MOS is in the status. */
static const struct field settings_fields[] = {
    {CELL_COUNT,      U32,  114, 114, 1},
    {RATED_AH,        U32,  130, 130, 1000},
    {SET_CELL_LOW_MV,           U32,  10,  10, 1},
    {SET_CELL_LOW_RELEASE_MV,   U32,  14,  14, 1},
    {SET_CELL_HIGH_MV,          U32,  CELL_HIGH, CELL_HIGH, 1},
    {SET_CELL_HIGH_RELEASE_MV,  U32,  22,  22, 1},
    {SET_BALANCE_DIFFERENCE_MV, U32,  26,  26, 1},
    {SET_CHARGE_CURRENT_A,      U32,  50,  50, 1000},
    {SET_DISCHARGE_CURRENT_A,   U32,  62,  62, 1000},
    {SET_CHARGE_HOT_C,          S32,  82,  82, 10},
    {SET_CHARGE_HOT_RELEASE_C,  S32,  86,  86, 10},
    {SET_DISCHARGE_HOT_C,       S32,  90,  90, 10},
    {SET_DISCHARGE_HOT_RELEASE_C, S32, 94, 94, 10},
    {SET_CHARGE_COLD_C,         S32,  98,  98, 10},
    {SET_CHARGE_COLD_RELEASE_C, S32, 102, 102, 10},
    {SET_MOS_HOT_C,             S32, 106, 106, 10},
    {SET_MOS_HOT_RELEASE_C,     S32, 110, 110, 10},
    {SET_BALANCER,              U32, 126, 126, 1},
    {SET_BALANCE_START_MV,      U32, 138, 138, 1},
};

/* Fields that need more than a table. */
static const struct places {
    uint16_t mask, voltage, temps[4], alarms;
    uint8_t sensors, cells;
    enum kind alarm_kind;
    uint16_t balancing, charge_mos, discharge_mos;
} places[] = {
    [JK_32S] = {.mask = 70, .voltage = 150, .temps = {162, 164, 256, 258}, .sensors = 4, .cells = 32,
                .alarms = 166, .alarm_kind = U32, .balancing = 172, .charge_mos = 198, .discharge_mos = 199},
    [JK_24S] = {.mask = 54, .voltage = 118, .temps = {130, 132}, .sensors = 2, .cells = 24,
                .alarms = 136, .alarm_kind = U16, .balancing = 140, .charge_mos = 166, .discharge_mos = 167},
};

/* Section 5 of `jk-pb`. Bit 4 says "battery fully charged" on newer boards, hence a warning.
 * Left out: bit 18 (GPS gone), bit 19 (reminder to change the password, set on many healthy
 * packs), bit 28 (locked by GPS). */
static const struct alarm_bit alarm_rows[] = {
    {0,  VOLTAGE_SENSOR_FAULT,        ALARM_WARNING},
    {1,  MOS_OVER_TEMPERATURE,        ALARM_PROTECTION},
    {2,  VOLTAGE_SENSOR_FAULT,        ALARM_PROTECTION},
    {3,  HARDWARE_FAULT,              ALARM_PROTECTION},
    {4,  CELL_OVER_VOLTAGE,           ALARM_WARNING},
    {5,  PACK_OVER_VOLTAGE,           ALARM_PROTECTION},
    {6,  CHARGE_OVER_CURRENT,         ALARM_PROTECTION},
    {7,  SHORT_CIRCUIT,               ALARM_PROTECTION},
    {8,  CHARGE_OVER_TEMPERATURE,     ALARM_PROTECTION},
    {9,  CHARGE_UNDER_TEMPERATURE,    ALARM_PROTECTION},
    {10, COMMUNICATION_FAULT,         ALARM_PROTECTION},
    {11, CELL_UNDER_VOLTAGE,          ALARM_PROTECTION},
    {12, PACK_UNDER_VOLTAGE,          ALARM_PROTECTION},
    {13, DISCHARGE_OVER_CURRENT,      ALARM_PROTECTION},
    {14, SHORT_CIRCUIT,               ALARM_PROTECTION},
    {15, DISCHARGE_OVER_TEMPERATURE,  ALARM_PROTECTION},
    {16, CHARGE_MOS_FAULT,            ALARM_PROTECTION},
    {17, DISCHARGE_MOS_FAULT,         ALARM_PROTECTION},
    {20, DISCHARGE_MOS_FAULT,         ALARM_PROTECTION},
    {22, TEMP_SENSOR_FAULT,           ALARM_PROTECTION},
    {23, HARDWARE_FAULT,              ALARM_PROTECTION},
    {24, SHORT_CIRCUIT,               ALARM_PROTECTION},
    {25, DISCHARGE_OVER_CURRENT,      ALARM_PROTECTION},
    {26, DISCHARGE_OVER_CURRENT,      ALARM_PROTECTION},
    {27, DISCHARGE_UNDER_TEMPERATURE, ALARM_PROTECTION},
};
// clang-format on

static void decode_fields(const struct bms *bms, const struct jk_record *record,
                          enum jk_layout layout, const struct field *fields, size_t count,
                          struct pack *pack)
{
    for (size_t i = 0; i < count; i++) {
        const struct field *field = &fields[i];
        const int64_t raw =
            get(record, layout == JK_24S ? field->at_24s : field->at_32s, field->kind, ABSENT);
        bool no_sensor = field->id == MOS_TEMP_C && raw == NOT_FITTED;
        bool no_capacity = (field->id == FULL_AH || field->id == RATED_AH) && raw == 0;
        if (raw != ABSENT && !no_sensor && !no_capacity)
            bms_set(bms, pack, field->id, (double) raw / field->divisor);
    }
}

static uint16_t cell_mv(const struct jk_record *record, unsigned index)
{
    return (uint16_t) get(record, CELLS + 2u * index, U16, 0);
}

/* Bit n: cell n + 1 reads more than 0. */
static uint32_t cells_read(const struct jk_record *record, unsigned count)
{
    uint32_t read = 0;
    for (unsigned i = 0; i < count; i++)
        read |= (uint32_t) (cell_mv(record, i) != 0) << i;
    return read;
}

/* Guesses the layout of a board without any cell wire. Both masks are 0. The 32-cell layout then
 * has only zeros where it stores the wire resistances of cells 24 to 32; at the same place the
 * 24-cell layout has current, temperatures, SOC and remaining capacity, which are never all 0,
 * followed by its two MOS. */
static enum jk_layout guess_without_cells(const struct jk_record *record)
{
    const struct places *at = &places[JK_24S];
    bool blank = true;
    for (size_t i = RESISTANCE_24; i < RESISTANCES_END; i++)
        blank &= get(record, i, U8, 0) == 0;
    if (blank)
        return JK_32S;
    bool mos =
        get(record, at->charge_mos, U8, 0) <= 1 && get(record, at->discharge_mos, U8, 0) <= 1;
    return mos ? JK_24S : JK_LAYOUT_AUTO;
}

static bool must_guess(const struct jk_notes *notes, const struct jk_record *record)
{
    return record->layout == JK_LAYOUT_AUTO && notes->software == 0;
}

static enum jk_layout choose_layout(const struct jk_notes *notes, const struct jk_record *record)
{
    if (must_guess(notes, record)) {
        /* Guesses the layout without an about record (section 4, rule 2): the cell mask of the
         * 24-cell layout is where the other one has cells 25 and 26. JK_LAYOUT_AUTO: unknown. */
        uint32_t word = (uint32_t) get(record, places[JK_24S].mask, U32, 0);
        uint32_t read = cells_read(record, places[JK_24S].cells);
        if (read == 0)
            return word == 0 ? guess_without_cells(record) : JK_LAYOUT_AUTO;
        bool run = (word & (word + 1)) == 0 && __builtin_popcount(word) == __builtin_popcount(read);
        return word != 0 && (word == read || run) ? JK_24S : JK_32S;
    }
    if (record->layout != JK_LAYOUT_AUTO)
        return record->layout;
    return notes->software < FIRST_32S_SOFTWARE ? JK_24S : JK_32S;
}

/* Section 10: the wrong layout yields good cells and an absurd voltage, and so do two merged frames
 * whose sum fits by chance. A broken sense wire also makes the sum of the cells differ, but raises
 * an alarm; this is only accepted if the layout is certain. */
static bool is_coherent(const struct jk_record *record, const struct places *at, bool guessed)
{
    uint64_t mask = (uint64_t) get(record, at->mask, U32, 0);
    uint32_t read = cells_read(record, at->cells);
    int64_t sum = 0;
    if (mask >> at->cells != 0 || (mask != read && (mask == 0 || guessed)))
        return false;
    for (unsigned i = 0; i < at->cells; i++) {
        uint16_t mv = cell_mv(record, i);
        if (mv > pack_value_info(CELL_MV)->max)
            return false;
        sum += mask >> i & 1 ? mv : 0;
    }
    bool told = get(record, at->alarms, at->alarm_kind, 0) >> CELL_COUNT_BIT & 1;
    bool gap = (mask & (mask + 1)) != 0 || (mask & read) != mask;
    int64_t voltage = get(record, at->voltage, U32, 0);
    int64_t off = voltage > sum ? voltage - sum : sum - voltage;
    return mask == 0 || told || gap || off <= 500 || off * 50 <= voltage;
}

/* T1, T2, T4 and T5 without those that are absent; T3 repeats the MOS sensor. Registers may be read
 * in parts: T1 and T2 are then counted as they were last read, so that the others keep their
 * numbers. */
static void decode_temps(struct jk_notes *notes, const struct jk_record *record,
                         const struct places *at, struct pack *pack)
{
    unsigned number = 0;
    bool any = false;
    for (unsigned i = 0; i < at->sensors; i++) {
        const int64_t tenths = get(record, at->temps[i], S16, ABSENT);
        if (tenths == ABSENT) {
            number += i < 2 && !(notes->sensors_absent >> i & 1);
            continue;
        }
        any = true;
        /* T4 and T5 came with software 14; older boards send 0 in their place. */
        const bool fitted =
            tenths != NOT_FITTED && (i < 2 || notes->software >= FIRST_T4_SOFTWARE ||
                                     (notes->software == 0 && tenths != 0));
        if (fitted)
            pack_set_temp(pack, ++number, (double) tenths / 10);
        if (i < 2)
            notes->sensors_absent =
                (uint8_t) ((notes->sensors_absent & ~(1u << i)) | (unsigned) !fitted << i);
    }
    if (any)
        pack_set(pack, TEMP_COUNT, number);
}

void jk_alarm_by_direction(struct pack *pack, enum pack_alarm charge, enum pack_alarm discharge,
                           int level, bool active, bool charge_mos, bool discharge_mos)
{
    bool unclear = charge_mos == discharge_mos;
    pack_alarm_at(pack, charge, level, active && (unclear || !charge_mos));
    pack_alarm_at(pack, discharge, level, active && (unclear || !discharge_mos));
}

static enum bms_result decode_status(const struct bms *bms, struct jk_notes *notes,
                                     const struct jk_record *record, struct pack *pack)
{
    enum jk_layout layout = choose_layout(notes, record);
    const struct places *at = &places[layout];
    if (layout == JK_LAYOUT_AUTO ||
        (is_whole(record) && !is_coherent(record, at, must_guess(notes, record))))
        return BMS_INVALID;
    decode_fields(bms, record, layout, status_fields, COUNT(status_fields), pack);
    /* The count reaches to the last cell that is present: behind a lost wire, cells keep their
     * numbers. If the mask was not read, every voltage above 0 is a cell. */
    const int64_t mask = get(record, at->mask, U32, ABSENT);
    unsigned last = 0;
    for (unsigned i = 0; i < at->cells; i++) {
        bool present = mask >> i & 1;
        uint16_t mv = cell_mv(record, i);
        if (present)
            last = i + 1;
        if (mv != 0 && (present || mask == ABSENT))
            pack_set_cell(pack, i + 1, mv);
    }
    if (mask != ABSENT)
        pack_set(pack, CELL_COUNT, last);
    decode_temps(notes, record, at, pack);
    const int64_t word = get(record, at->alarms, at->alarm_kind, ABSENT);
    if (word != ABSENT) {
        pack_clear_alarms(pack);
        pack_alarm_bits(pack, alarm_rows, COUNT(alarm_rows), (uint64_t) word);
        if (at->alarm_kind == U32)
            jk_alarm_by_direction(pack, CHARGE_OVER_TEMPERATURE, DISCHARGE_OVER_TEMPERATURE,
                                  ALARM_WARNING, word >> BATTERY_HOT_BIT & 1,
                                  get(record, at->charge_mos, U8, 0) != 0,
                                  get(record, at->discharge_mos, U8, 0) != 0);
        pack_raw_alarm(pack, (uint16_t) word);
        if (at->alarm_kind == U32)
            pack_raw_alarm(pack, (uint16_t) (word >> 16));
    }
    /* 0 off, 1 charging a cell, 2 discharging one. */
    const int64_t state = get(record, at->balancing, U8, ABSENT);
    if (state >= 0 && state <= 2)
        pack_set(pack, BALANCING, state != 0);
    /* Section 10: one firmware sends a constant remaining capacity: the SOC is right. */
    double full = pack->value[FULL_AH];
    double expected = pack->value[SOC_PERCENT] / 100 * full;
    if (fabs(pack->value[REMAINING_AH] - expected) > 0.2 * full)
        pack_unset(pack, REMAINING_AH);
    return BMS_DONE;
}

/* Section 8: texts end at the first zero byte, and what is not printable in them is dropped. */
static void decode_text(const struct jk_record *record, size_t at, size_t size, enum pack_text id,
                        struct pack *pack)
{
    uint8_t text[16];
    size_t length = 0;
    if (!holds(record, at, size))
        return;
    const uint8_t *b = record->bytes + (at - record->first);
    for (size_t i = 0; i < size && i < sizeof text && b[i] != 0; i++)
        if (b[i] >= 0x20 && b[i] <= 0x7E)
            text[length++] = b[i];
    pack_set_text(pack, id, text, length);
}

/* The number before the first dot of a version such as 7.1.0H or 19.04; 0: there is none. */
static void decode_version(const struct jk_record *record, size_t at, uint8_t *version)
{
    unsigned number = 0;
    if (!holds(record, at, 8))
        return;
    const uint8_t *b = record->bytes + (at - record->first);
    for (size_t i = 0; i < 2 && b[i] >= '0' && b[i] <= '9'; i++)
        number = number * 10 + (unsigned) (b[i] - '0');
    *version = (uint8_t) number;
}

/* JK's PC program asks with frames of this form whose data are all zero: an echo, no answer. */
static bool is_question(const struct jk_record *record)
{
    for (size_t at = CELLS; at < JK_RECORD_SIZE - 1; at++)
        if (get(record, at, U8, 0) != 0)
            return false;
    return is_whole(record);
}

enum bms_result jk_record_decode(const struct bms *bms, struct jk_notes *notes,
                                 const struct jk_record *record, struct pack *pack)
{
    if (is_question(record) || record->type == JK_LOG)
        return BMS_FOREIGN;
    if (record->type == JK_ABOUT) {
        decode_text(record, 6, 15, MODEL, pack);
        decode_text(record, 30, 8, FIRMWARE, pack);
        decode_text(record, 86, 16, SERIAL, pack);
        decode_version(record, 22, &notes->hardware);
        decode_version(record, 30, &notes->software);
        return BMS_DONE;
    }
    if (notes->hardware != 0 && notes->hardware < OLDEST_HARDWARE)
        return BMS_REFUSED;
    if (record->type == JK_STATUS)
        return decode_status(bms, notes, record, pack);
    /* Section 7. Boards that send floats have 0 there, merged frames whose sum fits anything. */
    const double high_mv = (double) get(record, CELL_HIGH, U32, 0);
    if (is_whole(record) && !(high_mv > 0 && high_mv <= pack_value_info(SET_CELL_HIGH_MV)->max))
        return BMS_INVALID;
    decode_fields(bms, record, JK_32S, settings_fields, COUNT(settings_fields), pack);
    return BMS_DONE;
}

static void mask_with(uint8_t blank, uint8_t *bytes, size_t first)
{
    static const uint16_t secrets[] = {62, 118}; /* PIN and password, 16 bytes each */
    for (size_t i = 0; i < COUNT(secrets); i++)
        memset(bytes + secrets[i] - first, blank, 16);
    uint32_t sum = sum_bytes(bytes, JK_RECORD_SIZE - 1 - first) + sum_bytes(header, first);
    bytes[JK_RECORD_SIZE - 1 - first] = (uint8_t) sum;
}

/* Damage that keeps the sum can change the type of an about record, which is therefore also
 * recognized by its texts: model, versions, name, date, serial number, PIN and password, of which
 * damage spoils a few. A new sum that completes a header would make the record look cut short. */
void jk_record_mask(uint8_t *bytes, size_t first)
{
    const uint8_t *end = bytes + JK_RECORD_SIZE - first;
    static const uint16_t texts[] = {6, 22, 30, 46, 62, 78, 86, 118};
    unsigned found = 0;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const uint8_t *text = bytes + texts[i] - first;
        found += text[0] >= 0x20 && text[0] <= 0x7E && text[1] >= 0x20 && text[1] <= 0x7E;
    }
    if (bytes[HEADER_SIZE - first] != JK_ABOUT && found < 3)
        return;
    mask_with('*', bytes, first);
    if (memcmp(end - HEADER_SIZE, header, HEADER_SIZE) == 0)
        mask_with('+', bytes, first);
}

/* ---- emulator: the same fields, which recordings and tests have proved one by one ---- */

#define NO_SENSOR (-200.0)

/* A record being written; offsets are those of the frame. */
struct image {
    uint8_t *bytes;
    bool big_endian;
};

static void put(const struct image *image, size_t at, enum kind kind, double value)
{
    put_sized(image->bytes + at, (uint64_t) llround(value), kind_size[kind], image->big_endian);
}

/* Limited to the size of the field; the frame was zeroed before. */
static void put_text(const struct image *image, size_t at, size_t size, const char *text)
{
    memcpy(image->bytes + at, text, strnlen(text, size));
}

static const char *text_or(const struct pack *pack, enum pack_text id, const char *otherwise)
{
    return pack->text[id][0] ? pack->text[id] : otherwise;
}

/* The version implies the layout: a version text of the pack that contradicts it is not used. */
static const char *software(const struct pack *pack, enum jk_layout layout)
{
    bool old = layout == JK_24S;
    const char *own = pack->text[FIRMWARE];
    bool usable = own[0] >= '1' && own[0] <= '9' && (strtol(own, NULL, 10) < 11) == old;
    return usable ? own : old ? "10.08" : "15.41";
}

static void put_fields(const struct image *image, const struct field *fields, size_t count,
                       enum jk_layout layout, const struct pack *pack)
{
    for (size_t i = 0; i < count; i++) {
        const struct field *field = &fields[i];
        const size_t at = layout == JK_24S ? field->at_24s : field->at_32s;
        const double raw = field->divisor * pack->value[field->id];
        if (!pack_known(pack, field->id))
            continue;
        put(image, at, field->kind, raw);
    }
}

/* Set on many healthy boards; a host must not take it for an alarm. */
#define PASSWORD_REMINDER_BIT 19

/* A board has one level of each alarm but one, which has a bit for each level. */
static uint32_t alarm_word(const struct pack *pack)
{
    const uint32_t both = pack->alarms_warning | pack->alarms_protection;
    const uint32_t wires = 1u << VOLTAGE_SENSOR_FAULT;
    struct pack any = *pack;
    any.alarms_warning = (both & ~wires) | (pack->alarms_warning & wires);
    any.alarms_protection = (both & ~wires) | (pack->alarms_protection & wires);
    return (uint32_t) pack_alarm_word(&any, alarm_rows, COUNT(alarm_rows), true) |
           1u << PASSWORD_REMINDER_BIT;
}

static void encode_cells(const struct image *image, const struct places *at,
                         const struct pack *pack)
{
    double count = fmin(pack_value_or(pack, CELL_COUNT, at->cells), at->cells);
    unsigned highest = 0, lowest = 0, present = 0;
    double sum = 0, mv[32] = {0};
    uint32_t mask = 0;
    for (unsigned i = 0; i < count; i++) {
        mv[i] = pack_value_or(pack, CELL_MV + i, 0);
        if (mv[i] <= 0)
            continue;
        if (present == 0 || mv[i] > mv[highest])
            highest = i;
        if (present == 0 || mv[i] < mv[lowest])
            lowest = i;
        present++;
        sum += mv[i];
        mask |= 1u << i;
        put(image, 6 + 2 * i, S16, mv[i]);
        put(image, at->mask + 10u + 2 * i, S16, 60 + i % 5);
    }
    put(image, at->mask, S32, mask);
    put(image, at->mask + 4u, S16, present ? sum / present : 0);
    put(image, at->mask + 6u, S16, mv[highest] - mv[lowest]);
    put(image, at->mask + 8u, U8, highest); /* from 0, unlike everything else */
    put(image, at->mask + 9u, U8, lowest);
}

static double sensor(const struct pack *pack, unsigned number)
{
    bool counted = number <= pack_value_or(pack, TEMP_COUNT, MAX_TEMPS);
    return 10 * (counted ? pack_value_or(pack, TEMP_C + number - 1, NO_SENSOR) : NO_SENSOR);
}

static void encode_status(const struct image *image, enum jk_layout layout, const struct pack *pack)
{
    const struct places *at = &places[layout == JK_24S ? JK_24S : JK_32S];
    const double voltage = pack_value_or(pack, VOLTAGE_V, 0),
                 current = pack_value_or(pack, CURRENT_A, 0);
    const bool balancing = pack_value_or(pack, BALANCING, 0) > 0;
    struct pack told = *pack;
    told.value[FULL_AH] = pack_value_or(pack, FULL_AH, pack_value_or(pack, RATED_AH, 0));
    told.value[SOH_PERCENT] = pack_value_or(pack, SOH_PERCENT, 100);
    told.value[CHARGE_MOS] = pack_value_or(pack, CHARGE_MOS, 1);
    told.value[DISCHARGE_MOS] = pack_value_or(pack, DISCHARGE_MOS, 1);
    told.value[MOS_TEMP_C] = pack_value_or(pack, MOS_TEMP_C, NO_SENSOR);
    put_fields(image, status_fields, COUNT(status_fields), layout, &told);
    encode_cells(image, at, pack);
    put(image, at->voltage + 4u, S32, fabs(1000 * voltage * current));
    put(image, at->temps[0], S16, sensor(pack, 1));
    put(image, at->temps[1], S16, sensor(pack, 2));
    put(image, at->balancing - 2u, S16, balancing ? -1000 : 0);
    put(image, at->balancing, U8, balancing ? 2 : 0);
    put(image, at->charge_mos - 4u, S32, 86400); /* running for a day */
    if (layout == JK_24S) {
        put(image, at->alarms, S16, alarm_word(pack) & 0xFFFF);
        put(image, 182, U8, 0x07);
        return;
    }
    put(image, at->alarms, S32, alarm_word(pack));
    put(image, 214, U8, 0xFF); /* all sensors present, even if they are not */
    put(image, 234, S16, fmin(100 * voltage, UINT16_MAX));
    if (strtol(software(pack, layout), NULL, 10) < 14)
        return; /* no T4, T5 before it: 0, not the mark of an absent sensor */
    put(image, 254, S16, 10 * told.value[MOS_TEMP_C]);
    put(image, at->temps[2], S16, sensor(pack, 3));
    put(image, at->temps[3], S16, sensor(pack, 4));
}

/* Section 7: an LFP pack as the app presets it; the pack's own settings replace these. */
// clang-format off
static const struct {
    uint16_t at;
    int32_t value;
} presets[] = {
    {6, 3500},   {10, 2600},  {14, 2650},   {18, 3650},  {22, 3450},  {26, 10},   {30, 3445},  {34, 2700},
    {46, 2500},  {50, 150000}, {54, 30},    {58, 60},    {62, 150000}, {66, 300}, {70, 60},    {74, 5},
    {78, 1000},  {82, 700},   {86, 600},    {90, 700},   {94, 600},   {98, -100}, {102, -50},  {106, 1000},
    {110, 800},  {126, 1},    {134, 1500},  {138, 3300},
};
// clang-format on

void jk_encode(uint8_t bytes[JK_RECORD_SIZE], bool big_endian, enum jk_type type,
               enum jk_layout layout, uint8_t counter, uint8_t address, const struct pack *pack)
{
    const struct image whole = {bytes, big_endian}, *image = &whole;
    memset(bytes, 0, JK_RECORD_SIZE);
    memcpy(bytes, header, sizeof header);
    bytes[4] = (uint8_t) type;
    bytes[5] = counter;
    if (type == JK_STATUS)
        encode_status(image, layout, pack);
    else if (type == JK_SETTINGS) {
        struct pack told = *pack;
        told.value[CELL_COUNT] =
            fmin(pack_value_or(pack, CELL_COUNT, 0), layout == JK_24S ? 24 : 32);
        told.value[RATED_AH] = pack_value_or(pack, RATED_AH, pack_value_or(pack, FULL_AH, 0));
        for (size_t i = 0; i < COUNT(presets); i++)
            put(image, presets[i].at, S32, presets[i].value);
        put_fields(image, settings_fields, COUNT(settings_fields), JK_32S, &told);
        put(image, 118, S32, pack_value_or(pack, CHARGE_MOS, 1));
        put(image, 122, S32, pack_value_or(pack, DISCHARGE_MOS, 1));
        if (layout != JK_24S)
            put(image, 270, S32, address);
    } else if (type == JK_ABOUT) {
        /* PIN and password, which real boards send in plain text at 62 and 118, stay empty. */
        bool old = layout == JK_24S;
        put_text(image, 6, 15, text_or(pack, MODEL, old ? "JK-B2A24S15P" : "JK_PB2A16S20P"));
        put_text(image, 22, 8, old ? "10.XG" : "15A");
        put_text(image, 30, 8, software(pack, layout));
        put(image, 38, S32, 86400);
        put(image, 42, S32, 9);
        put_text(image, 46, 16, "packgate");
        put_text(image, 78, 8, "260101");
        put_text(image, 86, 16, text_or(pack, SERIAL, "0123456789"));
    }
    bytes[JK_RECORD_SIZE - 1] = (uint8_t) sum_bytes(bytes, JK_RECORD_SIZE - 1);
}
