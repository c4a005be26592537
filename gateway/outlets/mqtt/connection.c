// SPDX-License-Identifier: MIT
#include "connection.h"

#include "outlets/certificate.h"
#include "outlets/names.h"
#include "base/alloc.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/resolver.h"
#include "base/secret.h"
#include "base/timer.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/tcp.h>
#include <mosquitto.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DEADLINE_S 15.0 /* from the look-up of the name to the broker's CONNACK */
#define KNOCK_S 10.0    /* a broker that reads answers sooner */
#define FIRST_PAUSE_S 1.0
#define LONGEST_PAUSE_S 60.0
#define STEADY_S 60.0 /* after so long a connection, pauses begin with the first again */
/* Short connections in a row, after which they are logged at debug level only. */
#define SHORT_MOST 3
/* The broker declares a dead gateway offline after one and a half times this period. */
#define KEEPALIVE_S 10
#define SYSTEM_CERTIFICATES "/etc/ssl/certs"
#define SUBSCRIPTIONS_MAX 4

struct connection {
    struct ev_loop *loop;
    struct connection_settings settings;
    struct endpoint broker;
    bool tls;
    struct mosquitto *mosquitto; /* NULL: in a pause, or the name is being looked up */
    ev_io io;
    struct resolver resolver;
    ev_timer misc;
    ev_timer patience; /* the pause, then the deadline of the attempt, then that of a knock */
    int knock_mid;
    double knocked_at;
    double proven_at; /* time of the last answered knock: messages are not older */
    enum connection_stage stage;
    bool broken; /* found broken during a call of the library */
    double up_at, pause_s, down_since;
    unsigned short_ones; /* connections in a row that ended before STEADY_S */
    unsigned outstanding;
    struct connection_counters counters;
    char words[160];   /* the current failure */
    char told[160];    /* last logged reason; empty: connected */
    char library[120]; /* the library's last error message */
    bool password_access_told, key_access_told;
    uint32_t dropped_before; /* dropped messages as last logged; see drop_told */
    bool drop_told;
    struct {
        int mid; /* 0: free */
        const char *what;
    } subscriptions[SUBSCRIPTIONS_MAX];
};

bool connection_is_up(const struct connection *connection)
{
    return connection->mosquitto && connection->stage == CONNECTION_UP;
}

/* Logs a failure once, and again if the reason changes; but only a few times the ends of a connection
 * that keeps coming and going, as with two clients of the same id. */
static void log_broker_failure(struct connection *connection, bool was_up)
{
    const char *words = connection->words;
    const char *name = connection->settings.name, *broker = connection->settings.config->broker;
    const bool often = was_up && connection->short_ones >= SHORT_MOST;
    const bool known =
        often ? connection->short_ones > SHORT_MOST : strcmp(connection->told, words) == 0;
    snprintf(connection->told, sizeof connection->told, "%s", words);
    connection->counters.failed++;
    if (known)
        log_debug("%s: broker %s: %s", name, broker, words);
    else if (often)
        log_warn("%s: broker %s: %s, for the third time soon after connecting; not logged again "
                 "until a connection has lasted for a minute",
                 name, broker, words);
    else
        log_warn("%s: broker %s: %s; trying again, after pauses of 1 s to 60 s", name, broker,
                 words);
}

static void note_steady(struct connection *connection)
{
    if (connection->short_ones >= SHORT_MOST) {
        log_info("%s: connected to %s for a minute now", connection->settings.name,
                 connection->settings.config->broker);
        connection->told[0] = '\0';
    }
    connection->short_ones = 0;
    connection->pause_s = 0;
}

/* A server that expects the other kind of connection, or rejects clients without a certificate,
 * just closes it, maybe even before the library has reported the connection. */
static const char *describe_end(const struct connection *connection)
{
    if (connection->stage == CONNECTION_UP)
        return "the connection was lost";
    if (connection->stage == CONNECTION_ENCRYPTED)
        return connection->settings.config->client_cert[0]
                   ? "it ended the connection without an answer: it may not accept client_cert"
                   : "it ended the connection without an answer: it may require client_cert";
    if (connection->stage == CONNECTION_NONE)
        return "the connection was refused or reset: its port may be one for mqtt://, or it may "
               "require client_cert";
    return connection->tls ? "it ended the connection before that was encrypted: its port may be "
                             "one for mqtt://"
                           : "it ended the connection without an answer: if its port is for "
                             "encrypted connections, write mqtts://";
}

