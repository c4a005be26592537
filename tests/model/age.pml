// SPDX-License-Identifier: MIT
/*
 * The rule of the open requests (gateway/lines/ledger.h), for the model checker spin. tests/model/check runs it.
 *
 * One pack on one line. We send polls and orders, and now and then lend the line to a borrower. No answer carries a
 * number: all that can be seen of it is how it looks. What is assumed:
 *
 * - The pack answers in the order in which it was asked, or not at all. It may acknowledge an order late, behind answers
 *   to later requests, if the acknowledgement looks like no answer to a poll (B1, B2).
 * - Answers arrive in the order in which they were sent, any time later, or are lost.
 * - ANSWER_MOST after a request was sent, the pack has answered it or never will. On a serial line the answer has
 *   arrived by then as well; a connection may hold it back for any time.
 *
 * What is claimed, by the assertions in receive():
 *
 * - A value is never younger than it says, and it is the answer to the words that it is published for.
 * - Nobody gets the answer to the request of somebody else; but a borrower may get that of a pack that was off.
 * - No order is confirmed by the answer to another one.
 * - What arrives has a candidate: a request leaves the list only when it cannot be answered any more.
 *
 * Not in here: several packs on a line, a list that is full, lines with `settle`, and loans that begin while an order is
 * open that a later answer has passed.
 *
 * Requests 1 .. count are in the order in which they were sent. One that is neither open nor under way is removed, and
 * those behind it move up. So the claims hold for any number of requests of which N are open or under way at a time.
 */
#ifndef N
#define N 3
#endif
#ifndef OFF
#define OFF false /* we may take the pack for switched off, and lend the line while something is open */
#endif
#define NONE 0

mtype = { POLL, NOBODY, ORDER, LOAN, IN_PACK, ON_WIRE, GONE };

/* Words. Answers to A1 and A2 look alike, and those to B1 and B2. */
#define A1 2
#define A2 3
#define B1 4
#define B2 5
#define C1 6
#define look(n) (words[n] / 2)
#define may_be_late(n) (words[n] / 2 == 2)

bool open[N + 1];
byte words[N + 1];
mtype owner[N + 1];
mtype place[N + 1]; /* of the request, then of its answer; GONE: it will not be answered */
byte old_when_sent[N + 1]; /* ANSWER_MOST had passed since requests 1 to this one were sent */
byte old = 0;              /* the same now */
byte count = 0;

bool holds_back; /* the line is a connection, and may hold answers back */
bool lent = false;

/* Which requests the pack can answer next, and whose answers can arrive next; 0: none. */
byte asked_first, asked_next, said_first, said_next;

byte i, k, oldest, newest;
bool single, usable, any_open;

inline expire(n) {
    for (i : 1 .. n) {
        open[i] = false
    };
    i = 0
}

/* It and all before it leave the list, but an order stays until it is answered itself. */
inline settle(n) {
    for (i : 1 .. n) {
        if
        :: i == n || owner[i] != ORDER -> open[i] = false
        :: else
        fi
    }
}

/* The open requests that the frame can answer. Nobody knows what the answer to a loan looks like: any frame can be it. */
inline find_candidates(n) {
    oldest = NONE;
    single = true;
    usable = true;
    for (i : 1 .. count) {
        if
        :: open[i] && (owner[i] == LOAN || look(i) == look(n)) ->
            if
            :: oldest == NONE -> oldest = i
            :: else -> single = false
            fi;
            newest = i;
            usable = usable && words[i] == words[oldest]
        :: else
        fi
    }
    usable = usable && owner[oldest] != LOAN && owner[oldest] != NOBODY /* maybe the borrower's, maybe ours */
}

inline receive(n) {
    place[n] = GONE;
    find_candidates(n);
    assert(oldest != NONE);
    assert(oldest <= n && n <= newest);
    assert(!single || n == oldest);
    if
    :: lent -> assert(owner[n] == LOAN || OFF) /* it goes to the borrower */
    :: !lent && !usable -> skip /* thrown away */
    :: !lent && usable && owner[oldest] == ORDER ->
        if
        :: single -> assert(n == oldest) /* acknowledged */
        :: else -> skip /* its state is read back */
        fi
    :: else -> /* published, as old as the oldest */
        assert(owner[n] != LOAN && words[n] == words[oldest])
    fi;
    settle(oldest);
    expire(old_when_sent[oldest])
}

