// SPDX-License-Identifier: MIT
/* What the sections that are outlets share, and those of [history], [web], [influx NAME] and [print NAME]. */
#include "outlets.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

_Static_assert(OUTLET_NAME_SIZE == NAME_SIZE, "names of sections and packs");
_Static_assert(OUTLET_PATH_SIZE == PORT_SIZE, "type_path fills PORT_SIZE bytes");

/* "http://127.0.0.1:8086/write", "http://[::1]/write" */
static bool is_own_url(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    const bool bracketed = *host == '[';
    char name[INFLUX_URL_SIZE];
    host += bracketed;
    snprintf(name, sizeof name, "%.*s", (int) strcspn(host, bracketed ? "]" : ":/?#"), host);
    return host_is_own(name);
}

static bool parse_outlet_packs(const struct config_key *key, const char *text, void *field)
{
    struct outlet_config *outlet = field;
    if (strcasecmp(text, "all") == 0) {
        bool alone = !outlet->all && outlet->pack_count == 0;
        outlet->all = true;
        return alone;
    }
    if (outlet->all || !config_name_good(text) || outlet->pack_count >= (unsigned) key->max)
        return false;
    snprintf(outlet->packs[outlet->pack_count++], NAME_SIZE, "%s", text);
    return true;
}

const struct config_type type_outlet_packs = {
    .parse = parse_outlet_packs,
    .expects =
        "all, or names of packs and banks such as house-1, at most %m of them with commas between",
    .list = true};

/* "http://host:8086/write?db=x" */
static bool parse_url(const struct config_key *key, const char *text, void *field)
{
    static const char *const schemes[] = {"http://", "https://", NULL};
    return config_address_host(text, schemes) && config_copy(text, field, key->size);
}

static const struct config_type type_url = {
    .parse = parse_url,
    .expects = "an address such as https://HOST:8086/write?db=packgate, without user and password"};

/* `make WITHOUT=mqtt,web` has left these programs out. */
#ifndef WITHOUT
#define WITHOUT ""
#endif

/* Checks that all outlets share. */
void outlet_check_packs(struct config_draft *draft)
{
    const struct outlet_config *outlet = draft->as.outlet;
    const bool present = draft->section == &present_section;
    const char *word = draft->section->word;
    char listed[NAME_SIZE];
    snprintf(listed, sizeof listed, ",%s,", word);
    if (strstr("," WITHOUT ",", listed))
        config_mistake(draft, NULL,
                       "this packgate was built without [%s]; expected one that was made without "
                       "WITHOUT=%s",
                       word, word);
    for (unsigned i = 0; i < outlet->pack_count; i++) {
        const char *name = outlet->packs[i];
        unsigned before = 0;
        while (before < i && strcmp(outlet->packs[before], name) != 0)
            before++;
        if (before < i)
            config_mistake(draft, "packs", "%s is in [%s %s] twice", name, word, draft->name);
        else
            config_draft_refer(draft, present ? "of" : "packs", NULL, name);
    }
}

void outlet_check_certificate(const struct config_draft *draft, const char *name, const char *cert,
                              const char *key)
{
    if (!cert[0] != !key[0])
        config_mistake(
            draft, name,
            "a certificate and its key belong together; expected '%s = CERTIFICATE, KEY', "
            "or none",
            name);
}

