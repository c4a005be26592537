// SPDX-License-Identifier: MIT
#include "request.h"

#include "base/address.h"
#include "base/alloc.h"
#include "base/text.h"
#include "bms/count.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EMERGENCY_REPEAT_S "60" /* of a priority that repeats until somebody confirms */
#define EMERGENCY_END_S "3600"
#define BODY_MOST 16384
#define WORD_BYTES 36 /* 48 as base64: an encoded word has 12 more, after "Subject: " */
#define MAIL_COLUMNS 75

bool secrets_read(struct secrets *secrets, const struct notify_config *config, const char *who,
                  bool *told, char *why, size_t size)
{
    const unsigned need = config->type == NOTIFY_PUSHOVER ? 2 : 1;
    const char *trouble = NULL;
    *secrets = (struct secrets){{0}, {{0}}};
    snprintf(secrets->url, sizeof secrets->url, "%s",
             config->url[0]                     ? config->url
             : config->type == NOTIFY_PUSHOVER  ? "https://api.pushover.net/1/messages.json"
             : config->type == NOTIFY_PUSHSAFER ? "https://www.pushsafer.com/api"
                                                : "");
    if (config->url_file[0]) {
        secret_warn_of_readers(who, config->url_file, told);
        secret_read(config->url_file, 0, secrets->url, SECRET_SIZE, &trouble);
        if (!secrets->url[0]) {
            snprintf(why, size, "%s: %s", config->url_file,
                     trouble ? trouble : "expected an address in it");
            return false;
        }
    }
    if (!config->key_file[0])
        return true;
    secret_warn_of_readers(who, config->key_file, told);
    for (unsigned i = 0; i < 2; i++) {
        secret_read(config->key_file, i, secrets->line[i], SECRET_SIZE, &trouble);
        if (trouble)
            snprintf(why, size, "%s: %s", config->key_file, trouble);
        else if (i < need && !secrets->line[i][0])
            snprintf(why, size, "%s: line %u is empty or missing", config->key_file, i + 1);
        else
            continue;
        return false;
    }
    return true;
}

size_t request_text_most(enum notify_type type)
{
    return type == NOTIFY_PUSHOVER ? 1024 : type == NOTIFY_PUSHSAFER ? 3000 : MESSAGE_TEXT_SIZE - 1;
}

static void add_base64(struct text *text, const char *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        const unsigned char *at = (const unsigned char *) bytes + i;
        const unsigned bits = (unsigned) at[0] << 16 | (i + 1 < size ? (unsigned) at[1] << 8 : 0) |
                              (i + 2 < size ? at[2] : 0);
        text_format(text, "%c%c%c%c", digits[bits >> 18], digits[bits >> 12 & 63],
                    i + 1 < size ? digits[bits >> 6 & 63] : '=',
                    i + 2 < size ? digits[bits & 63] : '=');
    }
}

/* A header's value: ASCII as it is, else encoded words of whole characters and at most 75 bytes
 * (RFC 2047, section 2). Readers ignore what is `between` them. */
static void add_words(struct text *text, const char *words, const char *between)
{
    bool plain = true;
    for (const char *c = words; *c; c++)
        plain &= (unsigned char) *c >= 0x20 && (unsigned char) *c < 0x7F;
    if (plain) {
        text_add(text, words);
        return;
    }
    for (bool first = true; *words; first = false) {
        const size_t size = text_fitting(words, WORD_BYTES);
        text_add(text, first ? "" : between);
        text_add(text, "=?UTF-8?B?");
        add_base64(text, words, size);
        text_add(text, "?=");
        words += size ? size : strlen(words);
    }
}

static bool add_header(struct transfer *transfer, const char *name, const char *value)
{
    char line[900];
    struct text text = text_in(line, sizeof line);
    text_format(&text, "%s: ", name);
    add_words(&text, value, " ");
    if (!text.cut)
        transfer_add_header(transfer, line);
    return !text.cut;
}

#define LINK_SIZE 300