/* The first request there, and the first that overtakes a late acknowledgement. */
inline find_next(n, first, next, overtakes) {
    if
    :: first == NONE -> first = n
    :: first != NONE && next == NONE && may_be_late(first) && !may_be_late(n) && (overtakes) -> next = n
    :: else
    fi
}

/* The line is lent: answers to polls that are still open become nobody's. */
inline lend() {
    for (i : 1 .. count) {
        if
        :: owner[i] == POLL -> owner[i] = NOBODY
        :: else
        fi
    };
    i = 0;
    lent = true
}

inline send(w, who) {
    count++;
    words[count] = w;
    owner[count] = who;
    open[count] = true;
    place[count] = IN_PACK;
    old_when_sent[count] = old;
    any_open = true;
    find_next(count, asked_first, asked_next, true)
}

inline remove(n) {
    for (k : n .. count - 1) {
        open[k] = open[k + 1];
        words[k] = words[k + 1];
        owner[k] = owner[k + 1];
        place[k] = place[k + 1];
        old_when_sent[k] = old_when_sent[k + 1]
    }
    open[count] = false;
    words[count] = 0;
    owner[count] = 0;
    place[count] = 0;
    old_when_sent[count] = 0;
    count--;
    for (k : 1 .. count) {
        old_when_sent[k] = old_when_sent[k] - (old_when_sent[k] >= n)
    }
    old = old - (old >= n)
}

/* Ends each step: forgets what does not matter any more, and finds what can happen next. */
inline tidy() {
    i = 1;
    do
    :: i > count -> break
    :: i <= count && !open[i] && place[i] == GONE -> remove(i)
    :: else ->
        if
        :: owner[i] == LOAN && place[i] == GONE -> words[i] = A1
        :: else
        fi;
        i++
    od;
    asked_first = NONE;
    asked_next = NONE;
    said_first = NONE;
    said_next = NONE;
    any_open = false;
    for (i : 1 .. count) {
        any_open = any_open || open[i];
        if
        :: place[i] == IN_PACK -> find_next(i, asked_first, asked_next, true)
        :: place[i] == ON_WIRE -> find_next(i, said_first, said_next, said_first > old_when_sent[i])
        :: else
        fi
    }
    i = 0; k = 0; oldest = 0; newest = 0; single = false; usable = false
}

inline open_anew() {
    for (i : 1 .. count) {
        if
        :: place[i] == ON_WIRE -> place[i] = GONE
        :: else
        fi
    };
    expire(old);
    lent = false
}

active proctype line() {
    if
    :: holds_back = true
    :: holds_back = false
    fi;
end:
    do
    /* We poll or order, whether the request before was answered or not. */
    :: d_step { count < N && !lent -> send(A1, POLL) }
    :: d_step { count < N && !lent -> send(A2, POLL) }
    :: d_step { count < N && !lent -> send(C1, POLL) }
    :: d_step { count < N && !lent -> send(A2, ORDER) }
    :: d_step { count < N && !lent -> send(B1, ORDER) }
    :: d_step { count < N && !lent -> send(B2, ORDER) }
    /* The line is lent when the list is empty, or the pack is off. */
    :: d_step { !lent && !any_open -> lent = true }
    :: d_step { !lent && OFF -> lend() }
    :: d_step { count < N && lent -> send(A1, LOAN) }
    :: d_step { count < N && lent -> send(C1, LOAN) }
    :: d_step { lent -> lent = false }
    /* The pack answers, or it does not. */
    :: d_step { asked_first != NONE -> place[asked_first] = ON_WIRE; tidy() }
    :: d_step { asked_next != NONE -> place[asked_next] = ON_WIRE; tidy() }
    :: d_step { asked_first != NONE -> place[asked_first] = GONE; tidy() }
    /* The answer arrives, or it is lost. */
    :: d_step { said_first != NONE -> receive(said_first); tidy() }
    :: d_step { said_next != NONE -> receive(said_next); tidy() }
    :: d_step { said_first != NONE -> place[said_first] = GONE; tidy() }
    /* Time passes: it is ANSWER_MOST since one more request was sent. */
    :: d_step { old < count && place[old + 1] != IN_PACK && (holds_back || place[old + 1] == GONE) -> old++ }
    /* A request that old cannot be answered any more where nothing holds answers back, */
    :: d_step { !holds_back && old > 0 -> expire(old); tidy() }
    /* or once the connection was opened anew. What was on the wire is lost,
     * or thrown away when it comes first on the new connection. */
    :: d_step { holds_back && count > 0 -> open_anew(); tidy() }
    od
}
