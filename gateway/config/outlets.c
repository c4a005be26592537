// SPDX-License-Identifier: MIT
/* The sections that are outlets: their keys, and what can only be seen of several together. */
#include "outlets.h"

#include "draft.h"
#include "outlet_rows.h"
#include "types.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

_Static_assert(OUTLET_NAME_SIZE == NAME_SIZE, "names of sections and packs");
_Static_assert(OUTLET_PATH_SIZE == PORT_SIZE, "type_path fills PORT_SIZE bytes");

bool mqtt_same_broker(const struct mqtt_config *a, const struct mqtt_config *b)
{
    bool tls_a, tls_b;
    struct endpoint x, y;
    return mqtt_broker_parse(a->broker, &tls_a, &x) && mqtt_broker_parse(b->broker, &tls_b, &y) &&
           tls_a == tls_b && x.port == y.port && strcasecmp(x.host, y.host) == 0;
}

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

/* ---- types ---- */

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

static void describe_outlet_packs(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size,
             "all, or names of packs and banks such as house-1, at most %.0f of them with commas "
             "between",
             key->max);
}

static bool same_outlet_packs(const void *a, const void *b)
{
    const struct outlet_config *x = a, *y = b;
    return x->pack_count == y->pack_count &&
           memcmp(x->packs, y->packs, x->pack_count * sizeof *x->packs) == 0;
}

const struct config_type type_outlet_packs = {.parse = parse_outlet_packs,
                                              .describe = describe_outlet_packs,
                                              .same = same_outlet_packs,
                                              .list = true};

static bool parse_broker(const struct config_key *key, const char *text, void *field)
{
    bool tls;
    struct endpoint endpoint;
    return strlen(text) < key->size && mqtt_broker_parse(text, &tls, &endpoint) &&
           snprintf(field, key->size, "%s", text) > 0;
}

static void describe_broker(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "mqtt://HOST or mqtts://HOST, with :PORT unless it is 1883 or 8883");
}

static const struct config_type type_broker = {.parse = parse_broker, .describe = describe_broker};

/* What MQTT allows in a topic for publishing, without empty levels and blanks. */
static bool parse_topic(const struct config_key *key, const char *text, void *field)
{
    size_t size = strlen(text);
    if (size == 0 || size >= key->size || text[0] == '/' || text[0] == '$' ||
        text[size - 1] == '/' || strstr(text, "//"))
        return false;
    for (const char *c = text; *c; c++)
        if ((unsigned char) *c <= 0x20 || (unsigned char) *c >= 0x7F || strchr("+#\"\\;", *c))
            return false;
    return snprintf(field, key->size, "%s", text) > 0;
}

static void describe_topic(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size,
             "1 to %zu of a-z, A-Z, 0-9 and signs, levels with / between, without blanks, + and #",
             key->size - 1);
}

static const struct config_type type_topic = {.parse = parse_topic, .describe = describe_topic};

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

static void describe_networks(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "none, or ");
    type_allow.describe(key, out + strlen(out), size - strlen(out));
}

/* As `allow`, or none. */
static const struct config_type type_networks = {
    .parse = parse_networks, .describe = describe_networks, .list = true};

/* It is copied into a header. */
static bool parse_frame(const struct config_key *key, const char *text, void *field)
{
    const bool tls = strncmp(text, "https://", 8) == 0;
    struct endpoint endpoint;
    char address[WEB_HOST_SIZE + 8];
    if (strcmp(text, "none") == 0) {
        *(char *) field = '\0';
        return true;
    }
    if (strcmp(text, "self") == 0)
        return snprintf(field, key->size, "'self'") > 0;
    if ((!tls && strncmp(text, "http://", 7) != 0) || strlen(text) >= key->size ||
        strpbrk(text, " \t;,'\"*\\"))
        return false;
    snprintf(address, sizeof address, "%s", text + (tls ? 8 : 7));
    if (!endpoint_parse(address, &endpoint)) {
        strcat(address, ":443");
        if (strchr(address, '/') || !endpoint_parse(address, &endpoint))
            return false;
    }
    return snprintf(field, key->size, "%s", text) > 0;
}

static void describe_frame(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size,
             "https://HOST or http://HOST, with :PORT unless it is the usual one, self or none");
}

static const struct config_type type_frame = {.parse = parse_frame, .describe = describe_frame};

/* It is copied into messages; homeassistant:// is a page of Home Assistant's own. */
static bool parse_link(const struct config_key *key, const char *text, void *field)
{
    const char *host = strstr(text, "://");
    if (strcmp(text, "none") == 0) {
        *(char *) field = '\0';
        return true;
    }
    if (!host || !host[3] || strlen(text) >= key->size || strpbrk(text, " \t\"#<>\\"))
        return false;
    const int size = (int) (host - text);
    return ((size == 4 && memcmp(text, "http", 4) == 0) ||
            (size == 5 && memcmp(text, "https", 5) == 0) ||
            (size == 13 && memcmp(text, "homeassistant", 13) == 0)) &&
           snprintf(field, key->size, "%s", text) > 0;
}