/* A link to the pack on the web page; empty if no browser can follow it. */
static const char *link_of(const struct message *message, const char *page, char out[LINK_SIZE])
{
    struct text text = text_in(out, LINK_SIZE);
    if (strncmp(page, "http", 4) == 0)
        text_format(&text, "%s%s%s", page, message->pack[0] ? "#" : "", message->pack);
    return out;
}

static void log_in(CURL *easy, const struct notify_config *config, const struct secrets *secrets)
{
    if (config->user[0]) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, config->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, secrets->line[0]);
    } else if (secrets->line[0][0]) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, secrets->line[0]);
    }
}

static bool set_ntfy(struct request *request, struct transfer *transfer,
                     const struct notify_config *config, const struct secrets *secrets,
                     const struct message *message, const char *page)
{
    static const char *const tags[NOTIFY_EVENTS] = {[NOTIFY_REPORT] = "bar_chart",
                                                    [NOTIFY_FULL] = "battery",
                                                    [NOTIFY_SWITCHED] = "information_source",
                                                    [NOTIFY_STARTED] = "information_source"};
    char number[12], room[LINK_SIZE];
    const char *link = link_of(message, page, room);
    const char *tag = message->level == ALARM_PROTECTION ? "rotating_light"
                      : message->level                   ? "warning"
                      : tags[message->event]             ? tags[message->event]
                                                         : "white_check_mark";
    /* A warning is above the service's usual 3. */
    const int numbers[] = {message->event == NOTIFY_REPORT ? 2 : 3, [ALARM_WARNING] = 4,
                           [ALARM_PROTECTION] = config->priority >= 1 ? 5 : 3 + config->priority};
    snprintf(number, sizeof number, "%d", numbers[message->level]);
    log_in(transfer->easy, config, secrets);
    request->body = alloc_checked(strdup(message->text));
    transfer_add_header(transfer, "Content-Type: text/plain; charset=utf-8");
    return add_header(transfer, "Title", message->title) &&
           add_header(transfer, "Priority", number) && add_header(transfer, "Tags", tag) &&
           (!link[0] || add_header(transfer, "Click", link));
}

/* Pushover and Pushsafer have much the same fields. */
static bool set_form(struct request *request, CURL *easy, const struct notify_config *config,
                     const struct secrets *secrets, const struct message *message, const char *page)
{
    const bool over = config->type == NOTIFY_PUSHOVER;
    /* -2…2 as both have it */
    const int priorities[] = {-1, [ALARM_WARNING] = 0, [ALARM_PROTECTION] = config->priority};
    const bool emergency = priorities[message->level] == 2;
    /* of the icon, which itself is set in the account */
    static const char *const colours[] = {
        "#2E7D32", [ALARM_WARNING] = "#EF6C00", [ALARM_PROTECTION] = "#C62828"};
    static const char *const vibrations[] = {"", [ALARM_WARNING] = "1", [ALARM_PROTECTION] = "3"};
    char priority[12], time[24], link[LINK_SIZE];
    snprintf(priority, sizeof priority, "%d", priorities[message->level]);
    snprintf(time, sizeof time, "%ld", (long) message->time);
    link_of(message, page, link);
    const struct {
        const char *over, *safer, *value; /* an empty value is left out */
    } fields[] = {
        {"token", "k", secrets->line[0]},
        {"user", NULL, secrets->line[1]},
        {"title", "t", message->title},
        {"message", "m", message->text},
        {"priority", "pr", priority},
        {"timestamp", NULL, time},
        {NULL, "c", colours[message->level]},
        {NULL, "v", vibrations[message->level]},
        {"device", "d", config->device},
        {"sound", "s", config->sound},
        {"url", "u", link},
        {"url_title", "ut", link[0] ? "packgate" : ""},
        {"retry", "re", emergency ? EMERGENCY_REPEAT_S : ""},
        {"expire", "ex", emergency ? EMERGENCY_END_S : ""},
    };
    request->body = alloc_checked(malloc(BODY_MOST));
    struct text text = text_in(request->body, BODY_MOST);
    for (size_t i = 0; i < COUNT(fields); i++) {
        const char *name = over ? fields[i].over : fields[i].safer;
        if (!name || !fields[i].value[0])
            continue;
        char *escaped = alloc_checked(curl_easy_escape(easy, fields[i].value, 0));
        text_format(&text, "%s%s=%s", text.size ? "&" : "", name, escaped);
        curl_free(escaped);
    }
    return !text.cut;
}

