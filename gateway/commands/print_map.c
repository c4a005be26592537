// SPDX-License-Identifier: MIT
/* `packgate map`: prints the register map, for people and for programs. */
#include "asking.h"
#include "command.h"
#include "options.h"

#include "config/keys.h"
#include "config/load.h"
#include "config/outlet_config.h"
#include "config/row.h"
#include "packs/kept.h"
#include "base/address.h"
#include "base/alloc.h"
#include "base/secret.h"
#include "base/suggest.h"
#include "base/text.h"
#include "registers/template.h"
#include "registers/value.h"
#include "bms/count.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USUAL_CELLS 16
#define USUAL_SENSORS 4
#define NAME_ROOM ROW_LINE
#define MEANING_ROOM 400

static const char usage[] =
    "usage: packgate map [--format FORMAT | --template FILE] [-c FILE [--view NAME]]\n\n"
    "Prints the register map that every unit serves.\n"
    "  -f, --format FORMAT  md (the default), json or csv; for a client homeassistant,\n"
    "                       homeassistant-basic, homeassistant-cells, telegraf, nodered,\n"
    "                       evcc, iobroker, iotmqttpanel, tasmota, tasmota-display or mbpoll\n"
    "  -t, --template FILE  prints a client file of your own; those of the formats above are in\n"
    "                       conf/clients, docs/templates.md describes their language\n"
    "  -c, --config FILE    takes base, float_order and writable from a configuration,\n"
    "                       otherwise the defaults; files for homeassistant, telegraf, nodered,\n"
    "                       evcc and iobroker then have all its packs and banks, with the\n"
    "                       numbers of cells and sensors from the gateway that runs on it,\n"
    "                       otherwise from its state file\n"
    "      --view NAME      prints the registers of a view of the configuration instead, as md, "
    "json\n"
    "                       or csv\n"
    "      --with-password  writes the MQTT passwords into the file for iotmqttpanel\n"
    "Exit status: 0, 1 when the configuration is wrong, 2 for a wrong call.\n";

/* The address by which other hosts reach this one: the source address of the default route. Sends
 * nothing. */
static void own_address(char out[ADDRESS_TEXT])
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(9)}, here;
    socklen_t size = sizeof here;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, "192.0.2.1", &there.sin_addr);
    if (fd >= 0 && connect(fd, (struct sockaddr *) &there, sizeof there) == 0 &&
        getsockname(fd, (struct sockaddr *) &here, &size) == 0)
        address_format_host((struct sockaddr *) &here, out);
    else if (gethostname(out, ADDRESS_TEXT - 1) < 0)
        snprintf(out, ADDRESS_TEXT, "127.0.0.1");
    if (fd >= 0)
        close(fd);
}

/* A number of a pack: as the running gateway reports it, else from the state file (0: unknown), else the usual one. */
static unsigned number_of(const json_t *running, const char *name, const char *what, int kept,
                          unsigned usual)
{
    size_t n;
    json_t *pack;
    json_array_foreach(json_object_get(running, "packs"), n, pack)
    {
        const json_int_t count = json_integer_value(json_object_get(pack, what));
        if (strcmp(asking_text(pack, "pack"), name) == 0 && count > 0)
            return (unsigned) count;
    }
    return kept > 0 ? (unsigned) kept : usual;
}

/* Packs, then banks, which have neither cells nor sensors of their own. */
static struct map_unit *make_units(const struct config *config, const json_t *running,
                                   struct kept *kept)
{
    struct map_unit *units = alloc_zeroed(config->pack_count + config->bank_count, sizeof *units);
    for (unsigned i = 0; i < config->pack_count; i++) {
        const struct pack_config *pack = &config->packs[i];
        const struct kept_entry *entry = kept ? kept_get(kept, pack->name) : NULL;
        units[i] = (struct map_unit){.name = pack->name,
                                     .title = pack->title[0] ? pack->title : pack->name,
                                     .unit = (unsigned) pack->unit};
        units[i].cells =
            number_of(running, pack->name, "cells", entry ? entry->cells : 0, USUAL_CELLS);
        units[i].sensors =
            number_of(running, pack->name, "sensors", entry ? entry->sensors : 0, USUAL_SENSORS);
    }
    for (unsigned i = 0; i < config->bank_count; i++)
        units[config->pack_count + i] = (struct map_unit){
            .name = config->banks[i].name,
            .title = config->banks[i].title[0] ? config->banks[i].title : config->banks[i].name,
            .unit = (unsigned) config->banks[i].unit};
    return units;
}

