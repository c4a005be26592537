// SPDX-License-Identifier: MIT
#include "post.h"

#include "base/alloc.h"
#include "base/secret.h"
#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LIMIT_S 30.0 /* of a request with its answer, over a slow uplink */
#define GZIP (15 + 16)
#define GZIP_MEMORY 8
#define AGAIN_MOST_S 3600.0

/* Quotes {"error":"…"} and {"code":"…","message":"…"}, but no page of HTML. */
static void quote_answer(const char *answer, char *out, size_t size)
{
    static const char *const keys[] = {"\"error\":\"", "\"message\":\""};
    out[0] = '\0';
    for (size_t i = 0; i < COUNT(keys); i++) {
        const char *at = strstr(answer, keys[i]);
        if (!at)
            continue;
        at += strlen(keys[i]);
        snprintf(out, size, ": %.*s", (int) strcspn(at, "\"\n"), at);
        return;
    }
    if (answer[0] && answer[0] != '<' && answer[0] != '{')
        snprintf(out, size, ": %.*s", (int) strcspn(answer, "\r\n"), answer);
}

static const char *name_of(long status)
{
    static const struct {
        long status;
        const char *name;
    } names[] = {{401, " (wrong token or password)"},
                 {403, " (not allowed)"},
                 {404, " (no such address or database)"},
                 {413, " (too large)"},
                 {429, " (too many requests)"}};
    for (size_t i = 0; i < COUNT(names); i++)
        if (names[i].status == status)
            return names[i].name;
    return "";
}

void post_judge(long status, const char *answer, struct post_outcome *outcome)
{
    char quoted[POST_WORDS / 2]; /* the beginning is the important part */
    const char *partial = strstr(answer, "partial write");
    const char *dropped = partial ? strstr(partial, "dropped") : NULL;
    quote_answer(answer, quoted, sizeof quoted);
    outcome->dropped = 0;
    outcome->words[0] = '\0';
    if (status >= 200 && status < 300) {
        outcome->result = POST_TAKEN;
        return;
    }
    if (transfer_is_unencrypted(status, answer)) {
        snprintf(outcome->words, sizeof outcome->words, "status 400: " TRANSFER_UNENCRYPTED);
        outcome->result = POST_FAILED;
        return;
    }
    snprintf(outcome->words, sizeof outcome->words, "status %ld%s%s", status, name_of(status),
             quoted);
    /* InfluxDB has written all other points: version 1 reports it with 400, 2 with 422, 2.0 with
     * 500. "dropped=3", "dropped 3 points". */
    if ((status == 400 || status == 422 || status == 500) && dropped) {
        outcome->result = POST_TAKEN;
        dropped += strlen("dropped");
        outcome->dropped = (uint32_t) strtoul(dropped + (*dropped == '='), NULL, 10);
        outcome->dropped = outcome->dropped ? outcome->dropped : 1;
    } else {
        outcome->result =
            status == 400 || status == 413 || status == 422 ? POST_REFUSED : POST_FAILED;
    }
}

static void on_done(void *data, CURLcode code, const char *words)
{
    struct post *post = data;
    struct post_outcome *outcome = &post->outcome;
    const long status = transfer_status(&post->transfer);
    long connects = 0;
    curl_off_t again = 0;
    curl_easy_getinfo(post->transfer.easy, CURLINFO_RETRY_AFTER, &again);
    curl_easy_getinfo(post->transfer.easy, CURLINFO_NUM_CONNECTS, &connects);
    outcome->connected = connects > 0;
    outcome->died = code != CURLE_OK || status >= 500;
    if (code == CURLE_OK)
        post_judge(status, post->transfer.answer, outcome);
    else
        snprintf(outcome->words, sizeof outcome->words, "%s", words);
    outcome->again_s = fmin(fmax((double) again, 0), AGAIN_MOST_S);
    post->done(post->data);
}

