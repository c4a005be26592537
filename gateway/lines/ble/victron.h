// SPDX-License-Identifier: MIT
/* Victron's advertisements, decrypted. The sheet `ble`, section 6; AES is nettle's. */
#ifndef PACKGATE_LINES_BLE_VICTRON_H
#define PACKGATE_LINES_BLE_VICTRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VICTRON_KEY 16
#define VICTRON_PRODUCT 0x10 /* how a record begins */
#define VICTRON_RECORD_LEAST 9
#define VICTRON_RECORD_MAX 29
#define VICTRON_FRAME_MAX 40

/** Reads a key, 32 hexadecimal digits in a file. False: `why` says what is wrong, and never what is in it. */
bool victron_read_key(const char *path, uint8_t key[VICTRON_KEY], char *why, size_t size);

/** Whether a record can be of the device that has this key. */
bool victron_fits(const uint8_t *record, size_t size, const uint8_t key[VICTRON_KEY]);

/** The voltage that a frame's record tells, in 0.01 V. False: it tells none, or the bits that are unused say that it is noise, decrypted
 * with a wrong key that begins like the right one. Noise gets through one time of four. */
bool victron_voltage(const uint8_t *frame, size_t size, int *voltage);

/** Makes the frame that the driver `victron-ble` takes of a record that fits. Returns its size; 0: the
 * record is too long. */
size_t victron_decrypt(const uint8_t *record, size_t size, const uint8_t key[VICTRON_KEY],
                       uint8_t frame[VICTRON_FRAME_MAX]);

#endif
