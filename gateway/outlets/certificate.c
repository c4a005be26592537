// SPDX-License-Identifier: MIT
#include "certificate.h"

#include <stdio.h>

/* As in OpenSSL's x509_vfy.h, which does not change them. */
enum {
    WELL = 0,
    UNSPECIFIED = 1, /* a callback of the library has refused it */
    NOT_YET_VALID = 9,
    EXPIRED = 10,
    SELF_SIGNED = 18,
    SELF_SIGNED_AUTHORITY = 19,
    NO_AUTHORITY = 20,
    NO_AUTHORITY_FIRST = 21,
    OTHER_HOST = 62,
    OTHER_ADDRESS = 64
};

void certificate_describe(long result, const char *ca_file, char *out, size_t size)
{
    if (result == SELF_SIGNED || result == SELF_SIGNED_AUTHORITY || result == NO_AUTHORITY ||
        result == NO_AUTHORITY_FIRST)
        snprintf(out, size,
                 ca_file[0] ? "its certificate is not from the authority in ca_file"
                            : "its certificate is from an authority that this host does not know: "
                              "set ca_file");
    else if (result == NOT_YET_VALID || result == EXPIRED)
        snprintf(out, size, "its certificate %s, by the clock of this host",
                 result == EXPIRED ? "has expired" : "is not valid yet");
    else if (result == WELL || result == UNSPECIFIED || result == OTHER_HOST ||
             result == OTHER_ADDRESS)
        snprintf(out, size,
                 "its certificate is for another name: use a name that is in the certificate");
    else
        snprintf(out, size, "its certificate is not accepted (error %ld of OpenSSL)", result);
}
