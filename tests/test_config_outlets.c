// SPDX-License-Identifier: MIT
/* The sections of outlets: valid values and mistakes. */
#include "config_test.h"

#include "config/outlet_config.h"

static const char packs[] = "[line a]\nport = sim:\nprotocol = daly\n"
                            "[pack a.b]\nline = a\nunit = 1\nwritable = yes\n"
                            "[line c]\nport = sim:\nprotocol = daly\n"
                            "[pack shed]\nline = c\nunit = 2\n"
                            "[bank all-of-it]\npacks = a.b, shed\nunit = 100\n";

static struct config *parse(const char *section, char **messages)
{
    char text[2000];
    snprintf(text, sizeof text, "%s%s", packs, section);
    return parse_config(text, messages);
}

/* One that is accepted. */
static struct config *parse_section(const char *section)
{
    char text[2000];
    snprintf(text, sizeof text, "%s%s", packs, section);
    return parse_accepted(text);
}

/* Who writes a password where none belongs does not find it in the log. */
TEST(no_secret_is_repeated)
{
    static const char *const sections[] = {
        "[mqtt x]\nbroker = mqtt://me:geheim@h\n",
        "[mqtt x]\nbroker = mqtt://h\nuser = me\npassword_file = geheim\n",
        "[mqtt x]\nbroker = mqtt://h\nuser = me\npassword = geheim\n",
        "[notify x]\ntype = pushover\nkey_file = geheim\n",
        "[notify x]\ntype = webhook\nurl_file = geheim\n",
        "[notify x]\ntype = webhook\nurl = https://me:geheim@h/\n",
        "[notify x]\ntype = pushover\ntoken = geheim\n",
        "[influx x]\nurl = http://me:geheim@h/write\n",
        "[influx x]\nurl = http://h/write\ntoken = geheim\n",
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        char *messages;
        assert_null(parse(sections[i], &messages));
        assert_true(strstr(messages, "cannot be used") || strstr(messages, "unknown key"));
        assert_null(strstr(messages, "geheim"));
        free(messages);
    }
}

TEST(values)
{
    struct config *config =
        parse_section("[mqtt home]\nbroker = mqtts://broker.lan\nuser = me\n"
                      "password_file = /etc/secret\npacks = shed, all-of-it\n"
                      "interval = 5s\nswitching = yes\ndiscovery = all\n"
                      "[mqtt flat]\nbroker = mqtt://[::1]:1884/\ntopic = SmartBMS\n"
                      "packs = shed\nlayout = smartbms-flat\n"
                      "[print x]\n");
    assert_int_equal(config->mqtt_count, 2);
    const struct mqtt_config *home = &config->mqtts[0];
    assert_string_equal(home->outlet.name, "home");
    assert_int_equal(home->outlet.pack_count, 2);
    assert_string_equal(home->outlet.packs[1], "all-of-it");
    assert_string_equal(home->topic, "packgate");
    assert_string_equal(home->discovery_prefix, "homeassistant");
    assert_true(home->verify && home->switching && !home->retain && !home->on_change);
    assert_true(home->interval_s == 5);
    assert_int_equal(home->entities, ENTITIES_ALL);
    assert_int_equal(home->discovery, DISCOVERY_DEVICE);
    assert_int_equal(config->mqtts[1].layout, LAYOUT_SMARTBMS_FLAT);
    assert_int_equal(config->print_count, 1);
    assert_int_equal(config->prints[0].outlet.pack_count, 0);
    config_free(config);
}