/* Texts that a section does not have itself. */
struct details {
    struct endpoint broker;
    char password[SECRET_SIZE];
};

static struct map_mqtt make_dashboard(const struct mqtt_config *config, const char *pack,
                                      bool with_password, struct details *own)
{
    bool tls = false;
    const char *why;
    mqtt_broker_parse(config->broker, &tls, &own->broker);
    return (struct map_mqtt){
        .name = config->outlet.name,
        .host = own->broker.host,
        .user = config->user,
        .password = with_password && config->password_file[0] &&
                            secret_read(config->password_file, 0, own->password, SECRET_SIZE, &why)
                        ? own->password
                        : NULL,
        .port = (unsigned) own->broker.port,
        .tls = tls,
        .topic = config->topic,
        .pack = pack,
        .switching = config->switching,
    };
}

/* Adds the sections [mqtt NAME] with layout = smartbms-bat to `clients`, whose units have their
 * numbers of cells. Reads passwords only on demand, because every reader of the client file could
 * see them. */
static void add_dashboards(struct map_clients *clients, const struct config *config,
                           bool with_password, struct map_mqtt *mqtts, struct details *details)
{
    clients->mqtts = mqtts;
    for (unsigned n = 0; n < config->mqtt_count && config->pack_count > 0; n++) {
        const struct outlet_config *outlet = &config->mqtts[n].outlet;
        const char *pack = outlet->pack_count > 0 ? outlet->packs[0] : config->packs[0].name;
        if (config->mqtts[n].layout != LAYOUT_SMARTBMS_BAT)
            continue;
        struct map_mqtt *mqtt = &mqtts[clients->mqtt_count];
        *mqtt =
            make_dashboard(&config->mqtts[n], pack, with_password, &details[clients->mqtt_count++]);
        for (unsigned i = 0; i < clients->count; i++)
            if (strcmp(clients->units[i].name, pack) == 0)
                mqtt->cells = clients->units[i].cells;
        /* Sections with the same broker share a connection. */
        for (const struct map_mqtt *other = mqtts; other < mqtt; other++) {
            if (strcmp(other->host, mqtt->host) == 0 && other->port == mqtt->port &&
                other->tls == mqtt->tls && strcmp(other->user, mqtt->user) == 0) {
                mqtt->connection = other->connection;
                mqtt->dashboard = other->dashboard + 1;
            } else if (mqtt->dashboard == 0 && mqtt->connection <= other->connection) {
                mqtt->connection = other->connection + 1;
            }
        }
    }
}

/* What to print: a format, or the template in a file. */
struct form {
    const char *format, *path;
    bool with_password;
};

