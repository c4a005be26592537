// SPDX-License-Identifier: MIT
/* The state file: reads it, sets a damaged one aside, writes it. */
#include "kept.h"

#include "config/ini/inifile.h"
#include "base/child.h"
#include "base/log.h"
#include "bms/checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LARGEST_FILE (64 * 1024 * 1024) /* bytes; no configuration leads to a larger file */
#define ESCAPED_SIZE (3 * KEPT_TEXT_SIZE + 1)
#define NOTES_MAX 1500 /* notes of all outlets together */
#define GONE_MOST 500  /* entries of packs that are not configured any more */
#define GONE_YEARS 3
#define BAD_MOST 9 /* damaged files that are kept */
#define NAMES_SIZE 200
#define TRAILER_FORMAT "\n[end]\nchecksum = %04x\n"
#define TRAILER_SIZE 23

struct kept {
    struct kept_entry *first;
    struct kept_note *notes;
    unsigned note_count;
    bool look_only; /* the file of a running gateway is only read */
    char id[KEPT_ID_SIZE];
    char *saved;  /* content of the file; NULL: not known */
    char *saving; /* content that a child process is writing; NULL: none */
    bool failing; /* the last attempt to save failed, and that was logged */
    int lock;     /* descriptor of PATH.lock; -1: not locked */
    bool foreign; /* another gateway has locked the file: it is neither read nor written here */
};

/* The keys of an entry. Values outside of these ranges are ignored. */
static const struct {
    const char *name;
    size_t offset;
    bool whole;
    double min, max;
} keys[] = {
    {"charged_wh", offsetof(struct kept_entry, charged_wh), false, 0, 1e15},
    {"discharged_wh", offsetof(struct kept_entry, discharged_wh), false, 0, 1e15},
    {"peak_percent", offsetof(struct kept_entry, peak_percent), true, -1, 100},
    {"peak_hour", offsetof(struct kept_entry, peak_hour), true, 0, 23},
    {"peak_minute", offsetof(struct kept_entry, peak_minute), true, 0, 59},
    {"peak_day", offsetof(struct kept_entry, peak_day), true, 0, 99991231},
    {"full_at", offsetof(struct kept_entry, full_at), false, 0, 1e12},
    {"gone_day", offsetof(struct kept_entry, gone_day), true, 0, 99991231},
    {"address", offsetof(struct kept_entry, address), true, -1, 255},
    {"variant", offsetof(struct kept_entry, variant), true, 0, 100},
    {"baud", offsetof(struct kept_entry, baud), true, 0, 4000000},
    {"cells", offsetof(struct kept_entry, cells), true, 0, MAX_CELLS},
    {"sensors", offsetof(struct kept_entry, sensors), true, 0, MAX_TEMPS},
};

struct kept_entry *kept_get(struct kept *kept, const char *name)
{
    struct kept_entry **end = &kept->first;
    for (; *end; end = &(*end)->next)
        if (strcmp((*end)->name, name) == 0)
            return *end;
    struct kept_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->peak_percent = -1;
    entry->address = -1;
    *end = entry;
    return entry;
}

/* ---- packs are added and removed ---- */

#define FIRST_YEAR 2020 /* an earlier date means that the clock was never set */

static int day_of(const struct tm *local)
{
    return (local->tm_year + 1900) * 10000 + (local->tm_mon + 1) * 100 + local->tm_mday;
}

static struct kept_entry *find_entry(const struct kept *kept, const char *name)
{
    struct kept_entry *entry = kept->first;
    while (entry && strcmp(entry->name, name) != 0)
        entry = entry->next;
    return entry;
}

static bool is_worth_a_word(const struct kept_entry *entry)
{
    return entry->charged_wh > 0 || entry->discharged_wh > 0;
}

static void remove_entry(struct kept *kept, const struct kept_entry *entry)
{
    struct kept_entry **at = &kept->first;
    while (*at != entry)
        at = &(*at)->next;
    struct kept_entry *gone = *at;
    *at = gone->next;
    free(gone);
}

