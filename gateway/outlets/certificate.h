// SPDX-License-Identifier: MIT
/* Describes what is wrong with a server's certificate, and what to do. Pure. */
#pragma once

#include <stddef.h>

/** Describes a failed verification by OpenSSL (X509_V_ERR_…; the name is checked by others) as a
 * clause. `ca_file` "": the system's authorities are used. */
void certificate_describe(long result, const char *ca_file, char *out, size_t size);
