/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fakehost.h"

/* One host with a connection to a private copy of the default node. */
typedef struct {
    FakeHost *host;
    void *conn;
    vireo_space *space;
} Fixture;

const struct vireo_driver *vireo_driver_entry_1(void);

void fixture_up(Fixture *f, const char *uri);
void fixture_down(Fixture *f);

/* Reference of a published domain; g_error when there is none. */
vireo_domain_ref domain(Fixture *f, const char *name);
/* Runs op(dom) or op(dom, flags); returns the error's code. */
int simple(Fixture *f, const char *op, const char *name);
int flagged(Fixture *f, const char *op, const char *name, guint flags);

/* A definition with disks vda, vdb and a cdrom sda. Caller frees. */
char *guest_xml(const char *name, const char *extra_devices);
int define(Fixture *f, const char *xml);
int create_xml(Fixture *f, const char *xml, guint flags);
/* Caller frees. */
char *dumpxml(Fixture *f, const char *name, guint flags);

int snapshot(Fixture *f, const char *name, const char *xml, guint flags);
int snapshot_delete(Fixture *f, const char *domain_name, const char *name, guint flags);
int revert(Fixture *f, const char *domain_name, const char *name, guint flags);
/* Caller frees. */
char *snapshot_xml(Fixture *f, const char *domain_name, const char *name);
/* "s1 s1/s2 s1/s2/s3*": every path, in order of names, the current one with a star. Caller frees.
 */
char *tree(Fixture *f, const char *domain_name);

#define assert_state(f, name, a_state, a_reason)                                                   \
    do {                                                                                           \
        const FakeObject *o_ = fake_object((f)->space, VIREO_CLASS_DOMAIN, name);                  \
        g_assert_nonnull(o_);                                                                      \
        g_assert_cmpint(o_->state, ==, VIREO_DOMAIN_##a_state);                                    \
        g_assert_cmpint(o_->reason, ==, VIREO_DOMAIN_##a_state##_##a_reason);                      \
    } while (0)
#define assert_tree(f, name, expected)                                                             \
    do {                                                                                           \
        g_autofree char *t_ = tree(f, name);                                                       \
        g_assert_cmpstr(t_, ==, expected);                                                         \
    } while (0)
#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        if (!strstr(text, part))                                                                   \
            g_error("%s:%d: no '%s' in\n%s", __FILE__, __LINE__, part, text);                      \
    } while (0)
#define assert_hasnt(text, part)                                                                   \
    do {                                                                                           \
        if (strstr(text, part))                                                                    \
            g_error("%s:%d: '%s' in\n%s", __FILE__, __LINE__, part, text);                         \
    } while (0)
