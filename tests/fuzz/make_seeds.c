// SPDX-License-Identifier: MIT
/*
 * Seeds of the fuzzers: make_seeds DIRECTORY writes below it, for each driver, its exchange files
 * as scripts, one script that asks its simulated pack everything, for the server the requests
 * that clients send, and all maps of registers. The fuzzers of exchange files and of the configuration read theirs as they
 * are.
 */
#include "script.h"

#include "commands/exchange.h"

#include "bms/checksum.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CAPTURES "tests/captures"
#define MAPS "conf/maps"
#define PATH_SIZE 1024

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static FILE *create(const char *folder, const char *kind, const char *name)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", folder, kind);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        fail(folder);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        fail(path);
    snprintf(path, sizeof path, "%s/%s/%s", folder, kind, name);
    FILE *file = fopen(path, "wb");
    if (!file)
        fail(path);
    return file;
}

static void close_seed(FILE *file)
{
    if (fclose(file) != 0)
        fail("writing a seed");
}

static void put_head(FILE *out, unsigned variant, unsigned cells, unsigned temps)
{
    const unsigned char head[SCRIPT_HEAD] = {
        (unsigned char) variant, 0, 0, 0, 1, 0, (unsigned char) (cells - 1), (unsigned char) temps};
    fwrite(head, 1, sizeof head, out);
}

static void put_item(FILE *out, const struct exchange_item *item)
{
    if (item->kind == EXCHANGE_REQUEST && item->size <= BMS_REQUEST_MAX) {
        fputc(EVENT_REQUEST, out);
        fputc((int) item->size, out);
        fwrite(item->bytes, 1, item->size, out);
    } else if (item->kind == EXCHANGE_REPLY) {
        fputc(EVENT_REPAIRED, out);
        fputc((int) (item->size & 0xFF), out);
        fputc((int) (item->size >> 8), out);
        fwrite(item->bytes, 1, item->size, out);
    }
}

static char *read_file(const char *path, size_t *size)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path);
    *size = fread(text, 1, sizeof text, file);
    fclose(file);
    return text;
}

static void convert(const char *folder, const char *path, const char *name)
{
    char error[200];
    size_t size;
    char *text = read_file(path, &size);
    struct exchange *exchange = exchange_parse(text, size, error, sizeof error);
    if (!exchange) {
        fprintf(stderr, "%s: %s\n", path, error);
        exit(1);
    }
    FILE *out = create(folder, exchange->driver->name, name);
    put_head(out, 0, 16, 4);
    for (size_t i = 0; i < exchange->count; i++)
        put_item(out, &exchange->items[i]);
    fputc(EVENT_FINISH, out);
    close_seed(out);
    exchange_free(exchange);
}

static void convert_captures(const char *folder, const char *driver)
{
    char path[300], full[PATH_SIZE];
    snprintf(path, sizeof path, CAPTURES "/%s", driver);
    DIR *dir = opendir(path);
    if (!dir)
        fail(path);
    for (struct dirent *file; (file = readdir(dir));) {
        snprintf(full, sizeof full, "%s/%s", path, file->d_name);
        if (strstr(file->d_name, ".exch"))
            convert(folder, full, file->d_name);
    }
    closedir(dir);
}

static void put_answer(FILE *out)
{
    const unsigned char unchanged[] = {EVENT_EMULATE, 0, 0, 0};
    fwrite(unchanged, 1, sizeof unchanged, out);
}

/* Two cycles, so that what the first one has taught is used, and both switches. */
static void put_cycles(FILE *out, const struct bms_driver *driver)
{
    for (int cycle = 0; cycle < 2; cycle++) {
        for (unsigned step = 0; step < driver->steps; step++) {
            fputc(EVENT_BUILD, out);
            fputc((int) step, out);
            put_answer(out);
        }
        if (bms_talks(driver))
            put_answer(out);
        fputc(EVENT_FINISH, out);
    }
    for (int choice = 0; choice < 4; choice++) {
        fputc(EVENT_CONTROL, out);
        fputc(choice, out);
        put_answer(out);
    }
}

static void make_conversations(const char *folder, const struct bms_driver *driver)
{
    static const char *const plain[] = {"plain", NULL};
    const char *const *variants = driver->variants ? driver->variants : plain;
    for (unsigned i = 0; variants[i]; i++) {
        char name[100];
        snprintf(name, sizeof name, "conversation-%s", variants[i]);
        FILE *out = create(folder, driver->name, name);
        put_head(out, i, 16, 4);
        put_cycles(out, driver);
        close_seed(out);
    }
}

/* The same by Modbus RTU, cut before its last byte. */
static void put_on_line(const char *folder, const char *name, const unsigned char *bytes,
                        size_t size)
{
    const uint16_t crc = crc16_modbus(bytes, size);
    FILE *out = create(folder, "rtu", name);
    fputc((int) size + 1, out);
    fwrite(bytes, 1, size, out);
    fputc(crc & 0xFF, out);
    fputc(crc >> 8, out);
    close_seed(out);
}

