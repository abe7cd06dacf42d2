/* SPDX-License-Identifier: MIT */
#include "backends/vbd_inflight.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The reader of the log is another process, after this one's death, which
 * stops at one instruction on the CPU's own view of memory: only the order of
 * the compiler's stores matters, but release says it best.
 */
static void set_state(struct vbd_log_entry *e, enum vbd_log_state state)
{
    __atomic_store_n(&e->state, (uint32_t)state, __ATOMIC_RELEASE);
}

static void rebuild_free(struct vbd_inflight *inf)
{
    unsigned int i;

    inf->nr_free = inf->nr_done = 0;
    for (i = VBD_LOG_SLOTS; i--;)
        if (inf->log->entry[i].state == VBD_LOG_FREE)
            inf->free[inf->nr_free++] = (uint16_t)i;
}

void vbd_inflight_reset(struct vbd_inflight *inf, struct vbd_log *log)
{
    memset(log, 0, sizeof(*log));
    log->magic = VBD_LOG_MAGIC;
    inf->log = log;
    rebuild_free(inf);
}

unsigned int vbd_inflight_take(struct vbd_inflight *inf, RING_IDX idx,
                               const struct blkif_request *req)
{
    unsigned int slot = inf->free[--inf->nr_free];
    struct vbd_log_entry *e = &inf->log->entry[slot];

    e->req_idx = idx;
    e->req = *req;
    VBD_CRASH_POINT("copied, not marked");
    set_state(e, VBD_LOG_BUSY);
    VBD_CRASH_POINT("marked");
    return slot;
}

void vbd_inflight_done(struct vbd_inflight *inf, unsigned int slot,
                       RING_IDX rsp_idx, int16_t status)
{
    struct vbd_log_entry *e = &inf->log->entry[slot];

    e->rsp_idx = rsp_idx;
    e->status = status;
    e->op = vbd_rsp_operation(&e->req);
    VBD_CRASH_POINT("answered, not marked");
    set_state(e, VBD_LOG_DONE);
    VBD_CRASH_POINT("answered");
    inf->done[inf->nr_done++] = (uint16_t)slot;
}

void vbd_inflight_before_publish(struct vbd_inflight *inf, RING_IDX rsp_prod)
{
    VBD_CRASH_POINT("before the log's rsp_prod");
    __atomic_store_n(&inf->log->rsp_prod, rsp_prod, __ATOMIC_RELEASE);
    VBD_CRASH_POINT("before publish");
}

void vbd_inflight_after_publish(struct vbd_inflight *inf)
{
    VBD_CRASH_POINT("published");
    while (inf->nr_done) {
        uint16_t slot = inf->done[--inf->nr_done];

        set_state(&inf->log->entry[slot], VBD_LOG_FREE);
        inf->free[inf->nr_free++] = slot;
        VBD_CRASH_POINT("one cleared");
    }
}

/* True while the guest cannot have seen this entry's response. */
static bool is_owed(const struct vbd_log_entry *e, RING_IDX rsp_prod)
{
    if (e->state == VBD_LOG_BUSY)
        return true;
    return e->state == VBD_LOG_DONE && (int32_t)(e->rsp_idx - rsp_prod) >= 0;
}

static int by_age(const void *a, const void *b, void *log)
{
    const struct vbd_log *l = log;
    int32_t d = (int32_t)(l->entry[*(const uint16_t *)a].req_idx -
                          l->entry[*(const uint16_t *)b].req_idx);

    return d < 0 ? -1 : d > 0;
}

int vbd_inflight_recover(struct vbd_inflight *inf, struct vbd_log *log,
                         RING_IDX rsp_prod, struct vbd_recovery *rec)
{
    unsigned int i, nr_unpublished = 0;

    if (log->magic != VBD_LOG_MAGIC)
        return -EPROTO;
    inf->log = log;
    rec->nr_owed = 0;
    for (i = 0; i < VBD_LOG_SLOTS; i++) {
        if (is_owed(&log->entry[i], rsp_prod)) {
            nr_unpublished += log->entry[i].state == VBD_LOG_DONE;
            rec->owed[rec->nr_owed++] = (uint16_t)i;
        }
    }
    /* The ring says what the log said last, or what it said before that. */
    if ((RING_IDX)(log->rsp_prod - rsp_prod) > nr_unpublished)
        return -EPROTO;
    /* From here on what is DONE may change, so that the test above would not
     * hold if we die too: the log agrees with the ring first. */
    __atomic_store_n(&log->rsp_prod, rsp_prod, __ATOMIC_RELEASE);
    VBD_CRASH_POINT("recovering");
    for (i = 0; i < VBD_LOG_SLOTS; i++)
        if (!is_owed(&log->entry[i], rsp_prod))
            set_state(&log->entry[i], VBD_LOG_FREE);
    qsort_r(rec->owed, rec->nr_owed, sizeof(rec->owed[0]), by_age, log);
    rec->rsp_prod = rsp_prod;
    rec->req_cons = rsp_prod + rec->nr_owed;
    rebuild_free(inf);
    return 0;
}
