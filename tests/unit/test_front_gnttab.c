/* SPDX-License-Identifier: MIT */
/*
 * Proves the guest's grant states: references are given out once, reserved
 * ones never; an entry reads as it must when Xen may look; access ends only
 * when nobody maps or copies, and a refused end changes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "frontends/include/gnttab.h"

#define NR    64
#define FIRST GNTTAB_NR_RESERVED_ENTRIES

static struct grant_entry_v1 entry[NR];
static uint32_t next_free[NR];
static struct gnttab gt;

static int fresh(void **state)
{
    (void)state;
    memset(entry, 0, sizeof(entry));
    gnttab_state_init(&gt, entry, next_free, NR, FIRST);
    return 0;
}

static void all_once(void **state)
{
    bool seen[NR] = {false};
    int ref, n;

    (void)state;
    assert_int_equal(gt.nr_free, NR - FIRST);
    for (n = 0;
         (ref = gnttab_state_grant(&gt, 3, 0x1000u + (uint32_t)n, n % 2)) >= 0;
         n++) {
        assert_true(ref >= FIRST && ref < NR);
        assert_false(seen[ref]);
        seen[ref] = true;
        assert_int_equal(entry[ref].domid, 3);
        assert_int_equal(entry[ref].frame, 0x1000 + n);
        assert_int_equal(entry[ref].flags,
                         GTF_permit_access | (n % 2 ? GTF_readonly : 0));
    }
    assert_int_equal(ref, -ENOSPC);
    assert_int_equal(n, NR - FIRST);
    assert_int_equal(gt.nr_free, 0);
    for (ref = FIRST; ref < NR; ref++)
        assert_int_equal(gnttab_state_end(&gt, (grant_ref_t)ref), 0);
    assert_int_equal(gt.nr_free, NR - FIRST);
    assert_true(gnttab_state_grant(&gt, 0, 1, false) >= FIRST);
}

static void busy(void **state)
{
    static const uint16_t uses[] = {GTF_reading, GTF_writing,
                                    GTF_reading | GTF_writing};
    int ref = gnttab_state_grant(&gt, 0, 42, false);
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        entry[ref].flags |= uses[i];
        assert_int_equal(gnttab_state_end(&gt, (grant_ref_t)ref), -EBUSY);
        assert_int_equal(entry[ref].flags, GTF_permit_access | uses[i]);
        assert_int_equal(gt.nr_free, NR - FIRST - 1);
        entry[ref].flags &= (uint16_t)~uses[i];
    }
    assert_int_equal(gnttab_state_end(&gt, (grant_ref_t)ref), 0);
    assert_int_equal(entry[ref].flags, 0);
}

static void wrong(void **state)
{
    int ref = gnttab_state_grant(&gt, 0, 42, false);

    (void)state;
    assert_int_equal(gnttab_state_end(&gt, NR), -EINVAL);
    assert_int_equal(gnttab_state_end(&gt, 0xffffffff), -EINVAL);
    assert_int_equal(gnttab_state_end(&gt, NR - 1), -EINVAL);
    assert_int_equal(gnttab_state_end(&gt, (grant_ref_t)ref), 0);
    assert_int_equal(gnttab_state_end(&gt, (grant_ref_t)ref), -EINVAL);
    assert_int_equal(gt.nr_free, NR - FIRST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_once, fresh),
        cmocka_unit_test_setup(busy, fresh),
        cmocka_unit_test_setup(wrong, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