static void check_influx(struct config_draft *draft)
{
    const struct config *config = draft->drafts->config;
    struct influx_config *influx = draft->as.any;
    if (influx->token_file[0] && influx->user[0])
        config_mistake(draft, "token_file",
                       "'token_file' and 'user' are two ways to log in; expected one of them");
    outlet_check_certificate(draft, "client_cert", influx->client_cert, influx->client_key);
    /* All levels of the history have these times. */
    const double unit = influx->interval_s > 60 ? 60 : 10;
    if (fabs(remainder(influx->interval_s, unit)) >= 1e-6)
        config_mistake(draft, "interval",
                       "'interval' is not one that the history knows; expected a multiple of 10s, "
                       "above a minute whole minutes");
    if (influx->backfill != BACKFILL_NO && !(config->history && config->history->file[0]))
        config_warn(draft, NULL,
                    "without [history] only the last hour is kept for a database that is away, "
                    "and nothing over a restart");
    if (strncmp(influx->url, "http://", 7) == 0 && !is_own_url(influx->url) &&
        (influx->token_file[0] || influx->password_file[0]))
        config_warn(draft, "url",
                    "the token or password goes over the network in the clear; https:// keeps it "
                    "secret");
    const char *host = strstr(influx->url, "//");
    if (host && strcspn(host + 2 + strcspn(host + 2, "/?"), "?") < 2)
        config_warn(draft, "url",
                    "'url' has no path, and databases accept no values there; expected one such as "
                    "https://HOST:8086/write?db=packgate");
    influx->verify &= strcmp(influx->ca_file, "any") != 0;
    if (!influx->gateway[0])
        snprintf(influx->gateway, sizeof influx->gateway, "%s",
                 config->gateway.title[0] ? config->gateway.title : "%h");
    if (!influx->user[0] && !influx->token_file[0]) {
        memcpy(influx->token_file, influx->password_file, sizeof influx->token_file);
        memset(influx->password_file, 0, sizeof influx->password_file);
    }
    if (!config->history)
        return;
    /* It has what could not be sent. */
    memcpy(influx->history, config->history->file, sizeof influx->history);
    influx->commit_s = config->history->commit_s;
    influx->recent_s = config->history->recent_s;
    influx->minutes_s = config->history->minutes_s;
}

#define DAYS 86400.0

static void check_history(struct config_draft *draft)
{
    const struct history_config *history = draft->as.any;
    if (history->recent_s > 31 * DAYS || history->minutes_s < DAYS || history->hours_s < DAYS)
        config_mistake(
            draft, "keep",
            "'keep' has rows of 10 seconds for more than 31d, or others for less than 1d");
}

// clang-format off
#define HISTORY(member) CONFIG_FIELD(history_config, member), .on_change = CHANGE_SECTION

#define KEPT(member) {CONFIG_FIELD(history_config, member), .type = &type_duration, .min = 3600, .max = 36500 * DAYS}

static const struct config_key history_keys[] = {
    {.name = "file", HISTORY(file), .type = &type_path,
     .preset = "/var/lib/packgate/history.db", .also = "path database db",
     .help = "The database, an SQLite file, which sqlite3, Grafana and others can read at any time. none: no history."},
    {.name = "commit", HISTORY(commit_s), .type = &type_duration, .web = true, .min = 10, .max = 3600,
     .preset = "10m", .also = "interval",
     .help = "How often the database is written. Values that are not written yet are lost in a power cut; each write "
             "wears a memory card."},
    {.name = "keep", CONFIG_PARTS(history_config, KEPT(recent_s), KEPT(minutes_s), KEPT(hours_s)), .web = true,
     CONFIG_STARTS("48h, 186d, 3650d"), .on_change = CHANGE_SECTION,
     .help = "How long rows of 10 seconds (at most 31d), of a minute and of an hour are kept. Days are kept for ever."},
    OLD_PACKS_ROW,
    {.name = "recent", HISTORY(recent_s), .type = &type_duration, .min = 3600, .max = 31 * DAYS,
     CONFIG_FOLDED("write 'keep = 48h, 186d, 3650d', where it is the first")},
    {.name = "minutes", HISTORY(minutes_s), .type = &type_duration, .min = 1 * DAYS, .max = 3650 * DAYS,
     CONFIG_FOLDED("write 'keep = 48h, 186d, 3650d', where it is the second")},
    {.name = "hours", HISTORY(hours_s), .type = &type_duration, .min = 1 * DAYS, .max = 36500 * DAYS,
     CONFIG_FOLDED("write 'keep = 48h, 186d, 3650d', where it is the third")},
};

const struct config_section history_section = {
    .word = "history", .heading = "[history]", .times = SECTION_ONCE,
    .help = "Stores the values of all packs, for the charts of the page and for files to download: rows of 10 "
            "seconds, minutes, hours and days, and events.",
    .size = sizeof(struct history_config), .at = offsetof(struct config, history),
    .outlet = true, .stores = true, .runs = offsetof(struct history_config, file), CONFIG_KEYS(history_keys), .check = check_history,
};

#define INFLUX(member) CONFIG_FIELD(influx_config, member), .on_change = CHANGE_SECTION

