/* SPDX-License-Identifier: MIT */
/* xen_version. Source: xen/version.h */
#include "frontends/guests/answers/answers.h"

static const struct {
    unsigned int op;
    const char *name;
} ops[] = {
    {XENVER_version, "version"},
    {XENVER_extraversion, "extraversion"},
    {XENVER_compile_info, "compile_info"},
    {XENVER_capabilities, "capabilities"},
    {XENVER_changeset, "changeset"},
    {XENVER_platform_parameters, "platform_parameters"},
    {XENVER_get_features, "get_features"},
    {XENVER_pagesize, "pagesize"},
    {XENVER_guest_handle, "guest_handle"},
    {XENVER_commandline, "commandline"},
    {XENVER_build_id, "build_id"},
    {4, "unused_4"},
    {99, "unknown"},
};

static void features(unsigned int map)
{
    struct xen_feature_info f = {.submap_idx = map};
    long rc = hypervisor_xen_version(XENVER_get_features, &f);

    answer(rc, "version/features %u", map);
    if (!rc)
        printf("version/features %u bits: %x\n", map, f.submap);
}

static void strings(char *page)
{
    hypervisor_xen_version(XENVER_capabilities, page);
    answer_yes(strncmp(page, "xen-3.0-x86_64", 14) == 0,
               "version/capabilities has xen-3.0-x86_64");
    hypervisor_xen_version(XENVER_commandline, page);
    printf("version/commandline text: '%s'\n", page);
    memset(page, 0, 16);
    hypervisor_xen_version(XENVER_guest_handle, page);
    answer_yes(*(uint64_t *)page || *(uint64_t *)(page + 8),
               "version/guest_handle is set");
    hypervisor_xen_version(XENVER_platform_parameters, page);
    printf("version/virt_start: %lx\n", *(uint64_t *)page);
}

void answers_version(void)
{
    char *page = page_alloc(1);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        memset(page, 0, PAGE_SIZE);
        answer(hypervisor_xen_version(ops[i].op, page), "version/%s",
               ops[i].name);
        answer(hypervisor_xen_version(ops[i].op, NOWHERE),
               "version/%s to nowhere", ops[i].name);
    }
    strings(page);
    for (i = 0; i < 4; i++)
        features((unsigned int)i);
    page_free(page, 1);
}
