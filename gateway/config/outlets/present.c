// SPDX-License-Identifier: MIT
/* The section [present NAME]: a port on which inverters, PLCs and other masters poll values. */
#include "config/outlets.h"

#include "base/address.h"

#include "bms/inverter/can.h"
#include "bms/inverter/dialect.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_can(const char *port)
{
    return strncmp(port, "can:", 4) == 0;
}

/* A port below 1024 needs a capability that no outlet has. */
static bool parse_presented_port(const struct config_key *key, const char *text, void *field)
{
    struct endpoint endpoint;
    const bool serial = strncmp(text, "serial:/", 8) == 0 && text[8];
    const bool tcp = strncmp(text, "tcp-listen:", 11) == 0 &&
                     endpoint_parse(text + 11, &endpoint) && endpoint.numeric &&
                     !endpoint_lacks_interface(&endpoint) && strlen(text + 11) < LISTEN_SIZE &&
                     (endpoint.port == 0 || endpoint.port >= 1024);
    const bool can = is_can(text) && text[4] && strlen(text + 4) < 16 && !strpbrk(text, "/ \t");
    return (serial || tcp || can) && config_copy(text, field, key->size);
}

static const struct config_type type_presented_port = {
    .parse = parse_presented_port,
    .expects =
        "serial:/dev/..., can:INTERFACE or tcp-listen:ADDRESS:PORT with a port from 1024 on, "
        "such as tcp-listen:127.0.0.1:5020"};

static const struct bms_driver *driver_of(const char *protocol)
{
    const struct bms_driver *driver = bms_driver_find(protocol);
    return driver && dialect_possible(driver) ? driver : NULL;
}

/* Behind the protocol stands its variant, which is looked up when all keys are read, or with modbus-rtu a view. */
static bool parse_presented_protocol(const struct config_key *key, const char *text, void *field)
{
    struct present_config *present = field;
    char name[NAME_SIZE];
    const char *behind = config_split(text, name);
    const bool modbus = strcmp(name, PRESENT_MODBUS) == 0;
    if (!modbus && !can_table_find(name) && !driver_of(name))
        return false;
    if (modbus && behind && !config_name_good(behind))
        return false;
    if (modbus && behind)
        snprintf(present->view, sizeof present->view, "%s", behind);
    return snprintf(present->protocol, sizeof present->protocol, "%s", name) > 0;
}

static const char *protocol_at(const struct config_key *key, unsigned n)
{
    if (n == 0)
        return PRESENT_MODBUS;
    n--;
    for (unsigned i = 0; bms_drivers[i]; i++)
        if (dialect_possible(bms_drivers[i]) && n-- == 0)
            return bms_drivers[i]->name;
    for (unsigned i = 0; can_tables[i].name; i++)
        if (n-- == 0)
            return can_tables[i].name;
    return NULL;
}

static const struct config_type type_presented_protocol = {
    .parse = parse_presented_protocol, .expects = "%c", .word = protocol_at};

static bool is_modbus(const struct config_draft *draft)
{
    return strcmp(draft->as.present->protocol, PRESENT_MODBUS) == 0;
}

/* Names the view. */
static const char *view_key(const struct config_draft *draft)
{
    return config_draft_given(draft, "view") ? "view" : "protocol";
}

static void check_port(const struct config_draft *draft)
{
    const char *port = draft->as.present->port;
    if (!config_draft_usable(draft, "port"))
        return;
    if (strncmp(port, "serial:", 7) != 0 && config_draft_given(draft, "baud"))
        config_warn(draft, "baud", "'baud' has no effect here: the port is not serial");
    const struct config_drafts *drafts = draft->drafts;
    for (const struct config_draft *other = drafts->list; other < drafts->list + drafts->count;
         other++) {
        const bool line = other->section == &line_section;
        if ((!line && (other->section != &present_section || other >= draft)) ||
            !config_draft_usable(other, "port"))
            continue;
        const char *taken = line ? other->as.line->port : other->as.present->port;
        const size_t size = strlen(port);
        if (strcmp(taken, port) == 0 && (size < 2 || strcmp(port + size - 2, ":0") != 0))
            config_mistake(
                draft, "port",
                "'port' is already that of [%s %s] in line %u; expected a port of its own for "
                "each line and each master",
                other->section->word, other->name, config_draft_line(other, "port"));
    }
}

