// SPDX-License-Identifier: MIT
/* The section [notify NAME]: its keys, and which of them belong to which service. */
#include "config/outlets.h"

#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In `events` of the file: alarms at that level only. */
#define PROTECTION_ONLY (1u << NOTIFY_EVENTS)

static bool parse_minute(const char *text, int *minute)
{
    static const char digits[] = "0123456789";
    if (strspn(text, digits) != 2 || text[2] != ':' || strspn(text + 3, digits) != 2 || text[5])
        return false;
    const int hours = atoi(text), minutes = atoi(text + 3);
    *minute = hours * 60 + minutes;
    return hours <= 23 && minutes <= 59;
}

static bool parse_report(const struct config_key *key, const char *text, void *field)
{
    static const char *const words[] = {
        [NOTIFY_AT_SUNRISE] = "sunrise", [NOTIFY_AT_SUNSET] = "sunset", [NOTIFY_AT_FULL] = "full"};
    struct notify_reports *reports = field;
    int minute = 0;
    enum notify_when when = NOTIFY_AT_FULL;
    while (when > NOTIFY_AT_TIME && strcmp(text, words[when]) != 0)
        when--;
    if (when == NOTIFY_AT_TIME && !parse_minute(text, &minute))
        return false;
    for (unsigned i = 0; i < reports->count; i++)
        if (reports->at[i].when == when && reports->at[i].minute == minute)
            return true;
    if (reports->count == NOTIFY_REPORTS_MAX)
        return false;
    reports->at[reports->count].when = when;
    reports->at[reports->count++].minute = minute;
    return true;
}

static const struct config_type type_reports = {
    .parse = parse_report,
    .expects = "sunrise, sunset, full or a time such as 07:30, at most " CONFIG_SHOW(
        NOTIFY_REPORTS_MAX) " of them with commas between",
    .list = true};

static bool parse_events(const struct config_key *key, const char *text, void *field)
{
    static const struct config_key soc_below = {.min = 1, .max = 99},
                                   cell_delta = {.min = 5, .max = 2000};
    struct notify_config *notify = field;
    const size_t size = strcspn(text, " \t");
    const char *detail = text + size + strspn(text + size, " \t");
    if (strcmp(text, "protection") == 0) {
        notify->events |= 1u << NOTIFY_ALARM | PROTECTION_ONLY;
        return true;
    }
    for (unsigned i = 0; i < NOTIFY_EVENTS; i++) {
        if (strlen(notify_event_name(i)) != size || strncmp(text, notify_event_name(i), size) != 0)
            continue;
        /* "20" of "soc_below 20" */
        const bool good = !*detail ? true
                          : i == NOTIFY_SOC_BELOW
                              ? type_number.parse(&soc_below, detail, &notify->soc_below)
                          : i == NOTIFY_CELL_DELTA
                              ? type_number.parse(&cell_delta, detail, &notify->cell_delta_mv)
                              : i == NOTIFY_REPORT && parse_report(NULL, detail, &notify->reports);
        notify->events |= good ? 1u << i : 0;
        return good;
    }
    return false;
}

static const char *event_word(const struct config_key *key, unsigned n)
{
    return n < NOTIFY_EVENTS ? notify_event_name(n) : n == NOTIFY_EVENTS ? "protection" : NULL;
}

static const struct config_type type_events = {
    .parse = parse_events,
    .expects = "alarm or protection, stale, back, soc_below 20, full, cell_delta 100, switched, "
               "report sunset (or sunrise, full, or a time such as 07:30, up to " CONFIG_SHOW(
                   NOTIFY_REPORTS_MAX) " of them) and started, with commas between",
    .word = event_word,
    .list = true};

static bool parse_url(const struct config_key *key, const char *text, void *field)
{
    static const char *const schemes[] = {"https://", "http://", "smtps://", "smtp://", NULL};
    if (text[0] == '/')
        return type_path.parse(key, text, field);
    const char *host = config_address_host(text, schemes);
    return host && *host != ':' && !strpbrk(text, "\"\\") && config_copy(text, field, key->size);
}

static const struct config_type type_url = {
    .parse = parse_url,
    .expects = "https://HOST/…, http://HOST/…, smtps://HOST or smtp://HOST, without a password, or "
               "the path of a file"};

/* "shed@example.net", or "root" if the server is this host: an SMTP address, without a display
 * name. */
