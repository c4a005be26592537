// SPDX-License-Identifier: MIT
/* A shunt that only advertises, with a stand-in for BlueZ below it: which records are accepted, and
 * the messages about all others. */
#include "ble_stub.h"

#include "ports/ble/port_adverts.c" /* in place of the one in the library */

#include <nettle/aes.h>

#define ADAPTER "/org/bluez/hci0"
#define SHUNT ADAPTER "/dev_C0_FF_EE_00_00_01"

static const char key_text[] = "aff4d0995b7d1e176c0c33ecb9e70dcd";
static const uint8_t key[] = {0xaf, 0xf4, 0xd0, 0x99, 0x5b, 0x7d, 0x1e, 0x17,
                              0x6c, 0x0c, 0x33, 0xec, 0xb9, 0xe7, 0x0d, 0xcd};

static struct ev_loop *loop;
static int opened; /* descriptor; -1: it is not open */
static char why[160];

static void on_opened(void *data, int fd)
{
    opened = fd;
}

static void on_failed(void *data, const char *text)
{
    opened = -1;
    snprintf(why, sizeof why, "%s", text);
}

/* Opens the port and answers its requests up to the scan. */
static struct port *listen_to(const char *text)
{
    static const struct port_events port_events = {.opened = on_opened, .failed = on_failed};
    struct port_settings settings = {.advertises = true};
    snprintf(settings.key_file, sizeof settings.key_file, "/tmp/packgate-adverts-XXXXXX");
    const int file = mkstemp(settings.key_file);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
    loop = ev_default_loop(0);
    stub_begin();
    opened = -1;
    why[0] = '\0';
    struct port *port =
        port_new(loop, "ble:C0:FF:EE:00:00:01", &settings, NULL, &port_events, NULL);
    assert_non_null(port);
    port_open(port);
    struct stub_call *list = stub_await(loop, "list ");
    unlink(settings.key_file);
    struct bluez_object adapter = {STUB_UNTOLD, .path = ADAPTER, .interface = BLUEZ_ADAPTER};
    adapter.powered = 1;
    stub_tell(list->bluez, &adapter);
    stub_answer(list, NULL, NULL);
    stub_answer(stub_await(loop, "scan " ADAPTER), NULL, NULL);
    return port;
}

static struct bluez *bluez_of(struct port *port)
{
    return &((struct adverts *) port)->bluez;
}

/* An advertisement with the real key and this many hundredths of a volt. */
static void advertise(struct port *port, uint16_t nonce, unsigned centivolts)
{
    uint8_t record[23] = {0x10, 2, 0x89, 0xA3, 2, (uint8_t) nonce, (uint8_t) (nonce >> 8), key[0]};
    uint8_t values[15] = {
        0xFF, 0xFF, (uint8_t) centivolts, (uint8_t) (centivolts >> 8), 0, 0, 0, 0, 3, 0, 0, 0xF4, 1,
        0x40, 0xDF};
    uint8_t pad[16], counter[16] = {record[5], record[6]};
    struct aes128_ctx aes;
    aes128_set_encrypt_key(&aes, key);
    aes128_encrypt(&aes, sizeof pad, pad, counter);
    for (unsigned i = 0; i < sizeof values; i++)
        record[8 + i] = values[i] ^ pad[i];
    stub_tell(bluez_of(port), &(struct bluez_object){
                                  STUB_UNTOLD, .path = SHUNT, .interface = BLUEZ_DEVICE,
                                  .heard = true, .victron = record, .victron_size = sizeof record});
}

/* Answers the pending request to BlueZ. */
static void answer_question(void)
{
    stub_answer(stub_await(loop, "ping "), NULL, NULL);
}

static unsigned frames(void)
{
    uint8_t bytes[512];
    const ssize_t size = opened >= 0 ? read(opened, bytes, sizeof bytes) : 0;
    return size > 0 ? (unsigned) size / 28 : 0;
}

TEST(believes_three_that_agree)
{
    struct port *port = listen_to(key_text);
    answer_question();
    advertise(port, 1, 2600);
    advertise(port, 1, 2600); /* repeated */
    advertise(port, 2, 2650);
    assert_int_equal(opened, -1);
    advertise(port, 3, 2700);
    assert_true(opened >= 0);
    assert_int_equal(frames(), 1);
    /* Once the record is accepted, voltages may change freely. */
    advertise(port, 4, 5400);
    advertise(port, 4, 5400);
    assert_int_equal(frames(), 1);
    port_free(port);
}