static void describe_link(const struct config_key *key, char *out, size_t size)
{
    snprintf(
        out, size,
        "an address such as https://battery.example.net/, homeassistant://hassio/ingress/SLUG, "
        "or none");
}

static const struct config_type type_link = {.parse = parse_link, .describe = describe_link};

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

static bool same_hosts(const void *a, const void *b)
{
    const struct web_config *x = a, *y = b;
    return memcmp(&x->hosts, &y->hosts, sizeof x->hosts) == 0 && strcmp(x->link, y->link) == 0;
}

static void describe_hosts(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size,
             "names such as battery.example.net, without a port, at most %d of them with commas "
             "between, or any; one of them as an address, such as https://battery.example.net/ or "
             "homeassistant://hassio/ingress/SLUG",
             WEB_HOSTS_MAX);
}

static const struct config_type type_hosts = {
    .parse = parse_hosts, .describe = describe_hosts, .same = same_hosts, .list = true};

/* "http://host:8086/write?db=x": a password in it would be logged. */
static bool parse_url(const struct config_key *key, const char *text, void *field)
{
    const char *host = strncmp(text, "http://", 7) == 0    ? text + 7
                       : strncmp(text, "https://", 8) == 0 ? text + 8
                                                           : "";
    const size_t size = strcspn(host, "/?");
    if (size == 0 || memchr(host, '@', size) || strlen(text) >= key->size)
        return false;
    for (const char *c = text; *c; c++)
        if ((unsigned char) *c <= 0x20 || (unsigned char) *c >= 0x7F)
            return false;
    return snprintf(field, key->size, "%s", text) > 0;
}

static void describe_url(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size,
             "an address such as https://HOST:8086/write?db=packgate, without user and password");
}

static const struct config_type type_url = {.parse = parse_url, .describe = describe_url};

/* ---- checks ---- */

static const struct mqtt_config *mqtt_of(const struct config_draft *draft)
{
    return draft->settings;
}

static bool is_source(const struct config_draft *draft)
{
    return draft->section == &pack_section || draft->section == &bank_section;
}

static bool wants(const struct outlet_config *outlet, const char *name)
{
    for (unsigned i = 0; i < outlet->pack_count; i++)
        if (strcmp(outlet->packs[i], name) == 0)
            return true;
    return outlet->pack_count == 0;
}

static void report_missing(const struct config_drafts *drafts, const struct config_draft *draft,
                           const char *name, struct mistakes *mistakes)
{
    const char *key = draft->section == &present_section ? "of" : "packs";
    char hint[SUGGEST_HINT_SIZE];
    struct suggest suggest;
    suggest_init(&suggest, name);
    for (unsigned i = 0; i < drafts->count; i++)
        if (is_source(&drafts->list[i]))
            suggest_offer(&suggest, drafts->list[i].name);
    mistakes_add(mistakes, config_draft_line(draft, key), "there is no pack or bank %s%s", name,
                 suggest_hint(&suggest, hint));
}

static bool mqtt_may_order(const void *settings)
{
    return ((const struct mqtt_config *) settings)->switching;
}

static bool web_may_order(const void *settings)
{
    return ((const struct web_config *) settings)->password_file[0] != '\0';
}

/* `make WITHOUT=mqtt,web` has left these programs out. */
#ifndef WITHOUT
#define WITHOUT ""
#endif

static void check_built(const struct config_draft *draft, struct mistakes *mistakes)
{
    const char *word = draft->section->word;
    for (const char *left = WITHOUT; *left; left += strspn(left, ",")) {
        const size_t size = strcspn(left, ",");
        if (strlen(word) == size && strncmp(left, word, size) == 0)
            mistakes_add(mistakes, draft->heading,
                         "this packgate was built without [%s]; expected one that was made without "
                         "WITHOUT=%s",
                         word, word);
        left += size;
    }
}

/* Checks that all outlets share. */
void outlet_check_packs(const struct config_drafts *drafts, struct config_draft *draft,
                        struct mistakes *mistakes)
{
    const struct outlet_config *outlet = draft->settings;
    check_built(draft, mistakes);
    for (unsigned i = 0; i < outlet->pack_count; i++) {
        const char *name = outlet->packs[i];
        unsigned before = 0;
        while (before < i && strcmp(outlet->packs[before], name) != 0)
            before++;
        if (before < i)
            mistakes_add(mistakes, config_draft_line(draft, "packs"), "%s is in [%s %s] twice",
                         name, draft->section->word, draft->name);
        else if (!config_drafts_find(drafts, &pack_section, name) &&
                 !config_drafts_find(drafts, &bank_section, name))
            report_missing(drafts, draft, name, mistakes);
    }
}

