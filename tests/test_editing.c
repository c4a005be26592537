// SPDX-License-Identifier: MIT
/* Who may set up in the browser, on a test-controlled clock: codes and sessions expire, end when used, and are
 * replaced by others. */
#include "control/editing.h"
#include "config/load.h"
#include "base/clock.h"
#include "bms/count.h"

#include "turned_clock.h"

#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "unit.h"

static struct bench {
    struct ev_loop *loop;
    struct config *config;
    struct config_file file;
    struct kept *kept;
    struct polling *polling;
    struct packs *packs;
    struct overview overview;
    struct editing *editing;
    char *answer; /* to the last request */
} bench;

static const struct line_events no_events;
static const struct overview_host no_host;

void outlets_answer(const struct outlets *outlets, uint64_t ticket, const char *text)
{
    free(bench.answer);
    bench.answer = text ? strdup(text) : NULL;
}

bool outlets_state(const struct outlets *outlets, unsigned n, struct outlet_state *state)
{
    return false;
}

static void set_up(const char *web)
{
    char text[500];
    snprintf(text, sizeof text,
             "[line shed]\nport = sim:\nprotocol = daly\n[pack a]\nline = shed\nunit = 1\n"
             "[web]\nlisten = 0.0.0.0:8080\n%s\n",
             web);
    bench.loop = ev_loop_new(0);
    bench.config = config_parse(text, "test", stderr);
    assert_non_null(bench.config);
    bench.file.path = strdup("/nowhere/packgate.ini");
    bench.kept = kept_load("");
    bench.polling = polling_new(NULL, bench.loop, bench.config, NULL, &no_events, NULL);
    bench.packs = packs_new(bench.kept, clock_now());
    packs_renew(bench.packs, bench.polling, clock_now());
    bench.overview = (struct overview){
        .packs = bench.packs, .polling = bench.polling, .file = &bench.file, .host = &no_host};
    bench.editing = editing_new(bench.loop, &bench.overview);
    assert_non_null(bench.editing);
}

static void tear_down(void)
{
    editing_free(bench.editing);
    packs_free(bench.packs);
    polling_free(bench.polling);
    kept_free(bench.kept);
    config_free(bench.config);
    config_file_free(&bench.file);
    free(bench.answer);
    ev_loop_destroy(bench.loop);
    bench = (struct bench){0};
}

/* Sends a request and returns the answer, which the caller releases. */
static json_t *ask(const char *verb, const char *by, const char *token, const char *body)
{
    char text[300];
    snprintf(text, sizeof text, "%s %s %s\n%s", verb, by, token, body);
    editing_ask(bench.editing, text, 1);
    json_t *answer = json_loads(bench.answer, 0, NULL);
    assert_non_null(answer);
    return answer;
}

static int http_of(json_t *answer)
{
    const json_t *http = json_object_get(answer, "http");
    const int status = http ? (int) json_integer_value(http) : 200;
    json_decref(answer);
    return status;
}

static void take_text(json_t *answer, const char *key, char out[100])
{
    snprintf(out, 100, "%s", json_string_value(json_object_get(answer, key)));
    json_decref(answer);
}

static void arm(char code[100])
{
    json_t *armed = editing_arm(bench.editing);
    assert_non_null(armed);
    take_text(armed, "code", code);
    assert_int_equal(strlen(code), 8);
}

/* `stop` needs only a session. */
static bool may(const char *by, const char *token)
{
    const int status = http_of(ask("stop", by, token, "{}"));
    assert_true(status == 200 || status == 403);
    return status == 200;
}

TEST(code_is_over)
{
    char code[100], token[100];
    set_up("");
    assert_false(may("code", "-"));
    arm(code);
    turned_clock_at += EDITING_ARMED_S - 1;
    take_text(ask("arm", "code", "-", code), "token", token);
    assert_true(may("code", token));
    arm(code);
    turned_clock_at += EDITING_ARMED_S;
    assert_int_equal(http_of(ask("arm", "code", "-", code)), 403);
    assert_false(may("code", token));
    tear_down();
}

