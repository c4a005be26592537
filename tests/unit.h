// SPDX-License-Identifier: MIT
/* cmocka, which does not include the headers that it needs. */
#ifndef PACKGATE_TESTS_UNIT_H
#define PACKGATE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