static void check_password(const struct config_draft *draft, const char *password_file,
                           const char *user, struct mistakes *mistakes)
{
    if (password_file[0] && !user[0])
        mistakes_add(mistakes, config_draft_line(draft, "password_file"),
                     "'password_file' without 'user'; expected both or none");
}

static void check_certificate(const struct config_draft *draft, const char *name, const char *cert,
                              const char *key, struct mistakes *mistakes)
{
    if (!cert[0] != !key[0])
        mistakes_add(mistakes, config_draft_line(draft, name),
                     "a certificate and its key belong together; expected '%s = CERTIFICATE, KEY', "
                     "or none",
                     name);
}

static void check_keys(const struct config_draft *draft, struct mistakes *mistakes)
{
    static const char *const tls_only[] = {"ca_file", "client_cert", "client_key", "verify"};
    const struct mqtt_config *mqtt = mqtt_of(draft);
    bool tls = strncmp(mqtt->broker, "mqtts:", 6) == 0;
    check_password(draft, mqtt->password_file, mqtt->user, mistakes);
    check_certificate(draft, "client_cert", mqtt->client_cert, mqtt->client_key, mistakes);
    for (size_t i = 0; i < sizeof tls_only / sizeof *tls_only; i++)
        if (!tls && mqtt->broker[0] && config_draft_given(draft, tls_only[i]))
            mistakes_warn(mistakes, config_draft_line(draft, tls_only[i]),
                          "'%s' has no effect here: the broker is not mqtts://", tls_only[i]);
}

/* The layouts of other devices have no room for the name of a pack. */
static void check_layout(const struct config_drafts *drafts, const struct config_draft *draft,
                         struct mistakes *mistakes)
{
    static const char *const without_effect[] = {"discovery", "discovery_prefix", "entities",
                                                 "retain"};
    const struct mqtt_config *mqtt = mqtt_of(draft);
    unsigned count = 0;
    if (mqtt->layout == LAYOUT_PACKGATE)
        return;
    for (unsigned i = 0; i < drafts->count; i++)
        count += is_source(&drafts->list[i]) && wants(&mqtt->outlet, drafts->list[i].name);
    if (count > 1)
        mistakes_add(mistakes, config_draft_line(draft, "packs"),
                     "'layout' is that of a device with one pack, and these are %u; expected one "
                     "name in 'packs', and a section with a topic of its own for each further pack",
                     count);
    for (size_t i = 0; i < sizeof without_effect / sizeof *without_effect; i++)
        if (config_draft_given(draft, without_effect[i]))
            mistakes_warn(mistakes, config_draft_line(draft, without_effect[i]),
                          "'%s' has no effect with this layout", without_effect[i]);
}

/* Whether two names become the same id of Home Assistant. */
static bool same_id(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b &&
            (isalnum((unsigned char) *a) || *a == '-' || isalnum((unsigned char) *b) || *b == '-'))
            return false;
    return *a == *b;
}

static bool announces(const struct mqtt_config *mqtt)
{
    return mqtt->layout == LAYOUT_PACKGATE && mqtt->discovery != DISCOVERY_OFF;
}

static void check_ids(const struct config_drafts *drafts, const struct config_draft *draft,
                      struct mistakes *mistakes)
{
    const struct mqtt_config *mqtt = mqtt_of(draft);
    for (unsigned i = 0; i < drafts->count && announces(mqtt); i++) {
        const struct config_draft *one = &drafts->list[i];
        if (!is_source(one) || !wants(&mqtt->outlet, one->name))
            continue;
        if (mqtt->discovery == DISCOVERY_SINGLE &&
            (strstr(one->name, "_alarm") || strstr(one->name, "_address") ||
             strstr(one->name, "_calibration")))
            mistakes_warn(mistakes, one->heading,
                          "Domoticz skips sensors whose id has '_alarm', '_address' or "
                          "'_calibration' in it, as those of %s will",
                          one->name);
        for (unsigned k = 0; k < i; k++)
            if (is_source(&drafts->list[k]) && wants(&mqtt->outlet, drafts->list[k].name) &&
                strcmp(drafts->list[k].name, one->name) != 0 &&
                same_id(drafts->list[k].name, one->name))
                mistakes_add(mistakes, one->heading,
                             "%s and %s in line %u are the same to Home Assistant, where a '.' is "
                             "a '_'; expected another name",
                             one->name, drafts->list[k].name, drafts->list[k].heading);
    }
}

