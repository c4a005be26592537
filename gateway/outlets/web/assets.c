// SPDX-License-Identifier: MIT
/* The page of a build without one: it says where the values are. */
#include "asset.h"

static const uint8_t page[] =
    "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>packgate</title>"
    "<p>This packgate was built without its page. Its values are at "
    "<a href=api/v1/packs>api/v1/packs</a> and <a href=metrics>metrics</a>.";

const struct web_asset web_assets[] = {
    {"", "text/html; charset=utf-8", page, sizeof page - 1, "\"none\"", false},
};
const unsigned web_asset_count = 1;
