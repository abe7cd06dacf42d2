/* SPDX-License-Identifier: MIT */
/*
 * A guest's ring page in hostile hands: the input is a list of steps that put
 * bytes, move indices, ask for a reconnect or let the store run.  The store
 * never writes beyond what it may, and an index it cannot follow only stops
 * this ring until it reconnects.
 */
#include "tests/fuzz/fuzz.h"
#include "xenstore/core/ring.h"

struct steps {
    const uint8_t *data;
    size_t size;
};

static uint32_t take(struct steps *in, size_t bytes)
{
    uint32_t value = 0;

    for (size_t i = 0; i < bytes && in->size; i++, in->size--)
        value |= (uint32_t)*in->data++ << (8 * i);
    return value;
}

/* As a frontend does, whether there is room or not. */
static void put(struct xenstore_domain_interface *page, struct steps *in)
{
    uint32_t n = take(in, 1);

    while (n-- && in->size)
        page->req[MASK_XENSTORE_IDX(page->req_prod++)] = take(in, 1);
}

/* A request that is in order, so that deeper code is reached. */
static void request(struct xenstore_domain_interface *page, struct steps *in)
{
    struct xsd_sockmsg hdr = {.type = take(in, 1), .tx_id = take(in, 1)};
    uint32_t n = take(in, 1);

    hdr.len = n < in->size ? n : in->size;
    for (size_t i = 0; i < sizeof(hdr); i++)
        page->req[MASK_XENSTORE_IDX(page->req_prod++)] = ((char *)&hdr)[i];
    for (n = hdr.len; n; n--)
        page->req[MASK_XENSTORE_IDX(page->req_prod++)] = take(in, 1);
}

static void run(struct sring *r, bool drain)
{
    struct xenstore_domain_interface *page = r->page;

    for (int i = 0; i < 8; i++) {
        bool sane = page->rsp_prod - page->rsp_cons <= XENSTORE_RING_SIZE;

        sring_turn(r);
        if (sane)
            fuzz_check(page->rsp_prod - page->rsp_cons <= XENSTORE_RING_SIZE);
        if (drain && !r->conn.ignored)
            page->rsp_cons = page->rsp_prod;
    }
    fuzz_check(page->error <= XENSTORE_ERROR_PROTO);
    fuzz_check(!r->conn.ignored || !r->conn.txns);
}

static void step(struct sring *r, struct steps *in)
{
    struct xenstore_domain_interface *page = r->page;

    switch (take(in, 1) % 9) {
    case 0:
        put(page, in);
        break;
    case 1:
        page->req_prod = take(in, 4);
        break;
    case 2:
        page->rsp_cons = take(in, 4);
        break;
    case 3:
        page->req_cons = take(in, 4);
        break;
    case 4:
        page->rsp_prod = take(in, 4);
        break;
    case 5:
        page->connection = take(in, 1);
        break;
    case 6:
        run(r, false);
        break;
    case 7:
        request(page, in);
        break;
    default:
        run(r, true);
    }
}

/* Domain 3 and all it has is gone. */
static void forget(struct store *s)
{
    store_lock(s);
    sdom_get(s, 3)->introduced = true;
    store_unlock(s);
    pthread_mutex_lock(&s->admin);
    fuzz_check(!sdom_release(s, 3, "fuzz"));
    pthread_mutex_unlock(&s->admin);
    fuzz_check(!sdom_find(s, 3));
}

/* One store for all inputs: to end one takes ten milliseconds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xenstore_domain_interface *page = calloc(1, sizeof(*page));
    struct sring *r = calloc(1, sizeof(*r));
    struct steps in = {data, size};
    static struct store *kept;

    kept = fuzz_store(kept);
    fuzz_check(page && r);
    fuzz_check(!sring_init(r, kept, 3, page, 3));
    while (in.size)
        step(r, &in);
    run(r, true);
    fuzz_check_store(kept);
    sring_fini(r);
    free(page);
    free(r);
    forget(kept);
    return 0;
}