static const struct config_key influx_keys[] = {
    {.name = "url", INFLUX(url), .type = &type_url, .web = true, .sends = true,
     .also = "urls server host address",
     .help = "The complete address at which the database accepts line protocol: http://HOST:8086/write?db=NAME for "
             "InfluxDB 1, https://HOST:8086/api/v2/write?org=ORG&bucket=BUCKET for InfluxDB 2, "
             "http://HOST:8428/write for VictoriaMetrics."},
    USER_ROW(INFLUX, ""),
    {.name = "password_file", INFLUX(password_file), .type = &type_path, .secret = true,
     .preset = "none", .also = "token password",
     .help = "A file whose first line is the password of that user or, without a user, the token. A token is sent as "
             "\"Token …\", "
             "unless the line names another scheme, as \"Bearer …\" does. Only packgate should be able to read the file."},
    CA_FILE_ROW(INFLUX, "database"),
    CLIENT_CERT_ROW(influx_config),
    PACKS_ROW("to send"),
    {.name = "interval",
     CONFIG_PARTS(influx_config, {CONFIG_FIELD(influx_config, interval_s), .type = &type_duration, .min = 10, .max = 3600, .required = true},
                  {CONFIG_FIELD(influx_config, backfill), .type = &type_choice, CONFIG_WORDS("backfill gaps", "backfill all", "backfill no")}),
     .web = true, .on_change = CHANGE_SECTION,
     .preset = "10s",
     .help = "How often values are sent, all packs in one request. Each is the mean of the interval. backfill: what is "
             "sent later from the history: gaps, which is data that could not be delivered in time (the default); all, "
             "the whole history, beginning with the oldest data; or no data."},
    {.name = "layout", INFLUX(layout), .type = &type_choice, .web = true, CONFIG_WORDS("series", "fields"),
     .preset = "series",
     .help = "How cells, sensors and alarms are distinguished: by a tag, as in the metrics of the page, or all as "
             "fields of one line, with names such as cell_mv_01."},
    CLIENT_KEY_ROW(INFLUX),
    OLD_VERIFY_ROW(INFLUX),
    CONFIG_WITHOUT_EFFECT("gzip", "as requests are always compressed"),
    {.name = "backfill", INFLUX(backfill), .type = &type_choice, CONFIG_WORDS("gaps", "all", "no"),
     CONFIG_FOLDED("write it behind the interval, as in 'interval = 10s, backfill all'")},
    {.name = "catch_up", INFLUX(catch_up), .type = &type_whole, .min = 1, .max = 100000, .start = "6000",
     CONFIG_FOLDED("leave it out, 6000 rows a second are sent later at most")},
    {.name = "gateway", INFLUX(gateway), .type = &type_text,
     CONFIG_FOLDED("write it as 'name' of [gateway], which is the tag `gateway` of all values")},
    {.name = "token_file", INFLUX(token_file), .type = &type_path,
     CONFIG_FOLDED("write it as 'password_file' without 'user'")},
};

const struct config_section influx_section = {
    .word = "influx", .heading = "[influx NAME]", CONFIG_NAMED(influx_config, influxes, influx_count),
    .help = "Sends all values to a database in line protocol: InfluxDB 1 and 2, VictoriaMetrics, Telegraf. Data that "
            "could not be delivered is sent later from the history. The tag `gateway` of all values is the `name` in "
            "[gateway], or the name of the host.",
    .outlet = true, CONFIG_KEYS(influx_keys), .check = check_influx,
};

static const struct config_key print_keys[] = {
    OLD_PACKS_ROW,
};

const struct config_section print_section = {
    .word = "print", .heading = "[print NAME]", CONFIG_NAMED(print_config, prints, print_count),
    .help = "Prints values and changes on standard output as they come, one JSON object per line: for tests, and as "
            "an example for your own programs.",
    .outlet = true, CONFIG_KEYS(print_keys),
};
// clang-format on

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
    const struct config *config = draft->drafts->config;
    struct web_config *web = draft->as.any;
    struct endpoint endpoint;
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
    /* Client files use the units that are served, charts the history. */
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
    .outlet = true, .may_order = offsetof(struct web_config, password_file), CONFIG_KEYS(web_keys), .check = check_web,
};
// clang-format on