/* Discards the entries that have had no pack for GONE_YEARS, and the oldest of more than
 * GONE_MOST. No pointer refers to them. */
static void remove_old_entries(struct kept *kept, int today)
{
    for (;;) {
        const struct kept_entry *oldest = NULL;
        unsigned count = 0;
        for (const struct kept_entry *entry = kept->first; entry; entry = entry->next) {
            if (entry->gone_day == 0)
                continue;
            count++;
            if (!oldest || entry->gone_day < oldest->gone_day)
                oldest = entry;
        }
        if (!oldest || (count <= GONE_MOST && today - oldest->gone_day < GONE_YEARS * 10000))
            return;
        log_info(
            "state file: '%s' has not been in the configuration since %d; its counters are deleted",
            oldest->name, oldest->gone_day);
        remove_entry(kept, oldest);
    }
}

/* The names of a new configuration, for the log. */
struct taking_up {
    struct kept *kept;
    char fresh[NAMES_SIZE]; /* names without an entry */
};

static void mark_used(struct taking_up *taking, const char *name)
{
    struct kept_entry *entry = find_entry(taking->kept, name);
    if (!entry) {
        const size_t used = strlen(taking->fresh);
        snprintf(taking->fresh + used, NAMES_SIZE - used, "%s%s", used > 0 ? ", " : "", name);
        return;
    }
    if (entry->gone_day > 0 && is_worth_a_word(entry))
        log_info("'%s' is in the configuration again; its counters continue", name);
    entry->gone_day = 0;
    entry->used = true;
}

static void mark_removed(struct kept_entry *entry, const char *fresh, int today)
{
    entry->gone_day = today;
    if (!is_worth_a_word(entry))
        return;
    if (*fresh)
        log_warn(
            "'%s' is no longer in the configuration; its counters are kept under that name and "
            "continue when it is back. New, counted from 0: %s. If one of these is the same pack, "
            "use the old name in its heading, and set the name that people read with 'name = '",
            entry->name, fresh);
    else
        log_info("'%s' is no longer in the configuration; its counters are kept under that name "
                 "and continue when it is back",
                 entry->name);
}

void kept_take_up(struct kept *kept, const struct config *config, const struct tm *local)
{
    struct taking_up taking = {.kept = kept};
    const int today = day_of(local);
    for (struct kept_entry *entry = kept->first; entry; entry = entry->next)
        entry->used = false;
    for (unsigned i = 0; i < config->pack_count; i++)
        mark_used(&taking, config->packs[i].name);
    for (unsigned i = 0; i < config->bank_count; i++)
        mark_used(&taking, config->banks[i].name);
    /* A clock that was never set cannot date a removal: that is left for the next time. */
    if (local->tm_year + 1900 < FIRST_YEAR)
        return;
    remove_old_entries(kept, today);
    for (struct kept_entry *entry = kept->first; entry; entry = entry->next)
        if (!entry->used && entry->gone_day == 0)
            mark_removed(entry, taking.fresh, today);
}

/* ---- notes of outlets ---- */

const char *kept_id(const struct kept *kept)
{
    return kept->id;
}

/* Writes a text so that it is read back unchanged, "%5B" for "[". */
static void escape(const char *text, char out[ESCAPED_SIZE])
{
    for (const char *c = text; *c; c++) {
        const bool plain =
            (unsigned char) *c > 0x20 && (unsigned char) *c < 0x7F && !strchr(";#=[]\"%", *c);
        const bool inner = *c == ' ' && c > text && c[1];
        out += sprintf(out, plain || inner ? "%c" : "%%%02X", (unsigned char) *c);
    }
    *out = '\0';
}

static void unescape(const char *text, char *out, size_t size)
{
    size_t at = 0;
    for (; *text && at + 1 < size; at++) {
        unsigned code;
        int used = 0;
        if (sscanf(text, "%%%2X%n", &code, &used) == 1 && used == 3) {
            out[at] = (char) code;
            text += used;
        } else {
            out[at] = *text++;
        }
    }
    out[at] = '\0';
}

