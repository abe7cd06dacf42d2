/* SPDX-License-Identifier: MIT */
/*
 * The persistent tree: after any sequence of sets and removals it holds what a
 * plain model holds; a root kept aside still shows its own moment; nothing is
 * leaked or freed twice (the sanitizer build sees to that).
 */
#include <malloc.h>

#include "tests/unit/test_store_fixture.h"
#include "xenstore/core/tree_mem.h"

#define NAMES 40

static const struct store_perm own = {.id = 0};

static struct ndata *data(struct tree *t, const char *path, const char *value)
{
    const char *name = strrchr(path, '/') + 1;

    return ndata_create(t, name, strlen(name), &own, 1, value, strlen(value));
}

/* A tree two levels deep beside an array that says what it should hold. */
struct model {
    struct tree t;
    struct tnode *root;
    char value[NAMES][NAMES][8]; /* [i][0]: /i itself; "" is absent */
};

static void path_of(char *buf, int i, int k)
{
    if (k)
        sprintf(buf, "/n%d/m%d", i, k);
    else
        sprintf(buf, "/n%d", i);
}

static void model_set(struct model *m, int i, int k, const char *value)
{
    uint64_t epoch = tree_new_epoch(&m->t);
    char path[32];
    int rc;

    path_of(path, i, k);
    rc = tree_set(&m->t, &m->root, epoch, path, data(&m->t, path, value),
                  tree_new_gen(&m->t));
    if (k && !m->value[i][0][0]) {
        assert_int_equal(rc, -ENOENT);
        return;
    }
    assert_int_equal(rc, 0);
    strcpy(m->value[i][k], value);
}

static void model_remove(struct model *m, int i, int k)
{
    uint64_t epoch = tree_new_epoch(&m->t);
    char path[32];
    int rc;

    path_of(path, i, k);
    rc = tree_remove(&m->t, &m->root, epoch, path, tree_new_gen(&m->t));
    assert_int_equal(rc, m->value[i][k][0] ? 0 : -ENOENT);
    if (k)
        m->value[i][k][0] = '\0';
    else
        memset(m->value[i], 0, sizeof(m->value[i]));
}

static void check(const struct tnode *root, char value[NAMES][NAMES][8])
{
    char path[32];

    for (int i = 0; i < NAMES; i++) {
        for (int k = 0; k < NAMES; k++) {
            const struct tnode *n;

            path_of(path, i, k);
            n = tree_lookup(root, path, strlen(path));
            assert_int_equal(n != NULL, value[i][k][0] != '\0');
            if (n)
                assert_memory_equal(n->data->value, value[i][k],
                                    n->data->value_len);
        }
    }
}

static void test_against_model(void **state)
{
    struct model *m = calloc(1, sizeof(*m));
    struct tnode *kept = NULL;
    char(*kept_value)[NAMES][8] = calloc(NAMES, sizeof(*kept_value));

    (void)state;
    srand(1);
    m->root = tree_create(&m->t, ndata_create(&m->t, "", 0, &own, 1, "", 0));
    for (int step = 0; step < 20000; step++) {
        int i = rand() % NAMES, k = rand() % NAMES;
        char value[8];

        sprintf(value, "%d", rand() % 10000);
        if (rand() % 3)
            model_set(m, i, rand() % 4 ? k : 0, value);
        else
            model_remove(m, i, rand() % 8 ? k : 0);
        if (step % 1000 == 500) {
            if (kept)
                check(kept, kept_value);
            tree_put(&m->t, kept);
            kept = tree_ref(m->root);
            memcpy(kept_value, m->value, sizeof(m->value));
        }
        if (step % 500 == 0)
            check(m->root, m->value);
    }
    check(m->root, m->value);
    check(kept, kept_value);
    tree_put(&m->t, kept);
    tree_put(&m->t, m->root);
    tree_destroy(&m->t);
    free(kept_value);
    free(m);
}

static int in_order(const struct tnode *n, void *arg)
{
    char *last = arg;

    assert_true(strcmp(last, n->data->name) < 0);
    strcpy(last, n->data->name);
    return 0;
}

