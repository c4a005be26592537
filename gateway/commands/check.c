// SPDX-License-Identifier: MIT
/* `packgate check`: checks a configuration without starting anything. */
#include "command.h"
#include "options.h"

#include "packs/untold.h"
#include "table.h"

#include "outlets/program.h"
#include "config/draft.h"
#include "config/keys.h"
#include "config/load.h"
#include "config/types.h"
#include "base/address.h"
#include "base/device.h"
#include "base/regular.h"
#include "bms/count.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MOST 512 /* bytes of the lines of a file; longer ones are checked in parts */

static const char usage[] =
    "usage: packgate check [FILE]\n"
    "       packgate check --keys[=man]\n\n"
    "Checks a configuration (" CONFIG_DEFAULT
    " by default, '-' for standard input) and prints mistakes as\n"
    "file:line: what was found and what was expected; else its lines, packs "
    "and units as a table. What this host\n"
    "lacks (a device, a baud rate, an address to listen on, an outlet, a "
    "file with a password or a certificate) is a warning.\n"
    "  -c, --config FILE  the same as FILE\n"
    "      --keys[=man]   prints all sections and keys with their ranges, "
    "defaults and meanings; as text, or as the\n"
    "                     part of packgate.ini(5) that they are\n"
    "Exit status: 0 no mistakes, 1 mistakes, 2 for a wrong call.\n";

/* The settings shared by all packs of a line; NULL: it has no packs. */
static const struct bms_driver *driver_of_line(const struct config *config,
                                               const struct line_config *line)
{
    for (unsigned i = 0; i < config->pack_count; i++)
        if (config->packs[i].line == line)
            return config->packs[i].driver;
    return NULL;
}

struct report {
    struct mistakes *mistakes;
    const struct config *config;
};

__attribute__((format(printf, 3, 4))) static void
warn(const struct report *report, const struct config_entry *entry, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    mistakes_warn(report->mistakes, entry ? entry->line : 0, format, values);
    va_end(values);
}

/* Warnings only: the configuration may be meant for another host, and an adapter may be plugged in
 * later. */
static void look_at_device(const struct report *report, const struct config_section *section,
                           const char *name, const char *port, unsigned baud, bool rs485)
{
    char why[200];
    if (strncmp(port, "serial:", 7) == 0 && !device_check(port + 7, baud, rs485, why, sizeof why))
        warn(report, config_entry_find(report->config, section, name, "port", 0), "[%s %s] %s: %s",
             section->word, name, port + 7, why);
}

/* Checks the address only: the port is in use while the gateway runs. */
static bool has_address(const char *listen)
{
    struct endpoint endpoint;
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    if (!endpoint_parse(listen, &endpoint))
        return true;
    if (getaddrinfo(endpoint.host, NULL, &hints, &found) != 0)
        return false; /* it names an interface that does not exist */
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool lacks = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) < 0 &&
                 (errno == EADDRNOTAVAIL || errno == ENODEV);
    bool no_family = fd < 0 && errno == EAFNOSUPPORT;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
    return !lacks && !no_family;
}

/* An outlet has no capabilities, so the web page can only use unprivileged ports. */
static void look_at_page(const struct report *report)
{
    const struct config *config = report->config;
    unsigned least = 1024;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
    if (file && fscanf(file, "%u", &least) != 1)
        least = 1024;
    if (file)
        fclose(file);
    for (unsigned i = 0; config->web && i < config->web->listen.count; i++) {
        struct endpoint endpoint;
        if (endpoint_parse(config->web->listen.at[i], &endpoint) && endpoint.port > 0 &&
            endpoint.port < least)
            warn(report, config_entry_find(config, &web_section, "", "listen", i),
                 "'listen' has port %u; the page cannot use ports below %u, expected one such as "
                 "8080, behind a reverse proxy if it has to be %u",
                 (unsigned) endpoint.port, least, (unsigned) endpoint.port);
    }
}

/* Where an entry lets its section listen; NULL: nowhere. */
static const char *listens_at(const struct config_entry *entry)
{
    static const char tcp[] = "tcp-listen:";
    if (entry->key->type == &type_listen)
        return entry->text;
    return entry->section == &present_section && strncmp(entry->text, tcp, strlen(tcp)) == 0
               ? entry->text + strlen(tcp)
               : NULL;
}

