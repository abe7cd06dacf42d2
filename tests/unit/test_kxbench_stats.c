/* SPDX-License-Identifier: MIT */
/*
 * Proves that kxbench sums up samples rightly: quantiles interpolate, the
 * order of the samples does not matter, runs are counted, a ratio is the
 * quotient of medians and absent without a floor, and what is no number is
 * refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#include "tools/kxbench_stats.c"

#define assert_close(a, b) assert_true(fabs((a) - (b)) < 1e-9)

static void quantile_interpolates(void **state)
{
    const double four[] = {10, 20, 30, 40};

    (void)state;
    assert_close(kxb_quantile(four, 4, 0), 10);
    assert_close(kxb_quantile(four, 4, 0.5), 25);
    assert_close(kxb_quantile(four, 4, 0.25), 17.5);
    assert_close(kxb_quantile(four, 4, 1), 40);
}

static void quantile_of_one_sample_is_it(void **state)
{
    const double one[] = {7};

    (void)state;
    assert_close(kxb_quantile(one, 1, 0.01), 7);
    assert_close(kxb_quantile(one, 1, 0.99), 7);
}

static void order_does_not_matter(void **state)
{
    const double mixed[] = {5, 1, 4, 2, 3};
    struct kxb b = {0};

    (void)state;
    assert_int_equal(kxb_add(&b, "s", "a", "ns", NULL, mixed, 5), 0);
    kxb_finish(&b);
    assert_close(b.rows[0].all.median, 3);
    assert_close(b.rows[0].all.q1, 2);
    assert_close(b.rows[0].all.q3, 4);
    assert_close(b.rows[0].all.p99, 4.96);
    kxb_free_rows(&b);
}

static void runs_pool_their_samples(void **state)
{
    const double first[] = {1, 2}, second[] = {3};
    struct kxb b = {0};

    (void)state;
    assert_int_equal(kxb_add(&b, "s", "a", "ns", NULL, first, 2), 0);
    assert_int_equal(kxb_add(&b, "s", "a", "ns", NULL, second, 1), 0);
    kxb_finish(&b);
    assert_int_equal(b.nr_rows, 1);
    assert_int_equal(b.rows[0].runs, 2);
    assert_int_equal(b.rows[0].nr_samples, 3);
    assert_close(b.rows[0].all.median, 2);
    kxb_free_rows(&b);
}

static void many_samples_survive_growth(void **state)
{
    struct kxb b = {0};

    (void)state;
    for (int i = 1; i <= 1001; i++) {
        double x = i;

        assert_int_equal(kxb_add(&b, "s", "a", "ns", NULL, &x, 1), 0);
    }
    kxb_finish(&b);
    assert_close(b.rows[0].all.median, 501);
    assert_close(b.rows[0].all.p99, 991);
    kxb_free_rows(&b);
}

static void ratio_is_quotient_of_medians(void **state)
{
    const double floor[] = {100, 200, 300}, mine[] = {220};
    struct kxb b = {0};

    (void)state;
    /* The floor may be measured after the row held against it. */
    assert_int_equal(kxb_add(&b, "s", "mine", "ns", "floor", mine, 1), 0);
    assert_int_equal(kxb_add(&b, "s", "floor", "ns", NULL, floor, 3), 0);
    kxb_finish(&b);
    assert_close(kxb_row_find(&b, "s", "mine")->ratio, 1.1);
    assert_true(isnan(kxb_row_find(&b, "s", "floor")->ratio));
    kxb_free_rows(&b);
}

static void no_ratio_without_the_floor(void **state)
{
    const double mine[] = {1}, zero[] = {0};
    struct kxb b = {0};

    (void)state;
    assert_int_equal(kxb_add(&b, "s", "mine", "ns", "gone", mine, 1), 0);
    assert_int_equal(kxb_add(&b, "t", "gone", "ns", NULL, mine, 1), 0);
    assert_int_equal(kxb_add(&b, "u", "mine", "ns", "zero", mine, 1), 0);
    assert_int_equal(kxb_add(&b, "u", "zero", "ns", NULL, zero, 1), 0);
    kxb_finish(&b);
    assert_true(isnan(kxb_row_find(&b, "s", "mine")->ratio));
    assert_true(isnan(kxb_row_find(&b, "u", "mine")->ratio));
    kxb_free_rows(&b);
}