static void check_protocol(const struct config_draft *draft)
{
    struct present_config *present = draft->as.present;
    const struct bms_driver *driver = driver_of(present->protocol);
    if (!config_draft_usable(draft, "protocol"))
        return;
    const bool can = can_table_find(present->protocol) != NULL;
    const struct config_entry *apart = config_draft_text(draft, "variant", 0);
    char protocol[NAME_SIZE];
    const char *variant =
        is_modbus(draft) /* a view follows */
            ? NULL
            : config_split(config_draft_text(draft, "protocol", 0)->text, protocol);
    if (!variant && apart)
        variant = apart->text;
    if (variant)
        config_variant_find(draft, "protocol", present->protocol, driver ? driver->variants : NULL,
                            variant, &present->variant);
    config_address_check(draft, present->protocol, present->address,
                         !can && driver ? driver->address.min : 1,
                         can      ? 0
                         : driver ? driver->address.max
                                  : 247);
    if (is_can(present->port) && !can)
        config_mistake(
            draft, "protocol", "protocol '%s' is not for a CAN bus; expected %s, %s or %s",
            present->protocol, can_tables[0].name, can_tables[1].name, can_tables[2].name);
    if (present->switching && (present->view[0] || !is_modbus(draft)))
        config_mistake(draft, "switching", "%s accepts no orders; leave 'switching' out",
                       present->view[0] ? "a view" : "this protocol");
}

static void check_view(const struct config_draft *draft)
{
    const struct present_config *present = draft->as.present;
    if (!present->view[0])
        return;
    if (!is_modbus(draft)) {
        config_mistake(draft, view_key(draft),
                       "'view' is for protocol 'modbus-rtu' only; leave it out");
        return;
    }
    const struct config_draft *view =
        config_draft_refer(draft, view_key(draft), &view_section, present->view);
    if (!view)
        return;
    const struct view_config *config = view->as.view;
    bool held = config->on_stale.kind == INSTEAD_HOLD,
         served = config_draft_given(draft, "address");
    for (unsigned i = 0; i < config->register_count; i++)
        held |= config->registers[i].on_stale.kind == INSTEAD_HOLD;
    /* A master cannot tell held values from fresh ones. */
    if (held)
        config_mistake(draft, view_key(draft),
                       "[view %s] has 'on_stale hold', which would present stale values as fresh "
                       "ones; expected another 'on_stale'",
                       view->name);
    /* Modbus TCP allows unit ids that a serial bus does not. */
    for (unsigned i = 0; i < config->units.count; i++)
        served |= config->units.id[i] >= 1 && config->units.id[i] <= 247;
    if (!served)
        config_mistake(
            draft, view_key(draft),
            "[view %s] has no unit that a device on a bus can have; expected an 'address' "
            "from 1 to 247",
            view->name);
    /* Copies the lines of the view, which the outlet parses again: its contents have no limit that a
     * struct could hold. */
    size_t used = 0;
    for (unsigned i = 0; i < view->text_count && used < PRESENT_VIEW_SIZE; i++) {
        const struct config_entry *text = &view->texts[i];
        if (text->line > 0 && strcmp(text->key->name, "listen") != 0)
            used += (size_t) snprintf(draft->as.present->view_text + used, PRESENT_VIEW_SIZE - used,
                                      "%s = %s\n", text->key->name, text->text);
    }
    if (used >= PRESENT_VIEW_SIZE)
        config_mistake(draft, view_key(draft),
                       "[view %s] is too long to be presented; expected at most %d characters",
                       view->name, PRESENT_VIEW_SIZE - 1);
}

static void add_needed_pack(struct outlet_config *outlet, const char *name)
{
    if (!outlet_wants(outlet, name) && outlet->pack_count < OUTLET_PACKS_MAX)
        snprintf(outlet->packs[outlet->pack_count++], OUTLET_NAME_SIZE, "%s", name);
}

static void check_present(struct config_draft *draft)
{
    const struct config *config = draft->drafts->config;
    struct present_config *present = draft->as.present;
    if (config_draft_usable(draft, "of") && present->outlet.pack_count != 1)
        config_mistake(draft, "of", "'of' is 'all'; expected the name of one pack or bank");
    check_port(draft);
    check_protocol(draft);
    /* Inverters get currents only from [limits], never those of the BMS alone. At the highest of the cell voltages that allow no discharge
     * current, discharging ends. */
    struct outlet_config *outlet = &present->outlet;
    const char *of = outlet->packs[0];
    const struct limits_config *limits = config_limits_of(config, of);
    present->discharge_voltage_v = NAN;
    for (unsigned k = 0; limits && k < limits->cell_low.count; k++)
        if (limits->cell_low.points[k].share <= 0)
            present->discharge_voltage_v =
                fmax(present->discharge_voltage_v, limits->cell_low.points[k].at * limits->cells);
    if (of[0] && config_draft_usable(draft, "protocol") && !is_modbus(draft) && !limits)
        config_warn(draft, NULL,
                    "%s has no [limits]: the inverter gets limits of 0 A, and neither charges nor "
                    "discharges",
                    of);
    check_view(draft);
    /* The lines of a view name banks and their packs. */
    const struct view_config *view = config_struct_find(config, &view_section, present->view);
    for (unsigned i = 0; view && i < view->register_count; i++)
        for (unsigned n = 0; n < view->registers[i].term_count; n++)
            if (view->registers[i].terms[n].source[0])
                add_needed_pack(outlet, view->registers[i].terms[n].source);
    for (unsigned i = 0; i < outlet->pack_count; i++) {
        const struct bank_config *bank =
            config_struct_find(config, &bank_section, outlet->packs[i]);
        for (unsigned k = 0; bank && k < bank->pack_count; k++)
            add_needed_pack(outlet, bank->packs[k]->name);
    }
    present->allow = config->gateway.allow;
    present->allow_write = config->gateway.allow_write;
    present->map = config->gateway.map;
}