/* A port that two sections want. What is wrong within [gateway] and [view] is a mistake already; views share theirs. */
static void look_at_sharing(const struct report *report, const struct config_entry *entry)
{
    const char *text = listens_at(entry);
    for (const struct config_entry *other = report->config->entries; text && other < entry;
         other++) {
        const char *taken = listens_at(other);
        const bool same =
            other->section == entry->section &&
            (entry->section == &view_section || strcmp(other->name, entry->name) == 0);
        if (taken && !same && config_listen_collide(text, taken))
            warn(report, entry, "'%s' has %s, which %s of [%s%s%s] takes already", entry->key->name,
                 text, taken, other->section->word, other->name[0] ? " " : "", other->name);
    }
}

/* The path of a serial port; NULL: the entry is none. */
static const char *serial_path(const struct config_entry *entry)
{
    return strcmp(entry->key->name, "port") == 0 && strncmp(entry->text, "serial:", 7) == 0
               ? entry->text + 7
               : NULL;
}

/* Two names of one device, such as its link below /dev/serial/by-id. Two equal ones are a mistake already. */
static void look_at_names(const struct report *report, const struct config_entry *entry)
{
    struct stat device, taken;
    const char *path = serial_path(entry);
    if (!path || stat(path, &device) < 0)
        return;
    for (const struct config_entry *other = report->config->entries; other < entry; other++) {
        const char *name = serial_path(other);
        if (name && strcmp(name, path) != 0 && stat(name, &taken) == 0 &&
            device.st_dev == taken.st_dev && device.st_ino == taken.st_ino)
            warn(report, entry,
                 "'port' has %s, which [%s %s] has already as %s; expected a port of its own for "
                 "each line and each master",
                 path, other->section->word, other->name, name);
    }
}

static const char *judge_secret(const char *line)
{
    return line[0] ? NULL : "its first line is empty; expected the secret there";
}

static const char *judge_hash(const char *line)
{
    return line[0] == '$' && strchr(line + 1, '$')
               ? NULL
               : "its first line is not a hash; expected one written by `packgate password`";
}

static const char *judge_certificate(const char *line)
{
    return strstr(line, "-----BEGIN ") && strstr(line, "CERTIFICATE-----")
               ? NULL
               : "there is no certificate in it; expected PEM, with a line -----BEGIN "
                 "CERTIFICATE-----";
}

static const char *judge_key(const char *line)
{
    if (strstr(line, "ENCRYPTED"))
        return "its key has a passphrase; expected a key without one";
    return strstr(line, "-----BEGIN ") && strstr(line, "PRIVATE KEY-----")
               ? NULL
               : "there is no private key in it; expected PEM, with a line -----BEGIN PRIVATE "
                 "KEY-----";
}

typedef const char *judge_line(const char *line);

/* What the file of a key must contain. */
static const struct {
    const struct config_section *section; /* NULL: any section */
    const char *key;
    judge_line *judge;
} files[] = {
    {&web_section, "password_file", judge_hash},
    {NULL, "password_file", judge_secret},
    {NULL, "token_file", judge_secret},
    {NULL, "key_file", judge_secret},
    {NULL, "url_file", judge_secret},
    {&notify_section, "url", judge_secret}, /* where it is the path of a file */
    {NULL, "ca_file", judge_certificate},
    {NULL, "client_cert", judge_certificate},
    {NULL, "tls_cert", judge_certificate},
    {NULL, "client_key", judge_key},
    {NULL, "tls_key", judge_key},
};

static const char *judge_file(const char *path, judge_line *judge)
{
    char line[LINE_MOST] = "";
    const char *why;
    FILE *file = regular_open(path, &why);
    if (!file)
        return why;
    const bool any_line = judge == judge_certificate || judge == judge_key; /* or the first */
    do {
        const bool more = fgets(line, sizeof line, file) != NULL;
        line[more ? strcspn(line, "\r\n") : 0] = '\0';
        why = judge(line);
        if (!more)
            break;
    } while (why && any_line && !strstr(line, "-----BEGIN ENCRYPTED"));
    explicit_bzero(line, sizeof line);
    fclose(file);
    return why;
}

/* "CERTIFICATE, KEY", or the first alone. */
static const char *judge_files(const char *text, judge_line *judge)
{
    char first[PORT_SIZE];
    const char *comma = judge == judge_certificate ? strchr(text, ',') : NULL;
    if (!comma)
        return judge_file(text, judge);
    snprintf(first, sizeof first, "%.*s", (int) (comma - text), text);
    first[strcspn(first, " ")] = '\0';
    const char *why = judge_file(first, judge);
    return why ? why : judge_file(comma + 1 + strspn(comma + 1, " "), judge_key);
}

