// SPDX-License-Identifier: MIT
#include "outlets.h"
#include "process.h"

#include "config/outlet_config.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An outlet depends on nothing but its config: while these bytes are the same it keeps running. */
static void compose_config(struct process *process, const void *section)
{
    struct outlets *outlets = process->outlets;
    const struct config *of = packs_config(outlets->packs);
    struct pipe_config config;
    char host[65] = "";
    memset(&config, 0, sizeof config);
    config.id_kept = of->gateway.state_file[0] != '\0';
    config.started_at = packs_started_at(outlets->packs);
    config.settings = section;
    config.settings_size = process->kind->size;
    config.pack_count = process->source_count;
    snprintf(config.kind, sizeof config.kind, "%s", process->kind->word);
    snprintf(config.section, sizeof config.section, "%s", process->section);
    snprintf(config.gateway, sizeof config.gateway, "%s", of->gateway.title);
    snprintf(config.id, sizeof config.id, "%s", outlets->kept->id);
    gethostname(host, sizeof host - 1);
    if (!process->kind->mentions_page || !of->web || !host[0] ||
        !web_address(of->web, host, config.page, sizeof config.page))
        config.page[0] = '\0';
    process->config = pipe_compose(&config, process->sources, &process->config_size);
}

static struct process *new_process(struct outlets *outlets, const struct config_section *kind,
                                   const struct outlet_config *section)
{
    const struct packs *packs = outlets->packs;
    struct process *process = alloc_zeroed(1, sizeof *process);
    process->outlets = outlets;
    process->kind = kind;
    process->may_order = kind->may_order && ((const char *) section)[kind->may_order];
    process_init(process);
    snprintf(process->section, sizeof process->section, "%s", section->name);
    snprintf(process->title, sizeof process->title, "%s%s%s", kind->word,
             section->name[0] ? " " : "", section->name);
    unsigned count = 0;
    while (packs_at(packs, count))
        count++;
    process->sources = alloc_zeroed(count, sizeof *process->sources);
    process->feeds = alloc_zeroed(count, sizeof *process->feeds);
    for (unsigned n = 0; n < count; n++)
        if (outlet_wants(section, packs_at(packs, n)->name))
            process->sources[process->source_count++] = packs_at(packs, n);
    compose_config(process, section);
    return process;
}

/* `leaving`: also one that was asked to end. */
static struct process *find_process(const struct outlets *outlets, const char *title, bool leaving)
{
    for (struct process *process = outlets->first; process; process = process->next)
        if (strcmp(process->title, title) == 0 && (leaving || !process->leaving))
            return process;
    return NULL;
}

static void push(struct process **list, struct process *process)
{
    process->next = *list;
    *list = process;
}

/* The same outlet over the same packs keeps running; only its pointers to sources are replaced.
 * Another one ends before its successor starts. */
static void take_up(struct outlets *outlets, struct process *fresh, struct process **kept)
{
    struct process *running = find_process(outlets, fresh->title, false);
    if (running)
        process_unlink(running);
    if (running && !running->gone && running->config_size == fresh->config_size &&
        memcmp(running->config, fresh->config, running->config_size) == 0) {
        const struct source **sources = running->sources;
        running->sources = fresh->sources;
        fresh->sources = sources;
        push(kept, running);
        process_free(fresh);
        return;
    }
    if (running && running->pid > 0) {
        process_leave(running, false);
        push(kept, running);
    } else {
        process_free(running);
    }
    push(kept, fresh);
}

/* The section is gone. An outlet that is not running, or has not ended to be replaced yet, is
 * started once more, to withdraw what it published. False: there is nothing to withdraw. */
static bool dismiss(const struct process *kept, struct process *process)
{
    if (process->leaving || process->gone)
        return true;
    if (process->pid > 0) {
        process_leave(process, true);
        return true;
    }
    while (process_waits(process) && kept && strcmp(kept->title, process->title) != 0)
        kept = kept->next;
    if (process_waits(process) && !kept)
        return false;
    ev_timer_stop(process->outlets->loop, &process->timer);
    process->source_count = 0;
    process->gone = true;
    return true;
}

#define MQTT "mqtt "

/* A section [mqtt] was removed while the gateway was not running. The state file notes what it published
 * and how to reach the broker: its outlet is started once, to withdraw that. */
static void withdraw_former(struct outlets *outlets, const char *title)
{
    struct mqtt_config section = {.outlet.pack_count = 1}; /* the empty name matches no pack */
    snprintf(section.outlet.name, sizeof section.outlet.name, "%s", title + strlen(MQTT));
    struct process *process = new_process(outlets, &mqtt_section, &section.outlet);
    log_info("outlet %s: its section was removed: withdrawing what it has published", title);
    push(&outlets->first, process);
    process->gone = true;
}