/* Reads the whole file; NULL with errno. */
static char *read_text(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    if (!file)
        return NULL;
    const ssize_t length = getdelim(&text, &size, '\0', file);
    if (length < 0 && !ferror(file) && text)
        text[0] = '\0'; /* an empty file */
    if (ferror(file)) {
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

/* Prints everything or nothing. */
static int print_template(const struct map_settings *settings, const char *path)
{
    char *text = read_text(path), *printed = NULL, name[NAME_SIZE];
    size_t size = 0;
    struct template_fault fault;
    if (!text) {
        fprintf(stderr, "packgate: %s: %s\n", path, strerror(errno));
        return EXIT_FAILED;
    }
    FILE *out = alloc_checked(open_memstream(&printed, &size));
    const char *slash = strrchr(path, '/');
    snprintf(name, sizeof name, "%s", slash ? slash + 1 : path);
    name[strcspn(name, ".")] = '\0';
    const bool good = template_print(text, name, settings, out, &fault);
    fclose(out);
    if (good)
        fwrite(printed, 1, size, stdout);
    else
        fprintf(stderr, "%s:%u: %s\n", path, fault.line, fault.reason);
    free(printed);
    free(text);
    return good ? EXIT_DONE : EXIT_FAILED;
}

static int print_form(const struct map_settings *settings, const struct form *form)
{
    if (form->path)
        return print_template(settings, form->path);
    if (strcmp(form->format, "iotmqttpanel") == 0 && settings->clients->mqtt_count == 0) {
        fputs("packgate: no [mqtt NAME] has layout = smartbms-bat, which this app needs\n", stderr);
        return EXIT_FAILED;
    }
    if (map_print(settings, form->format, stdout))
        return EXIT_DONE;
    return options_refuse(usage, "packgate: unknown format '%s'", form->format);
}

static int print_configured(const struct config *config, const struct form *form)
{
    const struct gateway_config *gateway = &config->gateway;
    struct endpoint endpoint = {.port = 502};
    char host[ADDRESS_TEXT];
    /* The address on which the gateway listens; if on all addresses, the one that other hosts reach. */
    if (gateway->listen.count == 0 || !endpoint_parse(gateway->listen.at[0], &endpoint) ||
        strcmp(endpoint.host, "0.0.0.0") == 0 || strcmp(endpoint.host, "::") == 0)
        own_address(host);
    else
        snprintf(host, ADDRESS_TEXT, "%.*s", ADDRESS_TEXT - 1, endpoint.host);
    struct kept *kept =
        config->gateway.state_file[0] && access(config->gateway.state_file, R_OK) == 0
            ? kept_look(config->gateway.state_file)
            : NULL;
    /* NULL: no gateway runs on this configuration. */
    json_t *running = asking_once(&(struct asking){.control = config->gateway.control},
                                  json_pack("{s:s}", "ask", "status"));
    struct map_unit *units = make_units(config, running, kept);
    struct map_clients clients = {.host = host,
                                  .port = endpoint.port > 0 ? endpoint.port : 502,
                                  .units = units,
                                  .count = config->pack_count + config->bank_count};
    struct map_settings settings = config->gateway.map;
    for (unsigned i = 0; i < config->pack_count; i++) {
        settings.writable |= pack_is_writable(&config->packs[i]);
        settings.settable |= pack_is_settable(&config->packs[i]);
    }
    settings.clients = &clients;
    struct map_mqtt *mqtts = alloc_zeroed(config->mqtt_count, sizeof *mqtts);
    struct details *details = alloc_zeroed(config->mqtt_count, sizeof *details);
    add_dashboards(&clients, config, form->with_password, mqtts, details);
    int status = print_form(&settings, form);
    explicit_bzero(details, config->mqtt_count * sizeof *details);
    free(details);
    free(mqtts);
    free(units);
    json_decref(running);
    kept_free(kept);
    return status;
}

/* Defined, filled and copied registers, in the order of their addresses. The columns are those of the map, so that programs that
 * read its JSON or CSV can read this. */

/* A register, a fill or a copy; a fill has neither unit nor scale. */
struct row {
    unsigned address, count;
    const char *type, *word_order;
    char name[NAME_ROOM];
    const char *unit;
    double scale, shift; /* value = register x scale + shift */
    int bit;             /* -1: none */
    char meaning[MEANING_ROOM];
};

/* The common unit of its values; none if they differ. */
static const char *register_unit(const struct register_row *reg)
{
    struct meaning meaning;
    char name[VALUE_NAME_SIZE];
    if (reg->type == REG_STRING || reg->pair_count > 0 || reg->bit >= 0)
        return "";
    for (unsigned i = 0; i < reg->term_count; i++) {
        if (reg->terms[i].what != ROW_VALUE)
            continue;
        value_format(&reg->terms[i].value, name);
        char *dot = strrchr(name, '.');
        if (dot && reg->terms[i].value.kind == VALUE_NUMBER)
            *dot = 0; /* the stem of a cell's name */
        return meaning_find(name, &meaning) ? meaning.unit : "";
    }
    return "";
}

static void add_substitute(struct text *text, const char *when, const struct substitute *substitute)
{
    static const char *const words[] = {
        [INSTEAD_UNKNOWN] = "unknown", [INSTEAD_EXCEPTION] = "exception", [INSTEAD_HOLD] = "hold"};
    if (substitute->kind == INSTEAD_NUMBER)
        text_format(text, "%s%s %.10g", text->size > 0 ? "; " : "", when, substitute->number);
    else
        text_format(text, "%s%s %s", text->size > 0 ? "; " : "", when, words[substitute->kind]);
}

/* What the other columns do not say. */
static void describe_register(const struct register_row *reg, char out[MEANING_ROOM])
{
    struct text text = text_in(out, MEANING_ROOM);
    if (config_row_is_constant(reg)) {
        text_add(&text, "constant");
        return;
    }
    for (unsigned i = 0; i < reg->pair_count; i++)
        text_format(&text, "%s%g is %g", i > 0 ? ", " : "", reg->pairs[i].in, reg->pairs[i].out);
    if (reg->scale != 1 || reg->offset != 0)
        text_format(&text, "%svalue x %g", text.size > 0 ? "; " : "", reg->scale);
    if (reg->offset != 0)
        text_format(&text, " %s %g", reg->offset < 0 ? "-" : "+", fabs(reg->offset));
    if (!isinf(reg->min))
        text_format(&text, "%sat least %g", text.size > 0 ? "; " : "", reg->min);
    if (!isinf(reg->max))
        text_format(&text, "%sat most %g", text.size > 0 ? "; " : "", reg->max);
    add_substitute(&text, "not known:", &reg->on_unknown);
    add_substitute(&text, "stale:", &reg->on_stale);
}

static struct row row_of_register(const struct register_row *reg)
{
    struct row row = {.address = reg->address,
                      .count = reg->size,
                      .type = map_types[reg->type].name,
                      .word_order = reg->size == 1 || reg->type == REG_STRING ? ""
                                    : reg->big_words                          ? "high first"
                                                                              : "low first",
                      .unit = register_unit(reg),
                      .scale = 1 / reg->scale,
                      .shift = reg->offset == 0 ? 0 : -reg->offset / reg->scale,
                      .bit = reg->bit};
    const char *start = reg->line + strspn(reg->line, " \t");
    snprintf(row.name, sizeof row.name, "%.*s", (int) reg->from_size, start);
    describe_register(reg, row.meaning);
    return row;
}

static struct row row_of_range(const struct view_fill *range, bool copied)
{
    struct row row = {.address = copied ? range->value : range->first,
                      .count = range->last - range->first + 1,
                      .type = copied ? "copy" : "u16",
                      .word_order = "",
                      .unit = "",
                      .scale = 1,
                      .bit = -1};
    if (copied) {
        snprintf(row.name, sizeof row.name, "copy of %u to %u", range->first, range->last);
        return row;
    }
    snprintf(row.name, sizeof row.name, "%u", range->value);
    snprintf(row.meaning, sizeof row.meaning, "each of them, unless a row says otherwise");
    return row;
}

/* Sorts a register before the fill that it lies in. */
static int by_address(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->count < y->count ? -1 : x->count > y->count;
}

static void print_md(const struct view_config *view, const struct row *rows, unsigned count)
{
    printf("# View %s\n\nUnit ", view->name);
    for (unsigned i = 0; i < view->units.count; i++)
        printf("%s%u", i > 0 ? ", " : "", view->units.id[i]);
    for (unsigned i = 0; i < view->listen.count; i++)
        printf("%s%s", i > 0 ? ", " : " on ", view->listen.at[i]);
    if (view->source[0])
        printf("; values are those of %s unless a row names another", view->source);
    printf(". Functions 3 and 4, addresses from 0; all others are rejected with "
           "exception 2.\n\n"
           "| address | registers | type | bit | what | unit | |\n"
           "|---|---|---|---|---|---|---|\n");
    for (const struct row *row = rows; row < rows + count; row++) {
        printf("| %u | %u | %s%s%s | ", row->address, row->count, row->type,
               row->word_order[0] ? ", " : "", row->word_order);
        if (row->bit >= 0)
            printf("%d", row->bit);
        printf(" | ");
        /* A vertical bar would end the table cell. */
        for (const char *c = row->name; *c; c++)
            printf(*c == '|' ? "\\%c" : "%c", *c);
        printf(" | %s | %s |\n", row->unit, row->meaning);
    }
}

static void print_json(const struct view_config *view, const struct row *rows, unsigned count)
{
    json_t *array = json_array(), *units = json_array();
    for (unsigned i = 0; i < view->units.count; i++)
        json_array_append_new(units, json_integer(view->units.id[i]));
    for (const struct row *row = rows; row < rows + count; row++) {
        json_t *object = json_pack(
            "{s:s s:s s:O s:i s:s s:s s:i s:s s:f s:f s:s s:s s:s}", "table", "holding", "block",
            view->name, "units", units, "address", (int) row->address, "name", row->name, "type",
            row->type, "count", (int) row->count, "unit", row->unit, "scale", row->scale, "shift",
            row->shift, "access", "r", "word_order", row->word_order, "description", row->meaning);
        if (row->bit >= 0)
            json_object_set_new(object, "bit", json_integer(row->bit));
        json_array_append_new(array, object);
    }
    json_dumpf(array, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(units);
    json_decref(array);
}

/* Doubles quotation marks. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++)
        printf(*text == '"' ? "\"%c" : "%c", *text);
    putchar('"');
}

static void print_csv(const struct view_config *view, const struct row *rows, unsigned count)
{
    puts("table,block,address,name,type,bit,count,unit,scale,shift,access,word_order,description");
    for (const struct row *row = rows; row < rows + count; row++) {
        printf("holding,%s,%u,", view->name, row->address);
        print_quoted(row->name);
        printf(",%s,", row->type);
        if (row->bit >= 0)
            printf("%d", row->bit);
        printf(",%u,\"%s\",%g,%g,r,%s,", row->count, row->unit, row->scale, row->shift,
               row->word_order);
        print_quoted(row->meaning);
        putchar('\n');
    }
}

static int print_view(const struct config *config, const char *format, const char *name)
{
    static const struct {
        const char *format;
        void (*print)(const struct view_config *view, const struct row *rows, unsigned count);
    } printers[] = {{"md", print_md}, {"json", print_json}, {"csv", print_csv}};
    const struct view_config *view = config_struct_find(config, &view_section, name);
    size_t i = 0;
    if (!view) {
        struct suggest suggest = suggest_for(name);
        for (unsigned n = 0; n < config->view_count; n++)
            suggest_offer(&suggest, config->views[n].name);
        fprintf(stderr, "packgate: there is no [view %s]%s\n", name, suggest_hint(&suggest));
        return EXIT_FAILED;
    }
    while (i < COUNT(printers) && strcmp(format, printers[i].format) != 0)
        i++;
    if (i == COUNT(printers))
        return options_refuse(
            NULL, "packgate: '%s' is not a format for views; expected md, json or csv", format);
    struct row *rows = alloc_zeroed(view->register_count + 2 * VIEW_FILLS, sizeof *rows);
    unsigned count = 0;
    for (unsigned n = 0; n < view->register_count; n++)
        rows[count++] = row_of_register(&view->registers[n]);
    for (unsigned n = 0; n < view->fills.count; n++)
        rows[count++] = row_of_range(&view->fills.list[n], false);
    for (unsigned n = 0; n < view->copies.count; n++)
        rows[count++] = row_of_range(&view->copies.list[n], true);
    qsort(rows, count, sizeof *rows, by_address);
    printers[i].print(view, rows, count);
    free(rows);
    return EXIT_DONE;
}

int command_map(int argc, char **argv)
{
    struct form form = {.format = "md"};
    const char *path = NULL, *view = NULL;
    const struct option_row rows[] = {{"format", 'f', .text = &form.format},
                                      {"template", 't', .text = &form.path},
                                      {"config", 'c', .text = &path},
                                      {"view", 0, .text = &view},
                                      {"with-password", 0, .flag = &form.with_password},
                                      {0}};
    options_parse(argc, argv, rows, 0, usage);
    if (path) {
        struct config *config = config_load(path, stderr);
        if (!config)
            return EXIT_FAILED;
        const int status =
            view ? print_view(config, form.format, view) : print_configured(config, &form);
        config_free(config);
        return status;
    }
    const struct map_settings settings = {.base = MAP_BASE_DEFAULT, .also_at = MAP_ALSO_AT_DEFAULT};
    if (view)
        return options_refuse(usage, "packgate: --view needs a configuration");
    if (!form.path && strcmp(form.format, "iotmqttpanel") == 0)
        return options_refuse(usage, "packgate: format '%s' needs a configuration", form.format);
    return print_form(&settings, &form);
}