/* Warnings only: the service may be allowed to read what this user may not. */
static void look_at_file(const struct report *report, const struct config_entry *entry)
{
    size_t i = 0;
    while (i < COUNT(files) && (strcmp(files[i].key, entry->key->name) != 0 ||
                                (files[i].section && files[i].section != entry->section) ||
                                (strcmp(files[i].key, "url") == 0 && entry->text[0] != '/')))
        i++;
    /* A pack's password is checked with the rest of its section. */
    if (i == COUNT(files) || entry->section == &pack_section || strcmp(entry->text, "none") == 0)
        return;
    const char *why = judge_files(entry->text, files[i].judge);
    if (why)
        warn(report, entry, "'%s' %s: %s", entry->key->name, entry->text, why);
}

void check_host(const struct config *config, struct mistakes *mistakes)
{
    const struct report report = {mistakes, config};
    /* The programs of outlets are in packages of their own. */
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        char program[PORT_SIZE];
        if (!section->outlet || config_struct_count(config, section) == 0)
            continue;
        program_find(section->word, program);
        if (access(program, X_OK) < 0)
            warn(&report, NULL, "[%s] packgate-outlet-%s: %s", section->word, section->word,
                 program_why(errno));
    }
    look_at_page(&report);
    for (unsigned i = 0; i < config->entry_count; i++)
        look_at_file(&report, &config->entries[i]);
    for (unsigned i = 0; i < config->line_count; i++) {
        const struct line_config *line = &config->lines[i];
        const struct bms_driver *driver = driver_of_line(config, line);
        const unsigned usual = driver && driver != &automatic_driver ? driver->line.baud : 0;
        if (driver)
            look_at_device(&report, &line_section, line->name, line->port,
                           line->baud ? line->baud : usual, line->rts == RTS_RS485);
    }
    for (unsigned i = 0; i < config->present_count; i++) {
        const struct present_config *present = &config->presents[i];
        look_at_device(&report, &present_section, present->outlet.name, present->port,
                       present->baud, present->rts == RTS_RS485);
    }
    for (unsigned i = 0; i < config->entry_count; i++) {
        const struct config_entry *entry = &config->entries[i];
        if (entry->key->type == &type_listen && !has_address(entry->text))
            warn(&report, entry, "'listen' has %s, an address that this host does not have",
                 entry->text);
        look_at_sharing(&report, entry);
        look_at_names(&report, &config->entries[i]);
    }
}

static void write_line(const struct config *config, const void *settings, FILE *out)
{
    const struct line_config *line = settings;
    const struct bms_driver *driver = driver_of_line(config, line);
    bool serial = strncmp(line->port, "serial:", 7) == 0;
    fprintf(out, "%s\t%s\t", line->name, line->port);
    if (serial && driver && driver != &automatic_driver)
        fprintf(out, "%u %s%s", line->baud ? line->baud : driver->line.baud,
                line->framing[0] ? line->framing : BMS_FRAMING, line->listen ? ", " : "");
    if (line->listen)
        fprintf(out, "listens only");
}

static void write_pack(const struct config *config, const void *settings, FILE *out)
{
    const struct pack_config *pack = settings;
    const struct bms_driver *driver = pack->driver;
    const struct bms_options *options = &pack->options;
    const int address = bms_address_of(driver, options->address);
    fprintf(out, "%d\t%s\t%s\t%s\t", pack->unit, pack->name, pack->line->name, driver->name);
    if (bms_has_address(driver) && address >= 0) /* below 0: to be found */
        fprintf(out, "%d", address);
    fprintf(out, "\t%s\t%gs", driver->variants ? driver->variants[options->variant] : "",
            pack->poll_s);
}

static void write_bank(const struct config *config, const void *settings, FILE *out)
{
    const struct bank_config *bank = settings;
    fprintf(out, "%d\t%s\t%u of %u\t", bank->unit, bank->name, bank->min_packs, bank->pack_count);
    for (unsigned p = 0; p < bank->pack_count; p++)
        fprintf(out, "%s%s", p > 0 ? ", " : "", bank->packs[p]->name);
}

static void write_limits(const struct config *config, const void *settings, FILE *out)
{
    const struct limits_config *limits = settings;
    fprintf(out, "%s\t%s\t%g A\t%g A", limits->name, limits->of, limits->charge_current_a,
            limits->discharge_current_a);
}

static void write_push(const struct config *config, const void *settings, FILE *out)
{
    const struct push_config *push = settings;
    fprintf(out, "%s\t%s\t%u\t%u\t%gs", push->name, push->target, push->unit, push->write_count,
            push->interval_s);
}

static void write_view(const struct config *config, const void *settings, FILE *out)
{
    const struct view_config *view = settings;
    fprintf(out, "%s\t", view->name);
    for (unsigned n = 0; n < view->units.count; n++)
        fprintf(out, "%s%u", n > 0 ? ", " : "", view->units.id[n]);
    fputc('\t', out);
    for (unsigned n = 0; n < view->listen.count; n++)
        fprintf(out, "%s%s", n > 0 ? ", " : "", view->listen.at[n]);
    fprintf(out, "\t%s\t%u", view->source, view->register_count);
}

