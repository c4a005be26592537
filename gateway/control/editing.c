// SPDX-License-Identifier: MIT
/* The gateway's part of set-up in the browser. */
#include "editing.h"

#include "hold.h"
#include "job.h"

#include "config/edits.h"
#include "config/keys.h"
#include "packs/json.h"
#include "base/clock.h"
#include "base/log.h"

#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CODE_SIZE 9   /* eight letters and digits, 40 bits, and the NUL */
#define TOKEN_SIZE 65 /* 256 bits in hex digits, and the NUL */
#define QUICK_MAX 4   /* short jobs at the same time */
/* Seconds for a short job: less than the outlet waits for an answer (OUTLET_ANSWER_S). */
#define QUICK_S 12.0
#define LONG_S 900.0 /* s for a search or a test of an outlet */

struct editing {
    const struct overview *overview;
    char code[CODE_SIZE];   /* "": none, or used */
    char token[TOKEN_SIZE]; /* "": no session */
    double until;           /* of the code, or of the session */
    struct job quick[QUICK_MAX];
    struct job search, trial;
    bool awaits_request; /* the trial waits for a request of a Modbus client */
    uint32_t requests;   /* of all Modbus clients when it began */
    struct hold *hold;
};

/* How a browser was authenticated. */
enum entrance { BY_NOTHING, BY_CODE, BY_PASSWORD, BY_INGRESS };

static const char *const entrances[] = {
    [BY_CODE] = "code", [BY_PASSWORD] = "password", [BY_INGRESS] = "ingress"};

/* A request of a browser. */
struct query {
    const char *verb, *by, *token, *body;
    enum entrance entrance;
    uint64_t ticket;
};

static const struct web_config *web_of(const struct editing *editing)
{
    return packs_config(editing->overview->packs)->web;
}

/* Compares in constant time. */
static bool equals_secret(const char *secret, const char *text, size_t size)
{
    unsigned difference = 0;
    if (!secret[0] || strlen(text) != size - 1)
        return false;
    for (size_t i = 0; i < size - 1; i++)
        difference |= (unsigned) (secret[i] ^ text[i]);
    return difference == 0;
}

static enum entrance entrance_of(struct editing *editing, const struct query *query, double now)
{
    const struct web_config *web = web_of(editing);
    if (now >= editing->until)
        editing->code[0] = editing->token[0] = '\0';
    if (strcmp(query->by, "code") == 0)
        return equals_secret(editing->token, query->token, TOKEN_SIZE) ? BY_CODE : BY_NOTHING;
    if (strcmp(query->by, "password") == 0)
        return web && web->setup == WEB_SETUP_YES ? BY_PASSWORD : BY_NOTHING;
    if (strcmp(query->by, "ingress") == 0)
        return web && web->setup == WEB_SETUP_INGRESS ? BY_INGRESS : BY_NOTHING;
    return BY_NOTHING;
}

/* A search or a trial ends with the session that started it, because a search occupies its port. */
static void stop_long(struct editing *editing)
{
    job_stop(&editing->search);
    job_stop(&editing->trial);
}

static void write_address(const struct web_config *web, char *out, size_t size)
{
    char host[65] = "";
    struct endpoint endpoint;
    gethostname(host, sizeof host - 1);
    if (web_address(web, host, out, size))
        return;
    /* The page is bound to this host alone, or to any free port. */
    const bool good = endpoint_parse(web->listen.at[0], &endpoint);
    snprintf(out, size, "%s://127.0.0.1:%u/", web->tls_cert[0] ? "https" : "http",
             good ? (unsigned) endpoint.port : 0);
}

json_t *editing_arm(struct editing *editing)
{
    /* Without letters and digits that look alike. */
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
    uint8_t random[CODE_SIZE - 1];
    char address[300];
    struct outlet_state state;
    bool runs = false; /* at this moment: it may be restarted by a reload */
    const struct web_config *web = web_of(editing);
    if (!web)
        return json_refusal("the configuration has no page: add a section [web] to it, and reload");
    if (getrandom(random, sizeof random, 0) != (ssize_t) sizeof random)
        return json_refusal("the kernel has no random numbers yet; try again");
    for (size_t i = 0; i < sizeof random; i++)
        editing->code[i] = letters[random[i] % (sizeof letters - 1)];
    editing->code[CODE_SIZE - 1] = '\0';
    editing->token[0] = '\0';
    stop_long(editing);
    editing->until = clock_now() + EDITING_ARMED_S;
    write_address(web, address, sizeof address);
    for (unsigned n = 0; outlets_state(editing->overview->outlets, n, &state); n++)
        runs |= strcmp(state.kind, web_section.word) == 0 && state.pid > 0;
    log_info("set-up: created a code, valid for one browser for %.0f minutes",
             EDITING_ARMED_S / 60);
    return json_pack("{s:s, s:s, s:f, s:b}", "code", editing->code, "address", address, "for_s",
                     EDITING_ARMED_S, "runs", runs);
}

/* The functions below answer a request; NULL: it will be answered later. */

