/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A domain's tree of snapshots or of checkpoints. */

#include "driver.h"

typedef struct {
    char *name;
    gboolean bitmap; /* FALSE: not part of the checkpoint */
    char *bitmap_name;
} TestCheckpointDisk;

typedef struct {
    char *name, *parent;           /* parent NULL: a root */
    gint64 creation;               /* seconds since the epoch */
    int state;                     /* VIREO_DOMAIN_... */
    guint tree_flags;              /* VIREO_TREE_INTERNAL, EXTERNAL, DISK_ONLY */
    VireoDomainSnapshot *doc;      /* snapshots: the document without domains and parent */
    char *description;             /* checkpoints */
    GPtrArray *disks;              /* checkpoints: TestCheckpointDisk */
    GRefString *domain, *inactive; /* definitions of that moment; may be NULL */
    TestSaved *data;               /* NULL: metadata only */
} TestMoment;

typedef struct TestMoments {
    guint klass; /* VIREO_CLASS_DOMAIN_SNAPSHOT or VIREO_CLASS_DOMAIN_CHECKPOINT */
    GPtrArray *items;
    char *current;      /* may be NULL */
    GHashTable *hidden; /* name -> TestSaved: data that has no metadata */
} TestMoments;

/* Made when there are none yet. */
TestMoments *test_moments_get(TestDomain *dom, guint klass);
guint test_moments_count(const TestMoments *moments);
TestMoment *test_moments_find(const TestMoments *moments, const char *name);
/* Takes the moment; one of that name is replaced. */
void test_moments_put(TestMoments *moments, TestMoment *moment);
/* Children get the moment's parent, and so does `current`. */
void test_moments_drop(TestMoments *moments, TestMoment *moment);
/* All below a moment, children before their parents; caller frees. */
GPtrArray *test_moments_below(const TestMoments *moments, const TestMoment *moment);
gboolean test_moments_is_below(const TestMoments *moments, const char *name, const char *top);
void test_moments_set_current(TestMoments *moments, const char *name);
void test_moments_publish(TestDomain *dom, const TestMoments *moments);
/* When it is the only one that has changed, or has become the current one. */
void test_moment_publish(TestDomain *dom, const TestMoments *moments, const TestMoment *moment);
void test_moment_free(TestMoment *moment);
/* The moment a call names; fails the call when there is none. */
TestMoment *test_moment_of(TestDomain *dom, vireo_call *call, guint klass, const char *name);
/* The name of a new moment: the given one, checked, or a number made of the time. Caller frees. */
char *test_moment_new_name(const TestMoments *moments, vireo_call *call, const char *given);
/* Parent rules of a redefinition: it exists, is not the moment itself and closes no cycle. */
int test_moment_check_parent(const TestMoments *moments, vireo_call *call, const char *name,
                             const char *parent);
int test_moment_delete(TestDomain *dom, TestMoments *moments, TestMoment *moment, gboolean children,
                       gboolean children_only, gboolean metadata_only);

/* snapshot_create.c, snapshot_redefine.c */
int test_snapshot_take(TestDomain *dom, vireo_call *call, VireoDomainSnapshot *doc, guint flags,
                       char **name);
int test_snapshot_redefine(TestDomain *dom, vireo_call *call, VireoDomainSnapshot *doc,
                           guint flags);
/* Whether a revert cannot do without the data. */
gboolean test_snapshot_needs_data(const TestMoment *moment);
guint test_snapshot_tree_flags(const VireoDomainSnapshot *doc);
/* Takes the document; its domains become text, its parent the moment's. */
TestMoment *test_snapshot_moment(VireoDomainSnapshot *doc);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestMoment, test_moment_free)
