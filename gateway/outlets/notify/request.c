// SPDX-License-Identifier: MIT
#include "request.h"

#include "base/address.h"
#include "base/log.h"
#include "base/text.h"
#include "outlets/transfer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define EMERGENCY_REPEAT_S 60 /* of a priority that asks until somebody confirms */
#define EMERGENCY_END_S 3600
#define BODY_MOST 16384

/* ---- secrets ---- */

static bool read_lines(const char *path, const char *who, bool *told, char lines[][SECRET_SIZE],
                       unsigned count)
{
    struct stat found;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (fgets(lines[i], SECRET_SIZE, file))
            lines[i][strcspn(lines[i], "\r\n")] = '\0';
        else
            lines[i][0] = '\0';
    if (!*told && fstat(fileno(file), &found) == 0 && (found.st_mode & S_IROTH)) {
        log_warn("%s: %s can be read by everybody on this host: chmod 640", who, path);
        *told = true;
    }
    fclose(file);
    return true;
}

bool secrets_read(struct secrets *secrets, const struct notify_config *config, const char *who,
                  bool *told, char *why, size_t size)
{
    const unsigned need = config->type == NOTIFY_PUSHOVER ? 2 : 1;
    char url[1][SECRET_SIZE] = {""};
    *secrets = (struct secrets){{0}, {{0}}};
    if (config->url_file[0] && (!read_lines(config->url_file, who, told, url, 1) || !url[0][0])) {
        snprintf(why, size, "%s: %s", config->url_file,
                 url[0][0] || errno == 0 ? strerror(errno) : "no address in it");
        return false;
    }
    snprintf(secrets->url, sizeof secrets->url, "%s",
             config->url_file[0]                ? url[0]
             : config->url[0]                   ? config->url
             : config->type == NOTIFY_PUSHOVER  ? "https://api.pushover.net/1/messages.json"
             : config->type == NOTIFY_PUSHSAFER ? "https://www.pushsafer.com/api"
                                                : "");
    if (!config->key_file[0])
        return true;
    if (!read_lines(config->key_file, who, told, secrets->line, 2)) {
        snprintf(why, size, "%s: %s", config->key_file, strerror(errno));
        return false;
    }
    for (unsigned i = 0; i < need; i++)
        if (!secrets->line[i][0]) {
            snprintf(why, size, "%s: line %u is empty or missing", config->key_file, i + 1);
            return false;
        }
    return true;
}

/* ---- parts of a request ---- */

size_t request_text_most(enum notify_type type)
{
    return type == NOTIFY_PUSHOVER ? 1024 : type == NOTIFY_PUSHSAFER ? 3000 : MESSAGE_TEXT_SIZE - 1;
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *data)
{
    struct request *request = data;
    size_t taken = size * count, room = sizeof request->answer - 1 - request->answered;
    memcpy(request->answer + request->answered, bytes, taken < room ? taken : room);
    request->answered += taken < room ? taken : room;
    request->answer[request->answered] = '\0';
    request->came += taken;
    return request->came > TRANSFER_ANSWER_MOST ? 0 : taken;
}

static size_t give_body(char *bytes, size_t size, size_t count, void *data)
{
    struct request *request = data;
    size_t given = request->size - request->at;
    if (given > size * count)
        given = size * count;
    memcpy(bytes, request->body + request->at, given);
    request->at += given;
    return given;
}

/* As much of a text as the service takes, cut between two characters. */
static void cut_text(struct message *message, size_t most)
{
    size_t size = strlen(message->text);
    if (size <= most)
        return;
    for (size = most; size > 0 && ((unsigned char) message->text[size] & 0xC0) == 0x80; size--)
        ;
    message->text[size] = '\0';
}

static bool add_to(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer)
        *list = longer;
    return longer != NULL;
}

/* A header's value: ASCII as it is, anything else as an encoded word, which ntfy and mail understand. */
static void add_word(struct text *text, const char *word)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bool plain = true;
    for (const char *c = word; *c; c++)
        plain &= (unsigned char) *c >= 0x20 && (unsigned char) *c < 0x7F;
    if (plain) {
        text_add(text, word);
        return;
    }
    text_add(text, "=?UTF-8?B?");
    const size_t size = strlen(word);
    for (size_t i = 0; i < size; i += 3) {
        const unsigned char *at = (const unsigned char *) word + i;
        const unsigned bits = (unsigned) at[0] << 16 | (i + 1 < size ? (unsigned) at[1] << 8 : 0) |
                              (i + 2 < size ? at[2] : 0);
        text_format(text, "%c%c%c%c", digits[bits >> 18], digits[bits >> 12 & 63],
                    i + 1 < size ? digits[bits >> 6 & 63] : '=',
                    i + 2 < size ? digits[bits & 63] : '=');
    }
    text_add(text, "?=");
}

static bool add_header(struct request *request, const char *name, const char *value)
{
    char line[900];
    struct text text = text_in(line, sizeof line);
    text_format(&text, "%s: ", name);
    add_word(&text, value);
    return !text.cut && add_to(&request->headers, line);
}

