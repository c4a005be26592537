// SPDX-License-Identifier: MIT
/*
 * What [view NAME] serves: each `register` of the configuration is taken apart here, when all packs
 * and banks are known, and views are compared with all that is served beside them.
 *
 *   level.pack_under_voltage | level.cell_under_voltage -> 268 u16 map 0:0 1:1 2:2
 *   values, a text or a number                        register  type   options
 */
#ifndef PACKGATE_CONFIG_VIEW_H
#define PACKGATE_CONFIG_VIEW_H

#include "draft.h"

/** Fills the registers of a view and reports what is wrong with it. Call after config_draft_complete of each draft, for
 * one view after the other as they stand in the file. */
void config_view_check(const struct config_drafts *drafts, struct config_draft *view,
                       struct mistakes *mistakes);

#endif
