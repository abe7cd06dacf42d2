/* SPDX-License-Identifier: MIT */
#include "dom0/tstore.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void plan_vadd(struct plan *plan, enum node_perms perms,
                      const char *value, const char *fmt, va_list ap)
{
    struct node node = {.perms = perms};
    struct node *nodes;

    nodes = realloc(plan->nodes, (plan->nr + 1) * sizeof(*nodes));
    if (nodes)
        plan->nodes = nodes;
    if (vasprintf(&node.path, fmt, ap) < 0)
        node.path = NULL;
    node.value = value ? strdup(value) : NULL;
    if (!nodes || !node.path || (value && !node.value)) {
        free(node.path);
        free(node.value);
        plan->failed = true;
        return;
    }
    nodes[plan->nr++] = node;
}

void plan_add(struct plan *plan, enum node_perms perms, const char *value,
              const char *path_fmt, ...)
{
    va_list ap;

    va_start(ap, path_fmt);
    plan_vadd(plan, perms, value, path_fmt, ap);
    va_end(ap);
}

void plan_add_num(struct plan *plan, enum node_perms perms, long long value,
                  const char *path_fmt, ...)
{
    char text[24];
    va_list ap;

    snprintf(text, sizeof(text), "%lld", value);
    va_start(ap, path_fmt);
    plan_vadd(plan, perms, text, path_fmt, ap);
    va_end(ap);
}

const struct node *plan_find(const struct plan *plan, const char *path)
{
    size_t i;

    for (i = plan->nr; i > 0; i--)
        if (!strcmp(plan->nodes[i - 1].path, path))
            return &plan->nodes[i - 1];
    return NULL;
}

void plan_free(struct plan *plan)
{
    size_t i;

    for (i = 0; i < plan->nr; i++) {
        free(plan->nodes[i].path);
        free(plan->nodes[i].value);
    }
    free(plan->nodes);
    plan->nodes = NULL;
    plan->nr = 0;
}
