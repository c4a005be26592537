// SPDX-License-Identifier: MIT
/* Checks across keys and sections of a configuration. */
#include "draft.h"

#include "modbus_map.h"
#include "outlets.h"
#include "types.h"

#include "simulator/simulator.h"
#include "base/address.h"
#include "base/bluetooth.h"
#include "base/secret.h"

#include <math.h>
#include <string.h>
#include <strings.h>

static const struct bms_driver *driver_of(const struct config_draft *pack)
{
    return pack->as.pack->driver;
}

static void find_driver(struct config_draft *pack)
{
    char expected[EXPECTED_SIZE];
    if (config_draft_given(pack, "protocol") || !pack->line)
        return;
    pack->as.pack->driver = pack->line->as.line->driver;
    if (driver_of(pack) || config_draft_given(pack->line, "protocol"))
        return;
    const struct config_key *key = &pack_section.keys[config_key_find(&pack_section, "protocol")];
    config_mistake(pack, NULL, "neither [pack %s] nor [line %s] has a 'protocol'; expected %s",
                   pack->name, pack->line->name, config_key_expected(key, expected));
}

/* The section whose protocol the pack has. */
static const struct config_draft *protocol_from(const struct config_draft *pack)
{
    return config_draft_given(pack, "protocol") ? pack : pack->line;
}

bool config_variant_find(const struct config_draft *draft, const char *key, const char *protocol,
                         const char *const *variants, const char *text, int *variant)
{
    char known[EXPECTED_SIZE];
    struct text list = text_in(known, sizeof known);
    struct suggest suggest = suggest_for(text);
    for (int i = 0; variants && variants[i]; i++) {
        if (strcmp(variants[i], text) == 0) {
            *variant = i;
            return true;
        }
        text_format(&list, "%s%s", i == 0 ? "" : ", ", variants[i]);
        suggest_offer(&suggest, variants[i]);
    }
    if (variants)
        config_mistake(draft, key, "protocol '%s' has no variant '%s'; expected one of %s%s",
                       protocol, text, known, suggest_hint(&suggest));
    else
        config_mistake(draft, key, "protocol '%s' has no variants; leave '%s' out", protocol, text);
    return false;
}

/* It stands behind the protocol of the pack, else in the older key of the pack, else behind the protocol of the line.
 * So does the file of `protocol = modbus`. */
static void find_variant(struct config_draft *pack)
{
    const struct bms_driver *driver = driver_of(pack);
    const struct config_draft *from = protocol_from(pack);
    char name[NAME_SIZE];
    if (!driver || !config_draft_usable(from, "protocol"))
        return;
    const char *variant = config_split(config_draft_text(from, "protocol", 0)->text, name);
    const struct config_entry *apart = config_draft_text(pack, "variant", 0);
    if (variant && from == pack)
        apart = NULL;
    if (variant && !apart && driver == &modbus_user_driver) {
        if (from == pack || !config_draft_given(pack, "map"))
            snprintf(pack->as.pack->map.path, PORT_SIZE, "%s", variant);
        return;
    }
    if (apart) {
        variant = apart->text;
        from = pack;
    }
    if (variant &&
        config_variant_find(from, apart ? "variant" : "protocol", driver->name, driver->variants,
                            variant, &pack->as.pack->options.variant) &&
        from == pack->line)
        from->as.line->variant = pack->as.pack->options.variant;
}

static bool is_listened_to(const struct config_draft *pack)
{
    return pack->line && pack->line->as.line->listen;
}

void config_address_check(const struct config_draft *draft, const char *protocol, int address,
                          int least, int most)
{
    if (!config_draft_given(draft, "address") || !config_draft_usable(draft, "address") ||
        (address >= least && address <= most))
        return;
    if (least >= most)
        config_mistake(draft, "address", "protocol '%s' has no addresses; leave 'address' out",
                       protocol);
    else
        config_mistake(draft, "address", "'address' is %d; expected %d to %d for protocol '%s'",
                       address, least, most, protocol);
}

