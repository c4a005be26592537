// SPDX-License-Identifier: MIT
/*
 * `packgate-outlet-history simulate FILE DAYS PACK...` writes a history as if its packs had been there for so many days up to now.
 * `packgate demo` would begin with empty charts without it; tests and measurements need half a year.
 *
 * DAYS:MINUTES, as 190:20, makes rows of each minute in the last twenty days only, and before that of every tenth, which takes a
 * fifth of the time.
 *
 * PACK is NAME=CELLS:AH:SOC[:SEED[:LAG]], a pack that has that state of charge now, and one cell that is charged less by LAG
 * percent; or NAME=PACK+PACK for a bank of packs named before it.
 *
 * --written writes as the outlet does, every ten minutes, with rows of ten seconds that are kept for a day, and prints how many bytes
 * of the last day were handed to the file system.
 */
#ifndef PACKGATE_OUTLETS_HISTORY_SIMULATE_H
#define PACKGATE_OUTLETS_HISTORY_SIMULATE_H

/** Returns the exit status. */
int history_simulate(int argc, char **argv);

#endif
