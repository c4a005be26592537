// SPDX-License-Identifier: MIT
/* The section [web]: its keys, and the accepted host names of the page. */
#include "config/outlets.h"

#include "config/draft.h"
#include "config/types.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* A host name as in a browser's address line, without a port. */
static bool parse_host(const char *text, struct web_hosts *hosts)
{
    const size_t size = strlen(text);
    if (strcmp(text, "none") == 0)
        return hosts->count == 0;
    if (strcmp(text, "any") == 0) {
        hosts->any = true;
        return hosts->count == 0;
    }
    if (hosts->any || hosts->count == WEB_HOSTS_MAX || size == 0 || size >= WEB_HOST_SIZE ||
        text[0] == '.' || text[0] == '-' || strstr(text, "..") || text[size - 1] == '.')
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char) text[i]) && !strchr("-._", text[i]))
            return false;
    for (size_t i = 0; i <= size; i++)
        hosts->at[hosts->count][i] = (char) tolower((unsigned char) text[i]);
    hosts->count++;
    return true;
}

static bool parse_networks(const struct config_key *key, const char *text, void *field)
{
    const struct allow_list *list = field;
    return strcmp(text, "none") == 0 ? list->count == 0 : type_allow.parse(key, text, field);
}

/* As `allow`, or none. */
static const struct config_type type_networks = {
    .parse = parse_networks,
    .expects = "none, or networks such as 192.168.0.0/16 or fe80::/10, at most " CONFIG_SHOW(
        MAX_ALLOW) " of them with commas between",
    .list = true};

/* It is copied into a header. */
static bool parse_frame(const struct config_key *key, const char *text, void *field)
{
    static const char *const schemes[] = {"https://", "http://", NULL};
    struct endpoint endpoint;
    char address[WEB_HOST_SIZE + 8];
    if (strcmp(text, "none") == 0 || strcmp(text, "self") == 0)
        return config_copy(text[0] == 'n' ? "" : "'self'", field, key->size);
    const char *host = config_address_host(text, schemes);
    if (!host || strlen(text) >= key->size || strpbrk(text, ";,'\"*\\"))
        return false;
    snprintf(address, sizeof address, "%s", host);
    if (!endpoint_parse(address, &endpoint)) {
        strcat(address, ":443");
        if (strchr(address, '/') || !endpoint_parse(address, &endpoint))
            return false;
    }
    return config_copy(text, field, key->size);
}

static const struct config_type type_frame = {
    .parse = parse_frame,
    .expects = "https://HOST or http://HOST, with :PORT unless it is the usual one, self or none"};

/* It is copied into messages; homeassistant:// is a page of Home Assistant's own. */
static bool parse_link(const struct config_key *key, const char *text, void *field)
{
    static const char *const schemes[] = {"https://", "http://", "homeassistant://", NULL};
    if (strcmp(text, "none") == 0)
        return config_copy("", field, key->size);
    const char *const *scheme = schemes;
    while (*scheme && strncmp(text, *scheme, strlen(*scheme)) != 0)
        scheme++;
    return *scheme && text[strlen(*scheme)] && !strpbrk(text, " \t\"#<>\\") &&
           config_copy(text, field, key->size);
}

static const struct config_type type_link = {
    .parse = parse_link,
    .expects =
        "an address such as https://battery.example.net/, homeassistant://hassio/ingress/SLUG, "
        "or none"};

/* A name, or the address that links have, whose name is accepted as well. */
static bool parse_hosts(const struct config_key *key, const char *text, void *field)
{
    static const struct config_key link = {.size = WEB_LINK_SIZE};
    struct web_config *web = field;
    char host[WEB_LINK_SIZE];
    if (!strstr(text, "://"))
        return parse_host(text, &web->hosts);
    if (web->link[0] || !parse_link(&link, text, web->link))
        return false;
    snprintf(host, sizeof host, "%s", strstr(text, "://") + 3);
    host[strcspn(host, ":/?")] = '\0';
    return strncmp(text, "http", 4) != 0 || host[0] == '[' || web->hosts.any ||
           parse_host(host, &web->hosts);
}

static const struct config_type type_hosts = {
    .parse = parse_hosts,
    .expects = "names such as battery.example.net, without a port, at most " CONFIG_SHOW(
        WEB_HOSTS_MAX) " of them with commas between, or any; one of them as an address, such as "
                       "https://battery.example.net/ or homeassistant://hassio/ingress/SLUG",
    .list = true};

static void check_web(struct config_draft *draft)
{
    const struct web_config *web = draft->as.web;
    outlet_check_packs(draft);
    outlet_check_certificate(draft, "tls_cert", web->tls_cert, web->tls_key);
    /* Any name could be that of a stranger's page (DNS rebinding). */
    if (web->hosts.any && !allow_is_single(&web->allow))
        config_mistake(
            draft, "hosts",
            "'hosts = any' is for a page that only a reverse proxy may ask; expected single "
            "addresses in 'allow', not networks");
    if (web->setup == WEB_SETUP_YES && !web->password_file[0])
        config_mistake(draft, "setup",
                       "'setup = yes' is for those who are logged in; expected a 'password_file'");
    if (web->setup == WEB_SETUP_INGRESS && !allow_is_single(&web->allow))
        config_mistake(
            draft, "setup",
            "'setup = ingress' is for a page that only a proxy may ask which logs people "
            "in; expected single "
            "addresses in 'allow', not networks");
    if (web->max_clients < 4 || web->max_per_address < 2 || web->max_streams > web->max_clients)
        config_mistake(draft, "max_clients",
                       "'max_clients' has %u connections, %u of one address and %u open pages; "
                       "expected at least 4, at least 2, and no more pages than connections",
                       web->max_clients, web->max_per_address, web->max_streams);
}