/* -2…2 as Pushover and Pushsafer have it. */
static int priority_of(const struct notify_config *config, const struct message *message)
{
    if (message->level == ALARM_PROTECTION)
        return config->priority;
    return message->level == ALARM_WARNING ? 0 : -1;
}

/* Of the icon, which stays the one of the account. */
static const char *color_of(const struct message *message)
{
    return message->level == ALARM_PROTECTION ? "#C62828"
           : message->level == ALARM_WARNING  ? "#EF6C00"
                                              : "#2E7D32";
}

static const char *tag_of(const struct message *message)
{
    if (message->level == ALARM_PROTECTION)
        return "rotating_light";
    if (message->level == ALARM_WARNING)
        return "warning";
    switch (message->event) {
    case NOTIFY_REPORT:
        return "bar_chart";
    case NOTIFY_FULL:
        return "battery";
    case NOTIFY_SWITCHED:
    case NOTIFY_STARTED:
        return "information_source";
    default:
        return "white_check_mark";
    }
}

/* Where on the page it is to be seen. */
static void add_link(struct text *text, const struct message *message, const char *page)
{
    if (page[0])
        text_format(text, "%s%s%s", page, message->pack[0] ? "#" : "", message->pack);
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

/* ---- the services ---- */

static bool set_ntfy(struct request *request, CURL *easy, const struct notify_config *config,
                     const struct secrets *secrets, const struct message *message, const char *page)
{
    char number[12], link[300] = "";
    struct text text = text_in(link, sizeof link);
    add_link(&text, message, page);
    snprintf(number, sizeof number, "%d", 3 + priority_of(config, message));
    /* A warning is above the service's usual 3. */
    if (message->level == ALARM_WARNING)
        snprintf(number, sizeof number, "4");
    else if (message->level == ALARM_PROTECTION && config->priority >= 1)
        snprintf(number, sizeof number, "5");
    else if (message->level == 0)
        snprintf(number, sizeof number, "%d", message->event == NOTIFY_REPORT ? 2 : 3);
    log_in(easy, config, secrets);
    request->body = strdup(message->text);
    return request->body && add_header(request, "Title", message->title) &&
           add_header(request, "Priority", number) &&
           add_header(request, "Tags", tag_of(message)) &&
           (!link[0] || add_header(request, "Click", link)) &&
           add_to(&request->headers, "Content-Type: text/plain; charset=utf-8");
}

struct form {
    CURL *easy;
    struct text text;
    bool failed;
};

static void add_field(struct form *form, const char *name, const char *value)
{
    char *escaped = curl_easy_escape(form->easy, value, 0);
    form->failed |= !escaped;
    if (escaped)
        text_format(&form->text, "%s%s=%s", form->text.size ? "&" : "", name, escaped);
    curl_free(escaped);
}

static void add_number(struct form *form, const char *name, long value)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    add_field(form, name, text);
}

static bool set_form(struct request *request, CURL *easy, const struct notify_config *config,
                     const struct secrets *secrets, const struct message *message, const char *page)
{
    const bool over = config->type == NOTIFY_PUSHOVER;
    char *room = malloc(BODY_MOST), link[300] = "";
    if (!room)
        return false;
    struct form form = {.easy = easy, .text = text_in(room, BODY_MOST)};
    struct text link_text = text_in(link, sizeof link);
    const int priority = priority_of(config, message);
    add_link(&link_text, message, page);
    if (over) {
        add_field(&form, "token", secrets->line[0]);
        add_field(&form, "user", secrets->line[1]);
        add_field(&form, "title", message->title);
        add_field(&form, "message", message->text);
        add_number(&form, "priority", priority);
        add_number(&form, "timestamp", (long) message->time);
    } else {
        add_field(&form, "k", secrets->line[0]);
        add_field(&form, "t", message->title);
        add_field(&form, "m", message->text);
        add_number(&form, "pr", priority);
        add_field(&form, "c", color_of(message));
        if (message->level > 0)
            add_number(&form, "v", message->level == ALARM_PROTECTION ? 3 : 1);
    }
    if (config->device[0])
        add_field(&form, over ? "device" : "d", config->device);
    if (config->sound[0])
        add_field(&form, over ? "sound" : "s", config->sound);
    if (link[0]) {
        add_field(&form, over ? "url" : "u", link);
        add_field(&form, over ? "url_title" : "ut", "packgate");
    }
    if (priority == 2) {
        add_number(&form, over ? "retry" : "re", EMERGENCY_REPEAT_S);
        add_number(&form, over ? "expire" : "ex", EMERGENCY_END_S);
    }
    request->body = room;
    return !form.failed && !form.text.cut;
}

