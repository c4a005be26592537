// SPDX-License-Identifier: MIT
/* The types and checks that sections of outlets share. */
#pragma once

#include "outlet_config.h"

struct config_type;
struct config_draft;
/* Shared by all outlets: the key `packs`, whose field is their struct outlet_config, and its
 * check. */
extern const struct config_type type_outlet_packs;
void outlet_check_packs(struct config_draft *draft);
/** A certificate and its key are given in the key `name`, both or none. */
void outlet_check_certificate(const struct config_draft *draft, const char *name, const char *cert,
                              const char *key);
