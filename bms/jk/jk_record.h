// SPDX-License-Identifier: MIT
/*
 * The records of JK boards: settings, status and about. They are sent as 300-byte frames 55 AA EB
 * 90 (drivers jk02 and jk-pb, little-endian) and, with the same fields at the same offsets, as
 * Modbus registers (jk-pb, big-endian).
 */
#pragma once

#include "bms/driver.h"

#define JK_RECORD_SIZE 300

enum jk_type { JK_SETTINGS = 1, JK_STATUS = 2, JK_ABOUT = 3, JK_LOG = 5 };

/* Boards with software below 11 use the status layout for 24 cells, later ones that for 32. */
enum jk_layout { JK_LAYOUT_AUTO, JK_32S, JK_24S };

/* A record or a part of one. Offsets are those of the 300-byte frame, whose data starts at 6. */
struct jk_record {
    enum jk_type type;
    enum jk_layout layout;
    bool big_endian;
    size_t first; /* offset of bytes[0] */
    const uint8_t *bytes;
    size_t size;
};

/* What is known of a board between its records. All zeros: nothing. */
struct jk_notes {
    uint8_t software; /* number before the first dot; 0: unknown */
    uint8_t hardware;
    uint8_t sensors_absent; /* bits 0 and 1: T1 and T2, as last read */
};

/** Whether a record frame is at bytes[0], as the result of a driver's `frame`. Checks header, type,
 * sum, and that it contains no second header: then the first frame was cut short and its sum fits
 * by chance. */
struct bms_span jk_record_find(const uint8_t *bytes, size_t size);

/** Takes the values of a record. BMS_DONE; BMS_FOREIGN for a type that is not used here;
 * BMS_REFUSED for a board with yet another layout; BMS_INVALID if a status contradicts itself, and
 * then sets nothing. */
enum bms_result jk_record_decode(const struct bms *bms, struct jk_notes *notes,
                                 const struct jk_record *record, struct pack *pack);

/** pack_alarm_at for an alarm without a direction: applies to the direction whose MOS is off, or to
 * both if the switches do not show it. */
void jk_alarm_by_direction(struct pack *pack, enum pack_alarm charge, enum pack_alarm discharge,
                           int level, bool active, bool charge_mos, bool discharge_mos);

/** Blanks PIN and password in a record frame that lacks `first` header bytes; corrects its sum. */
void jk_record_mask(uint8_t *bytes, size_t first);

/** Writes a record of the pack, as the frame or with the byte order of the registers. JK_LAYOUT_AUTO is
 * the 32-cell layout. */
void jk_encode(uint8_t bytes[JK_RECORD_SIZE], bool big_endian, enum jk_type type,
               enum jk_layout layout, uint8_t counter, uint8_t address, const struct pack *pack);
