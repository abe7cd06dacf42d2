/* SPDX-License-Identifier: MIT */
/* The shared page of xen/io/console.h, from dom0's side. */
#ifndef BACKENDS_CONSOLE_RING_H
#define BACKENDS_CONSOLE_RING_H

#include <stddef.h>
#include <stdint.h>
#include <xen/io/console.h>

/*
 * Takes up to size bytes of output; how many there were. -1: the guest's
 * indices are impossible.
 */
int console_ring_read(struct xencons_interface *intf, char *buf, size_t size);

/* Puts in up to size bytes of input; how many fitted, or -1. */
int console_ring_write(struct xencons_interface *intf, const char *buf,
                       size_t size);

#endif
