// SPDX-License-Identifier: MIT
/*
 * `packgate setup-save`: saves a configuration that was set up in a browser. Its standard input is a connection to the
 * gateway: systemd starts one process as root for each connection to the helper's socket, or the gateway starts one itself
 * where it may write the file. It accepts only edits of the file that its command line names, and applies them itself, so
 * that no client can make it write anything else.
 *
 *     gateway -> helper   {"hash": …, "edits": […]}     once, first
 *     helper -> gateway   {"hash": …, "keep_within_s": 120}, or {"error": …, "http": …} and exits
 *     gateway -> helper   keep, or undo
 *     helper -> gateway   {"hash": …}, or {"undone": why}
 *
 * Until `keep` arrives, the previous file is one rename away. It is restored when the time is over or the connection ends
 * for any reason, such as the death of the gateway. If this process itself dies, the next one restores the file when it
 * starts: a gateway that has lost its helper starts another one with `undo` as the first line. Processes wait for one
 * another with a lock, so only one works on the file at a time.
 */
#include "commands/command.h"
#include "commands/options.h"
#include "edits.h"

#include "config/ini/save.h"
#include "packs/json.h"
#include "base/alloc.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MOST (256 * 1024)
#define REQUEST_S 10.0

struct saving {
    const char *path, *first;
    char *line; /* received; LINE_MOST bytes and a NUL */
    size_t size;
    uid_t owner; /* of new secret files: the user of the gateway */
    gid_t group;
};

/* Waits for a line until `until`. NULL: none arrived; `*ended` is true if the connection has ended. */
static const char *wait_for_line(struct saving *saving, double until, bool *ended)
{
    *ended = false;
    saving->size = 0;
    for (;;) {
        struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
        const int count = poll(&ready, 1, (int) ceil(fmax(until - clock_now(), 0) * 1000));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return NULL;
        const ssize_t size =
            read(STDIN_FILENO, saving->line + saving->size, LINE_MOST - saving->size);
        if (size <= 0) {
            *ended = true;
            return NULL;
        }
        saving->size += (size_t) size;
        char *end = memchr(saving->line, '\n', saving->size);
        if (end) {
            *end = '\0';
            return saving->line;
        }
    }
}

static void send_object(json_t *object)
{
    json_print(stdout, object, false);
    fflush(stdout);
}

/* Removes secret files that no configuration mentions. For a secret with number N, PATH.old/N does not count: it mentions
 * the secret only if that configuration was undone. */
static void prune_secrets(const char *path)
{
    char name[PATH_MAX];
    char *copy = alloc_checked(strdup(path));
    const char *folder = dirname(copy);
    DIR *list = opendir(folder);
    unsigned number;
    for (const struct dirent *entry; list && (entry = readdir(list));)
        if (edits_is_secret_file(entry->d_name, &number) &&
            snprintf(name, sizeof name, "%s/%s", folder, entry->d_name) < PATH_MAX &&
            !save_mentions(path, name, number))
            unlink(name);
    if (list)
        closedir(list);
    free(copy);
}

/* Returns NULL if it was saved, else the error. */
static json_t *save(const struct saving *saving, const struct setup_edits *edits)
{
    json_t *refused = setup_edits_refuse(edits);
    if (refused)
        return refused;
    bool written = true;
    for (size_t i = 0; i < edits->count && written; i++) {
        const struct edit *edit = &edits->edits[i];
        char path[PORT_SIZE];
        if (edit->kind == EDIT_SECRET && edit->value)
            written = edits_secret_path(edit, edits->secrets, path) &&
                      save_secret(path, edit->value, saving->owner, saving->group);
    }
    if (written && save_begin(saving->path, edits->fresh))
        return NULL;
    const int err = errno;
    prune_secrets(saving->path);
    return setup_refusal(503, "%s: %s", saving->path, strerror(err));
}

