/* SPDX-License-Identifier: MIT */
/*
 * Permissions: one entry read, written and read again is the same; a whole
 * SET_PERMS of a domain leaves a node with a list within its quota and with
 * its owner.
 */
#include <errno.h>

#include "tests/fuzz/fuzz.h"
#include "xenstore/core/request.h"

static ssize_t nothing(struct sconn *c, void *buf, size_t len)
{
    (void)c;
    (void)buf;
    (void)len;
    return 0;
}

static const struct sconn_ops ops = {.read = nothing};

static void one_entry(const uint8_t *data, size_t size)
{
    struct store_perm p, q;
    char text[64], out[16];

    size = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
    memcpy(text, data, size);
    text[size] = '\0';
    if (perm_parse(&p, text))
        return;
    fuzz_check(perm_format(out, sizeof(out), &p) < (int)sizeof(out));
    fuzz_check(!perm_parse(&q, out));
    fuzz_check(p.id == q.id && p.perms == q.perms);
}

static void whole_request(struct store *s, const uint8_t *data, size_t size)
{
    static const char path[] = "data";
    char payload[XENSTORE_PAYLOAD_MAX];
    struct xsd_sockmsg hdr = {.type = XS_SET_PERMS};
    struct sconn *c = malloc(sizeof(*c));
    const struct tnode *n;

    fuzz_check(c);
    if (size > sizeof(payload) - sizeof(path))
        size = sizeof(payload) - sizeof(path);
    memcpy(payload, path, sizeof(path));
    memcpy(payload + sizeof(path), data, size);
    hdr.len = sizeof(path) + size;
    sconn_init(c, s, &ops, 3, "fuzz");
    sconn_run(c, &hdr, payload);
    n = tree_lookup(s->root, "/local/domain/3/data", 20);
    fuzz_check(n && n->data->nr_perms >= 1 && n->data->nr_perms <= 5);
    fuzz_check(n->data->perms[0].id == 3);
    sconn_fini(c);
    free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct store *kept;

    kept = fuzz_store(kept);
    one_entry(data, size);
    whole_request(kept, data, size);
    fuzz_check_store(kept);
    return 0;
}
