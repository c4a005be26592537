// SPDX-License-Identifier: MIT
/* Victron's advertisements, decrypted. The sheet `ble`, section 6; AES is nettle's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VICTRON_KEY 16
#define VICTRON_PRODUCT 0x10 /* how a record begins */
#define VICTRON_RECORD_LEAST 9
#define VICTRON_RECORD_MAX 29
#define VICTRON_FRAME_MAX 40

/** Reads a key, 32 hexadecimal digits in a file. False: `why` has the reason, but never the
 * content. */
bool victron_read_key(const char *path, uint8_t key[VICTRON_KEY], char *why, size_t size);

/** Whether a record can come from the device with this key. */
bool victron_fits(const uint8_t *record, size_t size, const uint8_t key[VICTRON_KEY]);

/** The voltage in a frame's record, in 0.01 V. False: it has none, or its unused bits show that it
 * was decrypted with a wrong key that begins like the right one. This misses one wrong record of
 * four. */
bool victron_voltage(const uint8_t *frame, size_t size, int *voltage);

/** Makes the frame for the driver `victron-ble` from a record that fits. Returns its size; 0: the
 * record is too long. */
size_t victron_decrypt(const uint8_t *record, size_t size, const uint8_t key[VICTRON_KEY],
                       uint8_t frame[VICTRON_FRAME_MAX]);
