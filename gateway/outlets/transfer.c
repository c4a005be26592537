// SPDX-License-Identifier: MIT
#include "transfer.h"
#include "certificate.h"
#include "memory.h"
#include "names.h"

#include "base/alloc.h"
#include "base/timer.h"
#include "bms/count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_S 10L
#define TIDY_S 1.0
#define ANSWER_MOST (256 * 1024) /* of a response that is fetched */

struct transfers {
    struct ev_loop *loop;
    CURLM *multi;
    ev_timer timer, tidy;
};

static bool has_scheme(const char *url, const char *scheme)
{
    return strncmp(url, scheme, strlen(scheme)) == 0;
}

/* A server that expects the other kind of connection closes it, or sends something that is no
 * response; a mail server waits for its client. */
static bool is_of_other_kind(const struct transfer *transfer, const char *url, CURLcode code)
{
    const bool encrypted = has_scheme(url, "https:") || has_scheme(url, "smtps:");
    if (encrypted)
        return code == CURLE_SSL_CONNECT_ERROR && !strstr(transfer->words, "alert");
    return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
           code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY ||
           (code == CURLE_OPERATION_TIMEDOUT && has_scheme(url, "smtp:"));
}

/* Replaces libcurl's message if it only names one of its libraries. */
static void describe_error(struct transfer *transfer, CURLcode code)
{
    const char *const library = curl_version_info(CURLVERSION_NOW)->ssl_version;
    char *url = "";
    long verified = 0, sent = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
    curl_easy_getinfo(transfer->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &sent);
    if (!transfer->words[0])
        snprintf(transfer->words, sizeof transfer->words, "%s", curl_easy_strerror(code));
    if (code == CURLE_PEER_FAILED_VERIFICATION && library && has_scheme(library, "OpenSSL")) {
        certificate_describe(verified, transfer->ca_file, transfer->words, sizeof transfer->words);
    } else if (sent == 0 && !transfer->answered && is_of_other_kind(transfer, url, code)) {
        const size_t size = strnlen(transfer->words, 180);
        snprintf(transfer->words + size, sizeof transfer->words - size,
                 ": its port may be one for %s",
                 has_scheme(url, "https:")   ? "http://"
                 : has_scheme(url, "http:")  ? "https://"
                 : has_scheme(url, "smtps:") ? "smtp://"
                                             : "smtps://");
    }
}

/* Something has happened to a descriptor, or the timer has expired. */
static void tell_curl(struct transfers *transfers, curl_socket_t fd, int what)
{
    CURLMsg *message;
    int running, left;
    long connects = 0;
    curl_multi_socket_action(transfers->multi, fd, what, &running);
    while ((message = curl_multi_info_read(transfers->multi, &left))) {
        struct transfer *transfer;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        curl_easy_getinfo(message->easy_handle, CURLINFO_NUM_CONNECTS, &connects);
        curl_multi_remove_handle(transfers->multi, transfer->easy);
        if (code == CURLE_WRITE_ERROR && transfer->came > ANSWER_MOST)
            code = CURLE_OK;
        if (code == CURLE_OK) {
            transfer->answered = true;
            transfer->words[0] = '\0';
        } else {
            describe_error(transfer, code);
        }
        transfer->done(transfer->data, code, transfer->words);
        if (connects > 0)
            timer_restart(transfers->loop, &transfers->tidy, TIDY_S);
    }
}

/* Frees the memory that only a new connection needed. */
static void on_tidy(struct ev_loop *loop, ev_timer *timer, int revents)
{
    memory_give_back();
}

