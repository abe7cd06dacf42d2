/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_BAD_H
#define FRONTENDS_BAD_H

#include "frontends/include/console.h"
#include "frontends/include/kernel.h"

#define NOWHERE_VA 0x00007fdead000000ul

/* disk.c */
void bad_ring(void);
void bad_requests(void);
void bad_grants(void);
void bad_states(void);

/* rings.c */
void bad_store(void);
void bad_store_index(void);
void bad_console(void);
void bad_watches(void);

/* tables.c */
void bad_pins(void);
void bad_maps(void);
void bad_slots(void);
void bad_own_slot(void);
void bad_flips(void);
void bad_loops(void);
void bad_race(void);

/* traps.c */
void bad_recursion(void);
void bad_handlers(void);
void bad_callbacks(void);
void bad_descriptors(void);
void bad_iret(void);
void bad_iret_nowhere(void);
void bad_stack(void);
void bad_counts(void);
void bad_flushes(void);

/* fuzz.c */
void bad_fuzz(void);

#endif
