// SPDX-License-Identifier: MIT
/* The sections [mqtt NAME] whose layout is smartbms-bat, as client files name them: dashboards of an app. */
#ifndef PACKGATE_COMMANDS_DASHBOARDS_H
#define PACKGATE_COMMANDS_DASHBOARDS_H

#include "config/config.h"

struct dashboards;

/** Adds them to `clients`, whose units have the numbers of cells. Passwords are read only on demand: whoever gets the
 * file could read them. NULL: out of memory. The caller frees it with dashboards_free, not before `clients` is done with. */
struct dashboards *dashboards_new(const struct config *config, struct map_clients *clients,
                                  bool with_password);
void dashboards_free(struct dashboards *dashboards);

#endif
