// SPDX-License-Identifier: MIT
/*
 * Checks that involve several keys: references between sections, numbers that must differ, and
 * requirements of the protocols.
 */
#pragma once

#include "draft.h"

/** Finds the line, the protocol and the variant of each pack, resolves its poll interval and
 * stale_after, and checks all sections against each other. Call after config_draft_complete of
 * each draft. `last_line` is where a missing section is reported. Consequences of a reported
 * mistake are not reported again. */
void config_check(const struct config_drafts *drafts, unsigned last_line);

/* The check of each section, for config_sections. */
void config_check_gateway(struct config_draft *draft);
void config_check_line(struct config_draft *line);
void config_check_pack(struct config_draft *pack);
void config_check_bank(struct config_draft *bank);
void config_check_tunnel(struct config_draft *tunnel);

/** Whether two listen addresses conflict: the kernel gives an address and a port to one socket,
 * 0.0.0.0 is every IPv4 address, [::] every IPv6 one. */
bool config_listen_collide(const char *text, const char *other);

/** The pack or bank whose unit id this is, or NULL. */
const struct config_draft *config_unit_owner(const struct config_draft *draft, int unit);

/** Finds the variant of a protocol that the value of `key` names. False: it has none such, which is reported. */
bool config_variant_find(const struct config_draft *draft, const char *key, const char *protocol,
                         const char *const *variants, const char *text, int *variant);

/** Checks the value of 'address', if the file has one. least >= most: the protocol has none. */
void config_address_check(const struct config_draft *draft, const char *protocol, int address,
                          int least, int most);