void post_init(struct post *post, struct transfers *transfers)
{
    const struct influx_config *config = post->config;
    const struct transfer_tls tls = {config->ca_file, config->client_cert, config->client_key,
                                     config->verify};
    transfer_init(&post->transfer, transfers, "http,https", LIMIT_S, &tls);
    post->transfer.done = on_done;
    post->transfer.data = post;
    transfer_set_url(&post->transfer, config->url);
    curl_easy_setopt(post->transfer.easy, CURLOPT_POST, 1L);
}

void post_release(struct post *post)
{
    free(post->body);
    post->body = NULL;
}

/* Files with secrets are read for each request, so that a replaced file counts at once. */
static bool set_secret(struct post *post, const char *path, char *secret)
{
    const char *why;
    secret_warn_of_readers(post->who, path, &post->access_told);
    if (secret_read(path, 0, secret, SECRET_SIZE, &why))
        return true;
    snprintf(post->outcome.words, sizeof post->outcome.words,
             why ? "%s cannot be read: %s" : "%s is empty",
             post->config->token_file[0] ? "token_file" : "password_file", why);
    return false;
}

static bool set_headers(struct post *post)
{
    const struct influx_config *config = post->config;
    char secret[SECRET_SIZE] = "", header[SECRET_SIZE + 40];
    bool good = true;
    transfer_clear_headers(&post->transfer);
    transfer_add_header(&post->transfer, "Content-Type: text/plain; charset=utf-8");
    transfer_add_header(&post->transfer, "Expect:");
    transfer_add_header(&post->transfer, "Content-Encoding: gzip");
    if (config->token_file[0]) {
        good = set_secret(post, config->token_file, secret);
        /* A file that names the scheme itself ("Bearer …") is used as it is. */
        snprintf(header, sizeof header, "Authorization: %s%s", strchr(secret, ' ') ? "" : "Token ",
                 secret);
        transfer_add_header(&post->transfer, header);
    } else if (config->user[0]) {
        good = !config->password_file[0] || set_secret(post, config->password_file, secret);
        curl_easy_setopt(post->transfer.easy, CURLOPT_USERNAME, config->user);
        curl_easy_setopt(post->transfer.easy, CURLOPT_PASSWORD, secret);
    }
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(header, sizeof header);
    return good;
}

bool post_send(struct post *post, const char *lines, size_t size)
{
    post->outcome = (struct post_outcome){.result = POST_FAILED};
    if (!set_headers(post))
        return false;
    z_stream stream = {0};
    const int begun =
        deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP, GZIP_MEMORY, Z_DEFAULT_STRATEGY);
    alloc_checked(begun == Z_OK ? post : NULL);
    const size_t room = deflateBound(&stream, size);
    free(post->body);
    post->body = alloc_checked(malloc(room));
    stream.next_in = (Bytef *) (uintptr_t) lines;
    stream.avail_in = (uInt) size;
    stream.next_out = post->body;
    stream.avail_out = (uInt) room;
    deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    curl_easy_setopt(post->transfer.easy, CURLOPT_POSTFIELDS, post->body);
    curl_easy_setopt(post->transfer.easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     (curl_off_t) stream.total_out);
    transfer_start(&post->transfer);
    return true;
}

struct trial {
    struct ev_loop *loop;
    struct transfers *transfers;
    struct post post;
};

static void on_tried(void *data)
{
    ev_break(((struct trial *) data)->loop, EVBREAK_ALL);
}

int influx_test(const struct pipe_config *config)
{
    static const char line[] = "# a trial of packgate\n";
    static struct trial trial; /* as what the process has until its end */
    trial.loop = ev_default_loop(0);
    trial.transfers = transfers_new(trial.loop);
    trial.post =
        (struct post){.config = config->settings, .who = "try", .done = on_tried, .data = &trial};
    post_init(&trial.post, trial.transfers);
    if (post_send(&trial.post, line, sizeof line - 1))
        ev_run(trial.loop, 0);
    const bool taken = trial.post.outcome.result == POST_TAKEN;
    printf("write %s %s\n", taken ? "ok" : "failed", trial.post.outcome.words);
    return !taken;
}