/* Whether it can stand in a heading, or before the = of a line. */
static bool is_plain(const char *text, size_t room)
{
    char escaped[ESCAPED_SIZE];
    if (!text[0] || strlen(text) >= room || strchr(text, ':'))
        return false;
    escape(text, escaped);
    return strcmp(escaped, text) == 0;
}

/* Whether the file has room for it. */
static bool fits(const char *key, const char *text)
{
    char escaped[ESCAPED_SIZE];
    if (strlen(text) >= KEPT_TEXT_SIZE)
        return false;
    escape(text, escaped);
    return strlen(key) + strlen(" = ") + strlen(escaped) <= INIFILE_LINE_MOST;
}

static struct kept_note **find_note(struct kept *kept, const char *outlet, const char *key)
{
    struct kept_note **at = &kept->notes;
    while (*at && (strcmp((*at)->outlet, outlet) != 0 || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

void kept_set_note(struct kept *kept, const char *outlet, const char *key, const char *text)
{
    struct kept_note **at = find_note(kept, outlet, key), *note = *at;
    if (!text[0]) {
        if (note) {
            *at = note->next;
            free(note);
            kept->note_count--;
        }
        return;
    }
    if (!is_plain(key, KEPT_KEY_SIZE) || !is_plain(outlet, sizeof note->outlet) ||
        !fits(key, text) || (!note && kept->note_count == NOTES_MAX)) {
        log_debug("outlet %s: '%s' cannot be stored", outlet, key);
        return;
    }
    if (!note) {
        note = calloc(1, sizeof *note);
        if (!note)
            return;
        snprintf(note->outlet, sizeof note->outlet, "%s", outlet);
        snprintf(note->key, sizeof note->key, "%s", key);
        *at = note;
        kept->note_count++;
    }
    snprintf(note->text, sizeof note->text, "%s", text);
}

const struct kept_note *kept_next_note(const struct kept *kept, const char *outlet,
                                       const struct kept_note *at)
{
    for (at = at ? at->next : kept->notes; at; at = at->next)
        if (!outlet || strcmp(at->outlet, outlet) == 0)
            break;
    return at;
}

void kept_free(struct kept *kept)
{
    if (!kept)
        return;
    while (kept->first) {
        struct kept_entry *entry = kept->first;
        kept->first = entry->next;
        free(entry);
    }
    while (kept->notes) {
        struct kept_note *note = kept->notes;
        kept->notes = note->next;
        free(note);
    }
    if (kept->lock >= 0)
        close(kept->lock);
    free(kept->saved);
    free(kept);
}

static void print_value(const struct kept_entry *entry, size_t key, FILE *out)
{
    const void *field = (const char *) entry + keys[key].offset;
    if (keys[key].whole)
        fprintf(out, "%s = %d\n", keys[key].name, *(const int *) field);
    else
        fprintf(out, "%s = %.3f\n", keys[key].name, *(const double *) field);
}

static void print_entries(const struct kept *kept, FILE *out)
{
    fprintf(out, "; State that packgate keeps over a restart. The checksum covers everything "
                 "before [end].\n");
    fprintf(out, "\n[gateway]\nid = %s\n", kept->id);
    for (const struct kept_entry *entry = kept->first; entry; entry = entry->next) {
        fprintf(out, "\n[pack %s]\n", entry->name);
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            print_value(entry, i, out);
        if (entry->protocol[0])
            fprintf(out, "protocol = %s\n", entry->protocol);
    }
}

/* Groups notes by outlet: one heading for all notes of an outlet. */
static void print_notes(const struct kept *kept, FILE *out)
{
    for (const struct kept_note *first = kept->notes; first; first = first->next) {
        bool told = false;
        for (const struct kept_note *note = kept->notes; note != first && !told; note = note->next)
            told = strcmp(note->outlet, first->outlet) == 0;
        if (told)
            continue;
        fprintf(out, "\n[outlet %s]\n", first->outlet);
        for (const struct kept_note *note = first; note; note = note->next) {
            char escaped[ESCAPED_SIZE];
            if (strcmp(note->outlet, first->outlet) != 0)
                continue;
            escape(note->text, escaped);
            fprintf(out, "%s = %s\n", note->key, escaped);
        }
    }
}

static void make_trailer(const char *text, size_t size, char trailer[TRAILER_SIZE + 1])
{
    unsigned checksum = crc16_modbus((const uint8_t *) text, size);
    snprintf(trailer, TRAILER_SIZE + 1, TRAILER_FORMAT, checksum);
}

/* Returns the whole file; NULL: out of memory. The caller frees it. */
static char *compose(const struct kept *kept)
{
    char *text = NULL, trailer[TRAILER_SIZE + 1];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    print_entries(kept, out);
    print_notes(kept, out);
    if (fflush(out) == 0) {
        make_trailer(text, size, trailer);
        fputs(trailer, out);
    }
    bool good = !ferror(out);
    if (fclose(out) == 0 && good)
        return text;
    free(text);
    return NULL;
}

static bool is_whole(const char *text, size_t size)
{
    char trailer[TRAILER_SIZE + 1];
    if (size < TRAILER_SIZE)
        return false;
    make_trailer(text, size - TRAILER_SIZE, trailer);
    return memcmp(text + size - TRAILER_SIZE, trailer, TRAILER_SIZE) == 0;
}

struct reader {
    struct kept *kept;
    struct kept_entry *entry; /* NULL: a section to be ignored */
    char outlet[2 * NAME_SIZE];
    bool is_gateway;
};

static void take_heading(void *user, unsigned line, const char *text)
{
    struct reader *reader = user;
    (void) line;
    bool is_pack = strncmp(text, "pack ", 5) == 0 && config_name_good(text + 5);
    bool is_outlet = strncmp(text, "outlet ", 7) == 0;
    reader->entry = is_pack ? kept_get(reader->kept, text + 5) : NULL;
    reader->is_gateway = strcmp(text, "gateway") == 0;
    snprintf(reader->outlet, sizeof reader->outlet, "%s", is_outlet ? text + 7 : "");
}

static bool is_id(const char *text)
{
    return strlen(text) == KEPT_ID_SIZE - 1 && strspn(text, "0123456789abcdef") == KEPT_ID_SIZE - 1;
}

/* Unknown keys come from a later version of the program and are ignored. */
static void take_entry(void *user, unsigned line, const char *key, const char *text)
{
    const struct reader *reader = user;
    (void) line;
    if (reader->is_gateway && strcmp(key, "id") == 0 && is_id(text))
        snprintf(reader->kept->id, sizeof reader->kept->id, "%s", text);
    if (reader->outlet[0]) {
        char note[KEPT_TEXT_SIZE];
        unescape(text, note, sizeof note);
        kept_set_note(reader->kept, reader->outlet, key, note);
    }
    if (!reader->entry)
        return;
    if (strcmp(key, "protocol") == 0 && config_name_good(text))
        snprintf(reader->entry->protocol, sizeof reader->entry->protocol, "%s", text);
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end)
        return;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(key, keys[i].name) != 0 || !(value >= keys[i].min && value <= keys[i].max))
            continue;
        void *field = (char *) reader->entry + keys[i].offset;
        if (keys[i].whole)
            *(int *) field = (int) value;
        else
            *(double *) field = value;
    }
}

