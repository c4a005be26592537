// SPDX-License-Identifier: MIT
/* The pure parts of the outlet mqtt: topics, messages, discovery, the extractor's layouts. */
#include "outlets/mqtt/discovery.h"
#include "outlets/mqtt/messages.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pack_test.h"

#define ROOM (128 * 1024)

struct sample {
    struct pack pack;
    struct source source;
    char room[ROOM];
};

static int make_sample(void **state)
{
    struct sample *sample = calloc(1, sizeof *sample);
    assert_non_null(sample);
    struct pack *pack = &sample->pack;
    pack_clear(pack);
    set_values(pack, {VOLTAGE_V, 53.1234}, {CURRENT_A, -0.00004}, {POWER_W, -664.04},
               {SOC_PERCENT, 88}, {REMAINING_AH, 84.2}, {CELL_COUNT, 3});
    for (unsigned i = 1; i <= 3; i++)
        pack_set_cell(pack, i, 3330 + i);
    pack_set_temp(pack, 1, 12.4);
    pack_set_temp(pack, 2, -3);
    pack_set(pack, CHARGE_MOS, 1);
    pack_set(pack, DISCHARGE_MOS, 0);
    pack_derive(pack);
    pack_alarm(pack, SOC_LOW, 0);
    pack_alarm(pack, CELL_OVER_VOLTAGE, ALARM_PROTECTION);
    snprintf(pack->text[MODEL], TEXT_SIZE, "a \"b\"");
    sample->source = (struct source){
        .name = "shed",
        .title = "K\xC3\xBC"
                 "che links",
        .line = "yard",
        .unit = 7,
        .values = pack,
        .status = {.state = MAP_STATE_FRESH,
                   .driver = "daly",
                   .driver_title = "Daly, UART",
                   .peak = {.percent = 91},
                   .charged_wh = 1234.4,
                   .discharged_wh = NAN,
                   .time_to_full_s = 7200,
                   .time_to_empty_s = NAN},
    };
    *state = sample;
    return 0;
}

static int free_sample(void **state)
{
    free(*state);
    return 0;
}

#define MQTT_TEST(name) TEST_WITH(name, make_sample, free_sample)

static struct announcer announcer_of(bool single)
{
    return (struct announcer){.id = "3f9a0c11",
                              .prefix = "homeassistant",
                              .topic = "packgate",
                              .version = "1.2",
                              .expire_s = 30,
                              .single = single};
}

