// SPDX-License-Identifier: MIT
#include "kept_state.h"

#include "config/ini/inifile.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"
#include "bms/checksum.h"
#include "bms/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOTES_MAX 1500 /* notes of all outlets together */
#define GONE_MOST 500  /* entries of packs that are not configured any more */
#define NAMES_SIZE 200
#define ESCAPED_SIZE (3 * KEPT_TEXT_SIZE + 1)

static struct kept_entry **find_entry(struct kept *kept, const char *name)
{
    struct kept_entry **at = &kept->first;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

struct kept_entry *kept_get(struct kept *kept, const char *name)
{
    struct kept_entry **at = find_entry(kept, name), *entry = *at;
    if (entry)
        return entry;
    entry = alloc_zeroed(1, sizeof *entry);
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->peak_percent = -1;
    entry->address = -1;
    *at = entry;
    return entry;
}

#define FIRST_YEAR 2020 /* an earlier date means that the clock was never set */

static int day_of(const struct tm *local)
{
    return (local->tm_year + 1900) * 10000 + (local->tm_mon + 1) * 100 + local->tm_mday;
}

static bool is_worth_a_word(const struct kept_entry *entry)
{
    return entry->charged_wh > 0 || entry->discharged_wh > 0;
}

/* Discards the oldest entries of more than GONE_MOST that have no pack. Age alone is no reason: at the start the clock
 * of a host without one of its own may be years ahead. No pointer refers to these entries. */
static void remove_old_entries(struct kept *kept)
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
        if (count <= GONE_MOST)
            return;
        log_info(
            "state file: '%s' has not been in the configuration since %d; its counters are deleted",
            oldest->name, oldest->gone_day);
        struct kept_entry **at = find_entry(kept, oldest->name), *gone = *at;
        *at = gone->next;
        free(gone);
    }
}

/* Adds the name to `fresh` if it has no entry yet. */
static void mark_used(struct kept *kept, const char *name, struct text *fresh)
{
    struct kept_entry *entry = *find_entry(kept, name);
    if (!entry) {
        text_format(fresh, "%s%s", fresh->size > 0 ? ", " : "", name);
        return;
    }
    if (entry->gone_day > 0 && is_worth_a_word(entry))
        log_info("'%s' is in the configuration again; its counters continue", name);
    entry->gone_day = 0;
    entry->used = true;
}

void kept_take_up(struct kept *kept, const struct config *config, const struct tm *local)
{
    char bytes[NAMES_SIZE];
    struct text fresh = text_in(bytes, sizeof bytes);
    for (struct kept_entry *entry = kept->first; entry; entry = entry->next)
        entry->used = false;
    for (unsigned i = 0; i < config->pack_count; i++)
        mark_used(kept, config->packs[i].name, &fresh);
    for (unsigned i = 0; i < config->bank_count; i++)
        mark_used(kept, config->banks[i].name, &fresh);
    /* A clock that was never set cannot date a removal: that is left for the next time. */
    if (local->tm_year + 1900 < FIRST_YEAR)
        return;
    remove_old_entries(kept);
    for (struct kept_entry *entry = kept->first; entry; entry = entry->next) {
        if (entry->used || entry->gone_day != 0)
            continue;
        entry->gone_day = day_of(local);
        if (is_worth_a_word(entry) && fresh.size > 0)
            log_warn("'%s' is no longer in the configuration; its counters are kept under that "
                     "name and continue when it is back. New, counted from 0: %s. If one of these "
                     "is the same pack, use the old name in its heading, and set the name that "
                     "people read with 'name = '",
                     entry->name, bytes);
        else if (is_worth_a_word(entry))
            log_info(
                "'%s' is no longer in the configuration; its counters are kept under that name "
                "and continue when it is back",
                entry->name);
    }
}

/* Writes a text so that a line of the file brings it back unchanged, "%5B" for "[". */
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

/* Whether it can stand in a heading, or before the = of a line. */
static bool is_plain(const char *text, size_t room)
{
    char escaped[ESCAPED_SIZE];
    if (!text[0] || strlen(text) >= room || strchr(text, ':'))
        return false;
    escape(text, escaped);
    return strcmp(escaped, text) == 0;
}

