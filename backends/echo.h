/* SPDX-License-Identifier: MIT */
/*
 * The echo device's protocol: a ring whose every request comes straight back.
 * For measuring a ring by itself; freestanding, both halves include it.
 *
 * Store: the frontend writes ring-ref and event-channel, then Initialised.
 * xen_mb() and its fellows are the includer's to define (see xen/io/ring.h).
 */
#ifndef BACKENDS_ECHO_H
#define BACKENDS_ECHO_H

#include <stdint.h>
#include <xen/io/ring.h>

struct echo_request {
    uint64_t id; /* IN: echoed */
    uint64_t value;
};

struct echo_response {
    uint64_t id;
    uint64_t value; /* OUT: the request's value + 1 */
};

DEFINE_RING_TYPES(echo, struct echo_request, struct echo_response);

#endif
