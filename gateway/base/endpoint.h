// SPDX-License-Identifier: MIT
/*
 * "HOST:PORT" as it stands in the configuration: 192.0.2.7:502, moxa.lan:4001, [fd00::7]:502,
 * [fe80::7%eth0]:502.
 */
#ifndef PACKGATE_BASE_ENDPOINT_H
#define PACKGATE_BASE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

struct endpoint {
    char host[254]; /* without brackets, as getaddrinfo takes it */
    uint16_t port;
    bool numeric; /* an address: no name has to be looked up */
};

/** Takes the text apart and checks its form; nothing is looked up. False: it has none of these
 * forms. */
bool endpoint_parse(const char *text, struct endpoint *endpoint);

#endif
