// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings: replies with identity, limits and the result of a switch. Follows the sheet
 * `topbms`, sections 7, 8.3 and 8.4. A reply whose size or characters do not match its command is
 * ignored as a whole: it may be a late one to another command.
 */
#include "topbms_reply.h"

#include "bms/bytes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_filling(uint8_t c)
{
    return c == 0 || c == ' ' || c == 0xFF;
}

/* The text in a field of fixed size, without its padding at either end. */
static size_t trim(const uint8_t **text, size_t size)
{
    while (size > 0 && is_filling((*text)[size - 1]))
        size--;
    for (; size > 0 && is_filling((*text)[0]); size--)
        ++*text;
    return size;
}

static bool is_text(const uint8_t *text, size_t size)
{
    size = trim(&text, size);
    for (size_t i = 0; i < size; i++)
        if (text[i] < 0x20 || text[i] > 0x7E)
            return false;
    return true;
}

static void set_text(struct pack *pack, enum pack_text id, const uint8_t *text, size_t size)
{
    size = trim(&text, size);
    pack_set_text(pack, id, text, size);
}

/* INFO begins with the pack's number if the request contained it. */
static bool names_pack(const struct topbms_reply *reply)
{
    return !reply->names_pack || reply->info[0] == reply->number;
}

/* F1H (section 7): PACK, then 30 characters each of company, date, module, version, battery type,
 * serial, remarks. */
static bool decode_product(struct topbms_board *board, const struct topbms_reply *reply,
                           struct pack *pack)
{
    const uint8_t *d = reply->info + 1;
    if (!names_pack(reply))
        return false;
    set_text(pack, MODEL, d + 2 * 30, 30);
    set_text(pack, FIRMWARE, d + 3 * 30, 30);
    set_text(pack, SERIAL, d + 5 * 30, 30);
    return true;
}

/* E9H and 93H: PACK or COMMAND, then the serial number. */
static bool decode_serial(struct topbms_board *board, const struct topbms_reply *reply,
                          struct pack *pack)
{
    if (!names_pack(reply) || !is_text(reply->info + 1, reply->size - 1))
        return false;
    set_text(pack, SERIAL, reply->info + 1, reply->size - 1);
    return true;
}

/* C1H: "P16S100A-1812-1.00", board and software. */
static bool decode_board(struct topbms_board *board, const struct topbms_reply *reply,
                         struct pack *pack)
{
    if (!is_text(reply->info, reply->size))
        return false;
    board->answered = true;
    memcpy(board->text, reply->info, TOPBMS_BOARD_SIZE);
    set_text(pack, FIRMWARE, reply->info, reply->size);
    return true;
}

/* C2H: serial number of the board and, in some firmwares, of the pack, 20 characters each. */
static bool decode_serials(struct topbms_board *board, const struct topbms_reply *reply,
                           struct pack *pack)
{
    const uint8_t *text = reply->info;
    bool repeated = board->answered && memcmp(board->text, text, TOPBMS_BOARD_SIZE) == 0;
    if (!is_text(text, reply->size) || (repeated && trim(&text, TOPBMS_BOARD_SIZE) > 0))
        return false;
    text = reply->info;
    bool second = trim(&text, TOPBMS_BOARD_SIZE) == 0 && reply->size > TOPBMS_BOARD_SIZE;
    set_text(pack, SERIAL, reply->info + (second ? TOPBMS_BOARD_SIZE : 0), TOPBMS_BOARD_SIZE);
    return true;
}

/* 51H, Seplos and Pylontech: 10 characters, two bytes of version (02 07 is 2.7), 20 characters of
 * maker. */
static bool decode_maker(struct topbms_board *board, const struct topbms_reply *reply,
                         struct pack *pack)
{
    const uint8_t *d = reply->info;
    if (!is_text(d, 10) || !is_text(d + 12, 20))
        return false;
    char version[8];
    snprintf(version, sizeof version, "%u.%u", d[10], d[11]);
    set_text(pack, MODEL, d, 10);
    pack_set_text(pack, FIRMWARE, version, sizeof version);
    return true;
}

/* Detects a reply to another command that has the length of a text by chance. */
static bool is_hexadecimal(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (hex_digit(text[i]) < 0 || text[i] > 'F')
            return false;
    return true;
}