static void take_mistake(void *user, unsigned line, const char *message)
{
    (void) user;
    log_debug("state file, line %u: %s", line, message);
}

/* Finds a free name, so that a second damaged file does not overwrite the first, which usually has
 * the most in it. Only the last name is used again. */
static void name_aside(const char *path, char *aside, size_t size)
{
    struct stat found;
    snprintf(aside, size, "%s.bad", path);
    for (int n = 2; n <= BAD_MOST && (lstat(aside, &found) == 0 || errno != ENOENT); n++)
        snprintf(aside, size, "%s.bad.%d", path, n);
}

static void set_aside(const struct kept *kept, const char *path, const char *why)
{
    if (kept->look_only)
        return;
    char aside[PORT_SIZE + 16];
    name_aside(path, aside, sizeof aside);
    if (rename(path, aside) == 0)
        log_warn("state file %s: %s; renamed to %s, all counters start from 0", path, why, aside);
    else
        log_warn("state file %s: %s; all counters start from 0", path, why);
}

static void parse_state(struct kept *kept, const char *path, const char *text, size_t size)
{
    static const struct inifile_events events = {
        .heading = take_heading, .entry = take_entry, .mistake = take_mistake};
    struct reader reader = {.kept = kept};
    if (is_whole(text, size))
        inifile_read(text, size, &events, &reader);
    else
        set_aside(kept, path, "it is damaged");
}