static const char *error_text(const struct connection *connection, int error)
{
    switch (error) {
    case MOSQ_ERR_EAI:
        return "its name cannot be looked up";
    case MOSQ_ERR_ERRNO:
        if (errno == ECONNRESET || errno == EPIPE)
            return describe_end(connection);
        /* libmosquitto 2.0.21 uses this error for a failed TLS handshake as well. */
        if (!connection->tls || errno != EPROTO)
            return errno ? strerror(errno) : "the connection failed";
        /* fall through */
    case MOSQ_ERR_TLS:
        /* Without an error of OpenSSL it was the socket's. */
        return connection->library[0] ? connection->library : describe_end(connection);
    case MOSQ_ERR_CONN_LOST:
        return describe_end(connection);
    case MOSQ_ERR_CONN_REFUSED:
        return "connection refused";
    case MOSQ_ERR_NOMEM:
        return "a message is too large";
    case MOSQ_ERR_PROTOCOL:
    case MOSQ_ERR_MALFORMED_PACKET:
        return connection->tls || connection->stage == CONNECTION_UP
                   ? "its data is not MQTT"
                   : "its data is not MQTT: if its port is for "
                     "encrypted connections, write mqtts://";
    default:
        return mosquitto_strerror(error);
    }
}

static void destroy(struct connection *connection)
{
    ev_io_stop(connection->loop, &connection->io);
    ev_timer_stop(connection->loop, &connection->misc);
    ev_timer_stop(connection->loop, &connection->patience);
    resolver_stop(&connection->resolver);
    memset(connection->subscriptions, 0, sizeof connection->subscriptions);
    if (connection->mosquitto)
        mosquitto_destroy(connection->mosquitto);
    connection->mosquitto = NULL;
    connection->outstanding = 0;
    connection->broken = false;
}

static void handle_failure(struct connection *connection, const char *words)
{
    bool was_up = connection_is_up(connection);
    double now = clock_now();
    if (words != connection->words)
        snprintf(connection->words, sizeof connection->words, "%s", words);
    size_t size = strlen(connection->words);
    if (size > 0 && connection->words[size - 1] == '.')
        connection->words[size - 1] = '\0'; /* remove the full stop of the library's message */
    destroy(connection);
    if (was_up) {
        connection->down_since = now;
        if (now - connection->up_at >= STEADY_S)
            note_steady(connection);
        connection->short_ones += now - connection->up_at < STEADY_S;
    }
    log_broker_failure(connection, was_up);
    const double jitter = 0.8 + 0.4 * (double) random() / (double) RAND_MAX;
    timer_restart(connection->loop, &connection->patience,
                  jitter * backoff_grow(&connection->pause_s, FIRST_PAUSE_S, LONGEST_PAUSE_S));
    if (was_up)
        connection->settings.down(connection->settings.data);
}

/* The library's socket may have changed, be closed, or have something to write. */
static void watch(struct connection *connection)
{
    const int fd = mosquitto_socket(connection->mosquitto);
    const int wanted = mosquitto_want_write(connection->mosquitto) ? EV_READ | EV_WRITE : EV_READ;
    if (fd == connection->io.fd && wanted == (connection->io.events & (EV_READ | EV_WRITE)) &&
        ev_is_active(&connection->io))
        return;
    ev_io_stop(connection->loop, &connection->io);
    if (fd < 0)
        return;
    ev_io_set(&connection->io, fd, wanted);
    ev_io_start(connection->loop, &connection->io);
}

/* Called after each library call that can end the connection. */
static void check_result(struct connection *connection, int error)
{
    if (!connection->mosquitto)
        return;
    if (connection->broken)
        handle_failure(connection, connection->words);
    else if (error != MOSQ_ERR_SUCCESS)
        handle_failure(connection, error_text(connection, error));
    else
        watch(connection);
}