/* 51H, Topband: INFO is not hexadecimal but the text itself, hardware 20, software 4, id 40. */
static bool decode_plain_maker(struct topbms_board *board, const struct topbms_reply *reply,
                               struct pack *pack)
{
    const uint8_t *text = reply->frame.info;
    if (!is_text(text, 20) || !is_text(text + 20, 4) || !is_text(text + 24, 40) ||
        is_hexadecimal(text, 64))
        return false;
    set_text(pack, MODEL, text, 20);
    set_text(pack, FIRMWARE, text + 20, 4);
    set_text(pack, SERIAL, text + 24, 40);
    return true;
}

/* 92H, Pylontech:
 *   02      | 6EF0 5AA0       | 022B FDD5      | C0        28.4 V and 23.2 V, 55.5 A and -55.5 A
 *   COMMAND | charge, disch.  | charge, disch. | allowed
 *           | voltage limits  | current limits | */
static bool decode_limits(struct topbms_board *board, const struct topbms_reply *reply,
                          struct pack *pack)
{
    const uint8_t *d = reply->info;
    if (!names_pack(reply))
        return false;
    pack_set(pack, CHARGE_VOLTAGE_LIMIT_V, be16(d + 1) * 0.001);
    pack_set(pack, DISCHARGE_VOLTAGE_LIMIT_V, be16(d + 3) * 0.001);
    pack_set(pack, CHARGE_CURRENT_LIMIT_A, fabs(sbe16(d + 5) * 0.1));
    pack_set(pack, DISCHARGE_CURRENT_LIMIT_A, fabs(sbe16(d + 7) * 0.1));
    return true;
}

/* 9AH and 9BH, PACE: the new instruction byte of 44H, which must show the requested state (00 is
 * on). */
static bool decode_switched(struct topbms_board *board, const struct topbms_reply *reply,
                            struct pack *pack)
{
    bool charge = reply->info[0] >> 1 & 1, discharge = reply->info[0] >> 2 & 1;
    bool now = reply->asked.code == TOPBMS_CHARGE_MOS ? charge : discharge;
    if (!reply->names_pack || reply->number > 1 || now != (reply->number == 0))
        return false;
    pack_set(pack, CHARGE_MOS, charge);
    pack_set(pack, DISCHARGE_MOS, discharge);
    return true;
}

#define ONLY(id) (1u << (id))

// clang-format off
static const struct message {
    uint8_t command;
    uint8_t variants;         /* bit n: enum topbms_id n */
    uint8_t size, other_size; /* bytes of INFO; other_size 0: none */
    bool plain;               /* INFO is text; size counts its characters */
    bool (*take)(struct topbms_board *board, const struct topbms_reply *reply, struct pack *pack);
} messages[] = {
    /* command              variants                              sizes    plain  take */
    {TOPBMS_PRODUCT,        ONLY(ID_TOPBMS),                      211, 0,  false, decode_product},
    {TOPBMS_SERIAL,         ONLY(ID_TOPBMS),                      31,  0,  false, decode_serial},
    {TOPBMS_BOARD,          ONLY(ID_PACE),                        20,  0,  false, decode_board},
    {TOPBMS_SERIALS,        ONLY(ID_PACE),                        20,  40, false, decode_serials},
    {TOPBMS_MAKER,          ONLY(ID_SEPLOS) | ONLY(ID_PYLONTECH), 32,  0,  false, decode_maker},
    {TOPBMS_MAKER,          ONLY(ID_TOPBAND),                     64,  0,  true,  decode_plain_maker},
    {TOPBMS_MODULE,         ONLY(ID_PYLONTECH),                   17,  0,  false, decode_serial},
    {TOPBMS_LIMITS,         ONLY(ID_PYLONTECH),                   10,  0,  false, decode_limits},
    {TOPBMS_CHARGE_MOS,     ONLY(ID_PACE),                        1,   0,  false, decode_switched},
    {TOPBMS_DISCHARGE_MOS,  ONLY(ID_PACE),                        1,   0,  false, decode_switched},
};
// clang-format on

enum bms_result topbms_take_message(struct topbms_board *board, const struct topbms_reply *reply,
                                    struct pack *pack)
{
    enum bms_result result = BMS_FOREIGN;
    for (size_t i = 0; i < COUNT(messages); i++) {
        const struct message *message = &messages[i];
        if (message->command != reply->asked.code || !(message->variants & reply->variants))
            continue;
        size_t size = message->plain ? reply->frame.info_size : reply->size;
        if ((size == message->size || (message->other_size > 0 && size == message->other_size)) &&
            message->take(board, reply, pack))
            return BMS_DONE;
        result = BMS_INVALID;
    }
    return result;
}
