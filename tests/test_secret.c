// SPDX-License-Identifier: MIT
/* Files with one secret a line. */
#include "base/secret.h"
#include "bms/count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define LONGEST (SECRET_SIZE - 2)

/* Neither a part of a line is a secret, nor the rest of it the next one. */
TEST(lines)
{
    static const struct {
        const char *before;
        size_t length; /* of a token between these */
        const char *after;
        unsigned n;
        const char *secret; /* NULL: the token */
        bool has_reason;
    } cases[] = {
        {"first\nsecond\n", 0, "", 0, "first", false},
        {"first\r\nsecond", 0, "", 1, "second", false},
        {"first\n", 0, "", 1, "", false},
        {"", 0, "", 0, "", false},
        {"", LONGEST, "\nsecond\n", 0, NULL, false},
        {"", LONGEST, "\nsecond\n", 1, "second", false},
        {"", LONGEST + 1, "\nsecond\n", 0, "", true},
        {"", LONGEST + 1, "\nsecond\n", 1, "", true},
        {"", LONGEST + 500, "", 0, "", true},
        {"first\n", LONGEST + 1, "\n", 0, "first", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char token[2 * SECRET_SIZE] = "", out[SECRET_SIZE], path[] = "/tmp/packgate-test-XXXXXX";
        const char *why;
        memset(token, 't', cases[i].length);
        FILE *file = fdopen(mkstemp(path), "w");
        assert_non_null(file);
        fprintf(file, "%s%s%s", cases[i].before, token, cases[i].after);
        fclose(file);
        const bool good = secret_read(path, cases[i].n, out, sizeof out, &why);
        unlink(path);
        if (strcmp(out, cases[i].secret ? cases[i].secret : token) != 0 ||
            good != (out[0] != '\0') || (why != NULL) != cases[i].has_reason)
            fail_msg("case %zu: '%.20s' (%s)", i, out, why ? why : "no reason");
    }
}