/* Charts use the history, client files the units that are served. */
static void link_web(const struct config *config, void *settings, const struct config_draft *draft)
{
    struct web_config *web = settings;
    struct endpoint endpoint;
    web->map = config->gateway.map;
    for (unsigned i = 0; i < config->pack_count; i++)
        web->map.writable |= pack_is_writable(&config->packs[i]);
    if (endpoint_parse(config->gateway.listen.at[0], &endpoint))
        web->modbus_port = endpoint.port;
    if (!config->history)
        return;
    memcpy(web->history, config->history->file, sizeof web->history);
    web->commit_s = config->history->commit_s;
}

/* ---- rows ---- */

// clang-format off
#define WEB(member) CONFIG_FIELD(web_config, member), .on_change = CHANGE_SECTION

#define MOST(member) {CONFIG_FIELD(web_config, member), .type = &type_whole, .min = 1, .max = 4000}

static const struct config_key web_keys[] = {
    {.name = "listen", WEB(listen), .type = &type_listen,
     .preset = "0.0.0.0:8080", .also = "bind port address",
     .help = "The addresses for browsers. Port 0 is any free port."},
    {.name = "allow", WEB(allow), .type = &type_allow,
     .preset = "127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, ::1/128, fc00::/7, fe80::/10",
     .help = "The networks from which browsers are accepted; all others are rejected. The default is this host and "
             "all private networks."},
    {.name = "password_file", WEB(password_file), .type = &type_path,
     .preset = "none", .also = "password",
     .help = "The file that `packgate password` has written. Without it nobody can log in, and the page cannot "
             "switch anything."},
    {.name = "allow_write", WEB(allow_write), .type = &type_allow,
     .preset = "127.0.0.0/8, ::1/128",
     .help = "The networks whose browsers may log in and switch the MOS of packs that are writable. The default is "
             "this "
             "host."},
    {.name = "setup", WEB(setup), .type = &type_choice, CONFIG_WORDS("no", "yes", "ingress"),
     .preset = "no",
     .help = "Who may change this file from the page, besides the browser that has the code of `packgate setup`. "
             "yes: users who are logged in, as for switching. ingress: everybody who reaches the page, for one that "
             "only single addresses in `allow` may ask and that logs people in, such as Home Assistant's ingress."},
    {.name = "hosts", CONFIG_FIELDS(web_config, {CONFIG_FIELD(web_config, hosts)}, {CONFIG_FIELD(web_config, link)}), .on_change = CHANGE_SECTION, .type = &type_hosts,
     .preset = "none", .also = "host hostname",
     .help = "Further host names of the page, besides addresses, localhost and the name of the host: that of a "
             "reverse proxy, or the one in a Prometheus configuration. Other names are rejected, because foreign web "
             "pages could read the values with them. any: all names are accepted, if `allow` has only single "
             "addresses, such as that of a reverse proxy. One that is written as an address, such as "
             "https://battery.example.net/, is where links of Home Assistant and messages lead to; without one they "
             "lead to where the page listens, or there is none if `allow` has only single addresses."},
    {.name = "frame", WEB(frame), .type = &type_frame,
     .preset = "none",
     .help = "The page that may show this one in a frame, such as that of Home Assistant. self: pages of the same "
             "host name, as behind a reverse proxy."},
    {.name = "proxy", WEB(proxy), .type = &type_networks,
     .preset = "none", .also = "trusted_proxies",
     .help = "The addresses of reverse proxies, whose X-Forwarded-For, -Proto and -Prefix are trusted. Requests with "
             "these headers from other addresses cannot switch anything."},
    {.name = "tls_cert", CONFIG_PARTS(web_config, {CONFIG_FIELD(web_config, tls_cert), .type = &type_path}, {CONFIG_FIELD(web_config, tls_key), .type = &type_path}),
     .otherwise = "none", .on_change = CHANGE_SECTION, .also = "certfile cert keyfile key",
     .help = "The files of a certificate with its chain, and of its key, in PEM form, separated by a comma: the page "
             "is then served as https. A reverse proxy does the same "
             "and renews its certificate by itself."},
    {.name = "max_clients", CONFIG_PARTS(web_config, MOST(max_clients), MOST(max_per_address), MOST(max_streams)),
     CONFIG_STARTS("64, 16, 32"), .on_change = CHANGE_SECTION,
     .help = "Simultaneous connections, at least 4; of these from one address, at least 2; open pages that receive "
             "updates. A further connection closes the longest idle one."},
    OLD_PACKS_ROW,
    {.name = "link", WEB(link), .type = &type_link, CONFIG_FOLDED("write it in 'hosts'")},
    {.name = "tls_key", WEB(tls_key), .type = &type_path, CONFIG_FOLDED("write 'tls_cert = CERTIFICATE, KEY'")},
    {.name = "max_per_address", WEB(max_per_address), .type = &type_whole, .min = 2, .max = 4000,
     CONFIG_FOLDED("write 'max_clients = 64, 16, 32', where it is the second")},
    {.name = "max_streams", WEB(max_streams), .type = &type_whole, .min = 1, .max = 4000,
     CONFIG_FOLDED("write 'max_clients = 64, 16, 32', where it is the third")},
};

const struct config_section web_section = {
    .word = "web", .heading = "[web]", .times = SECTION_ONCE,
    .help = "A page for browsers with values, charts and set-up, the same as JSON, and metrics for Prometheus.",
    .size = sizeof(struct web_config), .at = offsetof(struct config, web),
    .outlet = true, .may_order = offsetof(struct web_config, password_file), CONFIG_KEYS(web_keys), .check = check_web, .link = link_web,
};
// clang-format on
