// SPDX-License-Identifier: MIT
/* What [bank NAME] demands of the other sections. */
#ifndef PACKGATE_CONFIG_BANK_H
#define PACKGATE_CONFIG_BANK_H

#include "draft.h"

/** Checks the name, the packs and the unit id of a bank against all sections, and settles
 * min_packs. */
void config_bank_check(const struct config_drafts *drafts, struct config_draft *bank,
                       struct mistakes *mistakes);

#endif
