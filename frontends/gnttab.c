/* SPDX-License-Identifier: MIT */
/* The guest's grant table, mapped from Xen on first use. */
#include "frontends/include/gnttab.h"
#include "frontends/include/hypercall.h"
#include "frontends/include/kernel.h"

#define MAX_FRAMES        8
#define ENTRIES_PER_FRAME (PAGE_SIZE / sizeof(struct grant_entry_v1))
#define MAX_ENTRIES       (MAX_FRAMES * ENTRIES_PER_FRAME)

static struct gnttab table;
static uint32_t next_free[MAX_ENTRIES];

static unsigned int frames_allowed(void)
{
    struct gnttab_query_size q = {.dom = DOMID_SELF};

    if (hypervisor_grant_table_op(GNTTABOP_query_size, &q, 1) ||
        q.status != GNTST_okay)
        return 1;
    return MIN(q.max_nr_frames, MAX_FRAMES);
}

static int map_frames(const xen_pfn_t *frames, unsigned int n)
{
    char *va, *first = NULL;
    unsigned int i;

    for (i = 0; i < n; i++) {
        va = map_machine(frames[i] << PAGE_SHIFT, PAGE_SIZE, false);
        if (!va || (first && va != first + i * PAGE_SIZE))
            return -ENOMEM;
        if (!first)
            first = va;
    }
    gnttab_state_init(&table, (struct grant_entry_v1 *)first, next_free,
                      n * ENTRIES_PER_FRAME, GNTTAB_NR_RESERVED_ENTRIES);
    return 0;
}

static int setup(void)
{
    struct gnttab_set_version v = {.version = 1};
    xen_pfn_t frames[MAX_FRAMES];
    struct gnttab_setup_table op = {.dom = DOMID_SELF};
    long rc;

    if (table.nr)
        return 0;
    /* A loader may have left version 2; refused if it is 1 and in use. */
    (void)hypervisor_grant_table_op(GNTTABOP_set_version, &v, 1);
    op.nr_frames = frames_allowed();
    set_xen_guest_handle(op.frame_list, frames);
    rc = hypervisor_grant_table_op(GNTTABOP_setup_table, &op, 1);
    if (rc || op.status != GNTST_okay) {
        printf("gnttab: no grant table of %u frames: error %ld, status %d\n",
               op.nr_frames, rc, op.status);
        return -ENODEV;
    }
    return map_frames(frames, op.nr_frames);
}

int gnttab_grant(domid_t dom, const void *page, bool read_only)
{
    int rc = setup();

    if (rc)
        return rc;
    return gnttab_state_grant(&table, dom, (uint32_t)virt_to_mfn(page),
                              read_only);
}

int gnttab_end(grant_ref_t ref)
{
    return gnttab_state_end(&table, ref);
}

uint32_t gnttab_free_count(void)
{
    return setup() ? 0 : table.nr_free;
}

struct grant_entry_v1 *gnttab_entry(grant_ref_t ref)
{
    return setup() || ref >= table.nr ? NULL : &table.entry[ref];
}
