// SPDX-License-Identifier: MIT
/*
 * Describes what is wrong with a server's certificate, and what to do. Pure.
 */
#pragma once

#include <stddef.h>

/** Describes a failed verification by OpenSSL (X509_V_ERR_…) as a clause. OpenSSL accepts a
 * certificate for another name: the libraries check that themselves. `ca_file` is "" if the
 * system's authorities are used. */
void certificate_describe(long result, const char *ca_file, char *out, size_t size);