static void test_children_sorted_and_shallow(void **state)
{
    struct tree t = {.seed = 42};
    struct tnode *root =
        tree_create(&t, ndata_create(&t, "", 0, &own, 1, "", 0));
    uint64_t epoch = tree_new_epoch(&t);
    char last[32] = "", path[32];

    (void)state;
    /* In ascending order, the worst case of an unbalanced tree. */
    for (int i = 0; i < 100000; i++) {
        sprintf(path, "/%08d", i);
        assert_int_equal(
            tree_set(&t, &root, epoch, path, data(&t, path, "v"), 1), 0);
    }
    tree_for_each_child(root, in_order, last);
    assert_string_equal(last, "00099999");
    tree_put(&t, root);
    tree_destroy(&t);
}

static void test_generations(void **state)
{
    struct tree t = {0};
    struct tnode *root =
        tree_create(&t, ndata_create(&t, "", 0, &own, 1, "", 0));
    uint64_t top, epoch = tree_new_epoch(&t);

    (void)state;
    tree_set(&t, &root, epoch, "/a", data(&t, "/a", "1"), tree_new_gen(&t));
    top = tree_gen(root, "/", 1);
    assert_int_equal(tree_gen(root, "/a", 2), top); /* it gained a child */
    tree_set(&t, &root, epoch, "/a", data(&t, "/a", "2"), tree_new_gen(&t));
    assert_int_equal(tree_gen(root, "/", 1), top); /* a value is not its own */
    assert_int_not_equal(tree_gen(root, "/a", 2), top);
    tree_remove(&t, &root, epoch, "/a", tree_new_gen(&t));
    assert_int_not_equal(tree_gen(root, "/", 1), top);
    assert_int_equal(tree_gen(root, "/a", 2), 0);
    tree_put(&t, root);
    tree_destroy(&t);
}

static int count(const struct tnode *n, const char *path, void *arg)
{
    (void)n;
    assert_true(strlen(path) < STORE_PATH_BYTES);
    ++*(int *)arg;
    return 0;
}

/* As deep as a path can be: no recursion may depend on it (XSA-418). */
static void test_deep(void **state)
{
    struct tree t = {0};
    struct tnode *root =
        tree_create(&t, ndata_create(&t, "", 0, &own, 1, "", 0));
    char path[STORE_PATH_BYTES] = "";
    int depth = 0, seen = 0;

    (void)state;
    while (strlen(path) + 2 < sizeof(path)) {
        strcat(path, "/d");
        assert_int_equal(tree_set(&t, &root, tree_new_epoch(&t), path,
                                  data(&t, path, "v"), tree_new_gen(&t)),
                         0);
        depth++;
    }
    tree_walk(root, "/", count, &seen);
    assert_int_equal(seen, depth + 1);
    tree_put(&t, root);
    tree_destroy(&t);
}

/* What died is used again; what a great removal left is not kept. */
static void test_memory(void **state)
{
    struct tree t = {.seed = 1};
    struct tnode *root =
        tree_create(&t, ndata_create(&t, "", 0, &own, 1, "", 0));
    size_t used;
    char path[32];

    (void)state;
    for (int i = 0; i < 100000; i++) {
        sprintf(path, "/%08d", i);
        tree_set(&t, &root, tree_new_epoch(&t), path, data(&t, path, "v"), 1);
    }
    for (int i = 0; i < 100000; i++) {
        sprintf(path, "/%08d", i);
        tree_remove(&t, &root, tree_new_epoch(&t), path, 1);
    }
    rcu_barrier();
    assert_true(tree_mem_spare(&t) < 4u << 20);
    used = mallinfo2().uordblks;
    for (int i = 0; i < 200000; i++)
        tree_set(&t, &root, tree_new_epoch(&t), "/a", data(&t, "/a", "v"), 1);
    rcu_barrier();
    assert_true(mallinfo2().uordblks < used + (4u << 20));
    tree_put(&t, root);
    tree_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_children_sorted_and_shallow),
        cmocka_unit_test(test_generations),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_memory),
    };
    int rc;

    store_thread_enter();
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    store_thread_leave();
    return rc;
}