/* Checks a pack on a line that is only listened to. */
static void check_listening(const struct config_draft *pack)
{
    const struct bms_driver *driver = driver_of(pack);
    if (!is_listened_to(pack) || !driver)
        return;
    if (driver == &automatic_driver)
        config_mistake(
            pack, "protocol",
            "[line %s] is only listened to, where 'auto' cannot ask; expected the protocol",
            pack->line->name);
    else if (!bms_talks(driver) && !driver->question) {
        char known[EXPECTED_SIZE];
        struct text list = text_in(known, sizeof known);
        for (unsigned i = 0; bms_drivers[i]; i++)
            if (bms_talks(bms_drivers[i]) || bms_drivers[i]->question)
                text_format(&list, "%s%s", list.size > 0 ? ", " : "", bms_drivers[i]->name);
        config_mistake(
            pack, "protocol",
            "[line %s] is only listened to, which protocol '%s' cannot be; these can: %s, "
            "modbus",
            pack->line->name, driver->name, known);
    }
    if (pack->as.pack->writable)
        config_mistake(pack, "writable",
                       "[line %s] is only listened to: nothing can be switched on it; leave "
                       "'writable' out",
                       pack->line->name);
    if (strncmp(pack->line->as.line->port, "sim:", 4) == 0)
        config_mistake(
            pack->line, "listen",
            "[line %s] is simulated and has no other master to listen to; leave 'listen' "
            "out",
            pack->line->name);
}

/* A simulated line emulates packs as they are configured, so `auto` has nothing to find. */
static void check_automatic(struct config_draft *pack)
{
    pack->as.pack->automatic = driver_of(pack) == &automatic_driver;
    pack->as.pack->given_address = pack->as.pack->options.address;
    if (!pack->as.pack->automatic || !pack->line)
        return;
    pack->line->as.line->given_baud = pack->line->as.line->baud;
    if (strncmp(pack->line->as.line->port, "sim:", 4) == 0)
        config_mistake(
            pack, NULL,
            "[pack %s] is simulated and has protocol 'auto'; expected the one to simulate",
            pack->name);
}

/* Only a missing `password_file` is an error: the user who checks a configuration may not be
 * allowed to read it. */
static void load_password(const struct config_draft *draft)
{
    const struct bms_driver *driver = driver_of(draft);
    struct pack_config *pack = draft->as.pack;
    const bool given = config_draft_given(draft, "password_file");
    const bool known = driver && driver != &automatic_driver;
    if (given && known && !driver->wants_password) {
        config_warn(draft, "password_file",
                    "'password_file' has no effect here: protocol '%s' takes none", driver->name);
        return;
    }
    if (known && driver->wants_password && pack_is_writable(pack) && !given)
        config_mistake(
            draft, "writable",
            "protocol '%s' switches for who knows its password; expected 'password_file'",
            driver->name);
    if (!pack->password_file[0] || !pack_is_writable(pack))
        return;
    char line[64];
    const char *why;
    secret_read(pack->password_file, 0, line, sizeof line, &why);
    if (!why && strlen(line) != BMS_PASSWORD)
        why = "its first line has not 8 characters";
    if (!why)
        memcpy(pack->options.password, line, BMS_PASSWORD + 1);
    else
        config_warn(draft, "password_file",
                    "'password_file' cannot be used: %s; [pack %s] cannot be switched", why,
                    draft->name);
}

static void load_map(const struct config_draft *draft)
{
    struct pack_config *pack = draft->as.pack;
    const bool given = config_draft_given(draft, "map"),
               modbus = driver_of(draft) == &modbus_user_driver;
    if (given && driver_of(draft) && !modbus)
        config_mistake(draft, "map", "'map' is for protocol 'modbus' only; leave it out");
    if (modbus && !given && !pack->map.path[0])
        config_mistake(
            draft, NULL,
            "[pack %s] has protocol 'modbus' without a map; expected the file that "
            "describes its registers, as in 'protocol = modbus /etc/packgate/my-bms.txt'",
            draft->name);
    if (modbus && pack->map.path[0])
        pack->options.map = pack->map.rows =
            modbus_map_load(pack->map.path,
                            given ? config_draft_line(draft, "map")
                                  : config_draft_line(protocol_from(draft), "protocol"),
                            draft->drafts->mistakes);
}