static void on_event(struct ev_loop *loop, ev_io *io, int revents)
{
    tell_curl(io->data, io->fd,
              (revents & EV_READ ? CURL_CSELECT_IN : 0) |
                  (revents & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    tell_curl(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* `of_socket`: the watcher of this descriptor; NULL: none yet. */
static int set_watch(CURL *easy, curl_socket_t fd, int what, void *data, void *of_socket)
{
    struct transfers *transfers = data;
    ev_io *io = of_socket ? of_socket : alloc_zeroed(1, sizeof *io);
    ev_io_stop(transfers->loop, io);
    curl_multi_assign(transfers->multi, fd, what == CURL_POLL_REMOVE ? NULL : io);
    if (what == CURL_POLL_REMOVE) {
        free(io);
        return 0;
    }
    ev_io_init(io, on_event, fd,
               (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
    io->data = transfers;
    ev_io_start(transfers->loop, io);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *data)
{
    struct transfers *transfers = data;
    ev_timer_stop(transfers->loop, &transfers->timer);
    if (ms >= 0)
        timer_restart(transfers->loop, &transfers->timer, (double) ms / 1000);
    return 0;
}

struct transfers *transfers_new(struct ev_loop *loop)
{
    struct transfers *transfers = alloc_zeroed(1, sizeof *transfers);
    const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    transfers->loop = loop;
    transfers->multi = alloc_checked(ready ? curl_multi_init() : NULL);
    ev_init(&transfers->timer, on_timer);
    ev_init(&transfers->tidy, on_tidy);
    transfers->timer.data = transfers;
    curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETFUNCTION, set_watch);
    curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETDATA, transfers);
    curl_multi_setopt(transfers->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(transfers->multi, CURLMOPT_TIMERDATA, transfers);
    return transfers;
}

static size_t collect_response(char *bytes, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;
    const size_t all = size * count;
    if (transfer->came < sizeof transfer->answer - 1) {
        const size_t left = sizeof transfer->answer - 1 - transfer->came;
        const size_t kept = all < left ? all : left;
        memcpy(transfer->answer + transfer->came, bytes, kept);
        transfer->answer[transfer->came + kept] = '\0';
    }
    transfer->came += all;
    return transfer->came > ANSWER_MOST ? 0 : all;
}

void transfer_init(struct transfer *transfer, struct transfers *transfers, const char *schemes,
                   double limit_s, const struct transfer_tls *tls)
{
    CURL *easy = transfer->easy = alloc_checked(curl_easy_init());
    transfer->transfers = transfers;
    transfer->ca_file = tls->ca_file;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect_response);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->words);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* At the end no thread is joined that looks a name up: some servers never answer. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, schemes);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "packgate/" PACKGATE_VERSION);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) (limit_s * 1000));
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    if (tls->verify && tls->ca_file[0])
        curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca_file);
    if (tls->client_cert[0])
        curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->client_cert);
    if (tls->client_key[0])
        curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->client_key);
    /* A key with a passphrase cannot be used: nobody is there to type it. */
    curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls->verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, tls->verify ? 2L : 0L);
}

/* `usual`: the port if the address has none; NULL: that of its scheme. */
static void permit_port_of(const char *address, const char *usual)
{
    CURLU *url = alloc_checked(curl_url());
    char *port = NULL;
    if (curl_url_set(url, CURLUPART_URL, address, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) ==
        CURLUE_OK) {
        curl_url_get(url, CURLUPART_PORT, &port, usual ? 0 : CURLU_DEFAULT_PORT);
        names_permit((unsigned) atoi(port ? port : usual ? usual : "0"));
    }
    curl_free(port);
    curl_url_cleanup(url);
}

void transfer_set_url(struct transfer *transfer, const char *address)
{
    static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                          "ALL_PROXY"};
    permit_port_of(address, NULL);
    for (size_t i = 0; i < COUNT(proxies); i++)
        if (getenv(proxies[i]))
            permit_port_of(getenv(proxies[i]), "1080");
    curl_easy_setopt(transfer->easy, CURLOPT_URL, address);
}

void transfer_free(struct transfer *transfer)
{
    if (!transfer->easy)
        return;
    curl_multi_remove_handle(transfer->transfers->multi, transfer->easy);
    transfer_clear_headers(transfer);
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
}

void transfer_add_header(struct transfer *transfer, const char *line)
{
    transfer->headers = alloc_checked(curl_slist_append(transfer->headers, line));
}

void transfer_clear_headers(struct transfer *transfer)
{
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
}

long transfer_status(const struct transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

void transfer_start(struct transfer *transfer)
{
    transfer->words[0] = transfer->answer[0] = '\0';
    transfer->came = 0;
    if (transfer->headers)
        curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_multi_add_handle(transfer->transfers->multi, transfer->easy);
}

bool transfer_is_unencrypted(long status, const char *answer)
{
    return status == 400 && (strstr(answer, "HTTPS server") || strstr(answer, "HTTPS port"));
}
