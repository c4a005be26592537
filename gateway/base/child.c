// SPDX-License-Identifier: MIT
/* Child processes that do what may take long. */
#include "child.h"

#include <fcntl.h>
#include <unistd.h>

#define FIRST_OTHER (STDERR_FILENO + 1)

int child_settle(int keep)
{
    if (keep < 0) {
        closefrom(FIRST_OTHER);
        return -1;
    }
    int kept = keep == FIRST_OTHER ? keep : dup2(keep, FIRST_OTHER);
    closefrom(FIRST_OTHER + 1);
    return kept;
}