static void json_samples_and_summaries_are_taken(void **state)
{
    json_t *three =
        json_pack("{s:[i,i,i], s:s}", "samples", 3, 1, 2, "unit", "us");
    json_t *summary = json_pack("{s:i, s:i, s:i, s:f}", "median", 5, "q1", 4,
                                "q3", 6, "p99", 9.5);
    json_t *bare = json_pack("{s:i}", "median", 7);
    struct kxb b = {0};

    (void)state;
    assert_int_equal(kxb_add_json(&b, "s", "a", "ns", NULL, three), 0);
    assert_int_equal(kxb_add_json(&b, "s", "b", "ns", NULL, summary), 0);
    assert_int_equal(kxb_add_json(&b, "s", "b", "ns", NULL, bare), 0);
    assert_int_equal(kxb_add_json(&b, "s", "b", "ns", NULL, summary), 0);
    kxb_finish(&b);
    assert_string_equal(b.rows[0].unit, "us");
    assert_close(b.rows[0].all.median, 2);
    assert_int_equal(b.rows[1].runs, 3);
    assert_close(b.rows[1].all.median, 5);
    assert_close(b.rows[1].all.q1, 4);
    assert_close(b.rows[1].all.p99, 9.5);
    json_decref(three);
    json_decref(summary);
    json_decref(bare);
    kxb_free_rows(&b);
}

static void samples_and_summaries_do_not_mix(void **state)
{
    const struct kxb_summary part = {1, 1, 1, 1}, bad = {1, 1, 1, NAN};
    const double one[] = {1};
    struct kxb b = {0};

    (void)state;
    assert_int_equal(kxb_add(&b, "s", "a", "ns", NULL, one, 1), 0);
    assert_int_equal(kxb_row_add_summary(&b.rows[0], &part), -EINVAL);
    assert_non_null(kxb_row(&b, "s", "b", "ns", NULL));
    assert_int_equal(kxb_row_add_summary(&b.rows[1], &bad), -EINVAL);
    assert_int_equal(kxb_row_add_summary(&b.rows[1], &part), 0);
    assert_int_equal(kxb_add(&b, "s", "b", "ns", NULL, one, 1), -EINVAL);
    kxb_free_rows(&b);
}

static void what_is_no_number_is_refused(void **state)
{
    const double bad[] = {1, NAN}, worse[] = {INFINITY};
    json_t *mixed = json_pack("{s:[i, s]}", "samples", 1, "two");
    json_t *none = json_pack("{s:[]}", "samples");
    json_t *empty = json_object();
    struct kxb b = {0};

    (void)state;
    assert_int_equal(kxb_add(&b, "s", "a", "ns", NULL, bad, 2), -EINVAL);
    assert_int_equal(kxb_add(&b, "s", "a", "ns", NULL, worse, 1), -EINVAL);
    assert_int_equal(kxb_add(&b, "s", "a", "ns", NULL, bad, 0), -EINVAL);
    assert_int_equal(kxb_add_json(&b, "s", "a", "ns", NULL, mixed), -EINVAL);
    assert_int_equal(kxb_add_json(&b, "s", "a", "ns", NULL, none), -EINVAL);
    assert_int_equal(kxb_add_json(&b, "s", "a", "ns", NULL, empty), -EINVAL);
    assert_int_equal(kxb_add_json(&b, "s", "a", "ns", NULL, NULL), -EINVAL);
    assert_false(kxb_row_has_data(&b.rows[0]));
    json_decref(mixed);
    json_decref(none);
    json_decref(empty);
    kxb_free_rows(&b);
}

static void long_names_are_cut_not_overrun(void **state)
{
    char name[3 * KXB_NAME_MAX];
    struct kxb b = {0};

    (void)state;
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_non_null(kxb_row(&b, "s", name, name, name));
    assert_int_equal(strlen(b.rows[0].name), KXB_NAME_MAX - 1);
    kxb_free_rows(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantile_interpolates),
        cmocka_unit_test(quantile_of_one_sample_is_it),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(runs_pool_their_samples),
        cmocka_unit_test(many_samples_survive_growth),
        cmocka_unit_test(ratio_is_quotient_of_medians),
        cmocka_unit_test(no_ratio_without_the_floor),
        cmocka_unit_test(json_samples_and_summaries_are_taken),
        cmocka_unit_test(samples_and_summaries_do_not_mix),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(long_names_are_cut_not_overrun),
    };

    return cmocka_run_group_tests_name("kxbench statistics", tests, NULL, NULL);
}