// clang-format off
#define PRESENT(member) CONFIG_FIELD(present_config, member), .on_change = CHANGE_SECTION

static const struct config_key present_keys[] = {
    {.name = "of", .offset = 0, .size = sizeof(struct outlet_config), .type = &type_outlet_packs, .max = 1, .on_change = CHANGE_SECTION,
     .also = "pack packs bank source",
     .help = "The presented pack or bank."},
    {.name = "port", PRESENT(port), .type = &type_presented_port,
     .also = "listen",
     .help = "The port to which the master is connected. TCP clients must be in the networks of [gateway] allow; "
             "port 0 is any free port. A CAN interface must be brought up by the system, with 500 kbit/s."},
    {.name = "protocol",
     CONFIG_FIELDS(present_config, {CONFIG_FIELD(present_config, protocol)}, {CONFIG_FIELD(present_config, variant)}, {CONFIG_FIELD(present_config, view)}), .type = &type_presented_protocol, .on_change = CHANGE_SECTION,
     .help = "The protocol of the master. modbus-rtu: the registers that port 502 serves, by Modbus RTU, also over "
             "TCP; when values turn stale, they get exception 0x0B for 10 s, and the allowed currents read 0 (with "
             "on_stale = discharge, the discharge current stays as before). modbus-rtu NAME: the registers of [view NAME] instead; there is no "
             "answer while `of` is not fresh. The name of a BMS's protocol, and its variant if it has several "
             "(topbms pylontech): inverters see `of` as such a BMS. "
             "pylon-1.2, pylon-1.3, victron: on a CAN bus; by serial and tcp-listen as SLCAN. For these `of` must "
             "have [limits]."},
    {.name = "address", PRESENT(address), .type = &type_whole, .max = 255, .unknown = true,
     .otherwise = "with modbus-rtu the unit ids of the pack, or of the bank and its packs, or those of the view; else the protocol's usual one",
     .also = "unit slave slave_id",
     .help = "The address at which it answers. With modbus-rtu it then answers at no other one."},
    {.name = "baud", CONFIG_SERIAL(present_config),
     CONFIG_STARTS("9600 8N1 default"), .on_change = CHANGE_SECTION,
     .also = "baudrate speed parity rs485",
     .help = "A serial port, as in [line NAME]; rs485: the kernel drives RTS while it sends (TIOCSRS485)."},
    {.name = "variant", PRESENT(variant), .type = &type_variant,
     CONFIG_FOLDED("write it behind the protocol, as in 'protocol = topbms pylontech'")},
    {.name = "view", PRESENT(view), .type = &type_name,
     CONFIG_FOLDED("write it behind the protocol, as in 'protocol = modbus-rtu NAME'")},
    {.name = "framing", PRESENT(framing), .type = &type_framing, CONFIG_FOLDED("write it behind the speed, as in 'baud = 9600 8N1'")},
    {.name = "rts", PRESENT(rts), .type = &type_choice, CONFIG_WORDS(CONFIG_RTS),
     CONFIG_FOLDED("write it in 'baud', as in 'baud = 9600 8N1 rs485'")},
    CONFIG_WITHOUT_EFFECT("on_stale", "'on_stale' of the [limits] applies to all that read them"),
    {.name = "soh", PRESENT(soh_percent), .type = &type_number, .min = 1, .max = 100, .unknown = true,
     .otherwise = "none: messages that have it are not sent",
     .help = "The state of health in % that is sent if no BMS reports one. Not with modbus-rtu."},
    {.name = "switching", PRESENT(switching), .type = &type_choice, CONFIG_WORDS("no", "yes"),
     .preset = "no", .also = "writable",
     .help = "Whether the master may write what `writable` of the packs permits, with modbus-rtu: switch the charge "
             "and discharge MOS, write settings. By TCP it must also be in [gateway] allow_write."},
};

const struct config_section present_section = {
    .word = "present", .heading = "[present NAME]", CONFIG_NAMED(present_config, presents, present_count),
    .help = "A serial port, or a TCP port, on which an inverter, a PLC or another master polls values. There is no "
            "answer before the first complete poll cycle. When values turn stale, even because the gateway hangs or "
            "ends, all replies say stop for 10 s, and then there is no answer.",
    .outlet = true, .lingers = true, .may_order = offsetof(struct present_config, switching), .may_set = true, CONFIG_KEYS(present_keys),
    .check = check_present,
};
// clang-format on
