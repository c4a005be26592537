// SPDX-License-Identifier: MIT
/* `packgate check`: checks a configuration without starting anything. */
#include "command.h"
#include "options.h"

#include "packs/untold.h"
#include "check_files.h"
#include "check_host.h"
#include "table.h"

#include "outlets/program.h"
#include "config/keys.h"
#include "config/keys_manual.h"
#include "config/load.h"
#include "base/address.h"
#include "base/device.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* ---- what this host lacks ---- */

/* Whether the section is an outlet, which the table lists with its first key. */
static bool is_other(const struct config_section *section)
{
    return section != &gateway_section && section != &line_section && section != &pack_section &&
           section != &bank_section && section != &limits_section && section != &push_section &&
           section != &view_section;
}

static void warn(const char *path, const struct config_entry *entry, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void warn(const char *path, const struct config_entry *entry, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fprintf(stderr, "%s:", path);
    if (entry && entry->line > 0)
        fprintf(stderr, "%u:", entry->line);
    fprintf(stderr, " warning: ");
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
}

/* Warnings only: the configuration may be meant for another host, and an adapter may be plugged in
 * later. */
static void look_at_device(const char *path, const struct config *config,
                           const struct line_config *line)
{
    char why[200];
    const struct bms_driver *driver = driver_of_line(config, line);
    if (strncmp(line->port, "serial:", 7) != 0 || !driver)
        return;
    unsigned baud = line->baud ? line->baud : driver->line.baud;
    if (driver == &automatic_driver && !line->baud)
        baud = 0;
    if (!device_check(line->port + 7, baud, line->rts == RTS_RS485, why, sizeof why))
        warn(path, config_entry_find(config, &line_section, line->name, "port", 0),
             "[line %s] %s: %s", line->name, line->port + 7, why);
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

/* The programs of outlets are in packages of their own. */
static void look_at_outlets(const char *path, const struct config *config)
{
    char program[PORT_SIZE];
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        if (!is_other(section) || section == &tunnel_section ||
            config_struct_count(config, section) == 0)
            continue;
        program_find(section->word, program);
        if (access(program, X_OK) < 0)
            warn(path, NULL, "[%s] packgate-outlet-%s: %s", section->word, section->word,
                 program_why(errno));
    }
}

/* An outlet has no capabilities, so the web page can only use unprivileged ports. */
static void look_at_page(const char *path, const struct config *config)
{
    unsigned least = 1024;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
    if (file) {
        if (fscanf(file, "%u", &least) != 1)
            least = 1024;
        fclose(file);
    }
    for (unsigned i = 0; config->web && i < config->web->listen.count; i++) {
        struct endpoint endpoint;
        if (endpoint_parse(config->web->listen.at[i], &endpoint) && endpoint.port > 0 &&
            endpoint.port < least)
            warn(path, config_entry_find(config, &web_section, "", "listen", i),
                 "'listen' has port %u; the page cannot use ports below %u, expected one such as "
                 "8080, "
                 "behind a reverse proxy if it has to be %u",
                 (unsigned) endpoint.port, least, (unsigned) endpoint.port);
    }
}

/* Warnings only: the service may be allowed to read what this user may not. */
static void look_at_files(const char *path, const struct config *config)
{
    for (unsigned i = 0; i < config->entry_count; i++) {
        const struct config_entry *entry = &config->entries[i];
        const char *why = check_file(entry);
        if (why)
            warn(path, entry, "'%s' %s: %s", entry->key->name, entry->text, why);
    }
}

void check_host(const char *path, const struct config *config)
{
    look_at_outlets(path, config);
    look_at_page(path, config);
    look_at_files(path, config);
    for (unsigned i = 0; i < config->line_count; i++)
        look_at_device(path, config, &config->lines[i]);
    for (unsigned i = 0; i < config->present_count; i++) {
        const struct present_config *present = &config->presents[i];
        char why[200];
        if (strncmp(present->port, "serial:", 7) == 0 &&
            !device_check(present->port + 7, present->baud, present->rts == RTS_RS485, why,
                          sizeof why))
            warn(path, config_entry_find(config, &present_section, present->outlet.name, "port", 0),
                 "[present %s] %s: %s", present->outlet.name, present->port + 7, why);
    }
    for (unsigned i = 0; i < config->view_count; i++)
        for (unsigned n = 0; n < config->views[i].listen.count; n++)
            if (!has_address(config->views[i].listen.at[n]))
                warn(path,
                     config_entry_find(config, &view_section, config->views[i].name, "listen", n),
                     "'listen' has %s, an address that this host does not have",
                     config->views[i].listen.at[n]);
    for (unsigned i = 0; i < config->gateway.listen.count; i++)
        if (!has_address(config->gateway.listen.at[i]))
            warn(path, config_entry_find(config, &gateway_section, "", "listen", i),
                 "'listen' has %s, an address that this host does not have",
                 config->gateway.listen.at[i]);
}

/* ---- the table of what is served ---- */

static void write_lines(const struct config *config, FILE *out)
{
    fprintf(out, "LINE\tPORT\tSETTINGS\n");
    for (unsigned i = 0; i < config->line_count; i++) {
        const struct line_config *line = &config->lines[i];
        const struct bms_driver *driver = driver_of_line(config, line);
        bool serial = strncmp(line->port, "serial:", 7) == 0;
        fprintf(out, "%s\t%s\t", line->name, line->port);
        if (serial && driver && driver != &automatic_driver)
            fprintf(out, "%u %s%s", line->baud ? line->baud : driver->line.baud,
                    line->framing[0] ? line->framing : driver->line.framing,
                    line->listen ? ", " : "");
        if (line->listen)
            fprintf(out, "listens only");
        fputc('\n', out);
    }
}

static void write_packs(const struct config *config, FILE *out)
{
    fprintf(out, "UNIT\tPACK\tLINE\tPROTOCOL\tADDRESS\tVARIANT\tPOLL\n");
    for (unsigned i = 0; i < config->pack_count; i++) {
        const struct pack_config *pack = &config->packs[i];
        const struct bms_driver *driver = pack->driver;
        const struct bms_options *options = &pack->options;
        const int address = options->address >= 0 ? options->address : driver->address_default;
        fprintf(out, "%d\t%s\t%s\t%s\t", pack->unit, pack->name, pack->line->name, driver->name);
        if (bms_has_address(driver) && address >= 0) /* below 0: to be found */
            fprintf(out, "%d", address);
        fprintf(out, "\t%s\t%gs\n", driver->variants ? driver->variants[options->variant] : "",
                pack->poll_s);
    }
}

static void write_banks(const struct config *config, FILE *out)
{
    fprintf(out, "UNIT\tBANK\tNEEDS\tPACKS\n");
    for (unsigned i = 0; i < config->bank_count; i++) {
        const struct bank_config *bank = &config->banks[i];
        fprintf(out, "%d\t%s\t%u of %u\t", bank->unit, bank->name, bank->min_packs,
                bank->pack_count);
        for (unsigned p = 0; p < bank->pack_count; p++)
            fprintf(out, "%s%s", p > 0 ? ", " : "", bank->packs[p]->name);
        fputc('\n', out);
    }
}

static void write_limits(const struct config *config, FILE *out)
{
    fprintf(out, "LIMITS\tOF\tCHARGE\tDISCHARGE\n");
    for (unsigned i = 0; i < config->limits_count; i++) {
        const struct limits_config *limits = &config->limits[i];
        fprintf(out, "%s\t%s\t%g A\t%g A\n", limits->name, limits->of, limits->charge_current_a,
                limits->discharge_current_a);
    }
}

static void write_pushes(const struct config *config, FILE *out)
{
    fprintf(out, "PUSH\tTARGET\tUNIT\tVALUES\tINTERVAL\n");
    for (unsigned i = 0; i < config->push_count; i++) {
        const struct push_config *push = &config->pushes[i];
        fprintf(out, "%s\t%s\t%u\t%u\t%gs\n", push->name, push->target, push->unit,
                push->write_count, push->interval_s);
    }
}

static void write_views(const struct config *config, FILE *out)
{
    fprintf(out, "VIEW\tUNITS\tLISTEN\tSOURCE\tREGISTERS\n");
    for (unsigned i = 0; i < config->view_count; i++) {
        const struct view_config *view = &config->views[i];
        fprintf(out, "%s\t", view->name);
        for (unsigned n = 0; n < view->units.count; n++)
            fprintf(out, "%s%u", n > 0 ? ", " : "", view->units.id[n]);
        fputc('\t', out);
        for (unsigned n = 0; n < view->listen.count; n++)
            fprintf(out, "%s%s", n > 0 ? ", " : "", view->listen.at[n]);
        fprintf(out, "\t%s\t%u\n", view->source, view->register_count);
    }
}

static void write_presents(const struct config *config, FILE *out)
{
    fprintf(out, "PRESENT\tOF\tPORT\tPROTOCOL\tNOT REPORTED\n");
    for (unsigned i = 0; i < config->present_count; i++) {
        const struct present_config *present = &config->presents[i];
        char list[400] = "";
        bool stops = strcmp(present->protocol, PRESENT_MODBUS) == 0 ||
                     untold_list(config, present, list, sizeof list);
        fprintf(out, "%s\t%s\t%s\t%s\t%s%s\n", present->outlet.name, present->outlet.packs[0],
                present->port, present->protocol, list,
                stops ? "" : "; it has no message for stop");
    }
}

static unsigned count_others(const struct config *config)
{
    unsigned count = 0;
    for (unsigned i = 0; config_sections[i]; i++)
        if (is_other(config_sections[i]) && config_sections[i] != &present_section)
            count += config_struct_count(config, config_sections[i]);
    return count;
}

static void write_others(const struct config *config, FILE *out)
{
    fprintf(out, "ALSO\tTO\n");
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        const char *list = config_structs(config, section);
        const bool listed = is_other(section) && section != &present_section;
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

static void print_tables(const struct config *config)
{
    const struct {
        unsigned rows;
        void (*write)(const struct config *config, FILE *out);
    } tables[] = {
        {config->line_count, write_lines},       {config->pack_count, write_packs},
        {config->bank_count, write_banks},       {config->limits_count, write_limits},
        {config->push_count, write_pushes},      {config->view_count, write_views},
        {config->present_count, write_presents}, {count_others(config), write_others},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = tables[i].rows > 0 ? open_memstream(&text, &size) : NULL;
        if (!out)
            continue;
        tables[i].write(config, out);
        fclose(out);
        table_print(text);
        putchar('\n');
        free(text);
    }
}

static void print_count(unsigned count, const char *what)
{
    printf("%u %s%s, ", count, what, count == 1 ? "" : "s");
}

int command_check(int argc, char **argv)
{
    const char *path = CONFIG_DEFAULT, *section = NULL;
    bool keys = false;
    const struct option_row rows[] = {
        {"keys", 0, .text = &section, .flag = &keys}, {"config", 'c', .text = &path}, {0}};
    const int status = options_parse(argc, argv, rows, 1, usage);
    if (status >= 0)
        return status;
    if (keys) {
        if (!section || strcmp(section, "man") == 0) {
            keys_manual_print(section != NULL, stdout);
            return EXIT_DONE;
        }
        fprintf(stderr, "packgate: unknown format '%s'\n\n%s", section, usage);
        return EXIT_USAGE;
    }
    if (optind < argc)
        path = argv[optind];
    struct config *config = config_load(path, stderr);
    if (!config)
        return EXIT_FAILED;
    check_host(strcmp(path, "-") == 0 ? "standard input" : path, config);
    print_tables(config);
    printf("%s: ", path);
    print_count(config->line_count, "line");
    print_count(config->pack_count, "pack");
    if (config->bank_count)
        print_count(config->bank_count, "bank");
    if (config->push_count)
        print_count(config->push_count, "push target");
    if (config->view_count)
        print_count(config->view_count, "view");
    printf("no mistakes\n");
    config_free(config);
    return EXIT_DONE;
}