TEST(takes_young_ones_only)
{
    struct port *port = listen_to(key_text);
    for (uint16_t n = 1; n <= 5; n++)
        advertise(port, n, 2600); /* BlueZ has not answered the last request yet */
    assert_int_equal(opened, -1);
    answer_question();
    for (uint16_t n = 11; n <= 13; n++)
        advertise(port, n, 2600);
    assert_int_equal(frames(), 1);
    /* The next request is sent, and the bus hangs. */
    struct stub_call *question = stub_await(loop, "ping ");
    turned_clock_at += 1;
    advertise(port, 14, 2600);
    assert_int_equal(frames(), 1);
    turned_clock_at += 3;
    advertise(port, 15, 2600);
    assert_int_equal(frames(), 0);
    /* The answer to an old request does not count as current; the next one does. */
    stub_answer(question, NULL, NULL);
    advertise(port, 16, 2600);
    assert_int_equal(frames(), 0);
    answer_question();
    advertise(port, 17, 2600);
    assert_int_equal(frames(), 1);
    port_free(port);
}

/* Anybody can advertise under its name: foreign records are ignored, and if nothing else arrives the port gives
 * up. */
TEST(passes_over_what_is_not_its)
{
    struct port *port = listen_to(key_text);
    answer_question();
    for (uint16_t n = 1; n <= 3; n++)
        advertise(port, n, 2600);
    assert_int_equal(frames(), 1);
    uint8_t forged[64] = {0x10, 2, 0x89, 0xA3, 2, 0, 0, 0x55};
    struct bluez_object object = {STUB_UNTOLD, .path = SHUNT, .interface = BLUEZ_DEVICE,
                                  .heard = true, .victron = forged};
    for (object.victron_size = 0; object.victron_size <= sizeof forged; object.victron_size++) {
        /* (Random bytes of this length pass as a record one time in four.) */
        forged[7] = object.victron_size < 23 && object.victron_size % 2 ? key[0] : 0x55;
        forged[5] = (uint8_t) object.victron_size;
        stub_tell(bluez_of(port), &object);
        if (object.victron_size % 3 == 0)
            advertise(port, 3, 2600); /* repeated */
    }
    assert_string_equal(why, "");
    char nothing;
    assert_int_equal(read(opened, &nothing, 1), -1);
    advertise(port, 4, 2610);
    assert_int_equal(frames(), 1);
    object.victron_size = 23;
    forged[7] = 0x55;
    for (unsigned n = 0; n < 4; n++)
        stub_tell(bluez_of(port), &object);
    advertise(port, 5, 2610);
    assert_int_equal(frames(), 1);
    for (unsigned n = 0; n < 5; n++)
        stub_tell(bluez_of(port), &object);
    char end;
    assert_int_equal(read(opened, &end, 1), 0);
    port_free(port);
}

/* Each wrong key that begins like the right one: of hundreds of records none is accepted. */
TEST(finds_noise_out)
{
    unsigned found_out = 0;
    for (unsigned n = 0; n < 64; n++) {
        char text[sizeof key_text];
        snprintf(text, sizeof text, "af%02x%s", n, key_text + 4);
        struct port *port = listen_to(text);
        answer_question();
        for (uint16_t nonce = 1; nonce <= 40 && !why[0]; nonce++)
            advertise(port, nonce, 2600);
        assert_int_equal(opened, -1);
        found_out += strstr(why, "the key in its key_file is not the one of this device") != NULL;
        port_free(port);
    }
    assert_int_equal(found_out, 64);
}

TEST(says_what_is_wrong)
{
    char text[sizeof key_text];
    snprintf(text, sizeof text, "00%s", key_text + 2);
    struct port *port = listen_to(text);
    answer_question();
    advertise(port, 1, 2600);
    assert_string_equal(why, "the key in its key_file is not the one of this device");
    port_free(port);
    port = listen_to(key_text);
    while (!why[0]) {
        ev_run(loop, EVRUN_ONCE);
        if (stub_looked < stub_count && stub_calls[stub_looked].reply)
            stub_answer(&stub_calls[stub_looked], NULL, NULL);
        stub_begin(); /* there are many */
    }
    assert_non_null(strstr(why, "it is not heard"));
    port_free(port);
}