TEST(brokers)
{
    static const struct {
        const char *text, *host;
        unsigned port;
        bool good, tls;
    } cases[] = {
        {"mqtt://h", "h", 1883, true, false},
        {"mqtts://h", "h", 8883, true, true},
        {"mqtts://192.0.2.5:1234", "192.0.2.5", 1234, true, true},
        {"mqtt://[fd00::7]", "fd00::7", 1883, true, false},
        {"mqtt://h:1884/", "h", 1884, true, false},
        {"mqtt://h/path", "", 0, false, false},
        {"mqtt://h:0", "", 0, false, false},
        {"mqtt://h:70000", "", 0, false, false},
        {"mqtt://", "", 0, false, false},
        {"tcp://h", "", 0, false, false},
        {"h:1883", "", 0, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint endpoint;
        bool tls = false;
        if (mqtt_broker_parse(cases[i].text, &tls, &endpoint) != cases[i].good)
            fail_msg("%s", cases[i].text);
        if (!cases[i].good)
            continue;
        assert_string_equal(endpoint.host, cases[i].host);
        assert_int_equal(endpoint.port, cases[i].port);
        assert_int_equal(tls, cases[i].tls);
    }
}

#define BROKER "[mqtt x]\nbroker = mqtt://h\n"

TEST(web_address)
{
    static const struct {
        const char *section, *host, *address;
    } cases[] = {
        {"[web]\n", "gateway", "http://gateway.local:8080/"},
        {"[web]\n", "gateway.lan", "http://gateway.lan:8080/"},
        {"[web]\nlisten = [::]:80\nhosts = packs.lan\n", "gateway", "http://packs.lan/"},
        {"[web]\nlisten = 192.0.2.7:443\ntls_cert = /c, /k\n", "g", "https://192.0.2.7/"},
        {"[web]\nlisten = 127.0.0.1:8080, [2001:db8::7]:81\n", "g", "http://[2001:db8::7]:81/"},
        {"[web]\nlisten = 127.0.0.1:8080\n", "gateway", NULL},
        {"[web]\nlisten = 0.0.0.0:0\n", "gateway", NULL},
        {"[web]\nlisten = 127.255.0.1:8080, 192.0.2.7:81\n", "g", "http://192.0.2.7:81/"},
        {"[web]\nallow = 172.30.32.2\n", "gateway", NULL},
        {"[web]\nallow = 172.30.32.2, 10.0.0.0/8\n", "gateway", "http://gateway.local:8080/"},
        {"[web]\nallow = 172.30.32.2\nhosts = any, homeassistant://hassio/ingress/local_packgate\n",
         "g", "homeassistant://hassio/ingress/local_packgate"},
        {"[web]\nhosts = https://b.example/p/, c\n", "g", "https://b.example/p/"},
        {"[web]\nhosts = https://b.example/über/\n", "g", "https://b.example/über/"},
        {"[web]\nlink = https://me:word@b.example/\n", "g", "https://me:word@b.example/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char address[192] = "";
        struct config *config = parse_section(cases[i].section);
        assert_int_equal(web_address(config->web, cases[i].host, address, sizeof address),
                         cases[i].address != NULL);
        assert_string_equal(address, cases[i].address ? cases[i].address : "");
        config_free(config);
    }
}

/* To Home Assistant the gateway is one device: the first section of a broker tells of it. */
TEST(one_speaks_for_the_gateway)
{
    static const struct {
        const char *second;
        bool is_second;
    } cases[] = {
        {"broker = mqtt://h:1883\n", true},
        {"broker = mqtt://h\ndiscovery_prefix = other\n", false},
        {"broker = mqtt://h\ndiscovery = off\n", false},
        {"broker = mqtt://g\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300];
        snprintf(text, sizeof text, BROKER "packs = shed\n[mqtt y]\npacks = a.b\ntopic = t\n%s",
                 cases[i].second);
        struct config *config = parse_section(text);
        assert_false(config->mqtts[0].second);
        assert_int_equal(config->mqtts[1].second, cases[i].is_second);
        config_free(config);
    }
}

TEST(web)
{
    struct config *config = parse_section(
        "[web]\nhosts = Battery.Example.net, shed\nproxy = 127.0.0.1, ::1\n"
        "frame = https://ha.local:8123\npassword_file = /etc/p\nlisten = [::]:8080\n"
        "[history]\nfile = /h.db\ncommit = 5m\n[gateway]\nlisten = 127.0.0.1:1502\nbase = 1000\n");
    const struct web_config *web = config->web;
    assert_int_equal(web->hosts.count, 2);
    assert_string_equal(web->hosts.at[0], "battery.example.net");
    assert_int_equal(web->proxy.count, 2);
    assert_string_equal(web->frame, "https://ha.local:8123");
    assert_string_equal(web->password_file, "/etc/p");
    assert_string_equal(web->listen.at[0], "[::]:8080");
    /* What stands in other sections and is of use here. */
    assert_string_equal(web->history, "/h.db");
    assert_float_equal(web->commit_s, 300, 0);
    assert_int_equal(web->modbus_port, 1502);
    assert_int_equal(web->map.base, 1000);
    assert_true(web->map.writable);
    config_free(config);
    config = parse_section("[web]\n");
    web = config->web;
    assert_string_equal(web->listen.at[0], "0.0.0.0:8080");
    assert_int_equal(web->hosts.count, 0);
    assert_int_equal(web->proxy.count, 0);
    assert_string_equal(web->frame, "");
    assert_string_equal(web->history, "");
    assert_int_equal(web->allow_write.count, 2);
    assert_int_equal(web->max_clients, 64);
    config_free(config);
}

TEST(mistakes)
{
    static const struct said cases[] = {
        {"[web]\ntls_cert = /a\n", "belong together"},
        {"[web]\ntls_key = /a\n", "belong together"},
        {"[web]\nmax_clients = 64, 16, 65\n", "no more pages than connections"},
        {"[web]\nlisten = shed:8080\n", "'listen'"},
        {"[web]\nhosts = a b\n", "names such as"},
        {"[web]\nhosts = battery.example.net:8080\n", "without a port"},
        {"[web]\nhosts = .example.net\n", "names such as"},
        {"[web]\nhosts = none, a\n[web]\n", "[web]"},
        {"[web]\nhosts = any, shed\nallow = 172.30.32.2\n", "or any"},
        {"[web]\nhosts = any\nallow = 172.30.32.0/24\n", "expected single addresses"},
        {"[web]\nhosts = any\n", "expected single addresses"},
        {"[web]\nproxy = here\n", "none, or networks"},
        {"[web]\nframe = ha.local\n", "https://HOST"},
        {"[web]\nlink = b.example\n", "an address such as"},
        {"[web]\nhosts = javascript://b\n", "one of them as an address"},
        {"[web]\nhosts = https://\n", "one of them as an address"},
        {"[web]\nhosts = https://b/#x\n", "one of them as an address"},
        {"[web]\nframe = https://ha.local; script-src *\n", "https://HOST"},
        {"[web]\nframe = https://*\n", "https://HOST"},
        {"[web]\npacks = nobody\n", "there is no [pack nobody] or [bank nobody]"},
        {"[mqtt x]\n", "has no 'broker'"},
        {"[notify x]\n", "has no 'type'"},
        {"[notify x]\ntype = ntfy\n", "has no 'url', which 'type = ntfy' needs"},
        {"[notify x]\ntype = mail\nurl = https://h\nto = b\n", "'url' is not for 'type = mail'"},
        {"[notify x]\ntype = webhook\nurl = smtp://h\n", "'url' is not for 'type = webhook'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nurl_file = /x\n", "say the same"},
        {"[notify x]\ntype = command\nurl = /x\nkey_file = /y\n",
         "'key_file' is not for 'type = command'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nuser = me\n", "'user' without 'key_file'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nevents = report sunset\n",
         "expected 'location'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nevents = report\n",
         "expected one such as 'report sunset'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nevents = report 24:00\n",
         "'events' is 'report 24:00'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nevents = report 07: 3\n",
         "'events' is 'report 07: 3'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nevents = report +7:30\n",
         "'events' is 'report +7:30'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nevents = report 7:30\n",
         "'events' is 'report 7:30'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nevents = report 07:30x\n",
         "'events' is 'report 07:30x'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nevents = soc_below 100\n",
         "'events' is 'soc_below 100'"},
        {"[notify x]\ntype = webhook\nurl = http://h\nevents = alarm 7\n", "'events' is 'alarm 7'"},
        {"[notify x]\ntype = command\nurl = http://h\n", "expected the path of a program"},
        {"[notify x]\ntype = webhook\nurl = http://h\nevents = alarms\n", "did you mean 'alarm'?"},
        {"[notify x]\ntype = webhook\nurl = http://h\npacks = shad\n", "did you mean 'shed'?"},
        {BROKER "[mqtt y]\nbroker = mqtt://H:1883/\n", "already the topic of [mqtt x]"},
        {BROKER "packs = shed, shed\n", "shed is in [mqtt x] twice"},
        {BROKER "packs = shad\n", "there is no [pack shad] or [bank shad]; did you mean 'shed'?"},
        {BROKER "packs = all, shed\n", "'packs'"},
        {BROKER "password_file = /x\n", "'password_file' without 'user'"},
        {"[mqtt x]\nbroker = mqtts://h\nclient_key = /x\n", "belong together"},
        {BROKER "topic = a/#\n", "'topic' is 'a/#'"},
        {BROKER "interval = 500ms\n", "'interval' is '500ms'"},
        {BROKER "layout = smartbms-b\n", "a device with one pack, and these are 3"},
        {BROKER "[mqtt y]\nbroker = mqtt://h\ndiscovery = off\n", "already the topic of [mqtt x]"},
        {BROKER "[mqtt y]\nbroker = mqtt://h\ntopic = other\n", "already announced"},
        {BROKER "[line d]\nport = sim:\nprotocol = daly\n[pack a_b]\nline = d\nunit = 3\n",
         "the same to Home Assistant"},
        {BROKER "ca_file = /x\n", "warning: 'ca_file' has no effect here"},
        {BROKER "switching = yes\npacks = shed\n", "warning: 'switching' has no effect"},
        {BROKER "[gateway]\nstate_file = none\n",
         "warning: with 'state_file = none' packgate cannot remove the devices"},
        {"[print x]\npacks = nobody\n", "there is no [pack nobody] or [bank nobody]"},
    };
    expect_said(packs, cases, COUNT(cases));
}

#define PRESENT "[present x]\nof = shed\nprotocol = modbus-rtu\n"
#define PRESENT_VIEW "[present x]\nof = shed\nprotocol = modbus-rtu v\n"
#define ON_TCP "port = tcp-listen:127.0.0.1:5020\n"
#define SOC_VIEW "[view v]\nsource = shed\nunit = 9\nregister = soc_percent -> 1 u16\n"

TEST(present)
{
    static const struct said cases[] = {
        {PRESENT ON_TCP, NULL},
        {PRESENT "port = serial:/dev/ttyUSB1\nbaud = 19200 8E1 rs485\n", NULL},
        {PRESENT ON_TCP "address = 7\nswitching = yes\n", NULL},
        {PRESENT_VIEW ON_TCP SOC_VIEW, NULL},
        {"[present x]\nof = nobody\nprotocol = modbus-rtu\n" ON_TCP,
         "f:18: there is no [pack nobody] or [bank nobody]"},
        {"[present x]\nof = all\nprotocol = modbus-rtu\n" ON_TCP, "expected the name of one"},
        {"[present x]\nof = shed, a.b\nprotocol = modbus-rtu\n" ON_TCP, "'of' is 'a.b'"},
        {"[present x]\nprotocol = modbus-rtu\n" ON_TCP, "has no 'of'"},
        {PRESENT, "has no 'port'"},
        {"[present x]\nof = shed\n" ON_TCP, "has no 'protocol'"},
        {PRESENT "port = tcp-listen:127.0.0.1:502\n", "a port from 1024 on"},
        {PRESENT "port = tcp-listen:localhost:5020\n", "'port' is"},
        {PRESENT "port = tcp://127.0.0.1:5020\n", "'port' is"},
        {PRESENT ON_TCP "address = 0\n", "expected 1 to 247 for protocol"},
        {PRESENT ON_TCP "address = 248\n", "expected 1 to 247 for protocol"},
        {"[present x]\nof = shed\nprotocol = modbus-rtu one\n" ON_TCP,
         "f:19: there is no [view one]"},
        {"[present x]\nof = shed\nprotocol = modbus-rtu a view\n" ON_TCP, "'protocol' is"},
        {PRESENT "port = can:can0\n", "is not for a CAN bus; expected pylon-1.2"},
        {"[present x]\nof = shed\nprotocol = pylon-1.2\nport = can:can0\n",
         "warning: shed has no [limits]"},
        {"[present x]\nof = shed\nprotocol = victron\nport = can:can0\naddress = 1\n",
         "has no addresses"},
        {"[present x]\nof = shed\nprotocol = topbms pylontech\naddress = 2\nport = "
         "serial:/dev/ttyS1\n",
         "warning: shed has no [limits]"},
        {"[present x]\nof = shed\nprotocol = topbms nobody\n" ON_TCP, "has no variant 'nobody'"},
        {"[present x]\nof = shed\nprotocol = topbms\nswitching = yes\n" ON_TCP,
         "this protocol accepts no orders"},
        {"[present x]\nof = shed\nprotocol = topbms\nview = v\n" ON_TCP SOC_VIEW,
         "for protocol 'modbus-rtu' only"},
        {"[present x]\nof = shed\nprotocol = ant\n" ON_TCP, "expected modbus-rtu, "},
        {PRESENT ON_TCP "baud = 9600\n", "warning: 'baud' has no effect here"},
        {"[present x]\nof = shed\nprotocol = modbus-rtu w\n" ON_TCP SOC_VIEW,
         "there is no [view w]"},
        {PRESENT ON_TCP "soh = 98.5\n", NULL},
        {PRESENT ON_TCP "on_stale = discharge\n", "warning: 'on_stale' is a key of older versions: "
                                                  "it has no effect any more, 'on_stale' of the"},
        {PRESENT ON_TCP "soh = 101\n", "'soh' is '101'"},
        {PRESENT_VIEW ON_TCP SOC_VIEW "on_stale = hold\n", "stale values as fresh"},
        {PRESENT_VIEW ON_TCP
         "[view v]\nsource = shed\nunit = 0, 255\nregister = soc_percent -> 1 u16\n",
         "expected an 'address' from 1 to 247"},
        {PRESENT_VIEW ON_TCP "address = 9\n[view v]\nsource = shed\nunit = 0\nregister = "
                             "soc_percent -> 1 u16\n",
         NULL},
        {PRESENT_VIEW ON_TCP "[view v]\nsource = shed\nunit = 9\n"
                             "register = soc_percent -> 1 u16 on_stale hold\n",
         "stale values as fresh"},
        {PRESENT_VIEW ON_TCP "switching = yes\n" SOC_VIEW, "a view accepts no orders"},
        {PRESENT ON_TCP "[present y]\nof = shed\nprotocol = modbus-rtu\n" ON_TCP,
         "already that of [present x] in line 20"},
        {PRESENT "port = serial:/dev/ttyS0\n[line d]\nport = serial:/dev/ttyS0\nprotocol = daly\n",
         "already that of [line d]"},
    };
    expect_said(packs, cases, COUNT(cases));
}

/* What it is given: the packs that it needs, and the rules of port 502. */
TEST(present_needs)
{
    struct config *config = parse_section(
        "[gateway]\nallow_write = 192.0.2.7\n"
        "[present bank]\nof = all-of-it\nprotocol = modbus-rtu\nport = serial:/dev/ttyS0\n"
        "[present view]\nof = shed\nprotocol = modbus-rtu v\nport = serial:/dev/ttyS1\n"
        "[view v]\nsource = shed\nunit = 9\nregister = soc_percent -> 1 u16\n"
        "register = a.b.soc_percent | soc_percent -> 2 u16\n");
    assert_int_equal(config->present_count, 2);
    const struct present_config *bank = &config->presents[0], *view = &config->presents[1];
    assert_int_equal(bank->outlet.pack_count, 3);
    assert_string_equal(bank->outlet.packs[0], "all-of-it");
    assert_string_equal(bank->outlet.packs[1], "a.b");
    assert_int_equal(bank->allow_write.count, 1);
    assert_true(bank->baud == 9600 && bank->address == -1 && !bank->switching);
    assert_int_equal(view->outlet.pack_count, 2);
    assert_string_equal(view->outlet.packs[0], "shed");
    assert_non_null(strstr(view->view_text, "register = a.b.soc_percent | soc_percent -> 2 u16\n"));
    config_free(config);
}

TEST(influx)
{
    static const struct said cases[] = {
        {"[history]\n[influx x]\nurl = https://h:8086/api/v2/write?org=o&bucket=b\npassword_file = "
         "/t\n",
         NULL},
        {"[history]\n[influx x]\nurl = http://127.0.0.1:8428/write\npassword_file = /t\n", NULL},
        {"[history]\n[influx x]\nurl = http://[::1]:8428/write\npassword_file = /t\n", NULL},
        {"[history]\n[influx x]\nurl = http://[::ffff:127.0.0.1]/write\npassword_file = /t\n",
         NULL},
        {"[history]\n[influx x]\nurl = http://localhost.:8086/write\npassword_file = /t\n", NULL},
        {"[history]\n[influx x]\nurl = http://127.example.net/write\npassword_file = /t\n",
         "warning: the token or password goes over the network in the clear"},
        {"[history]\n[influx x]\nurl = http://[::1:2]/write\npassword_file = /t\n",
         "warning: the token or password goes over the network in the clear"},
        {"[influx x]\nurl = http://h/write\n", "warning: without [history] only the last hour"},
        {"[history]\nfile = none\n[influx x]\nurl = http://h/write\n",
         "warning: without [history] only the last hour"},
        {"[influx x]\nurl = http://h/write\ninterval = 10s, backfill no\n", NULL},
        {"[history]\n[influx x]\nurl = http://h/write\npassword_file = /t\n",
         "warning: the token or password goes over the network in the clear"},
        {"[history]\n[influx x]\nurl = http://h/write\ngateway = hut\n",
         "warning: 'gateway' is a key of older versions: write it as 'name' of [gateway]"},
        {"[history]\n[influx x]\nurl = http://h/write?db=\"x\\\"\n", NULL},
        {"[history]\n[influx x]\nurl = http://:8086/write\n", NULL},
        {"[history]\n[influx x]\nurl = https://h:8086\n", "warning: 'url' has no path"},
        {"[history]\n[influx x]\nurl = https://h/?db=x\n", "warning: 'url' has no path"},
        {"[history]\n[influx x]\nurl = https://h?db=/write\n", "warning: 'url' has no path"},
        {"[history]\n[influx x]\nurl = https://h/a\n", NULL},
        {"[influx x]\nurl = h:8086\n", "'url' is 'h:8086'; expected an address"},
        {"[influx x]\nurl = http:///write\n", "'url' is"},
        {"[influx x]\nurl = http://me:geheim@h/write\n", "'url' cannot be used"},
        {"[influx x]\nurl = http://h/write\ntoken = geheim\n", "password_file"},
        {"[influx x]\nurl = http://h/write\ninterval = 15s\n", "a multiple of 10s"},
        {"[influx x]\nurl = http://h/write\ninterval = 90s\n", "a multiple of 10s"},
        {"[influx x]\nurl = http://h/write\ntoken_file = /t\nuser = me\n", "two ways to log in"},
        {"[influx x]\nurl = http://h/write\nclient_key = /t\n", "belong together"},
    };
    expect_said(packs, cases, COUNT(cases));
}

/* The tag is what people call the gateway, or the host. */
TEST(influx_gateway)
{
    static const char *const cases[][2] = {
        {"[history]\n[influx x]\nurl = http://h/write\n", "%h"},
        {"[gateway]\nname = Hütte 2\n[history]\n[influx x]\nurl = http://h/write\n", "Hütte 2"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *config = parse_section(cases[i][0]);
        assert_string_equal(config->influxes[0].gateway, cases[i][1]);
        config_free(config);
    }
}

/* With a name beside it a server would refuse each message, when it is too late. */
TEST(mail_addresses)
{
    static const struct {
        const char *user, *to, *from, *recipients; /* NULL: rejected */
    } cases[] = {
        {"shed@example.net", "me@example.net", "shed@example.net", "me@example.net"},
        {"shed", "me@example.net, you@example.net", "me@example.net",
         "me@example.net, you@example.net"},
        {"a@b c", "root", "root", "root"},
        {"shed", "me@[192.0.2.1], from shed+hut@example.net", "shed+hut@example.net",
         "me@[192.0.2.1]"},
        {"shed@example.net", "from packgate, a@h,b@h", "packgate", "a@h, b@h"},
        {"shed", "me@example.net, from Shed <shed@example.net>", NULL, NULL},
        {"shed", "Me <me@example.net>", NULL, NULL},
        {"shed", "me@example.net; you@example.net", NULL, NULL},
        {"shed", "me@example.net, from", NULL, NULL},
        {"shed", "from me@example.net", NULL, NULL},
        {"shed", "me@example.net, from a@h, from b@h", NULL, NULL},
        {"shed", "shed@", NULL, NULL},
        {"shed", "@example.net", NULL, NULL},
        {"shed", "a@b@c", NULL, NULL},
        {"shed", "sch\303\274r@example.net", NULL, NULL},
        {"shed", ",", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char section[200], *messages;
        snprintf(section, sizeof section,
                 "[notify x]\ntype = mail\nurl = smtps://h\nkey_file = /k\nuser = %s\nto = %s\n",
                 cases[i].user, cases[i].to);
        struct config *config = parse(section, &messages);
        if ((config != NULL) != (cases[i].from != NULL) ||
            (!config && !strstr(messages, "expected an address such as shed@example.net")))
            fail_msg("%s: %s", section, messages);
        if (config) {
            assert_string_equal(config->notifies->from, cases[i].from);
            assert_string_equal(config->notifies->to, cases[i].recipients);
            config_free(config);
        }
        free(messages);
    }
}

/* A threshold, and a time of the report, are wishes by themselves. */
TEST(notify)
{
    struct config *config = parse_section(
        "[notify phone]\ntype = pushover\nkey_file = /etc/packgate/pushover\n"
        "events = alarm, stale, back, full, report sunset, report 07:30\npacks = all\nlevel "
        "= warning\n"
        "events = soc_below 20, cell_delta\nrepeat = 6h\n"
        "[notify other]\ntype = command\nurl = /x\nevents = soc_below\n"
        "[gateway]\nlocation = 45.6758, -9.165\n");
    assert_int_equal(config->notify_count, 2);
    const struct notify_config *phone = &config->notifies[0], *other = &config->notifies[1];
    assert_int_equal(phone->type, NOTIFY_PUSHOVER);
    assert_int_equal(phone->events, 1u << NOTIFY_ALARM | 1u << NOTIFY_STALE | 1u << NOTIFY_BACK |
                                        1u << NOTIFY_FULL | 1u << NOTIFY_REPORT |
                                        1u << NOTIFY_SOC_BELOW | 1u << NOTIFY_CELL_DELTA);
    assert_true(phone->soc_below == 20 && phone->cell_delta_mv == 100 && !phone->protection);
    assert_true(phone->hold_s == 30 && phone->repeat_s == 21600 && phone->limit == 20 &&
                phone->priority == 1);
    assert_true(phone->latitude == 45.6758 && phone->longitude == -9.165 && phone->verify);
    assert_int_equal(phone->reports.count, 2);
    assert_int_equal(phone->reports.at[0].when, NOTIFY_AT_SUNSET);
    assert_int_equal(phone->reports.at[1].minute, 450);
    assert_int_equal(other->events, 1u << NOTIFY_SOC_BELOW);
    assert_true(other->soc_below == 20 && other->cell_delta_mv == 0);
    config_free(config);
}
