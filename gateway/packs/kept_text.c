// SPDX-License-Identifier: MIT
/* The state as the text of its file. */
#include "kept_text.h"

#include "config/ini/inifile.h"
#include "bms/checksum.h"
#include "bms/count.h"

#include <stdlib.h>
#include <string.h>

#define TRAILER_FORMAT "\n[end]\nchecksum = %04x\n"
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
            char escaped[KEPT_ESCAPED_SIZE];
            if (strcmp(note->outlet, first->outlet) != 0)
                continue;
            kept_escape(note->text, escaped);
            fprintf(out, "%s = %s\n", note->key, escaped);
        }
    }
}

static void make_trailer(const char *text, size_t size, char trailer[TRAILER_SIZE + 1])
{
    unsigned checksum = crc16_modbus((const uint8_t *) text, size);
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
