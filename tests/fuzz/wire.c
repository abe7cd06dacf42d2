/* SPDX-License-Identifier: MIT */
/*
 * A client's byte stream, cut into reads of odd sizes.  The first byte says
 * who speaks: an even one domain 3, an odd one domain 0.  Whatever it sends,
 * every message back is well formed and the books of the store are right.
 */
#include "tests/fuzz/fuzz.h"

struct wire {
    struct sconn c; /* first: the two are one object */
    const uint8_t *data;
    size_t size, step;
    size_t want; /* bytes of the message that is on its way out */
    size_t have;
    char header[sizeof(struct xsd_sockmsg)];
};

static ssize_t wire_read(struct sconn *c, void *buf, size_t len)
{
    struct wire *w = (struct wire *)c;
    size_t n = 1 + w->step++ * 7 % 61;

    n = n > len ? len : n;
    n = n > w->size ? w->size : n;
    memcpy(buf, w->data, n);
    w->data += n;
    w->size -= n;
    return n;
}

/* Follows the messages that go out. */
static void hear(struct wire *w, const char *p, size_t len)
{
    while (len--) {
        if (w->have < sizeof(w->header))
            w->header[w->have] = *p;
        p++;
        w->have++;
        if (w->have == sizeof(w->header)) {
            struct xsd_sockmsg hdr;

            memcpy(&hdr, w->header, sizeof(hdr));
            fuzz_check(hdr.len <= XENSTORE_PAYLOAD_MAX);
            fuzz_check(hdr.type < 32);
            w->want = sizeof(hdr) + hdr.len;
        }
        if (w->want && w->have == w->want)
            w->have = w->want = 0;
    }
}

static ssize_t wire_writev(struct sconn *c, const struct iovec *iov, int nr)
{
    size_t done = 0;

    for (int i = 0; i < nr; i++) {
        hear((struct wire *)c, iov[i].iov_base, iov[i].iov_len);
        done += iov[i].iov_len;
    }
    return done;
}

static const struct sconn_ops ops = {.read = wire_read, .writev = wire_writev};

/* Domain 0 may have the daemon write files: not from here. */
static bool names_a_file(const uint8_t *data, size_t size)
{
    return memmem(data, size, "logfile", 7) || memmem(data, size, "memrep", 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store *s;
    struct wire *w;
    int rc = 1;

    if (!size || names_a_file(data, size))
        return 0;
    s = fuzz_store(NULL);
    w = calloc(1, sizeof(*w));
    fuzz_check(w);
    sconn_init(&w->c, s, &ops, data[0] & 1 ? 0 : 3, "fuzz");
    w->data = data + 1;
    w->size = size - 1;
    while (rc > 0 || (rc == 0 && w->size)) {
        rc = sconn_input(&w->c, 8);
        if (sconn_flush(&w->c) < 0)
            break;
    }
    fuzz_check(rc < 0 || (!w->have && !w->want));
    fuzz_check_store(s);
    sconn_fini(&w->c);
    free(w);
    store_destroy(s);
    store_thread_leave();
    return 0;
}
