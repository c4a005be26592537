// SPDX-License-Identifier: MIT
/* The results of a search as a configuration; and the names of serial ports. */
#include "commands/found.h"
#include "base/port_list.h"
#include "config/load.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void find(struct found *found, const char *protocol, int address, unsigned baud,
                 double cell_mv)
{
    static struct pack values;
    const struct search_found one = {
        .driver = bms_driver_find(protocol),
        .options = {.address = address},
        .baud = baud,
        .framing = "8N1",
        .values = &values,
    };
    pack_clear(&values);
    pack_set(&values, VOLTAGE_V, 4 * cell_mv / 1000);
    pack_set(&values, CELL_COUNT, 4);
    for (unsigned n = 1; n <= 4; n++)
        pack_set_cell(&values, n, cell_mv);
    found_add(found, &one);
}

static char *write_down(const struct found *found, const struct config *beside, unsigned *count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    *count = found_write(found, beside, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void check_good(const char *text)
{
    struct config *config = config_parse(text, "test", stderr);
    assert_non_null(config);
    config_free(config);
}

/* A serial line has one rate: it is written if the protocols have different defaults. */
TEST(writes_what_the_checks_accept)
{
    struct found found = {.port = "serial:/dev/ttyS0", .serial = true};
    unsigned count;
    find(&found, "topbms", 1, 9600, 3300);
    find(&found, "jk-pb", 2, 9600, 3310);
    find(&found, "renogy", 247, 9600, 3320);
    char *text = write_down(&found, NULL, &count);
    assert_int_equal(count, 3);
    assert_non_null(strstr(text, "\nbaud = 9600 8N1\n"));
    assert_null(strstr(text, "same cell voltages"));
    assert_non_null(strstr(text, "\n; a pack of the Pro series needs `protocol = renogy pro`"));
    check_good(text);
    free(text);
}

TEST(says_what_looks_like_one_pack)
{
    struct found found = {.port = "tcp://192.0.2.1:4001"};
    unsigned count;
    find(&found, "topbms", 1, 9600, 3300);
    find(&found, "topbms", 2, 9600, 3300);
    char *text = write_down(&found, NULL, &count);
    assert_int_equal(count, 2);
    assert_non_null(strstr(text, "; has the same cell voltages as topbms at 1: "));
    check_good(text);
    free(text);
}

/* A pack without an address cannot share its line. */
TEST(leaves_out_what_has_to_be_alone)
{
    struct found found = {.port = "tcp://192.0.2.1:4001"};
    unsigned count;
    find(&found, "jbd", -1, 9600, 3300);
    find(&found, "topbms", 1, 9600, 3310);
    find(&found, "daly-d2", -1, 9600, 3320);
    char *text = write_down(&found, NULL, &count);
    assert_int_equal(count, 1);
    assert_non_null(strstr(text, "\n; protocol = jbd\n"));
    assert_non_null(strstr(text, "\n; protocol = daly-d2\n"));
    assert_non_null(strstr(text, "\nprotocol = topbms\n"));
    check_good(text);
    free(text);
    struct found loners = {.port = "tcp://192.0.2.1:4001"};
    find(&loners, "jbd", -1, 9600, 3300);
    find(&loners, "daly-d2", -1, 9600, 3320);
    text = write_down(&loners, NULL, &count);
    assert_int_equal(count, 1);
    assert_non_null(strstr(text, "\nprotocol = jbd\n"));
    check_good(text);
    free(text);
}

/* The result can be pasted after an existing configuration. */
TEST(clashes_with_nothing)
{
    static const char there[] =
        "[line line-1]\nport = tcp://192.0.2.1:4001\nprotocol = topbms\n"
        "[pack pack-1]\nline = line-1\naddress = 1\nunit = 2\n"
        "[bank pack-2]\npacks = pack-1\nunit = 3\n"
        "[view x]\nunit = 9, 4\nsource = pack-1\nregister = soc_percent -> 1 u16\n"
        "[view y]\nunit = 1, 5\nsource = pack-1\nlisten = 127.0.0.1:1503\n"
        "register = soc_percent -> 1 u16\n";
    struct config *beside = config_parse(there, "test", stderr);
    assert_non_null(beside);
    struct found found = {.port = "tcp://192.0.2.1:4001"};
    unsigned count;
    find(&found, "topbms", 1, 9600, 3300);
    find(&found, "topbms", 2, 9600, 3310);
    find(&found, "topbms", 3, 9600, 3320);
    char *text = write_down(&found, beside, &count);
    assert_int_equal(count, 2);
    assert_null(strstr(text, "[line line-2]"));
    assert_non_null(
        strstr(text, "[pack pack-3]\nline = line-1\nprotocol = topbms\naddress = 2\nunit = 1\n"));
    assert_non_null(
        strstr(text, "[pack pack-4]\nline = line-1\nprotocol = topbms\naddress = 3\nunit = 5\n"));
    char both[4000];
    snprintf(both, sizeof both, "%s%s", there, text);
    check_good(both);
    free(text);
    found.port = "tcp://192.0.2.1:4002";
    text = write_down(&found, beside, &count);
    assert_int_equal(count, 3);
    assert_non_null(strstr(text, "[line line-2]"));
    snprintf(both, sizeof both, "%s%s", there, text);
    check_good(both);
    free(text);
    config_free(beside);
}

static void make_link(const char *folder, const char *kind, const char *name, const char *target)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, kind);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s/%s", folder, kind, name);
    assert_int_equal(symlink(target, path), 0);
}

/* Two adapters with the same id have only one link in by-id. */
TEST(names_ports_by_what_stays)
{
    char folder[] = "/tmp/packgate-ports-XXXXXX", device[3][64], path[300];
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 3; i++) {
        snprintf(device[i], sizeof device[i], "%s/ttyUSB%d", folder, i);
        FILE *file = fopen(device[i], "w");
        assert_non_null(file);
        fclose(file);
    }
    make_link(folder, "by-id", "usb-1a86_USB_Serial-if00-port0", device[0]);
    make_link(folder, "by-path", "pci-0:1.1", device[0]);
    make_link(folder, "by-path", "pci-0:1.2", device[1]);
    static const char *const names[] = {"by-id/usb-1a86_USB_Serial-if00-port0", "by-path/pci-0:1.2",
                                        "ttyUSB2"};
    for (int i = 0; i < 3; i++) {
        struct port_listed port = {0};
        snprintf(port.device, sizeof port.device, "%.100s", device[i]);
        port_list_name(&port, folder);
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_string_equal(port.name, path);
    }
    snprintf(path, sizeof path, "rm -r %s", folder);
    assert_int_equal(system(path), 0);
}

TEST(knows_adapters)
{
    assert_non_null(strstr(port_list_seems(0x1A86, 0x7523), "CH340"));
    assert_string_equal(port_list_seems(0x0403, 0x1234), "FTDI");
    assert_null(port_list_seems(0x1234, 0x5678));
    assert_non_null(strstr(port_list_seems_by_name("/dev/ttyAMA0"), "3.3 V"));
    assert_non_null(strstr(port_list_seems_by_name("/dev/ttyS0"), "RS232"));
    assert_null(port_list_seems_by_name("/dev/ttyXY0"));
}