static json_t *ask_arm(struct editing *editing, const struct query *query)
{
    uint8_t random[(TOKEN_SIZE - 1) / 2];
    if (!equals_secret(editing->code, query->body, CODE_SIZE))
        return setup_refusal(403, "this code is wrong, expired or already used");
    if (getrandom(random, sizeof random, 0) != (ssize_t) sizeof random)
        return setup_refusal(503, "the kernel has no random numbers yet; try again");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(editing->token + 2 * i, 3, "%02x", random[i]);
    editing->code[0] = '\0';
    editing->until = clock_now() + EDITING_ARMED_S;
    log_info("set-up: a browser has used the code");
    return json_pack("{s:s}", "token", editing->token);
}

static json_t *ask_leave(struct editing *editing, const struct query *query)
{
    editing->code[0] = editing->token[0] = '\0';
    stop_long(editing);
    return json_object();
}

static json_t *ask_state(struct editing *editing, const struct query *query)
{
    const double now = clock_now();
    const struct config *config = packs_config(editing->overview->packs);
    const char *by = entrances[query->entrance];
    const struct web_config *web = web_of(editing);
    /* What a person types for a code. Our image has the word that container managers set. */
    const char *command =
        getenv("container") ? "docker exec -it packgate packgate setup" : "sudo packgate setup";
    const bool armed = editing->code[0] || editing->token[0] || query->entrance != BY_NOTHING;
    json_t *state = json_pack("{s:b, s:b, s:s?, s:b, s:s, s:s, s:i}", "armed", armed, "taken",
                              editing->token[0] && query->entrance != BY_CODE, "by", by, "yours",
                              query->entrance != BY_NOTHING, "save", hold_way(editing->hold),
                              "command", command, "packs", (int) config->pack_count);
    json_object_set_new(state, "expires_s",
                        armed && (query->entrance == BY_CODE || !by)
                            ? json_number(fmax(editing->until - now, 0), 0)
                            : json_null());
    /* A user who logs in may set up, too. */
    json_object_set_new(state, "login", json_boolean(web && web->setup == WEB_SETUP_YES && !by));
    hold_add_state(editing->hold, state, now);
    /* Everybody can read the masked configuration; with the hash of the whole text they could test guesses of its secrets. */
    if (query->entrance == BY_NOTHING)
        json_object_del(json_object_get(state, "pending"), "hash");
    return state;
}

static void on_quick_over(struct job *job, enum job_end end)
{
    const struct editing *editing = job->data;
    const char *text = job->line;
    outlets_answer(editing->overview->outlets, job->ticket,
                   text ? text
                        : "{\"error\":\"the process failed or took too long\",\"http\":503}");
    job_stop(job);
}

/* Starts the process that does what the query asks for. */
static bool start_job(const struct editing *editing, const struct query *query, struct job *job,
                      double most_s)
{
    const char *first = editing->overview->host->first;
    const char *words[JOB_WORDS] = {
        "setup-work", query->verb, "-c", editing->overview->file->path, first ? "--first" : NULL,
        first};
    return job_start(job, words, query->body, most_s);
}

static json_t *ask_quick(struct editing *editing, const struct query *query)
{
    struct job *job = editing->quick;
    while (job < editing->quick + QUICK_MAX && job_runs(job))
        job++;
    if (job == editing->quick + QUICK_MAX || !start_job(editing, query, job, QUICK_S))
        return setup_refusal(503, "busy");
    job->ticket = query->ticket;
    return NULL;
}

/* The whole text, unmasked: only if nothing but the browser can save it. */
static json_t *ask_text(struct editing *editing, const struct query *query)
{
    if (strcmp(hold_way(editing->hold), "download") == 0)
        return ask_quick(editing, query);
    return setup_refusal(403,
                         "the gateway can save the configuration itself, so it does not send it");
}

static json_t *start_long(const struct editing *editing, const struct query *query, struct job *job)
{
    return start_job(editing, query, job, LONG_S) ? json_pack("{s:i}", "http", 202)
                                                  : setup_refusal(503, "busy");
}

/* A search would send between the polls of a configured line. */
static json_t *search_port(struct editing *editing, const struct query *query, const char *port)
{
    const struct config *config = packs_config(editing->overview->packs);
    if (!port)
        return setup_refusal(400, "expected {\"port\":\"…\"}");
    const struct line_config *line = config_line_on(config, port);
    if (line)
        return setup_refusal(409, "this port is in use by [line %s]", line->name);
    if (!edits_is_port_good(port))
        return setup_refusal(403, "of this host, only devices below /dev are searched");
    return start_long(editing, query, &editing->search);
}

static json_t *ask_probe(struct editing *editing, const struct query *query)
{
    json_t *request = json_loads(query->body, 0, NULL);
    json_t *answer =
        search_port(editing, query, json_string_value(json_object_get(request, "port")));
    json_decref(request);
    return answer;
}

static json_t *ask_stop(struct editing *editing, const struct query *query)
{
    job_stop(&editing->search);
    return json_object();
}

