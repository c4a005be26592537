// SPDX-License-Identifier: MIT
/* What the programs of the server benchmark have in common. */
#include "fixture.h"

#include "bms/bytes.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HEAD_IN_LENGTH 3 /* unit, function and byte count */

void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static uint16_t parse_word(const char *text)
{
    char *end;
    const unsigned long number = strtoul(text, &end, 0);
    if (end == text || *end || number > UINT16_MAX) {
        errno = EINVAL;
        fail(text);
    }
    return (uint16_t) number;
}

void words_parse(struct words *words, char *const *texts, int count)
{
    if (count < 2 || count - 1 > WORDS_MAX) {
        errno = EINVAL;
        fail("expected an address and 1 to 125 words");
    }
    words->address = parse_word(texts[0]);
    words->count = (unsigned) count - 1;
    for (unsigned i = 0; i < words->count; i++)
        words->word[i] = parse_word(texts[1 + i]);
}

size_t words_reply(const struct words *words, uint8_t reply[REPLY_MAX])
{
    const unsigned bytes = 2 * words->count;
    memset(reply, 0, REPLY_HEAD);
    put_be16(reply + 4, HEAD_IN_LENGTH + bytes);
    reply[6] = 1;
    reply[7] = 3;
    reply[8] = (uint8_t) bytes;
    for (unsigned i = 0; i < words->count; i++)
        put_be16(reply + REPLY_HEAD + 2 * i, words->word[i]);
    return REPLY_HEAD + bytes;
}

void announce(int listener)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (getsockname(listener, (struct sockaddr *) &address, &size) < 0)
        fail("getsockname");
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
}