static int unit_id_of(const struct config_draft *draft)
{
    return draft->section == &bank_section ? draft->as.bank->unit : draft->as.pack->unit;
}

/* Packs are compared with those before them, banks with all packs and the banks before them, views with both. */
const struct config_draft *config_unit_owner(const struct config_draft *draft, int unit)
{
    const bool packs_only = draft->section == &pack_section;
    for (CONFIG_EACH(other, draft, NULL))
        if ((other < draft || other->section != draft->section) &&
            !(packs_only && other->section != draft->section) &&
            config_draft_usable(other, "unit") && unit_id_of(other) == unit)
            return other;
    return NULL;
}

static void check_unit(const struct config_draft *draft)
{
    const struct config_draft *owner =
        config_draft_usable(draft, "unit") ? config_unit_owner(draft, unit_id_of(draft)) : NULL;
    if (owner)
        config_mistake(draft, "unit", "unit %d is already that of [%s %s] in line %u",
                       unit_id_of(draft), owner->section->word, owner->name,
                       config_draft_line(owner, "unit"));
}

static int pack_address(const struct config_draft *pack)
{
    return bms_address_of(driver_of(pack), pack->as.pack->options.address);
}

/* An address that is itself a mistake is not compared. */
static bool same_address(const struct config_draft *a, const struct config_draft *b)
{
    bool bad = (config_draft_given(a, "address") && !config_draft_usable(a, "address")) ||
               (config_draft_given(b, "address") && !config_draft_usable(b, "address"));
    bool automatic = driver_of(a) == &automatic_driver || driver_of(b) == &automatic_driver;
    const int one = pack_address(a), other = pack_address(b);
    const int adr = a->as.pack->options.adr, other_adr = b->as.pack->options.adr;
    bool open = automatic && (one < 0 || other < 0);
    return !bad && !open && (automatic || driver_of(a) == driver_of(b)) && one == other &&
           (adr >= 0 ? adr : one) == (other_adr >= 0 ? other_adr : other);
}

static void check_pair(const struct config_draft *pack, const struct config_draft *other)
{
    const struct bms_driver *mine = driver_of(pack), *theirs = driver_of(other);
    const struct line_config *line = pack->line->as.line;
    const bool mixed = (mine == &automatic_driver) != (theirs == &automatic_driver);
    const bool serial = strncmp(line->port, "serial:", 7) == 0;
    /* The protocol of the two that cannot share a line. */
    const struct bms_driver *loner = bms_is_alone(theirs) ? theirs
                                     : bms_is_alone(mine) ? mine
                                                          : NULL;
    /* A serial port has one speed at a time; the protocol's is used if none is configured. */
    const bool differ = !line->baud && mine->line.baud != theirs->line.baud;
    if (mixed && serial && !line->baud)
        config_mistake(pack, "line",
                       "[line %s] has [pack %s] with protocol '%s' and [pack %s] with '%s', and no "
                       "'baud': expected the one that the others of its packs speak at",
                       pack->line->name, other->name, theirs->name, pack->name, mine->name);
    else if (loner)
        config_mistake(pack, "line",
                       "[line %s] has [pack %s] already, and protocol '%s' %s: one pack to a line",
                       pack->line->name, other->name, loner->name,
                       bms_talks(loner) ? "talks unasked" : "has no addresses");
    else if (same_address(pack, other))
        config_mistake(
            pack, "address",
            "address %d of protocol '%s' on [line %s] is already that of [pack %s] in line %u",
            pack_address(pack), mine->name, pack->line->name, other->name,
            config_draft_line(other, "address"));
    else if (!mixed && serial && differ)
        config_mistake(
            pack, "line", "[line %s] has no 'baud' of its own, and '%s' (%u) and '%s' (%u) differ",
            pack->line->name, theirs->name, theirs->line.baud, mine->name, mine->line.baud);
}

/* Otherwise values would turn stale before the next poll. */
static void check_stale(const struct config_draft *draft, double poll_s, double stale_after_s,
                        const char *key)
{
    if (stale_after_s <= poll_s)
        config_mistake(draft, key,
                       "'stale_after' is %gs; expected more than the poll interval of %gs",
                       stale_after_s, poll_s);
}

