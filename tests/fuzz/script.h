// SPDX-License-Identifier: MIT
/*
 * What an input of the driver fuzzer means: a head that sets up one pack, and behind it a script of
 * what happens on its line. fuzz_driver.c runs scripts, make_seeds.c writes them from exchange
 * files.
 *
 *   head:  variant | address | current | capacity | pack (2) | cells | temps
 *   then:  event | what it takes | event | …
 *
 * Every byte means something, whatever it is: numbers are taken modulo what there is, lengths end
 * with the input.
 */
#pragma once

#define SCRIPT_HEAD 8

enum script_event {
    EVENT_REQUEST,  /* size, bytes: a request as another program may have sent it */
    EVENT_BUILD,    /* step: the driver's own next request */
    EVENT_REPLY,    /* size (2, low byte first), bytes: received as they are */
    EVENT_REPAIRED, /* as EVENT_REPLY, with the checksums in it put right */
    EVENT_SILENCE,  /* the timeout has expired, nothing more arrives */
    EVENT_FINISH,   /* the poll cycle ends */
    EVENT_EMULATE,  /* at (2), size, bytes: the simulated pack answers the request; `bytes` take the
                       place of what stands at `at`, and the checksums are put right */
    EVENT_ASK,      /* size (2), bytes: sent to the simulated pack */
    EVENT_VALUE,    /* id, number (2): a value of the simulated pack */
    EVENT_CONTROL,  /* which and on: the driver's request that switches a MOS */
    SCRIPT_EVENTS
};
