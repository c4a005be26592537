// SPDX-License-Identifier: MIT
/* In place of the others in a build without Bluetooth. */
#include "ports/port_kind.h"

#include "scan.h"
#include "victron.h"

#include "base/alloc.h"

#include <stdlib.h>

static void open_none(struct port *port)
{
    port_failed(port, "this packgate was built without Bluetooth");
}

const struct port_kind port_ble_kind = {
    .prefix = "ble:", .size = sizeof(struct port), .open = open_none};
const struct port_kind port_adverts_kind = {
    .prefix = "ble:", .size = sizeof(struct port), .open = open_none};

bool victron_fits(const uint8_t *record, size_t size, const uint8_t key[VICTRON_KEY])
{
    return false;
}

size_t victron_decrypt(const uint8_t *record, size_t size, const uint8_t key[VICTRON_KEY],
                       uint8_t frame[VICTRON_FRAME_MAX])
{
    return 0;
}

struct scan {
    struct ev_loop *loop;
    scan_done *done;
    void *data;
    ev_timer end;
};

static void on_end(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct scan *scan = timer->data;
    scan->done(scan->data, NULL, 0, "this packgate was built without Bluetooth");
}

struct scan *scan_new(struct ev_loop *loop, const char *adapter, scan_done *done, void *data)
{
    struct scan *scan = alloc_zeroed(1, sizeof *scan);
    *scan = (struct scan){.loop = loop, .done = done, .data = data};
    ev_timer_init(&scan->end, on_end, 0, 0);
    scan->end.data = scan;
    ev_timer_start(loop, &scan->end);
    return scan;
}

void scan_free(struct scan *scan)
{
    ev_timer_stop(scan->loop, &scan->end);
    free(scan);
}
