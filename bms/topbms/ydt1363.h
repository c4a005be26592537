// SPDX-License-Identifier: MIT
/*
 * The frame of YD/T 1363: a line of hexadecimal text from '~' to CR, used by TopBMS and its many
 * siblings. Handles frames and their two checksums, not their content.
 */
#pragma once

#include "bms/driver.h"

#define YDT_HEAD_SIZE 13  /* characters before INFO */
#define YDT_INFO_MAX 2047 /* bytes; LENID counts characters and has 12 bits */
#define YDT_FRAME_SIZE(info_characters) (18 + (size_t) (info_characters))

/* Codes in the place of the command of a reply; others differ by board. */
enum ydt_return {
    RTN_OK = 0x00,
    RTN_VERSION = 0x01,
    RTN_CHKSUM = 0x02,
    RTN_LCHKSUM = 0x03,
    RTN_COMMAND = 0x04,
    RTN_FORMAT = 0x05,
    RTN_DATA = 0x06,
    RTN_NOT_DONE = 0x09,
    RTN_ADDRESS = 0x90,
    RTN_LINK = 0x91,
    RTN_TRANSFER = 0xA0,
    RTN_DEVICE = 0xE1,
    RTN_PERMISSION = 0xE4
};

struct ydt_head {
    uint8_t version; /* VER */
    uint8_t address; /* ADR */
    uint8_t device;  /* CID1 */
    uint8_t code;    /* CID2: the command of a request, the return code RTN of a reply */
};

struct ydt_frame {
    struct ydt_head head;
    const uint8_t *info; /* characters, inside the frame */
    size_t info_size;
};

enum ydt_state {
    YDT_MORE,       /* may become a frame; `span` is not set */
    YDT_GOOD,       /* a frame, both checksums are right */
    YDT_NOISE,      /* not the start of a frame */
    YDT_BROKEN,     /* a frame cut off by another one or by a line end, or without its line end */
    YDT_BAD_LENGTH, /* LCHKSUM is wrong */
    YDT_BAD_SUM     /* CHKSUM is wrong */
};

/** Finds what is at bytes[0…size-1], size >= 1, and its size. Never skips a '~'. */
enum ydt_state ydt_find(const uint8_t *bytes, size_t size, size_t *span);

/** The same as the `frame` of a driver. */
struct bms_span ydt_frame(const struct bms *bms, const struct bms_request *request,
                          const uint8_t *bytes, size_t size);

/** Reads only the head, whatever follows it. False: too short, or not hexadecimal. */
bool ydt_read_head(const uint8_t *bytes, size_t size, struct ydt_head *head);

/** Parses exactly one valid frame. */
bool ydt_parse(const uint8_t *bytes, size_t size, struct ydt_frame *frame);

/** Decodes INFO into bytes. False: an odd number of characters, or not hexadecimal (Topband answers
 * 51H in plain text). */
bool ydt_read_info(const struct ydt_frame *frame, uint8_t info[YDT_INFO_MAX], size_t *size);

/** Writes a frame around `size` bytes of INFO, or around INFO that is text already; returns the
 * frame's size in characters, YDT_FRAME_SIZE. At most YDT_INFO_MAX bytes. */
size_t ydt_write(uint8_t *out, const struct ydt_head *head, const uint8_t *info, size_t size);
size_t ydt_write_text(uint8_t *out, const struct ydt_head *head, const uint8_t *text, size_t size);
