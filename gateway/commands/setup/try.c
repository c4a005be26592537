// SPDX-License-Identifier: MIT
/*
 * Tests an outlet with a configuration and secrets that are not saved yet. They exist in memory only; the outlet's program
 * gets them as files in memory.
 */
#include "commands/asking.h"
#include "edits.h"

#include "config/load.h"
#include "outlets/program.h"
#include "packs/json.h"
#include "bms/count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define LINE_SIZE 400

static const struct {
    const char *kind;
    const char *
        step; /* name of the only step, if the program reports by its exit status; NULL: it prints steps */
} trials[] = {{"mqtt", NULL}, {"influx", NULL}, {"notify", "message"}};

/* The text with all edits, in which new secrets are files in memory. */
static char *text_to_try(const struct setup_edits *edits)
{
    char *text = strdup(edits->fresh);
    for (size_t i = 0; text && i < edits->count; i++) {
        const struct edit *edit = &edits->edits[i];
        char there[PORT_SIZE], path[PROGRAM_FILE_SIZE], why[EDIT_WHY];
        if (edit->kind != EDIT_SECRET || !edit->value ||
            !edits_secret_path(edit, edits->secrets, there))
            continue;
        program_put_file(edit->value, strlen(edit->value), path);
        struct edit written = *edit;
        written.value = path;
        char *next = config_edited(text, &written, why);
        free(text);
        text = next;
    }
    return text;
}

static void print_steps(json_t *steps)
{
    json_print(stdout, json_pack("{s:O}", "steps", steps), false);
    fflush(stdout);
}

static void add_step(json_t *steps, const char *name, bool ok, const char *text)
{
    json_array_append_new(steps, json_pack("{s:o, s:b, s:o}", "name", json_printable(name), "ok",
                                           ok, "text", json_printable(text)));
    print_steps(steps);
}

/* Parses "login failed wrong password": step, result, text. */
static void parse_step(json_t *steps, char *line)
{
    char *space = strchr(line, ' ');
    char *text = space ? strchr(space + 1, ' ') : NULL;
    if (!space)
        return;
    *space = '\0';
    const bool ok = strncmp(space + 1, "ok", 2) == 0;
    if (ok || strncmp(space + 1, "failed", 6) == 0)
        add_step(steps, line, ok, text ? text + 1 : "");
}

static void run_test(size_t i, const char *path)
{
    char line[LINE_SIZE], last[LINE_SIZE] = "";
    pid_t pid = -1;
    int status = 1;
    json_t *steps = json_array();
    print_steps(steps);
    const char *list[] = {NULL, "test", path, NULL};
    /* Its first words are the step and the result of one that cannot be started. */
    FILE *out = program_open(trials[i].kind, list, "program failed", true, &pid);
    while (out && fgets(line, sizeof line, out)) {
        line[strcspn(line, "\n")] = '\0';
        memcpy(last, line, sizeof last);
        if (!trials[i].step || strncmp(line, "program ", 8) == 0)
            parse_step(steps, line);
    }
    if (out)
        fclose(out);
    if (pid > 0)
        waitpid(pid, &status, 0);
    const char *said = strncmp(last, "packgate: ", 10) == 0 ? last + 10 : last;
    if (trials[i].step && WIFEXITED(status) && WEXITSTATUS(status) != 127)
        add_step(steps, trials[i].step, status == 0, status == 0 ? "" : said);
    else if (status != 0 && json_array_size(steps) == 0)
        add_step(steps, trials[i].kind, false, said);
    json_decref(steps);
}

json_t *setup_try(const struct setup_edits *edits)
{
    const char *kind = asking_text(edits->request, "kind");
    const char *name = asking_text(edits->request, "name");
    struct config *config;
    char path[PROGRAM_FILE_SIZE];
    size_t i = 0;
    while (i < COUNT(trials) && strcmp(trials[i].kind, kind) != 0)
        i++;
    if (i == COUNT(trials))
        return setup_refusal(400, "expected mqtt, influx or notify");
    json_t *refused = setup_edits_refuse(edits);
    if (refused)
        return refused;
    char *text = text_to_try(edits);
    config = config_parse(text ? text : "", "", NULL);
    free(text);
    const bool found = config && program_put_section(config, kind, name, path);
    config_free(config);
    if (!found)
        return setup_refusal(404, "there is no [%s %s]", kind, name);
    run_test(i, path);
    return NULL;
}
