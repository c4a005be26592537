// SPDX-License-Identifier: MIT
/* The number of elements of an array; not for pointers. */
#pragma once

#define COUNT(array) (sizeof(array) / sizeof *(array))