static void on_connect(struct mosquitto *mosquitto, void *data, int code)
{
    struct connection *connection = data;
    if (code != 0 || connection_is_up(connection)) {
        snprintf(connection->words, sizeof connection->words,
                 code ? "login refused (%s): check user and password_file"
                      : "it accepted the login twice: that is not an MQTT broker",
                 mosquitto_connack_string(code));
        connection->broken = true;
        return;
    }
    double now = clock_now();
    ev_timer_stop(connection->loop, &connection->patience);
    connection->stage = CONNECTION_UP;
    connection->up_at = connection->proven_at = now;
    /* Keep-alive, whose own deadline covers brokers that never answer. */
    ev_timer_start(connection->loop, &connection->misc);
    connection->words[0] = '\0';
    const char *name = connection->settings.name, *broker = connection->settings.config->broker;
    const bool often = connection->short_ones >= SHORT_MOST;
    if (connection->told[0] && !often)
        log_info("%s: connected to %s again after %.0f s", name, broker,
                 now - connection->down_since);
    else
        log_message(often ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "%s: connected to %s", name, broker);
    if (!often)
        connection->told[0] = '\0';
    connection->settings.up(connection->settings.data);
}

static void on_message(struct mosquitto *mosquitto, void *data,
                       const struct mosquitto_message *message)
{
    struct connection *connection = data;
    connection->settings.message(connection->settings.data, message->topic, message->payload,
                                 message->payloadlen > 0 ? (size_t) message->payloadlen : 0,
                                 message->retain, connection->proven_at);
}

static void on_publish(struct mosquitto *mosquitto, void *data, int mid)
{
    struct connection *connection = data;
    if (connection->outstanding > 0)
        connection->outstanding--;
    if (connection->settings.sent)
        connection->settings.sent(connection->settings.data, mid);
}

/* return code of a rejected subscription */
#define REFUSED 0x80

static void on_subscribe(struct mosquitto *mosquitto, void *data, int mid, int count,
                         const int *granted)
{
    struct connection *connection = data;
    for (int i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        if (connection->subscriptions[i].mid != mid)
            continue;
        connection->subscriptions[i].mid = 0;
        if (count < 1 || granted[0] >= REFUSED)
            log_warn("%s: the broker rejects the subscription to %s: check its access rights",
                     connection->settings.name, connection->subscriptions[i].what);
        return;
    }
}

/* The answer to a knock: the broker reads, and no more messages are dropped. */
static void on_unsubscribe(struct mosquitto *mosquitto, void *data, int mid)
{
    struct connection *connection = data;
    if (!ev_is_active(&connection->patience) || mid != connection->knock_mid)
        return;
    ev_timer_stop(connection->loop, &connection->patience);
    connection->proven_at = connection->knocked_at;
    if (connection->drop_told)
        log_info("%s: the broker accepts messages again; %u were dropped",
                 connection->settings.name,
                 connection->counters.dropped - connection->dropped_before);
    connection->drop_told = false;
    connection->settings.answered(connection->settings.data);
}

/* OpenSSL, which the library has loaded, knows it; it is not needed at build time. */
static bool is_encrypted(struct mosquitto *mosquitto)
{
    int (*finished)(const void *ssl) = NULL;
    const void *ssl = mosquitto_ssl_get(mosquitto);
    *(void **) &finished = dlsym(RTLD_DEFAULT, "SSL_is_init_finished");
    return ssl && finished && finished(ssl);
}

/* "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed" */
static void on_log(struct mosquitto *mosquitto, void *data, int level, const char *text)
{
    struct connection *connection = data;
    const char *last = strrchr(text, ':');
    last = last && last[1] ? last + 1 : text;
    char *out = connection->library;
    const size_t size = sizeof connection->library;
    if (level != MOSQ_LOG_ERR)
        return;
    if (strcmp(last, "certificate verify failed") == 0) {
        long (*result_of)(const void *ssl) = NULL;
        const void *ssl = mosquitto_ssl_get(mosquitto);
        *(void **) &result_of = dlsym(RTLD_DEFAULT, "SSL_get_verify_result");
        certificate_describe(ssl && result_of ? result_of(ssl) : -1,
                             connection->settings.config->ca_file, out, size);
    } else if (strcmp(last, "wrong version number") == 0) {
        snprintf(out, size, "its port does not encrypt: use one for mqtts://");
    } else if (strstr(last, "alert certificate required")) {
        snprintf(out, size, "it requires a certificate: set client_cert");
    } else if (strcmp(last, "unexpected eof while reading") != 0) {
        snprintf(out, size, "encryption: %s", last);
    }
}

