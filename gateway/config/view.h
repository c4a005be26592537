// SPDX-License-Identifier: MIT
/*
 * What [view NAME] serves, and whether it is in the way of what is served beside it.
 */
#ifndef PACKGATE_CONFIG_VIEW_H
#define PACKGATE_CONFIG_VIEW_H

#include "draft.h"

/** Fills the registers of a view and reports what is wrong with it. Call after config_draft_complete
 * of each draft, for one view after the other as they stand in the file. */
void config_view_check(const struct config_drafts *drafts, struct config_draft *view,
                       struct mistakes *mistakes);

#endif
