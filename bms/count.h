// SPDX-License-Identifier: MIT
/* The number of elements of an array; not for pointers. */
#ifndef PACKGATE_BMS_COUNT_H
#define PACKGATE_BMS_COUNT_H

#define COUNT(array) (sizeof(array) / sizeof *(array))

#endif
