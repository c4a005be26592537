// SPDX-License-Identifier: MIT
#include "victron.h"

#include "base/secret.h"
#include "bms/bytes.h"
#include "bms/checksum.h"

#include <nettle/aes.h>
#include <stdio.h>
#include <string.h>

#define HEAD 8 /* of a record: what is not encrypted */
#define NONCE 5
#define FRAME_HEAD 3
#define UNUSED 14 /* byte of what was encrypted; its upper two bits are ones */
#define VOLTAGE 2
#define VOLTAGE_UNKNOWN 0x7FFF
#define KEY_BYTE 7
#define KEY_DIGITS (2 * VICTRON_KEY)

bool victron_read_key(const char *path, uint8_t key[VICTRON_KEY], char *why, size_t size)
{
    char text[KEY_DIGITS + 16];
    const char *reason;
    size_t bytes;
    if (!secret_read(path, 0, text, sizeof text, &reason) && reason) {
        snprintf(why, size, "its key_file: %s", reason);
        return false;
    }
    const bool whole = !*hex_bytes(text, key, VICTRON_KEY, &bytes) && bytes == VICTRON_KEY;
    explicit_bzero(text, sizeof text);
    if (whole)
        return true;
    snprintf(why, size,
             "its key_file has no key: 32 hexadecimal digits, as VictronConnect shows them");
    return false;
}

bool victron_fits(const uint8_t *record, size_t size, const uint8_t key[VICTRON_KEY])
{
    return size >= VICTRON_RECORD_LEAST && record[KEY_BYTE] == key[0];
}

size_t victron_decrypt(const uint8_t *record, size_t size, const uint8_t key[VICTRON_KEY],
                       uint8_t frame[VICTRON_FRAME_MAX])
{
    struct aes128_ctx aes;
    uint8_t pad[2 * AES_BLOCK_SIZE], counter[AES_BLOCK_SIZE] = {record[NONCE], record[NONCE + 1]};
    if (size < VICTRON_RECORD_LEAST || size > VICTRON_RECORD_MAX)
        return 0;
    /* Counter mode by hand: one block, and a second one if records grow; the counter's last byte counts. */
    aes128_set_encrypt_key(&aes, key);
    aes128_encrypt(&aes, AES_BLOCK_SIZE, pad, counter);
    counter[AES_BLOCK_SIZE - 1] = 1;
    aes128_encrypt(&aes, AES_BLOCK_SIZE, pad + AES_BLOCK_SIZE, counter);
    frame[0] = 'V';
    frame[1] = 'A';
    frame[2] = (uint8_t) size;
    memcpy(frame + 3, record, HEAD);
    for (size_t i = HEAD; i < size; i++)
        frame[3 + i] = record[i] ^ pad[i - HEAD];
    const uint16_t crc = crc16_modbus(frame, 3 + size);
    frame[3 + size] = (uint8_t) crc;
    frame[4 + size] = (uint8_t) (crc >> 8);
    return 5 + size;
}

bool victron_voltage(const uint8_t *frame, size_t size, int *voltage)
{
    const uint8_t *values = frame + FRAME_HEAD + HEAD;
    if (size < FRAME_HEAD + HEAD + UNUSED + 1 + 2 || values[UNUSED] >> 6 != 3)
        return false;
    *voltage = (int16_t) le16(values + VOLTAGE);
    return *voltage != VOLTAGE_UNKNOWN;
}
