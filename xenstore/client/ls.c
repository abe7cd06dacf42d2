/* SPDX-License-Identifier: MIT */
/* kxenstore ls: the tree as text or as JSON. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore/client/client.h"

/* One node, read by path; the parts are freed by node_free(). */
struct node {
    char *value;
    unsigned int len;
    struct xs_permissions *perms;
    unsigned int nr_perms;
    char **names;
    unsigned int nr_names;
};

static void node_free(struct node *n)
{
    free(n->value);
    free(n->perms);
    free(n->names);
}

/* -1 with errno; ENOENT if the node went while the tree was read. */
static int node_load(struct client *c, const char *path, struct node *n)
{
    memset(n, 0, sizeof(*n));
    n->value = xs_read(c->xs, XBT_NULL, path, &n->len);
    if (!n->value)
        return -1;
    n->names = xs_directory(c->xs, XBT_NULL, path, &n->nr_names);
    if (n->names && (c->perms || c->json))
        n->perms = xs_get_permissions(c->xs, XBT_NULL, path, &n->nr_perms);
    if (n->names && (n->perms || !(c->perms || c->json)))
        return 0;
    node_free(n);
    return -1;
}

static char *child_path(const char *path, const char *name)
{
    char *child;

    if (asprintf(&child, "%s/%s", path[1] ? path : "", name) < 0)
        return NULL;
    return child;
}

static void format_perm(char buf[16], const struct xs_permissions *p)
{
    snprintf(buf, 16, "%c%u", "nrwb"[p->perms & 3], p -> id);
}

static void print_node(const struct client *c, const struct node *n,
                       const char *label, int depth)
{
    char buf[16];

    printf("%*s%s = \"", c->full ? 0 : depth, "", label);
    client_print_value(n->value, n->len);
    putchar('"');
    for (unsigned int i = 0; c->perms && i < n->nr_perms; i++) {
        format_perm(buf, &n->perms[i]);
        printf("%s%s", i ? "," : "   (", buf);
    }
    puts(c->perms ? ")" : "");
}

static int ls_text(struct client *c, const char *path, int depth);

static int ls_children(struct client *c, const char *path, struct node *n,
                       int depth)
{
    int rc = 0;

    for (unsigned int i = 0; i < n->nr_names && !rc; i++) {
        char *child = child_path(path, n->names[i]);

        rc = child ? ls_text(c, child, depth) : client_fail("read", path);
        free(child);
    }
    return rc;
}

static int ls_text(struct client *c, const char *path, int depth)
{
    const char *name = strrchr(path, '/');
    struct node n;
    int rc;

    if (node_load(c, path, &n))
        return errno == ENOENT && depth ? 0 : client_fail("read", path);
    if (depth > 0)
        print_node(c, &n, c->full || !name ? path : name + 1, depth - 1);
    rc = ls_children(c, path, &n, depth + 1);
    node_free(&n);
    return rc;
}

static json_t *json_value(const struct node *n)
{
    json_t *v = json_stringn(n->value, n->len);
    char *hex;

    if (v)
        return v;
    /* Not UTF-8: as hex, so that no byte is lost. */
    hex = malloc(n->len * 2 + 1);
    if (!hex)
        return NULL;
    for (unsigned int i = 0; i < n->len; i++)
        sprintf(hex + i * 2, "%02x", (unsigned char)n->value[i]);
    v = json_pack("{s:s}", "hex", hex);
    free(hex);
    return v;
}

static json_t *json_perms(const struct node *n)
{
    json_t *list = json_array();
    char buf[16];

    for (unsigned int i = 0; i < n->nr_perms; i++) {
        format_perm(buf, &n->perms[i]);
        json_array_append_new(list, json_string(buf));
    }
    return list;
}

/* {"value", "permissions", "children": {name: ...}}, or NULL with errno. */
static json_t *json_node(struct client *c, const char *path)
{
    json_t *o, *children;
    struct node n;

    if (node_load(c, path, &n))
        return NULL;
    o = json_object();
    children = json_object();
    json_object_set_new(o, "value", json_value(&n));
    json_object_set_new(o, "permissions", json_perms(&n));
    for (unsigned int i = 0; i < n.nr_names; i++) {
        char *path_of_child = child_path(path, n.names[i]);
        json_t *child = path_of_child ? json_node(c, path_of_child) : NULL;

        if (child)
            json_object_set_new(children, n.names[i], child);
        free(path_of_child);
    }
    json_object_set_new(o, "children", children);
    node_free(&n);
    return o;
}

static int ls_json(struct client *c, const char *path)
{
    json_t *o = json_node(c, path);

    if (!o)
        return client_fail("read", path);
    json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
    return 0;
}

int cmd_ls(struct client *c, int argc, char **argv)
{
    const char *path = argc ? argv[0] : "/";

    return c->json ? ls_json(c, path) : ls_text(c, path, 0);
}
