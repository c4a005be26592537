// SPDX-License-Identifier: MIT
/*
 * The file of `protocol = modbus FILE`: the registers of a BMS that has no driver.
 * docs/modbus-map.md is its manual.
 */
#pragma once

#include "mistakes.h"

#include "bms/modbus/modbus.h"

/** Reads a map from a file, or from text that is called `name`. NULL: it has mistakes, reported in
 * `mistakes` at `line` of the configuration with the map's file and line. The caller frees it with
 * free. */
struct modbus_user *modbus_map_load(const char *path, unsigned line, struct mistakes *mistakes);
struct modbus_user *modbus_map_parse(const char *text, const char *name, unsigned line,
                                     struct mistakes *mistakes);
