/* SPDX-License-Identifier: MIT */
/* Misuse of the store's and the console's ring, and of the store itself. */
#include "frontends/guests/badguest/bad.h"
#include "frontends/include/xenbus.h"
#include <xen/io/console.h>

#define ROUNDS 20
#define PAUSE  (50 * NSEC_PER_MSEC)

static struct xenstore_domain_interface *store(void)
{
    return mfn_to_virt(start_info()->store_mfn);
}

static void kick_store(void)
{
    evtchn_send(start_info()->store_evtchn);
    sleep_ns(PAUSE);
}

/* Headers of no type, of huge lengths, then bytes without any sense. */
static void junk_message(uint64_t *rng, struct xsd_sockmsg *hdr)
{
    hdr->type = (uint32_t)prng_next(rng) % 32;
    hdr->req_id = (uint32_t)prng_next(rng);
    hdr->tx_id = prng_next(rng) % 2 ? (uint32_t)prng_next(rng) : 0;
    hdr->len = (uint32_t)prng_next(rng) >> prng_next(rng) % 32;
}

void bad_store(void)
{
    struct xenstore_domain_interface *i = store();
    uint64_t rng = time_ns() | 1, word;
    struct xsd_sockmsg hdr;
    unsigned int n, k;

    for (n = 0; n < ROUNDS; n++) {
        junk_message(&rng, &hdr);
        bytering_put(i->req, sizeof(i->req), &i->req_cons, &i->req_prod, &hdr,
                     sizeof(hdr));
        for (k = 0; k < 100; k++) {
            word = prng_next(&rng);
            bytering_put(i->req, sizeof(i->req), &i->req_cons, &i->req_prod,
                         &word, sizeof(word));
        }
        kick_store();
        /* Throw the answers away, or it waits for room. */
        i->rsp_cons = i->rsp_prod;
    }
    printf("badguest: the store had %u messages of junk\n", n);
}

void bad_store_index(void)
{
    struct xenstore_domain_interface *i = store();

    i->req_prod = i->req_cons + 0x12345678;
    kick_store();
    i->rsp_cons = i->rsp_prod + 0x7fffffff;
    kick_store();
    printf("badguest: the store saw indices that cannot be\n");
}

void bad_console(void)
{
    struct xencons_interface *i = mfn_to_virt(start_info()->console.domU.mfn);

    i->out_prod = i->out_cons + 0x40000000;
    evtchn_send(start_info()->console.domU.evtchn);
    sleep_ns(PAUSE);
    i->in_cons = i->in_prod + 0x1234;
    evtchn_send(start_info()->console.domU.evtchn);
}

void bad_watches(void)
{
    struct xenbus_watch *w;
    char *path;
    unsigned int n;
    int rc = 0;

    for (n = 0; n < 10000 && !rc; n++) {
        w = heap_alloc(sizeof(*w));
        path = heap_alloc(32);
        if (!w || !path)
            break;
        snprintf(path, 32, "data/w%u", n);
        w->path = path;
        rc = xenbus_watch(w);
    }
    printf("badguest: %u watches, then error %d\n", n, rc);
    for (n = 0, rc = 0; n < 10000 && !rc; n++)
        rc = xenbus_printf(XBT_NIL, "data", "n", "%u", n) |
             xenbus_mkdir(XBT_NIL, "data/n/n");
    for (n = 0, rc = 0; n < 10000 && !rc; n++) {
        char name[16];

        snprintf(name, sizeof(name), "node%u", n);
        rc = xenbus_printf(XBT_NIL, "data", name, "%u", n);
    }
    printf("badguest: the store took %u nodes, then error %d\n", n, rc);
}
