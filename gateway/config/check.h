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
void config_check(struct config_drafts *drafts, unsigned last_line, struct mistakes *mistakes);

/* The check of each section, for config_sections. */
void config_check_gateway(const struct config_drafts *drafts, struct config_draft *draft,
                          struct mistakes *mistakes);
void config_check_line(const struct config_drafts *drafts, struct config_draft *line,
                       struct mistakes *mistakes);
void config_check_pack(const struct config_drafts *drafts, struct config_draft *pack,
                       struct mistakes *mistakes);
void config_check_bank(const struct config_drafts *drafts, struct config_draft *bank,
                       struct mistakes *mistakes);
void config_check_tunnel(const struct config_drafts *drafts, struct config_draft *tunnel,
                         struct mistakes *mistakes);

/* These two also fill the writes and the registers, by address. */
void config_check_push(const struct config_drafts *drafts, struct config_draft *push,
                       struct mistakes *mistakes);
void config_check_view(const struct config_drafts *drafts, struct config_draft *view,
                       struct mistakes *mistakes);

/** Whether two listen addresses conflict: the kernel gives an address and a port to one socket,
 * 0.0.0.0 is every IPv4 address, [::] every IPv6 one. */
bool config_listen_collide(const char *text, const char *other);
