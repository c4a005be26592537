// SPDX-License-Identifier: MIT
/* A packgate that was built without an outlet reports that if a configuration needs it. */
#undef WITHOUT
#define WITHOUT "mqtt,history,influx,web,notify"
#include "config/outlets.c" /* in place of the one in the library */

#include "config_test.h"

TEST(left_out)
{
    static const char *const sections[] = {"[mqtt home]\nbroker = mqtt://h\n", "[history]\n",
                                           "[influx x]\nurl = http://h/write\n", "[web]\n",
                                           "[notify x]\ntype = webhook\nurl = http://h\n"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        char said[64];
        snprintf(said, sizeof said, "f:7: this packgate was built without [%.*s]",
                 (int) strcspn(sections[i] + 1, " ]"), sections[i] + 1);
        expect_said("[line a]\nport = sim:\nprotocol = daly\n[pack a]\nline = a\nunit = 1\n",
                    &(struct said){sections[i], said}, 1);
    }
}