static void renew_processes(void *data, double now)
{
    struct outlets *outlets = data;
    const struct config *config = packs_config(outlets->packs);
    struct process *kept = NULL;
    for (size_t i = 0; config_sections[i]; i++) {
        const struct config_section *kind = config_sections[i];
        const char *list = config_structs(config, kind);
        const unsigned count = kind->outlet ? config_struct_count(config, kind) : 0;
        for (unsigned n = 0; n < count; n++) {
            const struct outlet_config *section = (const void *) (list + n * kind->size);
            if (kind->runs && !((const char *) section)[kind->runs])
                continue;
            take_up(outlets, new_process(outlets, kind, section), &kept);
        }
    }
    /* Those left have no section any more. The ending ones first: dismiss looks for them. */
    for (int waits = 0; waits <= 1; waits++)
        for (struct process *process = outlets->first, *next; process; process = next) {
            next = process->next;
            if (process_waits(process) != waits)
                continue;
            process_unlink(process);
            if (dismiss(kept, process))
                push(&kept, process);
            else
                process_free(process);
        }
    outlets->first = kept;
    for (const struct kept_note *note = NULL; (note = kept_next_note(outlets->kept, NULL, note));)
        if (strcmp(note->key, "broker") == 0 && strncmp(note->outlet, MQTT, strlen(MQTT)) == 0 &&
            !find_process(outlets, note->outlet, true))
            withdraw_former(outlets, note->outlet);
    process_start_waiting(outlets);
}

static void on_late_turn(void *data, double since, double now)
{
    struct outlets *outlets = data;
    for (struct process *process = outlets->first; process; process = process->next) {
        process_hear(process, PROCESS_LATE);
        process->read_at = now; /* it may have slept as well */
    }
}

struct outlets *outlets_new(struct ev_loop *loop, struct packs *packs, struct kept *kept)
{
    struct outlets *outlets = alloc_zeroed(1, sizeof *outlets);
    outlets->watcher = (struct late_turn_watcher){.late = on_late_turn, .data = outlets};
    late_turn_watch(loop, &outlets->watcher);
    outlets->loop = loop;
    outlets->packs = packs;
    outlets->kept = kept;
    outlets->observer = (struct observer){.changed = process_tell_changed,
                                          .ordered = process_tell_ordered,
                                          .renewed = renew_processes,
                                          .data = outlets};
    packs_observe(packs, &outlets->observer);
    renew_processes(outlets, clock_now());
    return outlets;
}

void outlets_free(struct outlets *outlets)
{
    if (!outlets)
        return;
    packs_unobserve(outlets->packs, &outlets->observer);
    late_turn_unwatch(outlets->loop, &outlets->watcher);
    while (outlets->first) {
        struct process *process = outlets->first;
        outlets->first = process->next;
        process->source_count = 0; /* the lines are gone: no more orders */
        process_hear(process, PROCESS_LAST);
        process_free(process);
    }
    free(outlets);
}

void outlets_serve(struct outlets *outlets, pipe_asked *asked, void *data)
{
    outlets->asked = asked;
    outlets->asked_data = data;
}

void outlets_answer(const struct outlets *outlets, uint64_t ticket, const char *text)
{
    process_answer(outlets, ticket, text);
}

void outlets_tick(const struct outlets *outlets)
{
    for (struct process *process = outlets->first; process; process = process->next)
        if (process->fd >= 0 && process->source_count == 0)
            process_send(process, &(struct pipe_message){.type = PIPE_ALIVE});
}

bool outlets_commit(const struct outlets *outlets)
{
    bool asked = false;
    for (const struct process *process = outlets->first; process; process = process->next)
        if (!process->leaving && process->fd >= 0 && process->kind->stores)
            asked |= pipe_send(process->fd, &(struct pipe_message){.type = PIPE_COMMIT}, -1);
    return asked;
}

bool outlets_state(const struct outlets *outlets, unsigned n, struct outlet_state *state)
{
    for (const struct process *process = outlets->first; process; process = process->next) {
        if (process->leaving || n-- > 0)
            continue;
        *state = (struct outlet_state){
            .kind = process->kind->word,
            .section = process->section,
            .stores = process->kind->stores,
            .pid = process->pid,
            .ended = process->ended,
            .sent = process->sent,
            .owed = process->refused,
            .report = &process->report,
        };
        return true;
    }
    return false;
}
