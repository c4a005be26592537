// SPDX-License-Identifier: MIT
#include "guard.h"

#include "base/secret.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* The last label may end with a dot; the port may be missing, which endpoint_parse does not permit. */
bool guard_host_parse(const char *text, struct endpoint *host)
{
    char whole[GUARD_HOST_SIZE + sizeof ":65535"];
    const char *bracket = strrchr(text, ']'), *port = strchr(bracket ? bracket : text, ':');
    const size_t size = port ? (size_t) (port - text) : strlen(text);
    const bool dot = !bracket && size > 0 && text[size - 1] == '.';
    if (snprintf(whole, sizeof whole, "%.*s%s", (int) (size - dot), text, port ? port : ":0") >=
            (int) sizeof whole ||
        strchr(whole, '%') || !endpoint_parse(whole, host) || (port && host->port == 0))
        return false;
    for (char *c = host->host; *c; c++)
        *c = (char) tolower((unsigned char) *c);
    return true;
}

static bool knows_name(const struct guard *guard, const char *name)
{
    for (unsigned i = 0; i < guard->config->hosts.count; i++)
        if (strcmp(guard->config->hosts.at[i], name) == 0)
            return true;
    if (strcmp(name, "localhost") == 0)
        return true;
    /* "shed" and "shed.local"; if the host's own name has a domain, it may be left out. */
    const size_t own = strcspn(guard->hostname, ".");
    if (own > 0 && strcmp(name, guard->hostname) == 0)
        return true;
    return own > 0 && strncmp(name, guard->hostname, own) == 0 &&
           (name[own] == '\0' || strcmp(name + own, ".local") == 0);
}

bool guard_knows(const struct guard *guard, const struct endpoint *host)
{
    if (guard->config->hosts.any)
        return true;
    if (!host->numeric && !knows_name(guard, host->host))
        return false;
    /* Behind a proxy, Host has the proxy's port, which is not known here. */
    if (guard->config->proxy.count > 0)
        return true;
    const unsigned port = host->port ? host->port : guard->config->tls_cert[0] ? 443 : 80;
    for (unsigned i = 0; i < guard->port_count; i++)
        if (guard->ports[i] == port)
            return true;
    return false;
}

bool guard_same_page(const char *origin, const struct endpoint *host)
{
    struct endpoint other;
    const bool tls = strncmp(origin, "https://", 8) == 0;
    if (!tls && strncmp(origin, "http://", 7) != 0)
        return false;
    if (!guard_host_parse(origin + (tls ? 8 : 7), &other))
        return false;
    /* Both headers omit the default port of the scheme. */
    const unsigned usual = tls ? 443 : 80;
    const unsigned port = other.port ? other.port : usual;
    return strcmp(other.host, host->host) == 0 && port == (host->port ? host->port : usual);
}

bool guard_forwarded(const char *list, struct sockaddr_storage *client)
{
    const char *last = strrchr(list, ',');
    char text[INET6_ADDRSTRLEN + 2];
    struct sockaddr_in *four = (struct sockaddr_in *) client;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *) client;
    last = last ? last + 1 : list;
    last += strspn(last, " \t\"[");
    const size_t size = strcspn(last, " \t\"]");
    if (size == 0 || size >= sizeof text)
        return false;
    memcpy(text, last, size);
    text[size] = '\0';
    *client = (struct sockaddr_storage){.ss_family = AF_INET};
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1)
        return true;
    client->ss_family = AF_INET6;
    return inet_pton(AF_INET6, text, &six->sin6_addr) == 1;
}

bool guard_path(const char *path)
{
    for (const char *c = path; *c; c++)
        if ((unsigned char) *c < 0x20 || *c == 0x7F || strncmp(c, "%00", 3) == 0)
            return false;
    return true;
}

bool guard_prefix(const char *text)
{
    if (text[0] != '/' || strlen(text) > 128)
        return false;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char) *c) && !strchr("/-._~", *c))
            return false;
    return true;
}

static bool is_over(const struct sessions *sessions, int i, double now)
{
    return !sessions->list[i].token[0] || now - sessions->list[i].used_at > SESSION_IDLE_S;
}

bool session_begin(struct sessions *sessions, double now, char token[SESSION_TOKEN])
{
    if (!secret_token(token, SESSION_TOKEN))
        return false;
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
        if (is_over(sessions, i, now) || !secret_equals(sessions->list[i].token, token))
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
        if (secret_equals(sessions->list[i].token, token))
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