static void write_present(const struct config *config, const void *settings, FILE *out)
{
    const struct present_config *present = settings;
    char list[400] = "";
    bool stops = strcmp(present->protocol, PRESENT_MODBUS) == 0 ||
                 untold_list(config, present, list, sizeof list);
    fprintf(out, "%s\t%s\t%s\t%s\t%s%s", present->outlet.name, present->outlet.packs[0],
            present->port, present->protocol, list, stops ? "" : "; it has no message for stop");
}

/* Outlets and tunnels, with their first key. */
static void write_others(const struct config *config, FILE *out)
{
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        const char *list = config_structs(config, section);
        const bool listed =
            (section->outlet && section != &present_section) || section == &tunnel_section;
        unsigned count = listed ? config_struct_count(config, section) : 0;
        for (unsigned n = 0; n < count; n++) {
            const char *name = section->times == SECTION_NAMED ? list + n * section->size : "";
            const struct config_key *key = &section->keys[0];
            const struct config_entry *entry =
                config_entry_find(config, section, name, key->name, 0);
            fprintf(out, "[%s%s%s]\t", section->word, name[0] ? " " : "", name);
            if (entry)
                fprintf(out, "%s = %s", key->name, entry->text);
            fputc('\n', out);
        }
    }
}

static const struct {
    const char *heading;
    const struct config_section *section; /* NULL: the others */
    void (*write)(const struct config *config, const void *settings, FILE *out);
} tables[] = {
    {"LINE\tPORT\tSETTINGS", &line_section, write_line},
    {"UNIT\tPACK\tLINE\tPROTOCOL\tADDRESS\tVARIANT\tPOLL", &pack_section, write_pack},
    {"UNIT\tBANK\tNEEDS\tPACKS", &bank_section, write_bank},
    {"LIMITS\tOF\tCHARGE\tDISCHARGE", &limits_section, write_limits},
    {"PUSH\tTARGET\tUNIT\tVALUES\tINTERVAL", &push_section, write_push},
    {"VIEW\tUNITS\tLISTEN\tSOURCE\tREGISTERS", &view_section, write_view},
    {"PRESENT\tOF\tPORT\tPROTOCOL\tNOT REPORTED", &present_section, write_present},
    {.heading = "ALSO\tTO"},
};

static void print_tables(const struct config *config)
{
    for (size_t i = 0; i < COUNT(tables); i++) {
        const struct config_section *section = tables[i].section;
        const char *settings = section ? config_structs(config, section) : NULL;
        const unsigned count = section ? config_struct_count(config, section) : 0;
        struct table table;
        table_begin(&table, tables[i].heading);
        for (unsigned n = 0; n < count; n++, settings += section->size) {
            tables[i].write(config, settings, table.out);
            fputc('\n', table.out);
        }
        if (!section)
            write_others(config, table.out);
        table_end(&table, "", "\n");
    }
}

int command_check(int argc, char **argv)
{
    const char *path = CONFIG_DEFAULT, *section = NULL;
    bool keys = false;
    const struct option_row rows[] = {
        {"keys", 0, .text = &section, .flag = &keys}, {"config", 'c', .text = &path}, {0}};
    options_parse(argc, argv, rows, 1, usage);
    if (keys) {
        if (!section || strcmp(section, "man") == 0) {
            keys_manual_print(section != NULL, stdout);
            return EXIT_DONE;
        }
        return options_refuse(usage, "packgate: unknown format '%s'", section);
    }
    if (optind < argc)
        path = argv[optind];
    struct config *config = config_load(path, stderr);
    if (!config)
        return EXIT_FAILED;
    struct mistakes lacks = {0};
    check_host(config, &lacks);
    mistakes_print(&lacks, config_file_name(path), stderr);
    mistakes_free(&lacks);
    print_tables(config);
    const struct {
        unsigned count;
        const char *what;
    } counts[] = {{config->line_count, "line"},
                  {config->pack_count, "pack"},
                  {config->bank_count, "bank"},
                  {config->push_count, "push target"},
                  {config->view_count, "view"}};
    printf("%s: ", path);
    for (size_t i = 0; i < COUNT(counts); i++)
        if (counts[i].count > 0 || i < 2)
            printf("%u %s%s, ", counts[i].count, counts[i].what, counts[i].count == 1 ? "" : "s");
    printf("no mistakes\n");
    config_free(config);
    return EXIT_DONE;
}
