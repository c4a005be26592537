// SPDX-License-Identifier: MIT
/* A configuration's text without its secrets, for display. */
#pragma once

/** A copy of a configuration's text with secret values, and passwords in addresses, blanked; the
 * caller frees it. NULL: out of memory. */
char *config_masked(const char *text);