static void undo(const struct saving *saving, const char *why)
{
    const bool undone = save_undo(saving->path);
    const int err = errno;
    prune_secrets(saving->path);
    send_object(undone ? json_pack("{s:s}", "undone", why)
                       : setup_refusal(503, "%s: %s", saving->path, strerror(err)));
}

static void await_keep(struct saving *saving, const struct setup_edits *edits)
{
    bool ended;
    char hash[EDITS_HASH];
    const double until = clock_now() + EDITING_KEEP_S;
    edits_hash(edits->fresh, hash);
    send_object(json_pack("{s:s, s:f}", "hash", hash, "keep_within_s", EDITING_KEEP_S));
    const char *line = wait_for_line(saving, until, &ended);
    if (line && strcmp(line, "keep") == 0) {
        if (save_keep(saving->path)) {
            prune_secrets(saving->path);
            send_object(json_pack("{s:s}", "hash", hash));
        } else {
            undo(saving, strerror(errno));
        }
    } else {
        undo(saving, line    ? "it was undone in the browser"
                     : ended ? "the gateway has ended"
                             : "it was not kept in time");
    }
}

int setup_recover(const char *path, bool *undone)
{
    const int lock = save_lock(path);
    *undone = lock >= 0 && save_is_pending(path);
    if (lock < 0 || !save_undo(path)) {
        const int err = errno;
        if (lock >= 0)
            close(lock);
        errno = err;
        return -1;
    }
    if (*undone)
        prune_secrets(path);
    return lock;
}

static int serve(struct saving *saving)
{
    bool ended, undone;
    const char *line = wait_for_line(saving, clock_now() + REQUEST_S, &ended);
    /* Takes the lock, which is held until this process ends. */
    if (setup_recover(saving->path, &undone) < 0) {
        send_object(setup_refusal(503, "%s: %s", saving->path, strerror(errno)));
        return EXIT_FAILED;
    }
    if (!line)
        return EXIT_FAILED;
    if (strcmp(line, "undo") == 0) {
        /* The gateway compares the hash with that of the text it saved, to see whether it was
         * kept. */
        char hash[EDITS_HASH] = "";
        char *text = save_read(saving->path);
        if (text)
            edits_hash(text, hash);
        free(text);
        send_object(undone ? json_pack("{s:s}", "undone", "the program that saved it has ended")
                           : json_pack("{s:s}", "hash", hash));
        return EXIT_DONE;
    }
    struct setup_edits edits;
    const bool made = setup_edits_make(&edits, saving->path, saving->first, line, false);
    json_t *refused = made ? save(saving, &edits) : edits.refusal;
    const bool good = made && !refused;
    if (good)
        await_keep(saving, &edits);
    else
        send_object(refused);
    setup_edits_free(&edits);
    return good ? EXIT_DONE : EXIT_FAILED;
}

int command_setup_save(int argc, char **argv)
{
    struct saving saving = {.path = CONFIG_DEFAULT};
    struct ucred who = {.uid = geteuid(), .gid = getegid()};
    socklen_t size = sizeof who;
    bool only_undo = false;
    const struct option_row rows[] = {{"config", 'c', .text = &saving.path},
                                      {"first", 0, .text = &saving.first},
                                      {"undo", 0, .flag = &only_undo},
                                      {0}};
    int status;
    if (options_try(argc, argv, rows, argc) >= 0)
        return EXIT_USAGE;
    char *real = realpath(saving.path, NULL);
    saving.path = real ? real : saving.path;
    if (only_undo) {
        status = setup_recover(saving.path, &only_undo) >= 0 ? EXIT_DONE : EXIT_FAILED;
    } else {
        saving.line = alloc_checked(malloc(LINE_MOST + 1));
        getsockopt(STDIN_FILENO, SOL_SOCKET, SO_PEERCRED, &who, &size);
        saving.owner = who.uid;
        saving.group = who.gid;
        status = serve(&saving);
    }
    free(saving.line);
    free(real);
    return status;
}
