// SPDX-License-Identifier: MIT
/*
 * The alarms of a pack that an outlet has reported, kept in the state file: it reports each once, also over a restart.
 */
#pragma once

#include "outlet.h"
#include "packs/alarms.h"

void told_keep(struct outlet *outlet, const char *pack, struct alarms alarms);

/** The alarms in the note; none if there is no note. */
struct alarms told_read(const struct outlet *outlet, const char *pack);
