// SPDX-License-Identifier: MIT
#include "past.h"

#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Seconds by which the rows in memory overlap the database, because a commit may be late. */
#define OVERLAP_S 120.0
#define WORKERS_MOST 4 /* more would only compete for the disk and the cores */
#define LONGEST_S 10.0
#define DOWNLOAD_PIECE 262144 /* approximate bytes of a download that are in memory */

struct past {
    const char *file;
    struct recent *recents; /* of each pack */
    bool told;              /* logged that the file cannot be read */
    struct workers *workers;
};

int64_t past_memory_from(struct query *query, const struct query_ask *ask)
{
    const enum history_level level = ask->level >= LEVEL_HOUR ? LEVEL_RECENT : ask->level;
    const int64_t last = query ? query_last_before(query, ask->pack, level, ask->to) : INT64_MIN;
    return last == INT64_MIN ? 0 : last + history_levels[level].step;
}

void past_worked(struct past *past, const struct worker_result *result)
{
    if (result->status == 0)
        return;
    if (result->why[0] && !past->told)
        log_warn("web: %s; charts have only values since the start", result->why);
    past->told = result->why[0] != '\0';
}

/* A commit between two reads would move rows out of what memory adds. */
static struct query *open_file(const struct past *past, struct worker_result *result)
{
    struct query *query = query_open(past->file, result->why, sizeof result->why);
    if (query)
        query_hold(query);
    return query;
}

static void close_file(struct query *query, struct worker_result *result)
{
    if (query)
        snprintf(result->why, sizeof result->why, "%s", query_why(query));
    query_close(query);
}

void past_begin(struct recent_reader *rows, const struct past *past, unsigned pack,
                struct query *query, const struct query_ask *ask)
{
    recent_begin(rows, &past->recents[pack], query, ask, past_memory_from(query, ask), 0);
}

struct column {
    enum history_value value;
    int n; /* which of its columns */
};

struct table {
    enum history_level level;
    int64_t *starts; /* of each step: days have 23 to 25 hours */
    unsigned steps;
    struct column columns[3 * ROW_FIELDS];
    unsigned count;
    int32_t *numbers; /* of each step, column by column */
};

