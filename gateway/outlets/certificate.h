// SPDX-License-Identifier: MIT
/*
 * What is wrong with the certificate of a server, in words that say what to do. Pure.
 */
#ifndef PACKGATE_OUTLETS_CERTIFICATE_H
#define PACKGATE_OUTLETS_CERTIFICATE_H

#include <stddef.h>

/** Writes a clause about OpenSSL's result of a verification (X509_V_ERR_…) that failed. OpenSSL is content with a certificate for
 * another name: the libraries look at that themselves. `ca_file` is "" where the system's authorities count. */
void certificate_describe(long result, const char *ca_file, char *out, size_t size);

#endif
