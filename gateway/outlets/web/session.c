// SPDX-License-Identifier: MIT
/* Sessions and attempts. */
#include "session.h"

#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Compares in constant time. */
static bool equals_token(const char *token, const char *text)
{
    unsigned difference = 0;
    if (strlen(text) != SESSION_TOKEN - 1)
        return false;
    for (size_t i = 0; i < SESSION_TOKEN - 1; i++)
        difference |= (unsigned) (token[i] ^ text[i]);
    return difference == 0;
}

static bool is_over(const struct sessions *sessions, int i, double now)
{
    return !sessions->list[i].token[0] || now - sessions->list[i].used_at > SESSION_IDLE_S;
}

bool session_begin(struct sessions *sessions, double now, char token[SESSION_TOKEN])
{
    uint8_t random[(SESSION_TOKEN - 1) / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t) sizeof random)
        return false;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(token + 2 * i, 3, "%02x", random[i]);
    int place = 0;
    for (int i = 1; i < SESSIONS_MAX && !is_over(sessions, place, now); i++)
        if (is_over(sessions, i, now) || sessions->list[i].used_at < sessions->list[place].used_at)
            place = i;
    memcpy(sessions->list[place].token, token, SESSION_TOKEN);
    sessions->list[place].used_at = now;
    return true;
}

double session_left(struct sessions *sessions, const char *token, double now, bool use)
{
    for (int i = 0; i < SESSIONS_MAX; i++) {
        if (is_over(sessions, i, now) || !equals_token(sessions->list[i].token, token))
            continue;
        if (use)
            sessions->list[i].used_at = now;
        return sessions->list[i].used_at + SESSION_IDLE_S - now;
    }
    return 0;
}

void session_end(struct sessions *sessions, const char *token)
{
    for (int i = 0; i < SESSIONS_MAX; i++)
        if (sessions->list[i].token[0] && equals_token(sessions->list[i].token, token))
            memset(&sessions->list[i], 0, sizeof sessions->list[i]);
}

/* An IPv6 client can use a whole /64 network. */
static void key_of(const struct sockaddr *client, uint8_t key[16])
{
    memset(key, 0, 16);
    if (client->sa_family == AF_INET) {
        memcpy(key, &((const struct sockaddr_in *) client)->sin_addr, 4);
        return;
    }
    const struct in6_addr *six = &((const struct sockaddr_in6 *) client)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(six))
        memcpy(key, six->s6_addr + 12, 4);
    else
        memcpy(key, six->s6_addr, 8);
}

double tries_wait(const struct tries *tries, const struct sockaddr *client, double now)
{
    uint8_t key[16];
    unsigned all = 0, own = 0;
    double oldest = INFINITY, oldest_own = INFINITY;
    key_of(client, key);
    for (int i = 0; i < TRIES_OF_ALL; i++) {
        const struct try *one = &tries->list[i];
        if (one->at == 0 || now - one->at >= TRIES_S)
            continue;
        all++;
        oldest = fmin(oldest, one->at);
        if (memcmp(one->from, key, sizeof key) != 0)
            continue;
        own++;
        oldest_own = fmin(oldest_own, one->at);
    }
    if (own >= TRIES_OF_ONE)
        return oldest_own + TRIES_S - now;
    return all >= TRIES_OF_ALL ? oldest + TRIES_S - now : 0;
}

void tries_begin(struct tries *tries, const struct sockaddr *client, double now)
{
    struct try *oldest = &tries->list[0];
    for (int i = 1; i < TRIES_OF_ALL; i++)
        if (tries->list[i].at < oldest->at)
            oldest = &tries->list[i];
    key_of(client, oldest->from);
    oldest->at = now;
}

void tries_forgive(struct tries *tries, const struct sockaddr *client)
{
    uint8_t key[16];
    struct try *latest = NULL;
    key_of(client, key);
    for (int i = 0; i < TRIES_OF_ALL; i++)
        if (tries->list[i].at > 0 && memcmp(tries->list[i].from, key, sizeof key) == 0 &&
            (!latest || tries->list[i].at > latest->at))
            latest = &tries->list[i];
    if (latest)
        latest->at = 0;
}