static bool is_mail_address(const char *text, size_t size)
{
    const char *at = memchr(text, '@', size);
    if (size == 0 || size >= NOTIFY_TEXT_SIZE || at == text || at == text + size - 1)
        return false;
    for (size_t i = 0; i < size; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7F || strchr("<>(),;\"\\", text[i]) ||
            (text[i] == '@' && text + i != at))
            return false;
    return true;
}

static bool parse_mail(const struct config_key *key, const char *text, void *field)
{
    return is_mail_address(text, strlen(text)) && config_copy(text, field, key->size);
}

#define MAIL_EXPECTED "an address such as shed@example.net, without a name beside it"
static const struct config_type type_mail = {.parse = parse_mail, .expects = MAIL_EXPECTED};

/* "me@example.net, you@example.net, from shed@example.net" */
static bool parse_mails(const struct config_key *key, const char *text, void *field)
{
    static const char between[] = ", \t", from[] = "from";
    struct notify_config *notify = field;
    char to[sizeof notify->to] = "", sender[sizeof notify->from] = "";
    for (const char *at = text + strspn(text, between); *at; at += strspn(at, between)) {
        size_t size = strcspn(at, between);
        const bool sends = size == strlen(from) && memcmp(at, from, size) == 0;
        if (sends) {
            at += size + strspn(at + size, " \t");
            size = strcspn(at, between);
        }
        const size_t used = strlen(to);
        if (!is_mail_address(at, size) || (sends && sender[0]) ||
            (!sends && used + size + 2 >= sizeof to))
            return false;
        if (sends)
            snprintf(sender, sizeof sender, "%.*s", (int) size, at);
        else
            snprintf(to + used, sizeof to - used, "%s%.*s", used > 0 ? ", " : "", (int) size, at);
        at += size;
    }
    if (!to[0])
        return false;
    memcpy(notify->to, to, sizeof to);
    if (sender[0])
        memcpy(notify->from, sender, sizeof sender);
    return true;
}

static const struct config_type type_mails = {
    .parse = parse_mails,
    .expects = MAIL_EXPECTED ", or several with commas between, one of them with from before it"};

/* The services that accept a key and those that require it, as bits. */
#define TO(service) (1u << NOTIFY_##service)
static const struct {
    const char *key;
    unsigned takes, needs;
} keys[] = {
    {"url", ~0u, ~(TO(PUSHOVER) | TO(PUSHSAFER))},
    {"url_file", TO(NTFY) | TO(WEBHOOK), 0},
    {"key_file", ~TO(COMMAND), TO(PUSHOVER) | TO(PUSHSAFER)},
    {"user", TO(NTFY) | TO(MAIL) | TO(WEBHOOK), 0},
    {"from", TO(MAIL), 0},
    {"to", TO(MAIL), TO(MAIL)},
    {"command", TO(COMMAND), 0},
    {"device", TO(PUSHOVER) | TO(PUSHSAFER), 0},
    {"sound", TO(PUSHOVER) | TO(PUSHSAFER), 0},
    {"priority", TO(NTFY) | TO(PUSHOVER) | TO(PUSHSAFER), 0},
    {"ca_file", ~TO(COMMAND), 0},
    {"verify", ~TO(COMMAND), 0},
};
static const char *const services[] = {"ntfy",    "pushover", "pushsafer", "mail",
                                       "webhook", "command",  NULL};

static void check_service(const struct config_draft *draft)
{
    const struct notify_config *notify = draft->as.any;
    const char *service = services[notify->type];
    for (size_t i = 0; i < COUNT(keys); i++) {
        const char *key = keys[i].key;
        const bool given = config_draft_given(draft, key) ||
                           (i == 0 && (notify->url_file[0] || notify->command[0]));
        if (config_draft_given(draft, key) && !(keys[i].takes >> notify->type & 1))
            config_mistake(draft, key, "'%s' is not for 'type = %s'; expected a section without it",
                           key, service);
        if (!given && keys[i].needs >> notify->type & 1)
            config_mistake(draft, NULL, "[notify %s] has no '%s', which 'type = %s' needs",
                           draft->name, key, service);
    }
    if (notify->url[0] && notify->url_file[0])
        config_mistake(draft, "url_file",
                       "'url' and 'url_file' say the same; expected one of them");
    const bool fits = notify->type == NOTIFY_COMMAND
                          ? notify->url[0] == '/'
                          : (strncmp(notify->url, "smtp", 4) == 0) == (notify->type == NOTIFY_MAIL);
    if (notify->url[0] && !fits)
        config_mistake(draft, "url", "'url' is not for 'type = %s'; expected %s", service,
                       notify->type == NOTIFY_MAIL      ? "smtps://HOST or smtp://HOST"
                       : notify->type == NOTIFY_COMMAND ? "the path of a program"
                                                        : "https://HOST/… or http://HOST/…");
    if (notify->user[0] && !notify->key_file[0])
        config_mistake(draft, "user",
                       "'user' without 'key_file', which has the password; expected both or none");
}