/* Reads as much as there is room for. */
static ssize_t read_all(int fd, char *text, size_t room)
{
    size_t size = 0;
    while (size < room) {
        ssize_t got = read(fd, text + size, room - size);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return -1;
        if (got > 0)
            size += (size_t) got;
    }
    return (ssize_t) size;
}

static void load_from(struct kept *kept, const char *path, int fd, size_t size)
{
    char *text = malloc(size + 1);
    const ssize_t got = text ? read_all(fd, text, size) : -1;
    if (got < 0)
        set_aside(kept, path, strerror(errno));
    else
        parse_state(kept, path, text, (size_t) got);
    free(text);
}

/* O_NONBLOCK: opening must not block, whatever the path names. */
static void load(struct kept *kept, const char *path)
{
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        if (errno != ENOENT)
            set_aside(kept, path, strerror(errno));
        return;
    }
    if (fstat(fd, &found) < 0 || !S_ISREG(found.st_mode))
        log_warn("state file %s: not a regular file; nothing is kept over a restart", path);
    else if (found.st_size > LARGEST_FILE)
        set_aside(kept, path, "it is larger than any file that packgate writes");
    else
        load_from(kept, path, fd, (size_t) found.st_size);
    close(fd);
}

/* ---- where the file is ---- */

static const char *folder_of(const char *path, char copy[PORT_SIZE])
{
    snprintf(copy, PORT_SIZE, "%s", path);
    return dirname(copy);
}

/* Under systemd the folder exists. For a gateway started by hand it is created if its parent
 * exists and is writable. */
static void make_folder(const char *path)
{
    char copy[PORT_SIZE];
    const char *folder = folder_of(path, copy);
    if (mkdir(folder, 0755) == 0)
        log_info("state file %s: created its folder", path);
}

static const char *advice(int err)
{
    switch (err) {
    case ENOENT:
    case EACCES:
    case EPERM:
    case EROFS:
        return " (create its folder and give it to the user that runs packgate, or set state_file "
               "to another path)";
    default:
        return "";
    }
}

static void report(struct kept *kept, const char *path, int result)
{
    if (kept->foreign)
        return; /* logged already */
    if (result < 0 && !kept->failing)
        log_error("state file %s cannot be written: %s; retrying, until then nothing is "
                  "kept over a restart%s",
                  path, strerror(errno), advice(errno));
    else if (result < 0)
        log_debug("state file %s still cannot be written: %s", path, strerror(errno));
    else if (kept->failing)
        log_info("state file %s can be written again", path);
    kept->failing = result < 0;
}

/* Reports which process holds the lock: it has written its process id into the file. */
static void report_foreign(const char *path, int lock)
{
    char who[16] = "";
    const ssize_t size = pread(lock, who, sizeof who - 1, 0);
    who[size > 0 ? strspn(who, "0123456789") : 0] = '\0';
    log_error("state file %s is in use by another gateway%s%s: it is neither read nor written "
              "here, and nothing is kept over a restart. Give each gateway its own state_file",
              path, *who ? ", process " : "", who);
}

/* The lock holds the id as well, because version 0.1.0 writes a state file without it: after a
 * downgrade and an upgrade the gateway still has the id by which others know it. */
static void recall_id(struct kept *kept)
{
    char text[64] = "", id[KEPT_ID_SIZE];
    if (!kept->id[0] && pread(kept->lock, text, sizeof text - 1, 0) > 0 &&
        sscanf(text, "%*d\nid = %8s", id) == 1 && is_id(id))
        memcpy(kept->id, id, sizeof id);
}