TEST(session_is_over)
{
    char code[100], token[100];
    set_up("");
    arm(code);
    take_text(ask("arm", "code", "-", code), "token", token);
    assert_int_equal(strlen(token), 64);
    for (int i = 0; i < 3; i++) { /* it lasts as long as it is used */
        turned_clock_at += EDITING_ARMED_S - 1;
        assert_true(may("code", token));
    }
    turned_clock_at += EDITING_ARMED_S / 2;
    json_decref(ask("state", "code", token, "")); /* to look is not to use */
    turned_clock_at += EDITING_ARMED_S / 2;
    assert_false(may("code", token));
    tear_down();
}

TEST(code_works_once)
{
    char code[100], token[100], other[100];
    set_up("");
    arm(code);
    take_text(ask("arm", "code", "-", code), "token", token);
    assert_int_equal(http_of(ask("arm", "code", "-", code)), 403);
    assert_int_equal(http_of(ask("arm", "code", "-", "")), 403);
    assert_true(may("code", token));
    memcpy(other, token, sizeof other);
    other[63] = other[63] == '0' ? '1' : '0';
    assert_false(may("code", other));
    other[63] = '\0';
    assert_false(may("code", other));
    assert_int_equal(http_of(ask("leave", "code", token, "{}")), 200);
    assert_false(may("code", token) || may("code", "-"));
    tear_down();
}

/* The outlet's statement about the login counts only if the configuration allows it. */
TEST(by_configuration)
{
    set_up("");
    assert_false(may("password", "-") || may("ingress", "-") || may("nothing", "-"));
    tear_down();
    set_up("setup = yes\npassword_file = /nowhere");
    assert_true(may("password", "-"));
    assert_false(may("ingress", "-") || may("code", "-"));
    tear_down();
    set_up("setup = ingress\nallow = 172.30.32.2");
    assert_true(may("ingress", "-"));
    assert_false(may("password", "-") || may("code", "-"));
    tear_down();
}

TEST(questions_that_are_none)
{
    static const char *const bad[] = {
        "", "state", "state code", "state code -", "state code - more\n", "state code\n-"};
    set_up("");
    for (size_t i = 0; i < COUNT(bad); i++) {
        editing_ask(bench.editing, bad[i], 1);
        assert_non_null(strstr(bench.answer, "\"http\":400"));
    }
    assert_int_equal(http_of(ask("nothing", "code", "-", "")), 404);
    tear_down();
}

/* Listens in place of the helper. */
static int listen_as_helper(struct sockaddr_un *address)
{
    strcpy(address->sun_path, "/tmp/packgate-test-XXXXXX");
    address->sun_family = AF_UNIX;
    assert_non_null(mkdtemp(address->sun_path));
    strcat(address->sun_path, "/socket");
    const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *) address, sizeof *address), 0);
    assert_int_equal(listen(listener, 5), 0);
    return listener;
}

static void remove_helper(int listener, char *path)
{
    close(listener);
    unlink(path);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
}

static void expect_line(int fd, const char *line)
{
    char text[100];
    const ssize_t size = read(fd, text, sizeof text - 1);
    assert_true(size > 0);
    text[size] = '\0';
    assert_string_equal(text, line);
}

/* The helper neither restores the previous file in time nor exits: another one is asked to do it. */
TEST(helper_that_hangs)
{
    static const char saved[] = "{\"hash\":\"7\",\"keep_within_s\":120}\n";
    struct sockaddr_un address;
    const int listener = listen_as_helper(&address);
    const struct overview_host host = {.helper = address.sun_path};
    char code[100], token[100];
    set_up("");
    bench.overview.host = &host;
    arm(code);
    take_text(ask("arm", "code", "-", code), "token", token);
    json_decref(ask("apply", "code", token, "edits"));
    const int helper = accept(listener, NULL, NULL);
    expect_line(helper, "edits\n");
    assert_int_equal(write(helper, saved, sizeof saved - 1), sizeof saved - 1);
    const double begun = turned_clock_at;
    struct pollfd next = {.fd = listener, .events = POLLIN};
    for (int turns = 0; turns < 1000 && poll(&next, 1, 0) == 0; turns++)
        ev_run(bench.loop, EVRUN_ONCE);
    assert_int_equal(next.revents, POLLIN);
    assert_true(turned_clock_at - begun > EDITING_KEEP_S &&
                turned_clock_at - begun < 2 * EDITING_KEEP_S);
    const int other = accept(listener, NULL, NULL);
    expect_line(other, "undo\n");
    close(helper);
    close(other);
    tear_down();
    remove_helper(listener, address.sun_path);
}