static void check_notify(struct config_draft *draft)
{
    const struct config *config = draft->drafts->config;
    struct notify_config *notify = draft->as.any;
    bool sun = false;
    const struct config_entry *event;
    /* A key of older versions does not change what 'events' says, wherever it stands. */
    for (unsigned n = 0; (event = config_draft_text(draft, "events", n)); n++)
        parse_events(NULL, event->text, draft->as.any);
    if (config_draft_usable(draft, "type"))
        check_service(draft);
    for (unsigned i = 0; i < notify->reports.count; i++)
        sun |= notify->reports.at[i].when == NOTIFY_AT_SUNRISE ||
               notify->reports.at[i].when == NOTIFY_AT_SUNSET;
    if (sun && isnan(config->gateway.location.longitude))
        config_mistake(draft, config_draft_given(draft, "report") ? "report" : "events",
                       "where the sun rises and sets is not known; expected 'location' in "
                       "[gateway], or a time such as 20:00");
    if (notify->events & 1u << NOTIFY_REPORT && notify->reports.count == 0)
        config_mistake(draft, "events",
                       "when to send the report is not said; expected one such as 'report sunset'");
    notify->protection |= (notify->events & PROTECTION_ONLY) != 0;
    notify->events &= ~PROTECTION_ONLY;
    if (notify->url[0] == '/') {
        memcpy(notify->type == NOTIFY_COMMAND ? notify->command : notify->url_file, notify->url,
               sizeof notify->url);
        memset(notify->url, 0, sizeof notify->url);
    }
    if (notify->type == NOTIFY_MAIL && !notify->from[0]) {
        const bool user =
            strchr(notify->user, '@') && is_mail_address(notify->user, strlen(notify->user));
        snprintf(notify->from, sizeof notify->from, "%.*s",
                 user ? (int) strlen(notify->user) : (int) strcspn(notify->to, ", "),
                 user ? notify->user : notify->to);
    }
    notify->verify &= strcmp(notify->ca_file, "any") != 0;
    notify->latitude = config->gateway.location.latitude;
    notify->longitude = config->gateway.location.longitude;
    if (config->history)
        memcpy(notify->history, config->history->file, sizeof notify->history);
    if (notify->soc_below > 0)
        notify->events |= 1u << NOTIFY_SOC_BELOW;
    else if (notify->events & 1u << NOTIFY_SOC_BELOW)
        notify->soc_below = 20;
    if (notify->cell_delta_mv > 0)
        notify->events |= 1u << NOTIFY_CELL_DELTA;
    else if (notify->events & 1u << NOTIFY_CELL_DELTA)
        notify->cell_delta_mv = 100;
    if (notify->reports.count > 0)
        notify->events |= 1u << NOTIFY_REPORT;
}

// clang-format off
#define NOTIFY(member) CONFIG_FIELD(notify_config, member), .on_change = CHANGE_SECTION