/* Whether two sections publish to the same topics, and overwrite each other. */
static void check_company(const struct config_drafts *drafts, const struct config_draft *draft,
                          struct mistakes *mistakes)
{
    const struct mqtt_config *mqtt = mqtt_of(draft);
    for (const struct config_draft *other = drafts->list; other < draft; other++) {
        if (other->section != &mqtt_section || !mqtt_same_broker(mqtt_of(other), mqtt))
            continue;
        if (strcmp(mqtt_of(other)->topic, mqtt->topic) == 0)
            mistakes_add(mistakes, config_draft_line(draft, "topic"),
                         "'%s' is already the topic of [mqtt %s] at this broker", mqtt->topic,
                         other->name);
        if (!announces(mqtt) || !announces(mqtt_of(other)) ||
            strcmp(mqtt->discovery_prefix, mqtt_of(other)->discovery_prefix) != 0)
            continue;
        for (unsigned i = 0; i < drafts->count; i++) {
            const char *name = drafts->list[i].name;
            if (!is_source(&drafts->list[i]) || !wants(&mqtt->outlet, name) ||
                !wants(&mqtt_of(other)->outlet, name))
                continue;
            mistakes_add(mistakes, config_draft_line(draft, "packs"),
                         "%s is already announced to Home Assistant by [mqtt %s]; expected "
                         "'discovery = off' in one of them",
                         name, other->name);
            break;
        }
    }
}

static void check_switching(const struct config_drafts *drafts, const struct config_draft *draft,
                            struct mistakes *mistakes)
{
    const struct mqtt_config *mqtt = mqtt_of(draft);
    if (!mqtt->switching)
        return;
    for (unsigned i = 0; i < drafts->count; i++) {
        const struct config_draft *pack = &drafts->list[i];
        if (pack->section == &pack_section && wants(&mqtt->outlet, pack->name) &&
            pack_is_writable(pack->settings))
            return;
    }
    mistakes_warn(mistakes, config_draft_line(draft, "switching"),
                  "'switching' has no effect: none of these packs is 'writable = yes' or 'all'");
}

/* The state file keeps the id by which Home Assistant knows the packs, and what was announced. */
static void check_state_file(const struct config_drafts *drafts, const struct config_draft *draft,
                             struct mistakes *mistakes)
{
    const struct config_draft *gateway = config_drafts_find(drafts, &gateway_section, NULL);
    if (gateway && announces(mqtt_of(draft)) &&
        !((const struct gateway_config *) gateway->settings)->state_file[0])
        mistakes_warn(mistakes, draft->heading,
                      "with 'state_file = none' nothing that Home Assistant was told can be "
                      "withdrawn later");
}

static void check_mqtt(const struct config_drafts *drafts, struct config_draft *draft,
                       struct mistakes *mistakes)
{
    outlet_check_packs(drafts, draft, mistakes);
    check_keys(draft, mistakes);
    check_layout(drafts, draft, mistakes);
    check_ids(drafts, draft, mistakes);
    check_company(drafts, draft, mistakes);
    check_switching(drafts, draft, mistakes);
    check_state_file(drafts, draft, mistakes);
}

static void check_web(const struct config_drafts *drafts, struct config_draft *draft,
                      struct mistakes *mistakes)
{
    const struct web_config *web = draft->settings;
    outlet_check_packs(drafts, draft, mistakes);
    check_certificate(draft, "tls_cert", web->tls_cert, web->tls_key, mistakes);
    /* Any name could be that of a stranger's page (DNS rebinding). */
    if (web->hosts.any && !allow_is_single(&web->allow))
        mistakes_add(
            mistakes, config_draft_line(draft, "hosts"),
            "'hosts = any' is for a page that only a reverse proxy may ask; expected single "
            "addresses in 'allow', not networks");
    if (web->setup == WEB_SETUP_YES && !web->password_file[0])
        mistakes_add(mistakes, config_draft_line(draft, "setup"),
                     "'setup = yes' is for those who are logged in; expected a 'password_file'");
    if (web->setup == WEB_SETUP_INGRESS && !allow_is_single(&web->allow))
        mistakes_add(mistakes, config_draft_line(draft, "setup"),
                     "'setup = ingress' is for a page that only a proxy may ask which logs people "
                     "in; expected single "
                     "addresses in 'allow', not networks");
    if (web->max_clients < 4 || web->max_per_address < 2 || web->max_streams > web->max_clients)
        mistakes_add(mistakes, config_draft_line(draft, "max_clients"),
                     "'max_clients' has %u connections, %u of one address and %u open pages; "
                     "expected at least 4, at least 2, and no more pages than connections",
                     web->max_clients, web->max_per_address, web->max_streams);
}

static bool has_history(const struct config_drafts *drafts)
{
    const struct config_draft *history = config_drafts_find(drafts, &history_section, NULL);
    return history && ((const struct history_config *) history->settings)->file[0];
}