static json_t *parse(const struct text *text)
{
    json_error_t error;
    assert_false(text->cut);
    json_t *object = json_loadb(text->bytes, text->size, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        fail_msg("%s at %d: %s", error.text, error.position, text->bytes);
    assert_null(strchr(text->bytes, '\n'));
    return object;
}

MQTT_TEST(state)
{
    struct sample *sample = *state;
    struct text text = text_in(sample->room, ROOM);
    sample->source.status.allowed = (struct map_allowed){.configured = true,
                                                         .charge_voltage_v = 55.16,
                                                         .charge_current_a = 3.28,
                                                         .discharge_current_a = 46.3};
    message_state(&text, &sample->source, 0.26, 1763800000.9);
    sample->source.status.allowed.configured = false;
    json_t *object = parse(&text);
    static const struct {
        const char *name;
        double value;
    } wanted[] = {
        {"voltage_v", 53.123},
        {"current_a", 0},
        {"power_w", -664},
        {"soc_percent", 88},
        {"cell_mv_1", 3331},
        {"cell_mv_3", 3333},
        {"temp_c_2", -3},
        {"temp_max_c", 12.4},
        {"temp_min_c", -3},
        {"charge_mos", 1},
        {"discharge_mos", 0},
        {"alarm", 1},
        {"alarm_soc_low", 0},
        {"alarm_cell_over_voltage", 1},
        {"charged_wh", 1234},
        {"soc_peak_percent", 91},
        {"age_s", 0.3},
        {"time", 1763800000},
        {"cell_delta_mv", 2},
        {"allowed_charge_current_a", 3.2}, /* never more than is allowed */
        {"allowed_discharge_current_a", 46.3},
        {"allowed_charge_voltage_v", 55.1},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const json_t *found = json_object_get(object, wanted[i].name);
        if (!found || fabs(json_number_value(found) - wanted[i].value) > 1e-9)
            fail_msg("%s in %s", wanted[i].name, text.bytes);
    }
    assert_true(json_is_integer(json_object_get(object, "time")));
    static const char *const absent[] = {"pack",
                                         "protocol",
                                         "model",
                                         "discharged_wh",
                                         "cell_mv_4",
                                         "soh_percent",
                                         "alarm_short_circuit",
                                         "flow",
                                         "fresh"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_null(json_object_get(object, absent[i]));
    /* A number that rounds to 0 has no sign, and names have no dots. */
    assert_null(strstr(text.bytes, "-0,"));
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) assert_null(strchr(name, '.'));
    json_decref(object);
}

/* The permission to discharge with stale values ends when values are fresh but unknown. */
MQTT_TEST(venus_stop)
{
    struct sample *sample = *state;
    static const struct {
        bool discharges, fresh;
        double discharge_a;
    } cases[] = {{false, false, 0}, {true, false, 46.3}, {true, true, 0}};
    struct pack last = sample->pack;
    sample->source.status.allowed = (struct map_allowed){
        .configured = true, .charge_current_a = 3.28, .discharge_current_a = 46.3};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text text = text_in(sample->room, ROOM);
        sample->source.status.allowed.discharges_stale = cases[i].discharges;
        assert_true(venus_values(&text, &sample->source, cases[i].fresh, &last));
        json_t *object = parse(&text), *info = json_object_get(object, "Info");
        assert_true(json_number_value(json_object_get(info, "MaxChargeCurrent")) == 0);
        assert_true(json_number_value(json_object_get(info, "MaxDischargeCurrent")) ==
                    cases[i].discharge_a);
        assert_true(json_is_null(json_object_get(info, "MaxChargeVoltage")));
        json_decref(object);
    }
}

MQTT_TEST(info)
{
    struct sample *sample = *state;
    struct text text = text_in(sample->room, ROOM);
    message_info(&text, &sample->source);
    assert_string_equal(
        text.bytes,
        "{\"protocol\":\"daly\",\"model\":\"a \\\"b\\\"\",\"unit\":7,\"line\":\"yard\"}");
    const struct source *members[] = {&sample->source};
    struct source bank = sample->source;
    struct pack nothing = cleared_pack();
    bank.values = &nothing;
    bank.line = NULL;
    bank.members = members;
    bank.member_count = 1;
    text = text_in(sample->room, ROOM);
    message_info(&text, &bank);
    assert_string_equal(text.bytes, "{\"protocol\":\"bank\",\"unit\":7,\"members\":[\"shed\"]}");
}

MQTT_TEST(event_and_result)
{
    struct sample *sample = *state;
    struct text text = text_in(sample->room, ROOM);
    message_event(&text, 1763800000.7, CELL_OVER_VOLTAGE, ALARM_PROTECTION, true);
    assert_string_equal(text.bytes,
                        "{\"time\":1763800000,\"alarm\":\"cell_over_voltage\","
                        "\"level\":\"protection\",\"event_type\":\"protection\",\"active\":true}");
    text = text_in(sample->room, ROOM);
    message_result(&text, "charge_mos", 1, "confirmed");
    assert_string_equal(text.bytes,
                        "{\"order\":\"charge_mos\",\"value\":1,\"result\":\"confirmed\"}");
    text = text_in(sample->room, ROOM);
    message_result(&text, "x\"y", -1, "unknown");
    assert_string_equal(text.bytes, "{\"order\":\"x\\\"y\",\"result\":\"unknown\"}");
}