bool request_stays_here(const char *url)
{
    char *host = NULL;
    bool own = false;
    CURLU *parts = curl_url();
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
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

/* Lines end with CR LF, and none is too long for a mail server. */
static void add_mail_text(struct text *text, const char *words)
{
    size_t column = 0;
    for (; *words; words++) {
        if (*words == '\n' || (*words == ' ' && column > 900)) {
            text_add(text, "\r\n");
            column = 0;
            continue;
        }
        text_format(text, "%c", *words);
        column++;
    }
}

static bool set_mail(struct request *request, CURL *easy, const struct notify_config *config,
                     const struct secrets *secrets, const struct message *message,
                     const char *gateway, const char *page)
{
    char *room = malloc(BODY_MOST), when[64], address[NOTIFY_TEXT_SIZE + 2];
    const time_t time = (time_t) message->time;
    struct tm local;
    if (!room)
        return false;
    request->body = room;
    struct text text = text_in(room, BODY_MOST);
    strftime(when, sizeof when, "%a, %d %b %Y %H:%M:%S %z", localtime_r(&time, &local));
    text_format(&text,
                "Date: %s\r\nFrom: %s\r\nTo: %s\r\nMessage-ID: <%.3f.%lx@packgate>\r\nSubject: ",
                when, config->from, config->to, message->time, random());
    add_word(&text, message->title);
    text_add(&text,
             "\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
             "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    add_mail_text(&text, message->text);
    text_format(&text, "\r\n\r\n-- \r\npackgate on %s\r\n", gateway);
    add_link(&text, message, page);
    text_add(&text, page[0] ? "\r\n" : "");
    request->size = text.size;
    for (const char *at = config->to; *at;) {
        const size_t size = strcspn(at, ", ");
        snprintf(address, sizeof address, "%.*s", (int) size, at);
        if (size > 0 && (size >= sizeof address || !add_to(&request->recipients, address)))
            return false;
        at += size + strspn(at + size, ", ");
    }
    /* On the way to another host nobody is to read it, or the password. */
    const bool own = request_stays_here(secrets->url);
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long) (own ? CURLUSESSL_TRY : CURLUSESSL_ALL));
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, config->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, request->recipients);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, request);
    if (config->user[0]) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, config->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, secrets->line[0]);
    }
    return !text.cut;
}

static bool set_webhook(struct request *request, CURL *easy, const struct notify_config *config,
                        const struct secrets *secrets, const struct message *message,
                        const char *gateway)
{
    log_in(easy, config, secrets);
    request->body = message_json(message, gateway);
    return request->body && add_to(&request->headers, "Content-Type: application/json");
}

bool request_set(struct request *request, CURL *easy, const struct notify_config *config,
                 const struct secrets *secrets, const struct message *given, const char *gateway,
                 const char *page)
{
    struct message copy = *given;
    const struct message *message = &copy;
    cut_text(&copy, request_text_most(config->type));
    *request = (struct request){0};
    curl_easy_setopt(easy, CURLOPT_URL, secrets->url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    if (config->type == NOTIFY_MAIL)
        return set_mail(request, easy, config, secrets, message, gateway, page);
    const bool good = config->type == NOTIFY_NTFY
                          ? set_ntfy(request, easy, config, secrets, message, page)
                      : config->type == NOTIFY_WEBHOOK
                          ? set_webhook(request, easy, config, secrets, message, gateway)
                          : set_form(request, easy, config, secrets, message, page);
    if (!good || !add_to(&request->headers, "Expect:"))
        return false;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) strlen(request->body));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
    return true;
}

void request_clear(struct request *request)
{
    curl_slist_free_all(request->headers);
    curl_slist_free_all(request->recipients);
    free(request->body);
    *request = (struct request){0};
}

/* The first words of an answer, for the log; a key of ours that is quoted in it is not. */
static void quote(const struct request *request, const struct secrets *secrets, char *out,
                  size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < 2; i++)
        if (secrets->line[i][0] && strstr(request->answer, secrets->line[i]))
            return;
    for (const char *c = request->answer; *c && at + 1 < size && at < 120; c++)
        out[at++] = (unsigned char) *c < 0x20 || (unsigned char) *c == 0x7F ? ' ' : *c;
    out[at] = '\0';
}

enum outcome request_judge(const struct request *request, CURL *easy,
                           const struct notify_config *config, const struct secrets *secrets,
                           CURLcode code, const char *words, char *why, size_t size)
{
    long status = 0;
    char answer[128];
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (config->type == NOTIFY_MAIL) {
        if (code == CURLE_OK)
            return OUTCOME_SENT;
        snprintf(why, size, "%s", words);
        return status >= 500 && status < 600 ? OUTCOME_REFUSED : OUTCOME_AGAIN;
    }
    const bool enough = code == CURLE_WRITE_ERROR && request->came > TRANSFER_ANSWER_MOST;
    if (code != CURLE_OK && !enough) {
        snprintf(why, size, "%s", words);
        return OUTCOME_AGAIN;
    }
    quote(request, secrets, answer, sizeof answer);
    /* Pushsafer answers 200 to everything, and says in its JSON whether it was good. */
    const bool said_no =
        config->type == NOTIFY_PUSHSAFER && strstr(request->answer, "\"status\":0");
    if (status >= 200 && status < 300 && !said_no)
        return OUTCOME_SENT;
    snprintf(why, size, "it answered %ld%s%s", status, answer[0] ? ": " : "", answer);
    /* A redirection is what the portal of a network says that is not open yet. */
    if (status / 100 == 3 || status == 408 || status == 425 || status == 429 || status >= 500)
        return OUTCOME_AGAIN;
    return OUTCOME_REFUSED;
}
