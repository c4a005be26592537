// SPDX-License-Identifier: MIT
/* How many elements an array has; not for pointers. */
#ifndef PACKGATE_BMS_COUNT_H
#define PACKGATE_BMS_COUNT_H

#define COUNT(array) (sizeof(array) / sizeof *(array))

#endif