bool request_stays_here(const char *url)
{
    char *host = NULL;
    bool own = false;
    CURLU *parts = alloc_checked(curl_url());
    if (curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        const bool bracketed = host[0] == '[';
        if (bracketed)
            host[strcspn(host, "]")] = '\0';
        own = host_is_own(host + bracketed);
    }
    curl_free(host);
    curl_url_cleanup(parts);
    return own;
}

/* As quoted-printable (RFC 2045, section 6.7), which all servers accept, with or without 8BITMIME,
 * with lines of our length. A blank at the end of a line would be lost. */
static void add_quoted(struct text *text, const char *words)
{
    for (unsigned column = 0; *words; words++) {
        const unsigned char c = (unsigned char) *words;
        const bool last = words[1] == '\n' || words[1] == '\0';
        const bool plain = (c > 0x20 && c < 0x7F && c != '=') || (c == ' ' && !last);
        const unsigned width = plain ? 1 : 3;
        if (c == '\n') {
            text_add(text, "\r\n");
            column = 0;
            continue;
        }
        if (column + width > MAIL_COLUMNS) {
            text_add(text, "=\r\n");
            column = 0;
        }
        text_format(text, plain ? "%c" : "=%02X", c);
        column += width;
    }
}

/* "550 5.1.1 no such user": after EHLO and MAIL about an address. Called for each line. */
static size_t hear_server(char *line, size_t size, size_t count, void *data)
{
    struct request *request = data;
    const size_t length = size * count;
    if (length > 4 && strncmp(line, "250 ", 4) == 0)
        request->accepted++;
    if (request->accepted < 2 || length < 4 || (line[0] != '4' && line[0] != '5'))
        return length;
    size_t at = 0;
    for (; at < length && at + 1 < sizeof request->refused && line[at] != '\r'; at++)
        request->refused[at] = line[at] < 0x20 || line[at] == 0x7F ? ' ' : line[at];
    request->refused[at] = '\0';
    return length;
}

static bool set_mail(struct request *request, CURL *easy, const struct notify_config *config,
                     const struct secrets *secrets, const struct message *message,
                     const char *gateway, const char *page)
{
    char *room = request->body = alloc_checked(malloc(BODY_MOST));
    char when[64], address[NOTIFY_TEXT_SIZE + 2], end[600], link[LINK_SIZE];
    const time_t time = (time_t) message->time;
    struct tm local;
    struct text text = text_in(room, BODY_MOST), end_text = text_in(end, sizeof end);
    strftime(when, sizeof when, "%a, %d %b %Y %H:%M:%S %z", localtime_r(&time, &local));
    /* A retry after a lost answer is the same message: it has the same Message-ID. */
    text_format(&text,
                "Date: %s\r\nFrom: %s\r\nTo: %s\r\nMessage-ID: <%.3f-%d-%d-%s@%s>\r\nSubject: ",
                when, config->from, config->to, message->time, message->event, message->alarm,
                message->pack, gateway);
    add_words(&text, message->title, "\r\n ");
    text_add(&text,
             "\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
             "charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    add_quoted(&text, message->text);
    text_format(&end_text, "\n\n-- \npackgate on %s\n%s", gateway, link_of(message, page, link));
    add_quoted(&text, end);
    text_add(&text, "\r\n");
    request->mail = alloc_checked(fmemopen(room, text.size, "r"));
    for (const char *at = config->to; *at;) {
        const size_t size = strcspn(at, ", ");
        snprintf(address, sizeof address, "%.*s", (int) size, at);
        if (size > 0)
            request->recipients = alloc_checked(curl_slist_append(request->recipients, address));
        at += size + strspn(at + size, ", ");
    }
    /* To another host, mail and password must be encrypted. */
    const bool own = request_stays_here(secrets->url);
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long) (own ? CURLUSESSL_TRY : CURLUSESSL_ALL));
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, config->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, request->recipients);
    /* One invalid address must not keep an alarm from the others. */
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, hear_server);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READDATA, request->mail);
    if (config->user[0])
        log_in(easy, config, secrets);
    return !text.cut;
}

