// SPDX-License-Identifier: MIT
/* The displayed text of a configuration. */
#include "config/load.h"

#include <stdlib.h>

#include "unit.h"

#define KEY "aff4d0995b7d1e176c0c33ecb9e70dcd"

TEST(secrets)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"password_file = /etc/secret", "password_file = /etc/secret"},
        {"password_file = hunter2", "password_file = ***"},
        {"password = hunter2", "password = ***"},
        {"; token: hunter2", "; token: ***"},
        {"url = http://me:hunter2@host/x", "url = http://***@host/x"},
        {"port = ble:AA:BB:CC:DD:EE:FF", "port = ble:AA:BB:CC:DD:EE:FF"},
        /* The key of a shunt is masked wherever it was pasted. */
        {"key_file = /etc/packgate/shunt.key", "key_file = /etc/packgate/shunt.key"},
        {"key_file = " KEY, "key_file = ***"},
        {"key_file = /" KEY, "key_file = /***"},
        {"key = af f4 d0 99", "key = ***"},
        {"encryption_data = " KEY, "encryption_data = ***"},
        {"# its key is " KEY " now", "# its key is *** now"},
        {"; shunt: " KEY, "; shunt: ***"},
        {KEY, "***"},
        {KEY " = x", "*** = x"},
        {"name = aff4d0995b7d1e17", "name = aff4d0995b7d1e17"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *shown = config_masked(cases[i].text);
        assert_string_equal(shown, cases[i].shown);
        free(shown);
    }
}