static const struct config_key notify_keys[] = {
    {.name = "type", NOTIFY(type), .type = &type_choice, .web = true, .sends = true,
     .words = services,
     .also = "service",
     .help = "How messages are sent."},
    {.name = "url", NOTIFY(url), .type = &type_url, .web = true, .sends = true,
     .otherwise = "that of the service, where there is only one", .also = "server topic program",
     .help = "The destination: for ntfy with the topic (https://ntfy.sh/my-topic), for a webhook the whole address, "
             "for mail the server (smtps://HOST, or smtp://HOST:587, where encryption is required unless it is this "
             "host). The path of a file: its first line is the address, if that is secret itself. For command, the "
             "program that is started for each message, without a shell, with JSON on its standard input and "
             "PACKGATE_EVENT, PACKGATE_PACK, PACKGATE_LEVEL and PACKGATE_TEXT in its environment. It has 30 seconds."},
    {.name = "key_file", NOTIFY(key_file), .type = &type_path, .secret = true,
     .otherwise = "none", .also = "token key password",
     .help = "A file with the secrets, one per line: for pushover the token and the user key, for pushsafer the key, "
             "for mail the password, for ntfy and a webhook the token, or with user the password. Only packgate "
             "should be able to read it."},
    USER_ROW(NOTIFY, ""),
    {.name = "to", CONFIG_FIELDS(notify_config, {CONFIG_FIELD(notify_config, to)}, {CONFIG_FIELD(notify_config, from)}), .type = &type_mails, .web = true, .on_change = CHANGE_SECTION,
     .otherwise = "none",
     .help = "The recipients' mail addresses, separated by commas. The sender is `user`, if that is an address, or the "
             "first recipient, unless one is given here: me@example.net, from shed@example.net."},
    {.name = "priority", NOTIFY(priority), .type = &type_whole, .web = true, .min = -2, .max = 2,
     .preset = "1",
     .help = "The priority of alarms at protection level; 2 is repeated by the service until somebody confirms it. "
             "Other messages have 0, ends and reports less."},
    CA_FILE_ROW(NOTIFY, "server"),
    PACKS_ROW("to report about"),
    {.name = "events", .type = &type_events, .web = true,
     CONFIG_FIELDS(notify_config, {CONFIG_FIELD(notify_config, events)}, {CONFIG_FIELD(notify_config, protection)}, {CONFIG_FIELD(notify_config, soc_below)},
                   {CONFIG_FIELD(notify_config, cell_delta_mv)}, {CONFIG_FIELD(notify_config, reports)}),
     .on_change = CHANGE_SECTION, .preset = "alarm, stale, back",
     .also = "event",
     .help = "The events to report: an alarm began, rose to protection or ended (protection in place of alarm: at "
             "that level only); values became stale, and fresh again; the state of charge fell below so many percent, and "
             "rose 5 percent above; the pack is full for the first time of the day; its highest and lowest cell "
             "differ by more than so many mV, and by a fifth less; a MOS was switched; the daily report; the gateway "
             "started."},
    OLD_VERIFY_ROW(NOTIFY),
    {.name = "from", NOTIFY(from), .type = &type_mail,
     CONFIG_FOLDED("leave it out if it is 'user', or write it in 'to', as in 'to = me@example.net, from shed@example.net'")},
    {.name = "command", NOTIFY(command), .type = &type_path,
     CONFIG_FOLDED("write it as 'url'")},
    {.name = "soc_below", NOTIFY(soc_below), .type = &type_number, .min = 1, .max = 99,
     CONFIG_FOLDED("write it in 'events', as 'soc_below 20'")},
    {.name = "cell_delta", NOTIFY(cell_delta_mv), .type = &type_number, .min = 5, .max = 2000,
     CONFIG_FOLDED("write it in 'events', as 'cell_delta 100'")},
    {.name = "report", NOTIFY(reports), .type = &type_reports,
     CONFIG_FOLDED("write it in 'events', as 'report sunset'")},
    {.name = "hold", NOTIFY(hold_s), .type = &type_duration, .min = 0, .max = 86400, .start = "30s",
     CONFIG_FOLDED("leave it out, an event is reported after 30 seconds, and its end after the same time")},
    {.name = "device", NOTIFY(device), .type = &type_text,
     CONFIG_FOLDED("leave it out, and choose devices where the service has your account")},
    {.name = "sound", NOTIFY(sound), .type = &type_text,
     CONFIG_FOLDED("leave it out, and choose sounds in the app")},
    {.name = "repeat", NOTIFY(repeat_s), .type = &type_duration, .min = 60, .max = 30 * 86400.0, .start = "6h",
     CONFIG_FOLDED("leave it out, events that last are reported again after 6 hours")},
    {.name = "limit", NOTIFY(limit), .type = &type_whole, .min = 2, .max = 1000, .start = "20",
     CONFIG_FOLDED("leave it out, 20 messages an hour are sent at most")},
    {.name = "url_file", NOTIFY(url_file), .type = &type_path,
     CONFIG_FOLDED("write 'url = /path/of/it'")},
    {.name = "level", NOTIFY(protection), .type = &type_choice, CONFIG_WORDS("warning", "protection"),
     CONFIG_FOLDED("write 'protection' in place of 'alarm' in 'events', and leave warning out")},
};

const struct config_section notify_section = {
    .word = "notify", .heading = "[notify NAME]", CONFIG_NAMED(notify_config, notifies, notify_count),
    .help = "Sends messages about alarms, silence, thresholds and a daily report to a phone, by mail, to a web "
            "address or to your own program.",
    .outlet = true, .mentions_page = true, CONFIG_KEYS(notify_keys), .check = check_notify,
};
// clang-format on
