/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_BAD_H
#define FRONTENDS_BAD_H

#include "frontends/include/console.h"
#include "frontends/include/kernel.h"

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

#endif
