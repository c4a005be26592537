// SPDX-License-Identifier: MIT
/*
 * The files of the page, compressed and linked into the program: no request ever touches the file
 * system. page/embed makes the table when packgate is built.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct web_asset {
    const char *path; /* below the root: "" is the page, "a/HASH/app.js" a file that it loads */
    const char *type; /* "text/html; charset=utf-8" */
    const uint8_t *bytes;
    size_t size;
    const char *etag; /* with its quotation marks */
    bool gzip;        /* the bytes are compressed */
};

extern const struct web_asset web_assets[];
extern const unsigned web_asset_count;

/** SHA-256, in base64, of the style that is written into the page itself. */
extern const char web_style_hash[];