static int set_user(struct connection *connection)
{
    const struct mqtt_config *config = connection->settings.config;
    char password[SECRET_SIZE] = "";
    const char *why = NULL;
    if (!config->user[0])
        return MOSQ_ERR_SUCCESS;
    if (config->password_file[0]) {
        secret_warn_of_readers(connection->settings.name, config->password_file,
                               &connection->password_access_told);
        if (!secret_read(config->password_file, 0, password, SECRET_SIZE, &why)) {
            snprintf(connection->words, sizeof connection->words, "password_file %s%s",
                     why ? "cannot be read: " : "is empty", why ? why : "");
            return -1;
        }
    }
    int error = mosquitto_username_pw_set(connection->mosquitto, config->user,
                                          config->password_file[0] ? password : NULL);
    explicit_bzero(password, sizeof password);
    return error;
}

/* An encrypted key cannot be used: nobody can type its passphrase, least of all in the terminal
 * where the library would ask for it. */
static int no_passphrase(char *out, int size, int writing, void *data)
{
    struct connection *connection = mosquitto_userdata(data);
    snprintf(connection->words, sizeof connection->words,
             "the key of client_cert has a passphrase; expected a key without one");
    return 0;
}

static int set_tls(struct connection *connection)
{
    const struct mqtt_config *config = connection->settings.config;
    struct mosquitto *mosquitto = connection->mosquitto;
    if (!connection->tls)
        return MOSQ_ERR_SUCCESS;
    secret_warn_of_readers(connection->settings.name, config->client_key,
                           &connection->key_access_told);
    /* The library accepts the system's certificates only by the name of their folder. */
    const char *ca_file = config->verify && config->ca_file[0] ? config->ca_file : NULL;
    int error = mosquitto_tls_set(mosquitto, ca_file, ca_file ? NULL : SYSTEM_CERTIFICATES,
                                  config->client_cert[0] ? config->client_cert : NULL,
                                  config->client_key[0] ? config->client_key : NULL, no_passphrase);
    if (error == MOSQ_ERR_INVAL)
        snprintf(connection->words, sizeof connection->words,
                 "ca_file or client_cert cannot be read");
    if (error == MOSQ_ERR_SUCCESS && !config->verify) {
        error = mosquitto_tls_opts_set(mosquitto, 0, NULL, NULL);
        if (error == MOSQ_ERR_SUCCESS)
            error = mosquitto_tls_insecure_set(mosquitto, true);
    }
    return error;
}

