// SPDX-License-Identifier: MIT
/*
 * What [push NAME] writes: each `write` of the configuration is taken apart here, when all packs
 * are known.
 *
 *   house-1.current_a -> 17 s16 scale 100 deadband 0.5
 *   name    number      |  |    options, each with its value
 *                register  type
 *
 * A name may hold dots: which dot ends it is found by the names that there are.
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
