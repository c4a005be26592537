// SPDX-License-Identifier: MIT
/* The questions of outlets about the gateway as a whole: the configuration, and a tunnel that only
 * the page may open. */
#include "control/control.h"
#include "config/load.h"

#include "base/clock.h"

#include "bms/count.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static struct bench {
    char path[40];
    struct ev_loop *loop;
    struct config_file file;
    struct config *config;
    struct kept *kept;
    struct polling *polling;
    struct packs *packs;
    struct overview overview;
    struct control *control;
} bench;

static const struct line_events no_events;

static int set_up(void **state)
{
    static const char text[] =
        "[gateway]\ncontrol = none\n[line shed]\nport = sim:\nprotocol = daly\n"
        "[pack a]\nline = shed\nunit = 1\n"
        "[tunnel shed]\nlisten = 127.0.0.1:0\n[line unused]\nport = sim:\n";
    strcpy(bench.path, "/tmp/packgate:5: XXXXXX"); /* no mistake is in line 5 of a file */
    int fd = mkstemp(bench.path);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    const double now = clock_now();
    bench.loop = ev_loop_new(0);
    bench.config = config_file_load(&bench.file, bench.path, now);
    assert_non_null(bench.config);
    bench.file.in_force = true;
    bench.kept = kept_load("");
    bench.polling = polling_new(NULL, bench.loop, bench.config, NULL, &no_events, NULL);
    bench.packs = packs_new(bench.kept, now);
    packs_renew(bench.packs, bench.polling, now);
    bench.overview =
        (struct overview){.packs = bench.packs, .polling = bench.polling, .file = &bench.file};
    bench.control = control_new(bench.loop, &bench.overview);
    assert_non_null(bench.control);
    return 0;
}

static int tear_down(void **state)
{
    control_free(bench.control);
    packs_free(bench.packs);
    polling_free(bench.polling);
    kept_free(bench.kept);
    config_free(bench.config);
    config_file_free(&bench.file);
    ev_loop_destroy(bench.loop);
    unlink(bench.path);
    return 0;
}

#define CONTROL_TEST(name) TEST_WITH(name, set_up, tear_down)

/* NULL: no answer. */
static json_t *ask_as(const char *from, bool may_order, const char *question)
{
    char *text = control_tell_outlet(bench.control, from, may_order, question);
    json_t *answer = text ? json_loads(text, 0, NULL) : NULL;
    assert_true(!text == !answer);
    free(text);
    return answer;
}

static json_t *ask(const char *from, const char *question)
{
    return ask_as(from, true, question);
}

CONTROL_TEST(configuration)
{
    json_t *answer = ask("mqtt home", "configuration");
    assert_non_null(answer);
    assert_non_null(strstr(json_string_value(json_object_get(answer, "text")), "[tunnel shed]"));
    const json_t *mistake = json_array_get(json_object_get(answer, "mistakes"), 0);
    assert_int_equal(json_integer_value(json_object_get(mistake, "line")), 11);
    assert_string_equal(json_string_value(json_object_get(mistake, "text")),
                        "warning: [line unused] has no pack and stays unused");
    json_decref(answer);
}

/* Whether the tunnel is open according to the answer; -1: another answer. */
static int is_open(json_t *answer)
{
    const json_t *open = json_object_get(answer, "open");
    int found = json_is_boolean(open) ? json_is_true(open) : -1;
    json_decref(answer);
    return found;
}

/* A tunnel is opened, extended and closed, and the log names the user. */
CONTROL_TEST(tunnel)
{
    json_t *answer = ask("web", "tunnel shed 60 192.0.2.7");
    assert_string_equal(json_string_value(json_object_get(answer, "by")), "web 192.0.2.7");
    assert_true(json_is_false(json_object_get(answer, "was_open")));
    assert_int_equal(is_open(answer), 1);
    answer = ask("web", "tunnel shed 60 192.0.2.7");
    assert_true(json_is_true(json_object_get(answer, "was_open")));
    assert_int_equal(is_open(answer), 1);
    assert_int_equal(is_open(ask("web", "tunnel shed 0 192.0.2.7")), 0);
    assert_int_equal(is_open(ask("web", "tunnel shed 0 192.0.2.7")), 0);
    /* A page without a password cannot open it. */
    assert_null(ask_as("web", false, "tunnel shed 60 192.0.2.7"));
    assert_int_equal(is_open(ask("web", "tunnel shed 0 192.0.2.7")), 0);
}

/* Only the page gets an answer; mistakes get an error message, malformed questions none. */
CONTROL_TEST(refused)
{
    static const struct {
        const char *from, *question;
        bool words;
    } cases[] = {
        {"mqtt home", "tunnel shed 60 192.0.2.7", false},
        {"history", "tunnel shed 60 192.0.2.7", false},
        {"webster", "tunnel shed 60 192.0.2.7", false},
        {"web", "tunnel shed 60", false},
        {"web", "tunnel", false},
        {"web", "", false},
        {"web", "statuses", false},
        {"web", "tunnel barn 60 192.0.2.7", true},
        {"web", "tunnel shed 0.5 192.0.2.7", true},
        {"web", "tunnel shed 86401 192.0.2.7", true},
        {"web", "tunnel shed 1e999 192.0.2.7", true},
        {"web", "tunnel shed-shed-shed-shed-shed-shed-shed-shed-shed 60 192.0.2.7", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *answer = ask(cases[i].from, cases[i].question);
        bool words = json_is_string(json_object_get(answer, "error"));
        if (cases[i].words ? !words : answer != NULL)
            fail_msg("%s: %s", cases[i].from, cases[i].question);
        json_decref(answer);
    }
    json_t *answer = ask("web", "tunnel shed 1 192.0.2.7");
    assert_true(json_is_false(json_object_get(answer, "was_open")));
    json_decref(answer);
}