TEST(topics)
{
    char pack[33], out[TOPIC_SIZE], small[12];
    static const struct {
        const char *topic, *pack;
        bool smartbms;
        enum order_topic wanted;
    } cases[] = {
        {"a/b/shed/set/charge_mos", "shed", false, TOPIC_CHARGE_MOS},
        {"a/b/shed/set/discharge_mos", "shed", false, TOPIC_DISCHARGE_MOS},
        {"a/b/shed/set/other", "shed", false, TOPIC_UNKNOWN},
        {"a/b/shed/set/result", "shed", false, TOPIC_NOT_OURS},
        {"a/b/shed/state", "", false, TOPIC_NOT_OURS},
        {"a/bc/shed/set/charge_mos", "", false, TOPIC_NOT_OURS},
        {"a/b//set/charge_mos", "", false, TOPIC_NOT_OURS},
        {"a/b/0123456789012345678901234567890123/set/charge_mos", "", false, TOPIC_NOT_OURS},
        {"a/b/CMS", "", true, TOPIC_CHARGE_MOS},
        {"a/b/DMS", "", true, TOPIC_DISCHARGE_MOS},
        {"a/b/XMS", "", true, TOPIC_UNKNOWN},
        {"a/b", "", true, TOPIC_NOT_OURS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (topic_parse("a/b", cases[i].smartbms, cases[i].topic, pack) != cases[i].wanted)
            fail_msg("%s", cases[i].topic);
        assert_string_equal(pack, cases[i].pack);
    }
    topic_expand("x/%h/y", "host 1", out, sizeof out);
    assert_string_equal(out, "x/host_1/y");
    topic_expand("0123456789012345", "", small, sizeof small);
    assert_true(strlen(small) < sizeof small);
}

TEST(payloads)
{
    static const struct {
        const char *text;
        int wanted;
    } cases[] = {{"1", 1},     {"0", 0},    {"ON", 1},   {"off", 0},       {"True", 1},
                 {"FALSE", 0}, {" 1\n", 1}, {"", -1},    {" ", -1},        {"2", -1},
                 {"10", -1},   {"on!", -1}, {"yes", -1}, {"{\"a\":1}", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (order_payload(cases[i].text, strlen(cases[i].text)) != cases[i].wanted)
            fail_msg("'%s'", cases[i].text);
    assert_int_equal(order_payload("1\0", 2), -1);
    assert_int_equal(order_payload(NULL, 0), -1);
}

static struct entity_set known_of(const struct sample *sample, enum mqtt_entities entities,
                                  bool switching)
{
    return entity_and(entity_known(&sample->source), entity_allowed(entities, switching));
}

static json_t *announce(struct sample *sample, enum mqtt_entities entities, bool switching)
{
    struct announcer announcer = announcer_of(false);
    struct text text = text_in(sample->room, ROOM);
    announce_device(&text, &announcer, &sample->source, known_of(sample, entities, switching),
                    (struct entity_set){{0}});
    return parse(&text);
}

static void expect_keys(const json_t *components, const char *const *keys)
{
    size_t count = 0;
    for (; keys[count]; count++)
        if (!json_object_get(components, keys[count]))
            fail_msg("%s is not announced", keys[count]);
    assert_int_equal(json_object_size(components), count);
}

MQTT_TEST(entities)
{
    struct sample *sample = *state;
    static const char *const few[] = {"voltage_v",  "current_a", "power_w", "soc_percent",
                                      "charged_wh", "alarm",     "fresh",   NULL};
    static const char *const normal[] = {"voltage_v",      "current_a",     "power_w",
                                         "soc_percent",    "charged_wh",    "alarm",
                                         "fresh",          "remaining_ah",  "cell_max_mv",
                                         "cell_min_mv",    "cell_delta_mv", "cell_mv_1",
                                         "cell_mv_2",      "cell_mv_3",     "temp_min_c",
                                         "temp_max_c",     "charge_mos",    "discharge_mos",
                                         "time_to_full_s", "alarm_event",   NULL};
    json_t *object = announce(sample, ENTITIES_FEW, false);
    expect_keys(json_object_get(object, "cmps"), few);
    json_decref(object);
    object = announce(sample, ENTITIES_NORMAL, false);
    expect_keys(json_object_get(object, "cmps"), normal);
    json_decref(object);
    object = announce(sample, ENTITIES_NORMAL, true);
    const json_t *components = json_object_get(object, "cmps");
    assert_null(json_object_get(components, "charge_mos"));
    const json_t *charge = json_object_get(components, "charge_switch");
    assert_string_equal(json_string_value(json_object_get(charge, "p")), "switch");
    assert_string_equal(json_string_value(json_object_get(charge, "cmd_t")),
                        "packgate/shed/set/charge_mos");
    assert_true(json_is_false(json_object_get(charge, "opt")));
    assert_true(json_is_false(json_object_get(charge, "ret")));
    assert_null(json_object_get(charge, "exp_aft"));
    json_decref(object);
    /* With `all`: everything that the state message contains. */
    object = announce(sample, ENTITIES_ALL, false);
    struct text text = text_in(sample->room, ROOM);
    message_state(&text, &sample->source, 1, 2);
    json_t *message = parse(&text), *value;
    const char *name;
    json_object_foreach(message, name,
                        value) if (!json_object_get(json_object_get(object, "cmps"), name))
        fail_msg("%s is in no entity", name);
    assert_int_equal(json_object_size(json_object_get(object, "cmps")),
                     json_object_size(message) + 2); /* plus fresh and alarm_event */
    json_decref(message);
    json_decref(object);
}

MQTT_TEST(discovery)
{
    struct sample *sample = *state;
    static const struct {
        const char *path, *wanted; /* as JSON; NULL: absent */
    } cases[] = {
        {"dev ids", "[\"packgate_3f9a0c11_shed\"]"},
        {"dev mf", "\"Daly\""},
        {"dev via_device", "\"packgate_3f9a0c11\""},
        {"cmps soc_percent p", "\"sensor\""},
        {"cmps soc_percent uniq_id", "\"packgate_3f9a0c11_shed_soc_percent\""},
        {"cmps soc_percent def_ent_id", "\"sensor.shed_soc_percent\""},
        {"cmps soc_percent name", "\"State of charge\""},
        {"cmps soc_percent dev_cla", "\"battery\""},
        {"cmps soc_percent stat_cla", "\"measurement\""},
        {"cmps soc_percent unit_of_meas", "\"%\""},
        {"cmps soc_percent val_tpl", "\"{{ value_json.soc_percent | default('None') }}\""},
        {"cmps soc_percent sug_dsp_prc", "0"},
        {"cmps soc_percent exp_aft", "30"},
        {"cmps voltage_v sug_dsp_prc", "2"},
        {"cmps current_a sug_dsp_prc", "2"},
        {"cmps remaining_ah sug_dsp_prc", "1"},
        {"cmps cell_mv_1 ent_cat", "\"diagnostic\""},
        {"cmps cell_max_mv ent_cat", NULL},
        {"cmps alarm_event p", "\"event\""},
        {"cmps alarm_event stat_t", "\"packgate/shed/event\""},
        {"cmps alarm_event exp_aft", NULL},
    };
    json_t *object = announce(sample, ENTITIES_NORMAL, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[80], *rest = path, *word;
        const json_t *at = object;
        snprintf(path, sizeof path, "%s", cases[i].path);
        while ((word = strsep(&rest, " ")))
            at = json_object_get(at, word);
        char *found = at ? json_dumps(at, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        if (!found != !cases[i].wanted || (found && strcmp(found, cases[i].wanted) != 0))
            fail_msg("%s is %s", cases[i].path, found ? found : "absent");
        free(found);
    }
    json_decref(object);
    char topic[TOPIC_SIZE];
    struct announcer announcer = announcer_of(false);
    assert_true(announce_topic(&announcer, "a.b", 0, topic));
    assert_string_equal(topic, "homeassistant/device/packgate_3f9a0c11_a_b/config");
    assert_true(announce_topic(&announcer, NULL, 0, topic));
    assert_string_equal(topic, "homeassistant/device/packgate_3f9a0c11/config");
    assert_false(announce_topic(&announcer, NULL, 1, topic));
    announcer.single = true;
    assert_true(announce_topic(&announcer, "shed", VOLTAGE_V, topic));
    assert_string_equal(topic, "homeassistant/sensor/packgate_3f9a0c11_shed_voltage_v/config");
    assert_true(announce_topic(&announcer, NULL, 0, topic));
    assert_string_equal(topic, "homeassistant/binary_sensor/packgate_3f9a0c11_connection/config");
    assert_false(announce_topic(&announcer, NULL, GATEWAY_COMPONENTS, topic));
    assert_int_equal(announce_expiry(10), 30);
    assert_int_equal(announce_expiry(1), 30);
    assert_int_equal(announce_expiry(60), 180);
}

MQTT_TEST(single)
{
    struct sample *sample = *state;
    struct announcer announcer = announcer_of(true);
    for (unsigned n = 0; n < entity_count(); n++) {
        struct entity_set known = known_of(sample, ENTITIES_ALL, true);
        if (!entity_in(&known, n))
            continue;
        struct text text = text_in(sample->room, ROOM);
        announce_single(&text, &announcer, &sample->source, n);
        json_t *object = parse(&text);
        assert_non_null(json_object_get(object, "dev"));
        assert_non_null(json_object_get(object, "stat_t"));
        assert_non_null(json_object_get(object, "avty"));
        assert_null(json_object_get(object, "p"));
        assert_null(strchr(text.bytes, '|'));
        json_decref(object);
    }
}

/* A removed entity is announced by its platform alone. */
MQTT_TEST(gone)
{
    struct sample *sample = *state;
    struct announcer announcer = announcer_of(false);
    struct text text = text_in(sample->room, ROOM);
    struct entity_set all = known_of(sample, ENTITIES_ALL, false),
                      few = known_of(sample, ENTITIES_FEW, false);
    announce_device(&text, &announcer, &sample->source, few, entity_without(all, few));
    json_t *object = parse(&text);
    const json_t *gone = json_object_get(json_object_get(object, "cmps"), "cell_mv_1");
    assert_int_equal(json_object_size(gone), 1);
    assert_string_equal(json_string_value(json_object_get(gone, "p")), "sensor");
    json_decref(object);
}

MQTT_TEST(sets)
{
    const struct sample *sample = *state;
    char word[ENTITY_WORD_SIZE];
    struct entity_set all = known_of(sample, ENTITIES_ALL, false), got;
    assert_true(entity_read(entity_word(all, word), &got));
    assert_true(entity_same(all, got));
    word[0] = word[0] == '0' ? '1' : '0';
    assert_false(entity_read(word, &got));
    assert_false(entity_read("", &got));
    /* Each key once, and all of them valid in a topic. */
    for (unsigned a = 0; a < entity_count(); a++) {
        struct entity one, other;
        entity_describe(a, &one);
        for (unsigned b = 0; b < a && one.key[0]; b++) {
            entity_describe(b, &other);
            assert_string_not_equal(one.key, other.key);
        }
        assert_int_equal(strspn(one.key, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(one.key));
    }
}

MQTT_TEST(smartbms)
{
    struct sample *sample = *state;
    struct pack *pack = &sample->pack;
    struct tm local = {
        .tm_year = 125, .tm_mon = 11, .tm_mday = 22, .tm_hour = 13, .tm_min = 12, .tm_sec = 47};
    struct text text = text_in(sample->room, ROOM);
    smartbms_status(&text, true, mktime(&local), 2535, 11696);
    assert_string_equal(text.bytes,
                        "{\"Status\":1,\"ts\":\"12/22/25 13:12:47\",\"cnt\":2535,\"mem\":11696}");
    set_values(pack, {VOLTAGE_V, 47.2}, {CURRENT_A, 6.2}, {POWER_W, 292.4}, {CELL_DELTA_MV, 30},
               {TEMP_AVG_C, 12.4}, {DISCHARGE_MOS, 1});
    pack_raw_alarm(pack, 0x0400);
    pack_raw_alarm(pack, 0);
    pack_raw_alarm(pack, 0);
    pack_raw_alarm(pack, 0);
    text = text_in(sample->room, ROOM);
    smartbms_extremes(&text, &sample->source);
    assert_string_equal(text.bytes, "{\"SCM\":91,\"MIC\":3331,\"MAC\":3333,\"RCP\":84}");
    text = text_in(sample->room, ROOM);
    smartbms_values(&text, &sample->source, LAYOUT_SMARTBMS_BAT);
    assert_string_equal(text.bytes,
                        "{\"bat\":{\"0\":3331,\"1\":3332,\"2\":3333},\"SOC\":88,\"PWT\":292,"
                        "\"PMV\":\"47.20\",\"PMA\":\"6.20\",\"PDV\":30.00,\"AMV\":3332,\"TMP\":12,"
                        "\"ALM\":\"0,4,0,0,0,0,0\",\"ALMF\":1,\"DMS\":1,\"CMS\":1}");
    text = text_in(sample->room, ROOM);
    smartbms_values(&text, &sample->source, LAYOUT_SMARTBMS_B);
    assert_non_null(strstr(text.bytes, "{\"b0\":3331,\"b1\":3332,\"b2\":3333,\"SOC\":88,"));
    static const char *const flat[] = {"BATT",       "3;3331;3332;3333",
                                       "SOC",        "88",
                                       "PWATTS",     "292",
                                       "PMVOLT",     "47.20",
                                       "PMAMPERE",   "6.20",
                                       "PDELTAV",    "30",
                                       "PAVERAGEMV", "3332",
                                       "PTEMP",      "12",
                                       "PFAIL",      "0,4,0,0,0,0,0",
                                       "PFAIF",      "1"};
    for (unsigned n = 0; n < 10; n++) {
        text = text_in(sample->room, ROOM);
        assert_string_equal(smartbms_flat(&text, &sample->source, n), flat[2 * n]);
        assert_string_equal(text.bytes, flat[2 * n + 1]);
    }
    assert_null(smartbms_flat(&text, &sample->source, 10));
    /* Only the bytes of Daly are documented. */
    sample->source.status.driver = "jk-pb";
    sample->source.status.driver_title = "JK-BMS, Modbus";
    text = text_in(sample->room, ROOM);
    smartbms_values(&text, &sample->source, LAYOUT_SMARTBMS_B);
    assert_non_null(strstr(text.bytes, "\"ALM\":\"0,0,0,0,0,0,0\",\"ALMF\":1"));
}

TEST(text)
{
    char room[16];
    struct text text = text_in(room, sizeof room);
    text_number(&text, 1.5, 3);
    text_add(&text, " ");
    text_number(&text, -0.0001, 2);
    text_add(&text, " ");
    text_number(&text, 100, 0);
    assert_string_equal(room, "1.5 0 100");
    text_quote(&text, "abcdef");
    assert_true(text.cut);
    assert_true(strlen(room) < sizeof room);
    text = text_in(room, sizeof room);
    text_quote(&text, "\"\\\n");
    assert_string_equal(room, "\"\\\"\\\\\\u000a\"");
    text = text_in(room, sizeof room);
    text_number(&text, NAN, 1);
    assert_string_equal(room, "null");
}