static int compare_starts(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

/* Sets up the steps from `from` to `to`, all unknown. */
static void prepare_steps(struct table *table, const struct query_ask *ask, double wall)
{
    const int64_t now = (int64_t) floor(wall) + 1, to = ask->to < now ? ask->to : now;
    const int64_t step = history_levels[table->level].step;
    int64_t at = history_start(table->level, ask->from);
    const unsigned most = to > at ? (unsigned) ((to - at) / step) + 3 : 1;
    table->starts = alloc_zeroed(most, sizeof *table->starts);
    for (; table->steps < most && at < to; at = history_start(table->level, at + step + step / 2))
        table->starts[table->steps++] = at;
    const size_t count = (size_t) table->steps * table->count;
    table->numbers = alloc_checked(malloc((count + 1) * sizeof *table->numbers));
    for (size_t i = 0; i < count; i++)
        table->numbers[i] = ROW_UNKNOWN;
}

#define NUMBER_MOST 16 /* bytes: "-2147483.648," */
#define TIME_MOST 34   /* bytes: seconds, and the dates of days */

static char *print_table(const struct table *table)
{
    const size_t room = 200 + (size_t) table->steps * (TIME_MOST + table->count * NUMBER_MOST) +
                        table->count * (HISTORY_NAME_SIZE + 8);
    const struct history_level_info *level = &history_levels[table->level];
    char *bytes = alloc_checked(malloc(room)), name[HISTORY_NAME_SIZE];
    struct text text = text_in(bytes, room);
    text_format(&text, "{\"level\":\"%s\",\"step\":%lld", level->name, (long long) level->step);
    text_json(&text, "t", "[");
    for (unsigned i = 0; i < table->steps; i++)
        text_format(&text, "%s%lld", i > 0 ? "," : "", (long long) table->starts[i]);
    text_add(&text, "]");
    /* A client cannot derive the days from their start, since only the gateway knows the time zone. */
    if (table->level == LEVEL_DAY) {
        text_json(&text, "day", "[");
        for (unsigned i = 0; i < table->steps; i++)
            text_format(&text, "%s\"%s\"", i > 0 ? "," : "",
                        history_day_name(history_day(table->starts[i]), name));
        text_add(&text, "]");
    }
    for (unsigned c = 0; c < table->count; c++) {
        const int32_t *numbers = table->numbers + c * table->steps;
        const struct column *column = &table->columns[c];
        const bool energy = history_is_energy(column->value);
        const double scale = energy ? 10 : history_field(column->value)->scale;
        const int decimals = history_decimals(column->value);
        text_json(&text, history_value_name(column->value, column->n, name), "[");
        for (unsigned i = 0; i < table->steps; i++) {
            text_add(&text, i > 0 ? "," : "");
            text_number(&text, numbers[i] == ROW_UNKNOWN ? (double) NAN : numbers[i] / scale,
                        decimals);
        }
        text_add(&text, "]");
    }
    text_add(&text, "}\n");
    return bytes;
}

/* The finest level that reaches back to the beginning of the request, or as far as any coarser one, and fits
 * into the number of steps. */
static enum history_level choose_level(struct query *query, const struct ask *ask)
{
    enum history_level chosen = LEVEL_DAY;
    int64_t reached =
        INT64_MAX; /* by coarser levels, whose oldest row begins before the first poll in it */
    for (int level = LEVEL_DAY; level >= 0; level--) {
        const int64_t step = history_levels[level].step;
        const int64_t first =
            query ? query_first(query, ask->query.pack, (enum history_level) level) : INT64_MAX;
        if ((ask->query.to - ask->query.from + step - 1) / step <= (int64_t) ask->points &&
            (first <= ask->query.from || first <= reached))
            chosen = (enum history_level) level;
        if (first != INT64_MAX && first + step < reached)
            reached = first + step;
    }
    return chosen;
}

/* Completes the request with what only the file knows. */
static void complete_ask(struct ask *ask, struct query *query, const struct outlet_pack *pack)
{
    if (!ask->level_given)
        ask->query.level = choose_level(query, ask);
    if (ask->all) {
        /* If a request names no values, it gets all that the pack has. */
        const double known = pack->values.value[CELL_COUNT];
        unsigned cells = pack->source.members || isnan(known) ? 0 : (unsigned) known;
        bool limits = pack->source.status.allowed.configured;
        if (cells == 0 && query && !pack->source.members) {
            struct query_ask hours = ask->query;
            hours.level = LEVEL_HOUR;
            cells = query_cells(query, &hours, &limits);
        }
        query_want_all(&ask->query, cells, limits);
        ask->query.wanted[ROW_CHARGED] = ask->query.wanted[ROW_DISCHARGED] =
            ask->query.level >= LEVEL_HOUR;
        ask->query.wanted[ROW_SOC_PEAK] = ask->query.level == LEVEL_DAY;
    }
}

char *past_json(struct past_asked *asked, struct query *query, struct worker_result *result)
{
    struct query_ask *ask = &asked->ask.query;
    struct recent_reader rows;
    complete_ask(&asked->ask, query, asked->pack);
    if ((ask->to - ask->from) / history_levels[ask->level].step > ASK_POINTS_MAX) {
        result->status = MHD_HTTP_BAD_REQUEST;
        return strdup("too many rows for JSON; choose a coarser level, or CSV");
    }
    ask->from = history_start(ask->level, ask->from);
    struct table table = {.level = ask->level};
    /* Extremes of all values, as memory has those that the database has not. */
    for (enum history_value v = 0; v < ROW_FIELDS; v++)
        for (int n = 0; ask->wanted[v] && n < (ask->extremes && v < ROW_VALUES ? 3 : 1); n++)
            table.columns[table.count++] = (struct column){v, n};
    prepare_steps(&table, ask, asked->wall);
    past_begin(&rows, asked->past, asked->pack->index, query, ask);
    for (const struct history_row *row; (row = recent_next(&rows));) {
        const int64_t *step =
            bsearch(&row->from, table.starts, table.steps, sizeof *table.starts, compare_starts);
        for (unsigned c = 0; step && c < table.count; c++) {
            const struct column *column = &table.columns[c];
            const int64_t number = history_number(row, column->value, column->n);
            /* Memory has the rest of some fields at any level. */
            if (history_columns(table.level, column->value, MAX_CELLS) > 0)
                table.numbers[c * table.steps + (step - table.starts)] =
                    (int32_t) (history_is_energy(column->value) ? number / 100 : number);
        }
    }
    return rows.failed ? NULL : print_table(&table);
}

static void read_past(void *data, struct worker_result *result)
{
    struct past_asked *asked = data;
    struct query *query = open_file(asked->past, result);
    result->status = MHD_HTTP_OK;
    result->text = asked->work(asked, query, result);
    close_file(query, result);
}

static void send_result(void *owner, struct worker_result *result, const void *data)
{
    struct http_request *request = owner;
    past_worked(((const struct past_asked *) data)->past, result);
    if (!result->text || result->status != MHD_HTTP_OK) {
        http_error(request, result->text ? result->status : MHD_HTTP_SERVICE_UNAVAILABLE,
                   result->text ? result->text : "the history cannot be read in time");
        return;
    }
    compress_json(request, MHD_HTTP_OK, result->text);
    result->text = NULL;
}

void past_answer(struct past_asked *asked)
{
    http_hold(asked->request, worker_cancel,
              worker_start(asked->past->workers, read_past, asked, sizeof *asked, send_result,
                           asked->request));
}

/* What a worker reads, and where the next one continues. No file stays open while a client reads
 * slowly. */
struct piece {
    struct past_asked asked; /* where it continues */
    bool begun, over;
};

static void work_piece(void *data, struct worker_result *result)
{
    struct piece *piece = data;
    struct query_ask *ask = &piece->asked.ask.query;
    struct recent_reader rows;
    const struct history_row *row;
    char *bytes = NULL;
    size_t size;
    FILE *out = alloc_checked(open_memstream(&bytes, &size));
    struct query *query = open_file(piece->asked.past, result);
    const bool readable = query || !piece->begun;
    if (!piece->begun) {
        piece->begun = true;
        complete_ask(&piece->asked.ask, query, piece->asked.pack);
        /* Whatever was named, a file has the energy, and no peak. */
        ask->wanted[ROW_CHARGED] = ask->wanted[ROW_DISCHARGED] = true;
        ask->wanted[ROW_SOC_PEAK] = false;
        ask->from = history_start(ask->level, ask->from);
        csv_print(out, ask, NULL);
    }
    past_begin(&rows, piece->asked.past, piece->asked.pack->index, query, ask);
    while ((row = recent_next(&rows)) && ftell(out) < DOWNLOAD_PIECE)
        csv_print(out, ask, row);
    piece->over = !row;
    if (row)
        ask->from = row->from;
    close_file(query, result);
    result->text = fclose(out) == 0 && readable && !rows.failed ? bytes : NULL;
}

struct download {
    struct piece next;
    struct job *job; /* NULL: none runs */
    char *bytes;     /* the piece; bytes from `taken` on are unsent */
    size_t size, taken;
    bool failed;
};

static void on_piece(void *owner, struct worker_result *result, const void *data)
{
    struct download *download = owner;
    past_worked(download->next.asked.past, result);
    download->job = NULL;
    download->failed = !result->text;
    download->bytes = result->text;
    download->size = result->text ? strlen(result->text) : 0;
    download->taken = 0;
    download->next = *(const struct piece *) data;
    result->text = NULL;
    http_wake(download->next.asked.request);
}

static ssize_t on_download(void *data, uint64_t position, char *room, size_t most)
{
    struct download *download = data;
    const size_t left = download->size - download->taken, size = left < most ? left : most;
    if (size > 0) {
        memcpy(room, download->bytes + download->taken, size);
        download->taken += size;
        return (ssize_t) size;
    }
    free(download->bytes);
    download->bytes = NULL;
    if (download->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (download->next.over)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!download->job)
        download->job = worker_start(download->next.asked.past->workers, work_piece,
                                     &download->next, sizeof download->next, on_piece, download);
    return http_pause(download->next.asked.request);
}

static void free_download(void *data)
{
    struct download *download = data;
    if (download->job)
        worker_cancel(download->job);
    free(download->bytes);
    free(download);
}

void past_answer_csv(struct past_asked *asked)
{
    struct download *download = alloc_zeroed(1, sizeof *download);
    char day[24], disposition[120];
    const time_t from = (time_t) asked->ask.query.from;
    struct tm local;
    download->next.asked = *asked;
    struct MHD_Response *response = alloc_checked(MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, HTTP_MEMORY / 2, on_download, download, free_download));
    localtime_r(&from, &local);
    strftime(day, sizeof day, "%Y-%m-%d", &local);
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s-%s.csv\"",
             asked->pack->source.name, day);
    http_dress(response, "text/csv; charset=utf-8");
    MHD_add_response_header(response, "Content-Disposition", disposition);
    http_answer(asked->request, MHD_HTTP_OK, response);
}

void past_add(struct past *past, unsigned pack, const struct pack *values,
              const struct map_status *status, double wall)
{
    recent_add(&past->recents[pack], values, status, wall);
}

struct workers *past_workers(struct past *past)
{
    return past->workers;
}

struct past *past_new(struct ev_loop *loop, unsigned count, const char *file, double commit_s)
{
    struct past *past = alloc_zeroed(1, sizeof *past);
    past->file = file;
    past->recents = alloc_zeroed(count, sizeof *past->recents);
    past->workers = workers_new(loop, WORKERS_MOST, LONGEST_S);
    for (unsigned i = 0; i < count; i++)
        recent_init(&past->recents[i], commit_s + OVERLAP_S, false);
    return past;
}