/* The gateway itself sees whether a Modbus client reads; a process tries everything else. */
static json_t *ask_try(struct editing *editing, const struct query *query)
{
    json_t *request = json_loads(query->body, 0, NULL);
    const char *kind = json_string_value(json_object_get(request, "kind"));
    editing->awaits_request = kind && strcmp(kind, "modbus") == 0;
    json_decref(request);
    if (!editing->awaits_request)
        return start_long(editing, query, &editing->trial);
    job_stop(&editing->trial);
    editing->requests = server_counters(editing->overview->server).requests;
    return json_pack("{s:i}", "http", 202);
}

/* How far the search or the trial is: the last line of its process. */
static json_t *ask_progress(struct editing *editing, const struct query *query)
{
    const bool probed = strcmp(query->verb, "probed") == 0;
    if (!probed && editing->awaits_request) {
        const bool came = server_counters(editing->overview->server).requests != editing->requests;
        return json_pack("{s:b, s:[{s:s, s:o, s:s}]}", "running", !came, "steps", "name", "request",
                         "ok", came ? json_true() : json_null(), "text", "");
    }
    const struct job *job = probed ? &editing->search : &editing->trial;
    json_t *object = job->line ? json_loads(job->line, 0, NULL) : NULL;
    if (!object)
        object = json_object();
    json_object_set_new(object, "running", json_boolean(job_runs(job)));
    return object;
}

/* A search may still use a port that the new configuration names. */
static json_t *ask_apply(struct editing *editing, const struct query *query)
{
    stop_long(editing);
    return hold_apply(editing->hold, query->body, query->ticket);
}

static json_t *ask_end(struct editing *editing, const struct query *query)
{
    return hold_end(editing->hold, strcmp(query->verb, "keep") == 0, query->ticket);
}

static const struct {
    const char *verb;
    json_t *(*ask)(struct editing *editing, const struct query *query);
    bool open;  /* to every browser that reaches the page */
    bool looks; /* does not extend the session */
} verbs[] = {
    {.verb = "state", .ask = ask_state, .open = true, .looks = true},
    {.verb = "arm", .ask = ask_arm, .open = true, .looks = true},
    {.verb = "leave", .ask = ask_leave, .looks = true},
    {.verb = "config", .ask = ask_quick},
    {.verb = "keys", .ask = ask_quick},
    {.verb = "ports", .ask = ask_quick},
    {.verb = "check", .ask = ask_quick},
    {.verb = "text", .ask = ask_text},
    {.verb = "apply", .ask = ask_apply},
    {.verb = "keep", .ask = ask_end},
    {.verb = "undo", .ask = ask_end},
    {.verb = "probe", .ask = ask_probe},
    {.verb = "probed", .ask = ask_progress},
    {.verb = "stop", .ask = ask_stop},
    {.verb = "try", .ask = ask_try},
    {.verb = "tried", .ask = ask_progress},
};

static json_t *answer_query(struct editing *editing, const char *text, uint64_t ticket)
{
    char verb[16], by[16], token[TOKEN_SIZE];
    const double now = clock_now();
    int used = 0;
    struct query query = {.verb = verb, .by = by, .token = token, .ticket = ticket};
    if (sscanf(text, "%15s %15s %64s%n", verb, by, token, &used) != 3 || text[used] != '\n')
        return setup_refusal(400, "expected setup VERB BY TOKEN");
    query.body = text + used + 1;
    size_t i = 0;
    while (i < COUNT(verbs) && strcmp(verbs[i].verb, verb) != 0)
        i++;
    query.entrance = entrance_of(editing, &query, now);
    if (i == COUNT(verbs))
        return setup_refusal(404, "there is nothing at this address");
    if (query.entrance == BY_NOTHING && !verbs[i].open)
        return setup_refusal(403, "set-up is not open for this browser");
    if (query.entrance == BY_CODE && !verbs[i].looks)
        editing->until = now + EDITING_ARMED_S;
    // cppcheck-suppress returnDanglingLifetime ; JSON has copies of its texts
    return verbs[i].ask(editing, &query);
}

void editing_ask(struct editing *editing, const char *text, uint64_t ticket)
{
    char *answer = json_text(answer_query(editing, text, ticket));
    if (answer)
        outlets_answer(editing->overview->outlets, ticket, answer);
    free(answer);
}

struct editing *editing_new(struct ev_loop *loop, const struct overview *overview)
{
    struct editing *editing = calloc(1, sizeof *editing);
    if (!editing)
        return NULL;
    editing->overview = overview;
    for (size_t i = 0; i < QUICK_MAX; i++)
        job_init(&editing->quick[i], loop, on_quick_over, editing);
    job_init(&editing->search, loop, NULL, editing);
    job_init(&editing->trial, loop, NULL, editing);
    editing->hold = hold_new(loop, overview);
    if (editing->hold)
        return editing;
    editing_free(editing);
    return NULL;
}

void editing_free(struct editing *editing)
{
    if (!editing)
        return;
    for (size_t i = 0; i < QUICK_MAX; i++)
        job_stop(&editing->quick[i]);
    stop_long(editing);
    hold_free(editing->hold);
    free(editing);
}