/* With a new client, so that no queue and no certificates of the previous attempt survive. */
static void attempt(struct connection *connection)
{
    const struct connection_settings *settings = &connection->settings;
    struct mosquitto *mosquitto =
        alloc_checked(mosquitto_new(settings->client_id, true, connection));
    connection->mosquitto = mosquitto;
    connection->words[0] = connection->library[0] = '\0';
    connection->stage = CONNECTION_NONE;
    mosquitto_connect_callback_set(mosquitto, on_connect);
    mosquitto_message_callback_set(mosquitto, on_message);
    mosquitto_publish_callback_set(mosquitto, on_publish);
    mosquitto_subscribe_callback_set(mosquitto, on_subscribe);
    mosquitto_unsubscribe_callback_set(mosquitto, on_unsubscribe);
    mosquitto_log_callback_set(mosquitto, on_log);
    mosquitto_int_option(mosquitto, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_max_inflight_messages_set(mosquitto, CONNECTION_QUEUE_MAX);
    int error = set_user(connection);
    if (error == MOSQ_ERR_SUCCESS)
        error = set_tls(connection);
    if (error == MOSQ_ERR_SUCCESS)
        error = mosquitto_will_set(mosquitto, settings->will_topic,
                                   (int) strlen(settings->will_payload), settings->will_payload, 1,
                                   settings->will_retained);
    if (error == MOSQ_ERR_SUCCESS) {
        errno = 0;
        error = mosquitto_connect_async(mosquitto, connection->broker.host, connection->broker.port,
                                        KEEPALIVE_S);
    }
    if (error == MOSQ_ERR_SUCCESS)
        watch(connection);
    else
        handle_failure(connection,
                       connection->words[0] ? connection->words : error_text(connection, error));
}

/* The library needs the name for the certificate. It resolves it again, from the cache. */
static void on_resolved(void *data, const struct resolver_address *addresses, unsigned count)
{
    struct connection *connection = data;
    if (count == 0)
        handle_failure(connection, error_text(connection, MOSQ_ERR_EAI));
    else
        attempt(connection);
}

static void on_patience(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct connection *connection = timer->data;
    char port[8];
    if (connection->mosquitto) {
        /* Discards what the kernel still holds for the broker: it would be sent for minutes. */
        setsockopt(mosquitto_socket(connection->mosquitto), SOL_SOCKET, SO_LINGER,
                   &(struct linger){.l_onoff = 1, .l_linger = 0}, sizeof(struct linger));
        handle_failure(connection, connection->stage == CONNECTION_UP
                                       ? "it has read nothing for 10 s"
                                       : "it did not answer within 15 s");
        return;
    }
    if (connection->resolver.child.fd >= 0) {
        handle_failure(connection, "no name server answered within 15 s");
        return;
    }
    timer_restart(connection->loop, &connection->patience, DEADLINE_S);
    snprintf(port, sizeof port, "%d", connection->broker.port);
    if (connection->broker.numeric)
        attempt(connection);
    else if (resolver_start(&connection->resolver, connection->broker.host, port) < 0)
        handle_failure(connection, strerror(errno));
}

/* Whether TCP connected. The library has already consumed the socket's error. */
static bool was_reached(const struct connection *connection)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    return getsockopt(mosquitto_socket(connection->mosquitto), IPPROTO_TCP, TCP_INFO, &info,
                      &size) == 0 &&
           info.tcpi_bytes_acked > 0;
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
    struct connection *connection = io->data;
    int error = MOSQ_ERR_SUCCESS;
    struct sockaddr_storage other;
    socklen_t size = sizeof other;
    const int fd = mosquitto_socket(connection->mosquitto);
    /* The library treats a connection that was refused or reset before TLS was set up as one in
     * progress, while its socket is always ready. */
    const bool ended = connection->stage < CONNECTION_UP && connection->tls && fd >= 0 &&
                       getpeername(fd, (struct sockaddr *) &other, &size) < 0 && errno == ENOTCONN;
    if (connection->stage == CONNECTION_NONE && (!ended || was_reached(connection)))
        connection->stage = CONNECTION_REACHED;
    if (connection->stage < CONNECTION_ENCRYPTED && is_encrypted(connection->mosquitto))
        connection->stage = CONNECTION_ENCRYPTED;
    errno = 0;
    if (revents & EV_READ)
        error = mosquitto_loop_read(connection->mosquitto, 1);
    if (error == MOSQ_ERR_SUCCESS && connection->mosquitto && (revents & EV_WRITE))
        error = mosquitto_loop_write(connection->mosquitto, 1);
    check_result(connection, error == MOSQ_ERR_SUCCESS && ended ? MOSQ_ERR_CONN_LOST : error);
}

static void on_misc(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct connection *connection = timer->data;
    if (connection->short_ones > 0 && clock_now() - connection->up_at >= STEADY_S)
        note_steady(connection);
    errno = 0;
    if (mosquitto_loop_misc(connection->mosquitto) != MOSQ_ERR_SUCCESS)
        handle_failure(connection, "it stopped answering");
    else
        check_result(connection, MOSQ_ERR_SUCCESS);
}

struct connection *connection_new(struct ev_loop *loop, const struct connection_settings *settings)
{
    struct connection *connection = alloc_zeroed(1, sizeof *connection);
    if (mosquitto_lib_init() != MOSQ_ERR_SUCCESS ||
        !mqtt_broker_parse(settings->config->broker, &connection->tls, &connection->broker)) {
        free(connection);
        return NULL;
    }
    connection->loop = loop;
    connection->settings = *settings;
    connection->down_since = clock_now();
    srandom((unsigned) (clock_now() * 1e6));
    ev_init(&connection->io, on_io);
    ev_timer_init(&connection->misc, on_misc, 1, 1);
    ev_init(&connection->patience, on_patience);
    resolver_init(&connection->resolver, loop, on_resolved, connection);
    connection->io.data = connection->misc.data = connection->patience.data = connection;
    connection->io.fd = -1;
    names_permit(connection->broker.port);
    if (connection->tls && !settings->config->verify)
        log_warn("%s: ca_file = any: the broker's certificate is not verified; any host at its "
                 "address gets the password and the values",
                 settings->name);
    ev_timer_start(loop, &connection->patience);
    return connection;
}