static void settle_times(struct config_draft *pack)
{
    const struct gateway_config *gateway = &pack->drafts->config->gateway;
    struct pack_config *times = pack->as.pack;
    bool own_poll = config_draft_given(pack, "poll");
    bool own_stale = config_draft_given(pack, "stale_after");
    if (!own_poll)
        times->poll_s = gateway->poll_s;
    if (!own_stale)
        times->stale_after_s = gateway->stale_after_s;
    if (times->poll_s > 0 && times->stale_after_s > 0 && (own_poll || own_stale))
        check_stale(pack, times->poll_s, times->stale_after_s, own_stale ? "stale_after" : "poll");
    times->spikes = (struct spike_limits){10, 20, 300, 10};
    times->stale_fixed = times->stale_after_s > 0;
    if (!times->stale_fixed)
        times->stale_after_s = fmax(5 * times->poll_s, 10);
}

bool config_listen_collide(const char *text, const char *other)
{
    struct endpoint a, b;
    if (!endpoint_parse(text, &a) || !endpoint_parse(other, &b) || a.port != b.port || a.port == 0)
        return false;
    const bool six = strchr(a.host, ':') != NULL;
    const char *any = six ? "::" : "0.0.0.0";
    return six == (strchr(b.host, ':') != NULL) &&
           (strcmp(a.host, any) == 0 || strcmp(b.host, any) == 0 ||
            strcasecmp(a.host, b.host) == 0);
}

void config_check_gateway(struct config_draft *draft)
{
    const struct gateway_config *gateway = draft->as.any;
    const double latitude = gateway->location.latitude, longitude = gateway->location.longitude;
    char reason[200];
    if (!map_check(&gateway->map, reason, sizeof reason))
        config_mistake(draft, config_draft_given(draft, "base") ? "base" : "also_at",
                       "the register blocks do not fit: %s", reason);
    for (unsigned i = 1; i < gateway->listen.count; i++)
        for (unsigned before = 0; before < i; before++)
            if (config_listen_collide(gateway->listen.at[i], gateway->listen.at[before])) {
                config_mistake_at(draft, config_draft_text(draft, "listen", i)->line,
                                  "'listen' has %s, which %s takes already; leave one of them out",
                                  gateway->listen.at[i], gateway->listen.at[before]);
                break;
            }
    if (config_draft_usable(draft, "location") && (isnan(longitude) || fabs(latitude) > 90))
        config_mistake(draft, "location",
                       "'location' has no latitude from -90 to 90 with a longitude behind it; "
                       "expected such as 45.6758, 9.1650");
    if (gateway->map.display[0] > UINT16_MAX)
        config_mistake(draft, "display", "'display' has page %u; expected one up to 65535",
                       gateway->map.display[0]);
    if (config_draft_usable(draft, "stale_after") && config_draft_usable(draft, "poll"))
        check_stale(draft, gateway->poll_s, gateway->stale_after_s, "stale_after");
}

/* A Bluetooth module accepts one connection at a time, through whatever adapter. */
static bool is_same_port(const char *port, const char *other)
{
    struct bluetooth_device device, other_device;
    if (strncmp(port, "ble:", 4) != 0 || strncmp(other, "ble:", 4) != 0 ||
        !bluetooth_parse(port + 4, &device) || !bluetooth_parse(other + 4, &other_device))
        return strcmp(port, other) == 0;
    return strcmp(device.address, other_device.address) == 0 &&
           strcmp(device.name, other_device.name) == 0;
}

static void check_port(const struct config_draft *line)
{
    char reason[200];
    struct bluetooth_device device;
    const char *port = line->as.line->port;
    if (!config_draft_usable(line, "port"))
        return;
    if (strncmp(port, "sim:", 4) == 0) {
        if (!simulator_check(port + 4, reason, sizeof reason))
            config_mistake(line, "port", "'port' is '%s': %s", port, reason);
        return;
    }
    if (strncmp(port, "ble:", 4) == 0) {
#ifndef WITH_BLE
        config_mistake(line, "port", "this packgate was built without Bluetooth");
#endif
        bluetooth_parse(port + 4, &device);
        if (!device.address[0])
            config_warn(line, "port",
                        "'%s' is a name: once connected to, a device may have another one; take "
                        "its address (packgate probe ble: shows it)",
                        port);
    }
    for (CONFIG_BEFORE(other, line))
        if (is_same_port(other->as.line->port, port)) {
            config_mistake(line, "port", "'%s' is already the port of [line %s] in line %u", port,
                           other->name, config_draft_line(other, "port"));
            return;
        }
}

