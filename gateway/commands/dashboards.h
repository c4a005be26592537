// SPDX-License-Identifier: MIT
/* The sections [mqtt NAME] with layout = smartbms-bat, for the client files of dashboard apps. */
#pragma once

#include "config/config.h"

struct dashboards;

/** Adds them to `clients`, whose units have their numbers of cells. Reads passwords only on demand,
 * because every reader of the client file could see them. NULL: out of memory. The caller frees
 * the result with dashboards_free, after it is done with `clients`. */
struct dashboards *dashboards_new(const struct config *config, struct map_clients *clients,
                                  bool with_password);
void dashboards_free(struct dashboards *dashboards);