/* Locks a separate file, because the state file is replaced with each save. The lock file is never
 * removed. 0: locked; -1 with errno, EWOULDBLOCK if another process holds it. */
static int take_lock(struct kept *kept, const char *path)
{
    char name[PORT_SIZE + 8];
    struct stat found;
    snprintf(name, sizeof name, "%s.lock", path);
    const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0)
        return -1;
    int err = fstat(fd, &found) < 0 || !S_ISREG(found.st_mode) ? EINVAL : 0;
    if (!err && flock(fd, LOCK_EX | LOCK_NB) < 0)
        err = errno;
    if (err == EWOULDBLOCK) {
        kept->foreign = true;
        report_foreign(path, fd);
    }
    if (err) {
        close(fd);
        errno = err;
        return -1;
    }
    kept->lock = fd;
    recall_id(kept);
    return 0;
}

/* The process id is for the log message of another gateway. */
static void sign_lock(const struct kept *kept, const char *path)
{
    char text[64];
    const int size = snprintf(text, sizeof text, "%d\nid = %s\n", (int) getpid(), kept->id);
    if (ftruncate(kept->lock, 0) < 0 || pwrite(kept->lock, text, (size_t) size, 0) != size)
        log_debug("state file %s: cannot write its lock", path);
}

/* Draws a random id, or derives it from the machine id if nothing can be stored. */
static void make_id(struct kept *kept, bool can_keep)
{
    uint8_t bytes[64] = {0};
    uint32_t id = 0;
    int fd = can_keep ? -1 : open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, bytes, sizeof bytes) : -1;
    if (fd >= 0)
        close(fd);
    if (size > 0) {
        /* FNV-1a */
        id = 2166136261u;
        for (ssize_t i = 0; i < size; i++)
            id = (id ^ bytes[i]) * 16777619u;
    } else if (getrandom(&id, sizeof id, 0) != sizeof id) {
        id = (uint32_t) time(NULL);
    }
    snprintf(kept->id, sizeof kept->id, "%08x", (unsigned) id);
}

/* Acquires the right to write the file; 0, or -1 with errno. */
static int hold_lock(struct kept *kept, const char *path)
{
    if (kept->lock >= 0)
        return 0;
    if (kept->foreign) {
        errno = EWOULDBLOCK;
        return -1;
    }
    make_folder(path);
    if (take_lock(kept, path) < 0)
        return -1;
    if (kept->id[0])
        sign_lock(kept, path);
    return 0;
}

struct kept *kept_look(const char *path)
{
    struct kept *kept = calloc(1, sizeof *kept);
    if (!kept)
        return NULL;
    kept->lock = -1;
    kept->look_only = true;
    if (path[0])
        load(kept, path);
    return kept;
}

struct kept *kept_load(const char *path)
{
    struct kept *kept = calloc(1, sizeof *kept);
    if (!kept)
        return NULL;
    kept->lock = -1;
    if (path[0]) {
        if (hold_lock(kept, path) < 0)
            report(kept, path, -1); /* now, rather than when there is something to lose */
        if (!kept->foreign)
            load(kept, path);
    }
    if (!kept->id[0])
        make_id(kept, path[0] && !kept->foreign);
    if (kept->lock >= 0)
        sign_lock(kept, path);
    return kept;
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, text, size);
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            text += written;
            size -= (size_t) written;
        }
    }
    return fsync(fd);
}

/* Removes whatever has this name (the rest of an interrupted write, a pipe, a link): the file must
 * be a new one. */
static int write_file(const char *path, const char *text)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0)
        return -1;
    int result = write_all(fd, text, strlen(text));
    const int err = errno;
    if (close(fd) < 0 && result == 0)
        return -1;
    errno = err;
    return result;
}

/* A rename is only certain once its directory is on the disk. Some file systems cannot sync
 * directories, and the file is valid either way: the result does not matter. */
