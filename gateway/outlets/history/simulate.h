// SPDX-License-Identifier: MIT
/*
 * `packgate-outlet-history simulate FILE DAYS PACK...` writes a history as if its packs had existed
 * for that many days until now. Without it the charts of `packgate demo` would begin empty; tests
 * and measurements need half a year.
 *
 * DAYS:MINUTES, as in 190:20, writes rows of each minute for the last twenty days only, and of
 * every tenth minute before, which takes a fifth of the time.
 *
 * PACK is NAME=CELLS:AH:SOC[:SEED[:LAG]], a pack that has that state of charge now, with one cell
 * that is charged less by LAG percent; or NAME=PACK+PACK for a bank of packs named before it.
 *
 * --written writes like the outlet, every ten minutes, with rows of ten seconds that are kept for a
 * day, and prints how many bytes of the last day were handed to the file system.
 */
#pragma once

/** Returns the exit status. */
int history_simulate(int argc, char **argv);