void config_check_line(struct config_draft *line)
{
    line->as.line->gap_set = config_draft_given(line, "gap");
    check_port(line);
    if (config_draft_usable(line, "port") && strncmp(line->as.line->port, "serial:", 7) != 0 &&
        config_draft_given(line, "baud"))
        config_warn(line, "baud",
                    "'baud' has no effect here: [line %s] is no serial port of this host",
                    line->name);
    bool used = !line->name[0];
    for (CONFIG_EACH(pack, line, &pack_section)) {
        const struct config_entry *text = config_draft_text(pack, "line", 0);
        used |= text && strcmp(text->text, line->name) == 0;
    }
    if (!used)
        config_warn(line, NULL, "[line %s] has no pack and stays unused", line->name);
}

/* Advertisements are encrypted, and are found by the address alone. */
static void check_advertised(const struct config_draft *pack)
{
    const struct bms_driver *driver = driver_of(pack);
    struct bluetooth_device device;
    if (!driver || !pack->line || !config_draft_usable(pack->line, "port"))
        return;
    const struct line_config *line = pack->line->as.line;
    const bool ble =
        strncmp(line->port, "ble:", 4) == 0 && bluetooth_parse(line->port + 4, &device);
    if (!driver->advertises && line->key_file[0])
        config_warn(pack->line, "key_file",
                    "'key_file' has no effect here: [pack %s] has nothing encrypted", pack->name);
    if (!driver->advertises || !ble)
        return;
    if (!line->key_file[0] && !config_draft_given(pack->line, "key_file"))
        config_mistake(pack->line, "port",
                       "[line %s] has no 'key_file': what [pack %s] advertises is encrypted",
                       pack->line->name, pack->name);
    if (!device.address[0])
        config_mistake(pack->line, "port", "'port' is '%s'; expected the address of [pack %s]",
                       line->port, pack->name);
}

void config_check_pack(struct config_draft *pack)
{
    if (config_draft_usable(pack, "line"))
        pack->line = config_draft_refer(pack, "line", &line_section,
                                        config_draft_text(pack, "line", 0)->text);
    if (pack->line)
        pack->as.pack->line = pack->line->as.line;
    find_driver(pack);
    find_variant(pack);
    settle_times(pack);
    const struct bms_driver *driver = driver_of(pack);
    /* A master that polls other packs has the address 0 on some boards, and can be heard there. */
    if (driver)
        config_address_check(pack, driver->name, pack->as.pack->options.address,
                             is_listened_to(pack) && driver->tells_itself ? 0 : driver->address.min,
                             driver->address.max);
    const enum writable writable = pack->as.pack->writable;
    pack->as.pack->options.settable = writable >= WRITABLE_SETTINGS;
    const bool known = driver && driver != &automatic_driver;
    if (known && (writable == WRITABLE_SWITCHES || writable == WRITABLE_ALL) && !driver->control)
        config_mistake(pack, "writable",
                       "protocol '%s' has no documented way to switch a MOS; leave 'writable' out",
                       driver->name);
    else if (known && writable >= WRITABLE_SETTINGS && driver->setting_count == 0)
        config_mistake(pack, "writable",
                       "protocol '%s' has no setting that can be written; expected 'writable = %s'",
                       driver->name, writable == WRITABLE_ALL ? "yes" : "no");
    check_listening(pack);
    check_advertised(pack);
    check_automatic(pack);
    load_map(pack);
    load_password(pack);
    check_unit(pack);
    /* Of the conflicts with the packs before it on its line, the first is reported. */
    const unsigned count = pack->drafts->mistakes->count;
    for (CONFIG_BEFORE(other, pack)) {
        if (!pack->line || other->line != pack->line)
            continue;
        pack->as.pack->options.shared = other->as.pack->options.shared = true;
        if (driver && driver_of(other) && pack->drafts->mistakes->count == count)
            check_pair(pack, other);
    }
}