static void sync_directory(const char *path)
{
    char copy[PORT_SIZE];
    int fd = open(folder_of(path, copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* A rename would replace a device or a link as well: state_file = /dev/null must not destroy the
 * device. */
static bool may_replace(const char *path)
{
    struct stat found;
    if (stat(path, &found) < 0)
        return errno == ENOENT;
    errno = EINVAL;
    return S_ISREG(found.st_mode);
}

static int replace_file(const char *path, const char *text)
{
    char fresh[PORT_SIZE + 8];
    snprintf(fresh, sizeof fresh, "%s.tmp", path);
    if (!may_replace(path))
        return -1;
    if (write_file(fresh, text) == 0 && rename(fresh, path) == 0) {
        sync_directory(path);
        return 0;
    }
    const int err = errno;
    unlink(fresh);
    errno = err;
    return -1;
}

/* Returns the text to write. NULL: nothing has changed (errno 0), another gateway owns the file,
 * or memory ran out. */
static char *compose_changed(struct kept *kept, const char *path)
{
    errno = 0;
    if (!path[0])
        return NULL;
    if (hold_lock(kept, path) < 0) {
        const int err = errno;
        report(kept, path, -1);
        errno = err;
        return NULL;
    }
    errno = 0;
    char *text = compose(kept);
    if (!text) {
        errno = ENOMEM;
    } else if (kept->saved && strcmp(kept->saved, text) == 0) {
        free(text);
        text = NULL;
        errno = 0;
    }
    return text;
}

/* Records that `text` was written, or was not, with errno. */
static void note_written(struct kept *kept, const char *path, char *text, int result)
{
    report(kept, path, result);
    char *old = result == 0 ? kept->saved : text;
    if (result == 0)
        kept->saved = text;
    free(old);
}

int kept_save(struct kept *kept, const char *path)
{
    char *text = compose_changed(kept, path);
    if (!text)
        return errno ? -1 : 0;
    int result = replace_file(path, text);
    const int err = errno;
    note_written(kept, path, text, result);
    errno = err;
    return result;
}

/* Runs in the child. A signal that ends the parent must not interrupt the write. */
static int write_apart(const char *path, const char *text)
{
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    child_settle(-1);
    return replace_file(path, text) == 0 ? 0 : errno;
}

pid_t kept_save_start(struct kept *kept, const char *path)
{
    char *text = compose_changed(kept, path);
    if (!text)
        return errno ? -1 : 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(write_apart(path, text));
    if (pid > 0)
        kept->saving = text;
    else
        free(text);
    return pid;
}

void kept_save_finish(struct kept *kept, const char *path, int status)
{
    char *text = kept->saving;
    kept->saving = NULL;
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    note_written(kept, path, text, good ? 0 : -1);
}

void kept_save_cancel(struct kept *kept)
{
    free(kept->saving);
    kept->saving = NULL;
}

void soc_peak_update(struct kept_entry *entry, double soc_percent, const struct tm *local)
{
    if (isnan(soc_percent) || local->tm_year + 1900 < FIRST_YEAR)
        return;
    int percent = (int) lround(soc_percent), day = day_of(local);
    if (entry->peak_day == day && percent <= entry->peak_percent)
        return;
    entry->peak_day = day;
    entry->peak_percent = percent;
    entry->peak_hour = local->tm_hour;
    entry->peak_minute = local->tm_min;
}

#define FIRST_TIME 1577836800 /* 2020-01-01 */

bool full_charge_due(const struct kept_entry *entry, double every_s, time_t wall)
{
    return wall >= FIRST_TIME && fabs((double) wall - entry->full_at) >= every_s;
}

void full_charge_reached(struct kept_entry *entry, time_t wall)
{
    if (wall >= FIRST_TIME)
        entry->full_at = (double) wall;
}

struct map_soc_peak soc_peak_today(const struct kept_entry *entry, const struct tm *local)
{
    if (entry->peak_percent < 0 || entry->peak_day != day_of(local))
        return (struct map_soc_peak){.percent = -1};
    return (struct map_soc_peak){
        .percent = entry->peak_percent, .hour = entry->peak_hour, .minute = entry->peak_minute};
}