void kept_set_note(struct kept *kept, const char *outlet, const char *key, const char *text)
{
    struct kept_note **at = &kept->notes;
    while (*at && (strcmp((*at)->outlet, outlet) != 0 || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    struct kept_note *note = *at;
    char escaped[ESCAPED_SIZE] = "";
    if (strlen(text) < KEPT_TEXT_SIZE)
        escape(text, escaped);
    if (!text[0]) {
        if (note) {
            *at = note->next;
            free(note);
            kept->note_count--;
        }
        return;
    }
    if (!is_plain(key, KEPT_KEY_SIZE) || !is_plain(outlet, sizeof note->outlet) || !escaped[0] ||
        strlen(key) + strlen(" = ") + strlen(escaped) > INIFILE_LINE_MOST ||
        (!note && kept->note_count == NOTES_MAX)) {
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

/* The worst of what has changed; NULL: no trouble. */
static const char *name_trouble(const struct map_status *before, const struct map_status *now)
{
    if (now->state != before->state && now->state == MAP_STATE_NO_LINE)
        return "its line is down";
    if (now->state != before->state && now->state == MAP_STATE_STALE)
        return now->bank ? "too few of its packs are fresh" : "no answer, its values are stale";
    if (now->timeouts > before->timeouts)
        return "a request was not answered";
    if (now->checksum_errors > before->checksum_errors)
        return "a damaged frame came";
    if (now->implausible > before->implausible)
        return "a value out of range was rejected";
    return now->spikes > before->spikes ? "a reading that jumped was not confirmed by the next"
                                        : NULL;
}

void kept_note_trouble(struct kept_entry *entry, const struct map_status *before,
                       struct source *source, double now)
{
    const char *words = name_trouble(before, &source->status);
    if (words && before->driver) { /* nothing is known of the time before the first status */
        entry->trouble = words;
        entry->trouble_at = now;
    }
    source->trouble = entry->trouble;
    source->trouble_at = entry->trouble_at;
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

#define TRAILER_FORMAT "\n[end]\nchecksum = %04hx\n"
#define TRAILER_SIZE 23

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

static void print_entries(const struct kept *kept, FILE *out)
{
    fprintf(out, "; State that packgate keeps over a restart. The checksum covers everything "
                 "before [end].\n");
    fprintf(out, "\n[gateway]\nid = %s\n", kept->id);
    for (const struct kept_entry *entry = kept->first; entry; entry = entry->next) {
        fprintf(out, "\n[pack %s]\n", entry->name);
        for (size_t i = 0; i < COUNT(keys); i++) {
            const void *field = (const char *) entry + keys[i].offset;
            if (keys[i].whole)
                fprintf(out, "%s = %d\n", keys[i].name, *(const int *) field);
            else
                fprintf(out, "%s = %.3f\n", keys[i].name, *(const double *) field);
        }
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
    const uint16_t checksum = crc16_modbus((const uint8_t *) text, size);
    snprintf(trailer, TRAILER_SIZE + 1, TRAILER_FORMAT, checksum);
}

char *kept_text_compose(const struct kept *kept)
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

struct reader {
    struct kept *kept;
    struct kept_entry *entry; /* NULL: a section to be ignored */
    char outlet[2 * NAME_SIZE];
    bool is_gateway;
};

static void take_heading(void *user, unsigned line, const char *text)
{
    struct reader *reader = user;
    bool is_pack = strncmp(text, "pack ", 5) == 0 && config_name_good(text + 5);
    bool is_outlet = strncmp(text, "outlet ", 7) == 0;
    reader->entry = is_pack ? kept_get(reader->kept, text + 5) : NULL;
    reader->is_gateway = strcmp(text, "gateway") == 0;
    snprintf(reader->outlet, sizeof reader->outlet, "%s", is_outlet ? text + 7 : "");
}

bool kept_text_is_id(const char *text)
{
    return strlen(text) == KEPT_ID_SIZE - 1 && strspn(text, "0123456789abcdef") == KEPT_ID_SIZE - 1;
}

/* Unknown keys come from a later version of the program and are ignored. */
static void take_entry(void *user, unsigned line, const char *key, const char *text)
{
    const struct reader *reader = user;
    if (!text)
        return;
    if (reader->is_gateway && strcmp(key, "id") == 0 && kept_text_is_id(text))
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
    for (size_t i = 0; i < COUNT(keys); i++) {
        if (strcmp(key, keys[i].name) != 0 || !(value >= keys[i].min && value <= keys[i].max))
            continue;
        void *field = (char *) reader->entry + keys[i].offset;
        if (keys[i].whole)
            *(int *) field = (int) value;
        else
            *(double *) field = value;
    }
}

bool kept_text_parse(struct kept *kept, const char *text, size_t size)
{
    static const struct inifile_events events = {.heading = take_heading, .entry = take_entry};
    struct reader reader = {.kept = kept};
    char trailer[TRAILER_SIZE + 1];
    if (size < TRAILER_SIZE)
        return false;
    make_trailer(text, size - TRAILER_SIZE, trailer);
    if (memcmp(text + size - TRAILER_SIZE, trailer, TRAILER_SIZE) != 0)
        return false;
    inifile_read(text, size, &events, &reader);
    return true;
}