/* Whether all levels of the history have these times. */
static bool is_interval_good(double interval_s)
{
    const double unit = interval_s > 60 ? 60 : 10;
    return fabs(remainder(interval_s, unit)) < 1e-6;
}

static void check_influx(const struct config_drafts *drafts, struct config_draft *draft,
                         struct mistakes *mistakes)
{
    const struct influx_config *influx = draft->settings;
    outlet_check_packs(drafts, draft, mistakes);
    if (influx->token_file[0] && influx->user[0])
        mistakes_add(mistakes, config_draft_line(draft, "token_file"),
                     "'token_file' and 'user' are two ways to log in; expected one of them");
    check_certificate(draft, "client_cert", influx->client_cert, influx->client_key, mistakes);
    if (!is_interval_good(influx->interval_s))
        mistakes_add(mistakes, config_draft_line(draft, "interval"),
                     "'interval' is not one that the history knows; expected a multiple of 10s, "
                     "above a minute whole minutes");
    if (influx->backfill != BACKFILL_NO && !has_history(drafts))
        mistakes_warn(mistakes, draft->heading,
                      "without [history] only the last hour is kept for a database that is away, "
                      "and nothing over a restart");
    if (strncmp(influx->url, "http://", 7) == 0 && !is_own_url(influx->url) &&
        (influx->token_file[0] || influx->password_file[0]))
        mistakes_warn(mistakes, config_draft_line(draft, "url"),
                      "the token or password goes over the network in the clear; https:// keeps it "
                      "secret");
}

/* Home Assistant sees the gateway as one device, however many sections are at its broker: the
 * first of them announces it, and the packs of all refer to it. */