void connection_free(struct connection *connection)
{
    if (connection_is_up(connection))
        mosquitto_disconnect(connection->mosquitto);
    destroy(connection);
    mosquitto_lib_cleanup();
    free(connection);
}

unsigned connection_room(const struct connection *connection)
{
    return connection_is_up(connection) && !connection->broken
               ? CONNECTION_QUEUE_MAX - connection->outstanding
               : 0;
}

void connection_drop(struct connection *connection)
{
    if (connection_is_up(connection) && !connection->drop_told) {
        log_warn("%s: the broker does not read fast enough; messages are dropped",
                 connection->settings.name);
        connection->dropped_before = connection->counters.dropped;
        connection->drop_told = true;
    }
    connection->counters.dropped++;
}

/* The library has closed the socket. The caller may still be iterating its packs, so the connection
 * ends in the next turn of the loop. */
static void note_broken(struct connection *connection, int error)
{
    snprintf(connection->words, sizeof connection->words, "%s", error_text(connection, error));
    connection->broken = true;
    ev_feed_event(connection->loop, &connection->misc, EV_TIMER);
}

static bool has_ended(int error)
{
    return error == MOSQ_ERR_NO_CONN || error == MOSQ_ERR_CONN_LOST || error == MOSQ_ERR_ERRNO ||
           error == MOSQ_ERR_TLS;
}

bool connection_publish(struct connection *connection, const char *topic, const void *payload,
                        size_t size, int qos, bool retained, int *mid)
{
    if (connection_room(connection) == 0) {
        connection_drop(connection);
        return false;
    }
    connection->outstanding++;
    errno = 0;
    int error =
        mosquitto_publish(connection->mosquitto, mid, topic, (int) size, payload, qos, retained);
    if (error == MOSQ_ERR_SUCCESS) {
        connection->counters.sent++;
        watch(connection);
        return true;
    }
    if (connection->outstanding > 0)
        connection->outstanding--;
    if (has_ended(error))
        note_broken(connection, error);
    if (has_ended(error) || error == MOSQ_ERR_NOMEM) {
        connection_drop(connection);
        return false;
    }
    /* It would fail each time and block all messages behind it. */
    connection->counters.dropped++;
    log_error("%s: a message on %s cannot be sent: %s", connection->settings.name, topic,
              mosquitto_strerror(error));
    return true;
}

/* An UNSUBSCRIBE from a topic never subscribed to: only the broker sees it, and answers. */
void connection_knock(struct connection *connection)
{
    if (!connection_is_up(connection) || connection->broken || ev_is_active(&connection->patience))
        return;
    errno = 0;
    int error = mosquitto_unsubscribe(connection->mosquitto, &connection->knock_mid,
                                      connection->settings.client_id);
    if (has_ended(error))
        note_broken(connection, error);
    if (error != MOSQ_ERR_SUCCESS)
        return;
    connection->knocked_at = clock_now();
    timer_restart(connection->loop, &connection->patience, KNOCK_S);
    watch(connection);
}

void connection_subscribe(struct connection *connection, const char *topic, const char *what)
{
    int i = 0;
    while (i < SUBSCRIPTIONS_MAX - 1 && connection->subscriptions[i].mid)
        i++;
    connection->subscriptions[i].what = what;
    if (connection_is_up(connection))
        mosquitto_subscribe(connection->mosquitto, &connection->subscriptions[i].mid, topic, 1);
}

struct connection_counters connection_counters(const struct connection *connection)
{
    struct connection_counters counters = connection->counters;
    /* Messages of the library about the encryption show that there is a peer. */
    counters.stage = connection->stage == CONNECTION_NONE && connection->library[0]
                         ? CONNECTION_REACHED
                         : connection->stage;
    counters.queued = connection->outstanding;
    counters.words = connection->words;
    return counters;
}
