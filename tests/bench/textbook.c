// SPDX-License-Identifier: MIT
/*
 * A Modbus TCP server as the manual of libmodbus shows it for several clients
 * (modbus_tcp_accept, modbus_receive, modbus_reply around a select loop): what one gets without
 * further thought. It waits in modbus_receive for whatever a slow client has not sent yet.
 */
#include "fixture.h"

#include <modbus.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#define CLIENTS_MAX 1000

struct textbook {
    modbus_t *modbus;
    modbus_mapping_t *mapping;
    int listener;
    fd_set open;
    int highest;
};

static void take_client(struct textbook *server)
{
    const int fd = modbus_tcp_accept(server->modbus, &server->listener);
    if (fd < 0)
        return;
    if (fd >= FD_SETSIZE) {
        close(fd);
        return;
    }
    FD_SET(fd, &server->open);
    server->highest = fd > server->highest ? fd : server->highest;
}

static void serve(struct textbook *server, int fd)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(server->modbus, fd);
    const int size = modbus_receive(server->modbus, query);
    if (size > 0) {
        modbus_reply(server->modbus, query, size, server->mapping);
    } else if (size < 0) {
        close(fd);
        FD_CLR(fd, &server->open);
    }
}

static void start(struct textbook *server, const struct words *words)
{
    server->modbus = modbus_new_tcp("127.0.0.1", 0);
    server->mapping = modbus_mapping_new(0, 0, (int) (words->address + words->count), 0);
    if (!server->modbus || !server->mapping)
        fail("libmodbus");
    memcpy(server->mapping->tab_registers + words->address, words->word,
           words->count * sizeof words->word[0]);
    server->listener = modbus_tcp_listen(server->modbus, CLIENTS_MAX);
    if (server->listener < 0)
        fail("modbus_tcp_listen");
    FD_ZERO(&server->open);
    FD_SET(server->listener, &server->open);
    server->highest = server->listener;
    announce(server->listener);
}

int main(int argc, char **argv)
{
    static struct textbook server;
    struct words words;
    words_parse(&words, argv + 1, argc - 1);
    start(&server, &words);
    for (;;) {
        fd_set ready = server.open;
        if (select(server.highest + 1, &ready, NULL, NULL, NULL) < 0)
            fail("select");
        for (int fd = 0; fd <= server.highest; fd++) {
            if (!FD_ISSET(fd, &ready))
                continue;
            if (fd == server.listener)
                take_client(&server);
            else
                serve(&server, fd);
        }
    }
}