static void link_mqtt(const struct config *config, void *settings, const struct config_draft *draft)
{
    struct mqtt_config *mqtt = settings;
    mqtt->verify &= strcmp(mqtt->ca_file, "any") != 0;
    for (const struct mqtt_config *other = config->mqtts; announces(mqtt) && other < mqtt; other++)
        mqtt->second |= announces(other) && mqtt_same_broker(other, mqtt) &&
                        strcmp(other->discovery_prefix, mqtt->discovery_prefix) == 0;
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

/* The history has what could not be sent. */
static void link_influx(const struct config *config, void *settings,
                        const struct config_draft *draft)
{
    struct influx_config *influx = settings;
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
    memcpy(influx->history, config->history->file, sizeof influx->history);
    influx->commit_s = config->history->commit_s;
    influx->recent_s = config->history->recent_s;
    influx->minutes_s = config->history->minutes_s;
}

static void init_mqtt(void *settings)
{
    struct mqtt_config *mqtt = settings;
    mqtt->verify = true;
    mqtt->entities = ENTITIES_NORMAL;
    strcpy(mqtt->discovery_prefix, "homeassistant");
}

static void init_influx(void *settings)
{
    struct influx_config *influx = settings;
    influx->verify = true;
    influx->catch_up = 6000;
}

static void init_web(void *settings)
{
    struct web_config *web = settings;
    web->max_clients = 64;
    web->max_per_address = 16;
    web->max_streams = 32;
}

#define DAYS 86400.0

static void init_history(void *settings)
{
    struct history_config *history = settings;
    history->recent_s = 2 * DAYS;
    history->minutes_s = 186 * DAYS;
    history->hours_s = 3650 * DAYS;
}

static void check_history(const struct config_drafts *drafts, struct config_draft *draft,
                          struct mistakes *mistakes)
{
    const struct history_config *history = draft->settings;
    outlet_check_packs(drafts, draft, mistakes);
    if (history->recent_s > 31 * DAYS || history->minutes_s < DAYS || history->hours_s < DAYS)
        mistakes_add(mistakes, config_draft_line(draft, "keep"),
                     "'keep' has rows of 10 seconds for more than 31d, or others for less than 1d");
}

/* ---- rows ---- */

// clang-format off
#define MQTT(member) CONFIG_FIELD(mqtt_config, member), .on_change = CHANGE_SECTION

static const struct config_key mqtt_keys[] = {
    {.name = "broker", MQTT(broker), .type = &type_broker, .web = true, .sends = true,
     .help = "The MQTT broker to which values are sent; with mqtts the connection is encrypted."},
    USER_ROW(MQTT, ""),
    {.name = "password_file", MQTT(password_file), .type = &type_path, .secret = true,
     .preset = "none",
     .help = "A file whose first line is the password. Only packgate should be able to read it. There is no key for "
             "the password itself, because everybody may read this file."},
    CA_FILE_ROW(MQTT, "broker"),
    CLIENT_CERT_ROW(mqtt_config),
    {.name = "topic", MQTT(topic), .type = &type_topic, .web = true,
     .preset = "packgate",
     .help = "The beginning of all topics; %h is the name of this host. Each gateway at the same broker needs a "
             "different one."},
    PACKS_ROW("to publish"),
    {.name = "interval", CONFIG_INTERVAL(mqtt_config, 1, 3600), .web = true, .on_change = CHANGE_SECTION,
     .preset = "10s",
     .help = "How often the values of a pack are published. on_change: changed values are also published at once, "
             "about once a second at most."},
    {.name = "layout", MQTT(layout), .type = &type_choice, .web = true,
     CONFIG_WORDS("packgate", "smartbms-bat", "smartbms-b", "smartbms-flat", "venus"),
     .preset = "packgate",
     .help = "Which messages: those of packgate, or, for one pack or bank, those of the SmartBMS data extractor in "
             "one of its forms, so that dashboards made for it work unchanged, or those that make it the battery of "
             "a Victron GX device."},
    {.name = "discovery", .web = true,
     CONFIG_PARTS(mqtt_config, {CONFIG_FIELD(mqtt_config, discovery), .type = &type_choice, CONFIG_WORDS("device", "single", "off")},
                  {CONFIG_FIELD(mqtt_config, entities), .type = &type_choice, CONFIG_WORDS("few", "normal", "all")}),
     .otherwise = "device normal", .on_change = CHANGE_SECTION,
     .help = "How Home Assistant (2024.12 or later) finds the packs by itself: one message per device; single: one "
             "per value, for Domoticz, openHAB and older releases. How much it shows of a pack: few leaves out the "
             "cells, all adds every alarm, sensor and counter."},
    {.name = "switching", MQTT(switching), .type = &type_flag, CONFIG_WORDS("no", "yes"),
     .preset = "no",
     .help = "Whether the charge and discharge MOS can be switched by MQTT, of packs that are writable."},
    {.name = "entities", MQTT(entities), .type = &type_choice, CONFIG_WORDS("few", "normal", "all"),
     CONFIG_FOLDED("write it in 'discovery', as in 'discovery = device all'")},
    {.name = "on_change", MQTT(on_change), .type = &type_flag, CONFIG_WORDS("no", "yes"),
     CONFIG_FOLDED("write it behind the interval, as in 'interval = 10s on_change'")},
    CLIENT_KEY_ROW(MQTT),
    OLD_VERIFY_ROW(MQTT),
    {.name = "discovery_prefix", MQTT(discovery_prefix), .type = &type_topic,
     CONFIG_FOLDED("leave it out, and let Home Assistant look below homeassistant")},
    {.name = "retain", MQTT(retain), .type = &type_flag, CONFIG_WORDS("no", "yes"),
     CONFIG_FOLDED("leave it out, values that a broker keeps look fresh however old they are")},
};

static const struct config_alias mqtt_aliases[] = {
    {"host",     "broker"},
    {"server",   "broker"},
    {"url",      "broker"},
    {"username", "user"},
    {"password", "password_file"},
    {"prefix",   "topic"},
    {"pack",     "packs"},
    {"cafile",   "ca_file"},
    {"certfile", "client_cert"},
    {"keyfile",  "client_cert"},
    {0}
};

const struct config_section mqtt_section = {
    .word = "mqtt", .heading = "[mqtt NAME]", .times = SECTION_NAMED,
    .help = "Publishes values, alarms and states to an MQTT broker, and accepts orders from it. Home Assistant "
            "creates devices for the packs by itself.",
    .size = sizeof(struct mqtt_config), .at = offsetof(struct config, mqtts), .count = offsetof(struct config, mqtt_count),
    .outlet = true, .mentions_page = true, .may_order = mqtt_may_order, CONFIG_KEYS(mqtt_keys), .aliases = mqtt_aliases, .init = init_mqtt, .check = check_mqtt, .link = link_mqtt,
};

#define HISTORY(member) CONFIG_FIELD(history_config, member), .on_change = CHANGE_SECTION

static const struct config_key history_keys[] = {
    {.name = "file", HISTORY(file), .type = &type_path,
     .preset = "/var/lib/packgate/history.db",
     .help = "The database, an SQLite file, which sqlite3, Grafana and others can read at any time. none: no history."},
    {.name = "commit", HISTORY(commit_s), .type = &type_seconds, .web = true, .min = 10, .max = 3600,
     .preset = "10m",
     .help = "How often the database is written. Values that are not written yet are lost in a power cut; each write "
             "wears a memory card."},
    {.name = "keep", .offset = offsetof(struct history_config, recent_s), .size = 3 * sizeof(double), .type = &type_several_seconds, .web = true,
     .min = 3600, .max = 36500 * DAYS, .otherwise = "48h, 186d, 3650d", .on_change = CHANGE_SECTION,
     .help = "How long rows of 10 seconds (at most 31d), of a minute and of an hour are kept. Days are kept for ever."},
    OLD_PACKS_ROW,
    {.name = "recent", HISTORY(recent_s), .type = &type_seconds, .min = 3600, .max = 31 * DAYS,
     CONFIG_FOLDED("write 'keep = 48h, 186d, 3650d', where it is the first")},
    {.name = "minutes", HISTORY(minutes_s), .type = &type_seconds, .min = 1 * DAYS, .max = 3650 * DAYS,
     CONFIG_FOLDED("write 'keep = 48h, 186d, 3650d', where it is the second")},
    {.name = "hours", HISTORY(hours_s), .type = &type_seconds, .min = 1 * DAYS, .max = 36500 * DAYS,
     CONFIG_FOLDED("write 'keep = 48h, 186d, 3650d', where it is the third")},
};

static const struct config_alias history_aliases[] = {
    {"path",     "file"},
    {"database", "file"},
    {"db",       "file"},
    {"interval", "commit"},
    {0}
};

static bool history_runs(const void *settings)
{
    return ((const struct history_config *) settings)->file[0] != '\0';
}

const struct config_section history_section = {
    .word = "history", .heading = "[history]", .times = SECTION_ONCE,
    .help = "Stores the values of all packs, for the charts of the page and for files to download: rows of 10 "
            "seconds, minutes, hours and days, and events.",
    .size = sizeof(struct history_config), .at = offsetof(struct config, history),
    .outlet = true, .stores = true, .runs = history_runs, CONFIG_KEYS(history_keys), .aliases = history_aliases, .init = init_history, .check = check_history,
};

#define WEB(member) CONFIG_FIELD(web_config, member), .on_change = CHANGE_SECTION

static const struct config_key web_keys[] = {
    {.name = "listen", WEB(listen), .type = &type_listen,
     .preset = "0.0.0.0:8080",
     .help = "The addresses for browsers. Port 0 is any free port."},
    {.name = "allow", WEB(allow), .type = &type_allow,
     .preset = "127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, ::1/128, fc00::/7, fe80::/10",
     .help = "The networks from which browsers are accepted; all others are rejected. The default is this host and "
             "all private networks."},
    {.name = "password_file", WEB(password_file), .type = &type_path,
     .preset = "none",
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
    {.name = "hosts", .offset = 0, .size = sizeof(struct web_config), .on_change = CHANGE_SECTION, .type = &type_hosts,
     .preset = "none",
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
     .preset = "none",
     .help = "The addresses of reverse proxies, whose X-Forwarded-For, -Proto and -Prefix are trusted. Requests with "
             "these headers from other addresses cannot switch anything."},
    {.name = "tls_cert", .offset = offsetof(struct web_config, tls_cert), .size = 2 * OUTLET_PATH_SIZE, .type = &type_several_paths,
     .otherwise = "none", .on_change = CHANGE_SECTION,
     .help = "The files of a certificate with its chain, and of its key, in PEM form, separated by a comma: the page "
             "is then served as https. A reverse proxy does the same "
             "and renews its certificate by itself."},
    {.name = "max_clients", .offset = offsetof(struct web_config, max_clients), .size = 3 * sizeof(unsigned),
     .type = &type_several_unsigned, .min = 1, .max = 4000, .otherwise = "64, 16, 32", .on_change = CHANGE_SECTION,
     .help = "Simultaneous connections, at least 4; of these from one address, at least 2; open pages that receive "
             "updates. A further connection closes the longest idle one."},
    OLD_PACKS_ROW,
    {.name = "link", WEB(link), .type = &type_link, CONFIG_FOLDED("write it in 'hosts'")},
    {.name = "tls_key", WEB(tls_key), .type = &type_path, CONFIG_FOLDED("write 'tls_cert = CERTIFICATE, KEY'")},
    {.name = "max_per_address", WEB(max_per_address), .type = &type_unsigned, .min = 2, .max = 4000,
     CONFIG_FOLDED("write 'max_clients = 64, 16, 32', where it is the second")},
    {.name = "max_streams", WEB(max_streams), .type = &type_unsigned, .min = 1, .max = 4000,
     CONFIG_FOLDED("write 'max_clients = 64, 16, 32', where it is the third")},
};

static const struct config_alias web_aliases[] = {
    {"bind",     "listen"},
    {"port",     "listen"},
    {"address",  "listen"},
    {"password", "password_file"},
    {"host",     "hosts"},
    {"hostname", "hosts"},
    {"certfile", "tls_cert"},
    {"cert",     "tls_cert"},
    {"keyfile",  "tls_cert"},
    {"key",      "tls_cert"},
    {"trusted_proxies", "proxy"},
    {0}
};

const struct config_section web_section = {
    .word = "web", .heading = "[web]", .times = SECTION_ONCE,
    .help = "A page for browsers with values, charts and set-up, the same as JSON, and metrics for Prometheus.",
    .size = sizeof(struct web_config), .at = offsetof(struct config, web),
    .outlet = true, .may_order = web_may_order, CONFIG_KEYS(web_keys), .aliases = web_aliases, .init = init_web, .check = check_web, .link = link_web,
};

#define INFLUX(member) CONFIG_FIELD(influx_config, member), .on_change = CHANGE_SECTION

static const struct config_key influx_keys[] = {
    {.name = "url", INFLUX(url), .type = &type_url, .web = true, .sends = true,
     .help = "The complete address at which the database accepts line protocol: http://HOST:8086/write?db=NAME for "
             "InfluxDB 1, https://HOST:8086/api/v2/write?org=ORG&bucket=BUCKET for InfluxDB 2, "
             "http://HOST:8428/write for VictoriaMetrics."},
    USER_ROW(INFLUX, ""),
    {.name = "password_file", INFLUX(password_file), .type = &type_path, .secret = true,
     .preset = "none",
     .help = "A file whose first line is the password of that user or, without a user, the token. A token is sent as "
             "\"Token …\", "
             "unless the line names another scheme, as \"Bearer …\" does. Only packgate should be able to read the file."},
    CA_FILE_ROW(INFLUX, "database"),
    CLIENT_CERT_ROW(influx_config),
    PACKS_ROW("to send"),
    {.name = "interval", INFLUX(interval_s), .type = &type_seconds, .web = true, .min = 10, .max = 3600,
     .preset = "10s",
     .help = "How often values are sent, all packs in one request. Each is the mean of the interval."},
    {.name = "layout", INFLUX(layout), .type = &type_choice, .web = true, CONFIG_WORDS("series", "fields"),
     .preset = "series",
     .help = "How cells, sensors and alarms are distinguished: by a tag, as in the metrics of the page, or all as "
             "fields of one line, with names such as cell_mv_01."},
    {.name = "backfill", INFLUX(backfill), .type = &type_choice, .web = true, CONFIG_WORDS("gaps", "all", "no"),
     .preset = "gaps",
     .help = "What is sent later from the history: data that could not be delivered in time; the whole history, "
             "beginning with the oldest data; or nothing."},
    CLIENT_KEY_ROW(INFLUX),
    OLD_VERIFY_ROW(INFLUX),
    CONFIG_WITHOUT_EFFECT("gzip", "as requests are always compressed"),
    {.name = "catch_up", INFLUX(catch_up), .type = &type_unsigned, .min = 1, .max = 100000,
     CONFIG_FOLDED("leave it out, 6000 rows a second are sent later at most")},
    {.name = "gateway", INFLUX(gateway), .type = &type_text,
     CONFIG_FOLDED("write it as 'name' of [gateway], which is the tag `gateway` of all values")},
    {.name = "token_file", INFLUX(token_file), .type = &type_path,
     CONFIG_FOLDED("write it as 'password_file' without 'user'")},
};

static const struct config_alias influx_aliases[] = {
    {"urls",     "url"},
    {"server",   "url"},
    {"host",     "url"},
    {"address",  "url"},
    {"token",    "password_file"},
    {"username", "user"},
    {"password", "password_file"},
    {"cafile",   "ca_file"},
    {"certfile", "client_cert"},
    {"keyfile",  "client_cert"},
    {"pack",     "packs"},
    {0}
};

const struct config_section influx_section = {
    .word = "influx", .heading = "[influx NAME]", .times = SECTION_NAMED,
    .help = "Sends all values to a database in line protocol: InfluxDB 1 and 2, VictoriaMetrics, Telegraf. Data that "
            "could not be delivered is sent later from the history. The tag `gateway` of all values is the `name` in "
            "[gateway], or the name of the host.",
    .size = sizeof(struct influx_config), .at = offsetof(struct config, influxes), .count = offsetof(struct config, influx_count),
    .outlet = true, CONFIG_KEYS(influx_keys), .aliases = influx_aliases, .init = init_influx, .check = check_influx, .link = link_influx,
};

static const struct config_key print_keys[] = {
    OLD_PACKS_ROW,
};

const struct config_section print_section = {
    .word = "print", .heading = "[print NAME]", .times = SECTION_NAMED,
    .help = "Prints values and changes on standard output as they come, one JSON object per line: for tests, and as "
            "an example for your own programs.",
    .size = sizeof(struct print_config), .at = offsetof(struct config, prints), .count = offsetof(struct config, print_count),
    .outlet = true, CONFIG_KEYS(print_keys), .check = outlet_check_packs,
};
// clang-format on
