// SPDX-License-Identifier: MIT
/*
 * What [push NAME] writes, and whether two pushes write the same register.
 */
#ifndef PACKGATE_CONFIG_PUSH_H
#define PACKGATE_CONFIG_PUSH_H

#include "draft.h"

/** Fills the writes of a push, in the order of their registers, and reports what is wrong with
 * them. Call after config_draft_complete of each draft, for one push after the other as they
 * stand in the file. */
void config_push_check(const struct config_drafts *drafts, struct config_draft *push,
                       struct mistakes *mistakes);

#endif