/* Packs and banks share one name space, in the state file and for pushes. */
static void check_name(const struct config_draft *draft)
{
    const struct config_draft *same =
        config_drafts_find(draft->drafts, NULL, draft->section, draft->name);
    const struct config_draft *pack =
        draft->section == &bank_section
            ? config_drafts_find(draft->drafts, NULL, &pack_section, draft->name)
            : NULL;
    if (same != draft && draft->name[0])
        config_mistake(draft, NULL, "a second [%s %s]; the first is in line %u",
                       draft->section->word, draft->name, same->heading);
    if (pack && draft->name[0])
        config_mistake(draft, NULL,
                       "[bank %s] has the name of [pack %s] in line %u; expected another one",
                       draft->name, pack->name, pack->heading);
}

void config_check_bank(struct config_draft *draft)
{
    struct bank_config *bank = draft->as.bank;
    const struct config_entry *text;
    const struct config_draft *pack;
    unsigned count = 0;
    for (; (text = config_draft_text(draft, "packs", count)); count++) {
        unsigned before = 0;
        while (strcmp(config_draft_text(draft, "packs", before)->text, text->text) != 0)
            before++;
        if (before < count)
            config_mistake(draft, "packs", "[pack %s] is in [bank %s] twice", text->text,
                           draft->name);
        else if ((pack = config_draft_refer(draft, "packs", &pack_section, text->text)))
            bank->packs[bank->pack_count++] = pack->as.pack;
        if (strcmp(text->text, bank->shunt) == 0)
            config_mistake(draft, "shunt",
                           "'shunt' is [pack %s], which is in 'packs'; expected one that measures "
                           "all of them together",
                           text->text);
    }
    check_unit(draft);
    if (!config_draft_given(draft, "min_packs"))
        bank->min_packs = count;
    if (config_draft_usable(draft, "packs") && bank->min_packs > count)
        config_mistake(draft, "min_packs",
                       "'min_packs' is %u; expected at most %u, which is all packs of [bank %s]",
                       bank->min_packs, count, draft->name);
    if (bank->shunt[0])
        config_draft_refer(draft, "shunt", &pack_section, bank->shunt);
}

void config_check(const struct config_drafts *drafts, unsigned last_line)
{
    for (unsigned i = 0; config_sections[i]; i++)
        for (struct config_draft *draft =
                 config_drafts_find(drafts, NULL, config_sections[i], NULL);
             draft; draft = config_drafts_find(drafts, draft, config_sections[i], NULL)) {
            if (draft->section->times == SECTION_NAMED)
                check_name(draft);
            if (draft->section->outlet)
                outlet_check_packs(draft);
            if (draft->section->check)
                draft->section->check(draft);
        }
    if (!config_drafts_find(drafts, NULL, &pack_section, NULL))
        config_warn_at(drafts->list, last_line,
                       "there is no [pack NAME]: nothing is polled, and Modbus requests get "
                       "exception 10");
}

/* A device that sends by itself leaves no room for requests of others. */
void config_check_tunnel(struct config_draft *tunnel)
{
    struct tunnel_config *config = tunnel->as.any;
    if (!config_draft_given(tunnel, "line"))
        memcpy(config->line, config->name, sizeof config->line);
    const struct config_draft *line =
        config_draft_refer(tunnel, "line", &line_section, config->line);
    if (!line)
        return;
    if (line->as.line->listen)
        config_mistake(tunnel, "line", "[line %s] is only listened to: a tunnel could send nothing",
                       config->line);
    for (CONFIG_EACH(pack, tunnel, &pack_section))
        if (config->share && pack->line && strcmp(pack->line->name, config->line) == 0 &&
            driver_of(pack) && bms_talks(driver_of(pack)) && driver_of(pack) != &automatic_driver)
            config_mistake(tunnel, "line",
                           "[pack %s] on [line %s] talks unasked, which leaves no room for others; "
                           "expected 'share = no'",
                           pack->name, config->line);
}