/* More bytes than a frame has: the fuzzer itself takes long to make its inputs as long as that. */
static void put_long_streams(const char *folder)
{
    static const struct {
        const char *name;
        unsigned char function;
    } rows[] = {{"long-unknown", 0x40}, {"long-damaged", 0x03}, {"long-counted", 0x10}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char bytes[300] = {1, rows[i].function, [6] = 0xF8};
        put_on_line(folder, rows[i].name, bytes, sizeof bytes);
    }
}

static void put_requests(const char *folder)
{
    // clang-format off
    static const struct {
        const char *name;
        unsigned char size, bytes[20];
    } rows[] = {
        {"read-compatibility",   6, {1, 0x03, 0x01, 0x22, 0x00, 0x3A}},
        {"read-copy-as-input",   6, {1, 0x04, 0x00, 0x64, 0x00, 0x3A}},
        {"read-extended",        6, {1, 0x03, 0x01, 0x90, 0x00, 0x7D}},
        {"read-outside",         6, {1, 0x03, 0xFF, 0xFF, 0x00, 0x02}},
        {"read-too-many",        6, {1, 0x03, 0x01, 0x22, 0x00, 0x7E}},
        {"read-inputs",          6, {1, 0x02, 0x00, 0x00, 0x00, 0x30}},
        {"read-coils",           6, {1, 0x01, 0x00, 0x00, 0x00, 0x02}},
        {"write-coil",           6, {1, 0x05, 0x00, 0x00, 0xFF, 0x00}},
        {"write-register",       6, {1, 0x06, 0x01, 0x33, 0x00, 0x01}},
        {"write-coils",          8, {1, 0x0F, 0x00, 0x00, 0x00, 0x02, 0x01, 0x03}},
        {"write-registers",     11, {1, 0x10, 0x01, 0x33, 0x00, 0x02, 0x04, 0x00, 0x01, 0x00, 0x01}},
        {"write-short",          9, {1, 0x10, 0x01, 0x33, 0x00, 0x02, 0x04, 0x00, 0x01}},
        {"mask-write",           8, {1, 0x16, 0x01, 0x33, 0x00, 0xF2, 0x00, 0x25}},
        {"write-and-read",      13, {1, 0x17, 0x01, 0x22, 0x00, 0x02, 0x01, 0x33, 0x00, 0x01, 0x02, 0x00, 0x01}},
        {"identify",             5, {1, 0x2B, 0x0E, 0x01, 0x00}},
        {"unknown-function",     2, {1, 0x07}},
        {"unknown-unit",         6, {77, 0x03, 0x01, 0x22, 0x00, 0x02}},
        {"stale-unit",           6, {2, 0x03, 0x01, 0x22, 0x00, 0x02}},
        {"unit-0",               6, {0, 0x03, 0x01, 0x22, 0x00, 0x02}},
    };
    // clang-format on
    FILE *all = create(folder, "server", "pipelined");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const unsigned char header[] = {0, (unsigned char) i, 0, 0, 0, rows[i].size};
        FILE *one = create(folder, "server", rows[i].name);
        fwrite(header, 1, sizeof header, one);
        fwrite(rows[i].bytes, 1, rows[i].size, one);
        close_seed(one);
        put_on_line(folder, rows[i].name, rows[i].bytes, rows[i].size);
        fwrite(header, 1, sizeof header, all);
        fwrite(rows[i].bytes, 1, rows[i].size, all);
    }
    close_seed(all);
    put_long_streams(folder);
}

static void copy_map(const char *folder, const char *path, const char *name)
{
    size_t size;
    const char *text = read_file(path, &size);
    FILE *out = create(folder, "map", name);
    fwrite(text, 1, size, out);
    close_seed(out);
}

static void copy_maps(const char *folder)
{
    char path[PATH_SIZE];
    copy_map(folder, "conf/modbus-map-example.txt", "example.txt");
    copy_map(folder, "tests/maps/every-kind.txt", "every-kind.txt");
    DIR *dir = opendir(MAPS);
    if (!dir)
        fail(MAPS);
    for (struct dirent *file; (file = readdir(dir));) {
        snprintf(path, sizeof path, MAPS "/%s", file->d_name);
        if (strstr(file->d_name, ".txt"))
            copy_map(folder, path, file->d_name);
    }
    closedir(dir);
}

int main(int argc, char *argv[])
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds DIRECTORY\n");
        return 2;
    }
    for (size_t i = 0; bms_drivers[i]; i++) {
        convert_captures(argv[1], bms_drivers[i]->name);
        make_conversations(argv[1], bms_drivers[i]);
    }
    put_requests(argv[1]);
    copy_maps(argv[1]);
    return 0;
}
