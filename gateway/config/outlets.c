// SPDX-License-Identifier: MIT
/* What the sections that are outlets share, and those of [history], [influx NAME] and [print NAME]. */
#include "outlets.h"

#include "draft.h"
#include "types.h"

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

/* ---- checks ---- */

/* `make WITHOUT=mqtt,web` has left these programs out. */
#ifndef WITHOUT
#define WITHOUT ""
#endif

static void check_built(const struct config_draft *draft)
{
    const char *word = draft->section->word;
    for (const char *left = WITHOUT; *left; left += strspn(left, ",")) {
        const size_t size = strcspn(left, ",");
        if (strlen(word) == size && strncmp(left, word, size) == 0)
            config_mistake(
                draft, NULL,
                "this packgate was built without [%s]; expected one that was made without "
                "WITHOUT=%s",
                word, word);
        left += size;
    }
}

/* Checks that all outlets share. */
void outlet_check_packs(struct config_draft *draft)
{
    const struct outlet_config *outlet = draft->as.outlet;
    const bool present = draft->section == &present_section;
    check_built(draft);
    for (unsigned i = 0; i < outlet->pack_count; i++) {
        const char *name = outlet->packs[i];
        unsigned before = 0;
        while (before < i && strcmp(outlet->packs[before], name) != 0)
            before++;
        if (before < i)
            config_mistake(draft, "packs", "%s is in [%s %s] twice", name, draft->section->word,
                           draft->name);
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
    const struct influx_config *influx = draft->as.influx;
    outlet_check_packs(draft);
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
    const struct config_draft *history = config_drafts_find(draft->drafts, &history_section, NULL);
    if (influx->backfill != BACKFILL_NO && !(history && history->as.history->file[0]))
        config_warn(draft, NULL,
                    "without [history] only the last hour is kept for a database that is away, "
                    "and nothing over a restart");
    if (strncmp(influx->url, "http://", 7) == 0 && !is_own_url(influx->url) &&
        (influx->token_file[0] || influx->password_file[0]))
        config_warn(draft, "url",
                    "the token or password goes over the network in the clear; https:// keeps it "
                    "secret");
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

#define DAYS 86400.0

static void check_history(struct config_draft *draft)
{
    const struct history_config *history = draft->as.history;
    outlet_check_packs(draft);
    if (history->recent_s > 31 * DAYS || history->minutes_s < DAYS || history->hours_s < DAYS)
        config_mistake(
            draft, "keep",
            "'keep' has rows of 10 seconds for more than 31d, or others for less than 1d");
}

/* ---- rows ---- */

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
    .outlet = true, CONFIG_KEYS(influx_keys), .check = check_influx, .link = link_influx,
};

static const struct config_key print_keys[] = {
    OLD_PACKS_ROW,
};

const struct config_section print_section = {
    .word = "print", .heading = "[print NAME]", CONFIG_NAMED(print_config, prints, print_count),
    .help = "Prints values and changes on standard output as they come, one JSON object per line: for tests, and as "
            "an example for your own programs.",
    .outlet = true, CONFIG_KEYS(print_keys), .check = outlet_check_packs,
};
// clang-format on