bool request_set(struct request *request, struct transfer *transfer,
                 const struct notify_config *config, const struct secrets *secrets,
                 const struct message *given, const char *gateway, const char *page)
{
    CURL *easy = transfer->easy;
    struct message copy = *given;
    const struct message *message = &copy;
    bool good;
    copy.text[text_fitting(copy.text, request_text_most(config->type))] = '\0';
    *request = (struct request){0};
    switch (config->type) {
    case NOTIFY_MAIL:
        return set_mail(request, easy, config, secrets, message, gateway, page);
    case NOTIFY_NTFY:
        good = set_ntfy(request, transfer, config, secrets, message, page);
        break;
    case NOTIFY_WEBHOOK:
        log_in(easy, config, secrets);
        request->body = message_json(message, gateway);
        good = request->body != NULL;
        transfer_add_header(transfer, "Content-Type: application/json");
        break;
    default:
        good = set_form(request, easy, config, secrets, message, page);
    }
    if (!good)
        return false;
    transfer_add_header(transfer, "Expect:");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) strlen(request->body));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    return true;
}

void request_clear(struct request *request)
{
    curl_slist_free_all(request->recipients);
    if (request->mail)
        fclose(request->mail);
    free(request->body);
    *request = (struct request){0};
}

/* The first words of an answer, for the log; secrets quoted in it are removed. */
static void quote(const char *answer, const struct secrets *secrets, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < 2; i++)
        if (secrets->line[i][0] && strstr(answer, secrets->line[i]))
            return;
    for (const char *c = answer; *c && at + 1 < size && at < 120; c++)
        out[at++] = (unsigned char) *c < 0x20 || (unsigned char) *c == 0x7F ? ' ' : *c;
    out[at] = '\0';
}

enum outcome request_judge(const struct request *request, const struct transfer *transfer,
                           const struct notify_config *config, const struct secrets *secrets,
                           CURLcode code, const char *words, char *why, size_t size)
{
    const long status = transfer_status(transfer);
    char answer[128], said = '1';
    if (config->type == NOTIFY_MAIL) {
        snprintf(why, size, "%s", code == CURLE_OK ? request->refused : words);
        if (code == CURLE_OK)
            return OUTCOME_SENT;
        return status >= 500 && status < 600 ? OUTCOME_REFUSED : OUTCOME_AGAIN;
    }
    if (code != CURLE_OK) {
        snprintf(why, size, "%s", words);
        return OUTCOME_AGAIN;
    }
    if (transfer_is_unencrypted(status, transfer->answer)) {
        snprintf(why, size, "it answered 400: " TRANSFER_UNENCRYPTED);
        return OUTCOME_AGAIN;
    }
    quote(transfer->answer, secrets, answer, sizeof answer);
    /* Pushsafer answers 200 to everything; it and Pushover report success in their JSON, "status":1.
     * NUL: the answer is not the service's. */
    if (config->type == NOTIFY_PUSHSAFER || config->type == NOTIFY_PUSHOVER) {
        static const char key[] = "\"status\"";
        const char *at = strstr(transfer->answer, key);
        said = at ? at[sizeof key - 1 + strspn(at + sizeof key - 1, " :")] : '\0';
    }
    if (status >= 200 && status < 300 && said == '1')
        return OUTCOME_SENT;
    snprintf(why, size, "it answered %ld%s%s", status, answer[0] ? ": " : "", answer);
    if (status >= 200 && status < 300 && !said)
        return OUTCOME_AGAIN;
    /* A redirection comes from a captive portal: retry. */
    if (status / 100 == 3 || status == 408 || status == 425 || status == 429 || status >= 500)
        return OUTCOME_AGAIN;
    return OUTCOME_REFUSED;
}
