/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the test driver share. Everything below TestNode is guarded by its lock;
 * functions that take a TestDomain expect it held. */

#include <glib.h>
#include <vireo/driver.h>

#include "kit/model.h"

#define TEST_BEHAVIOUR_NS "urn:vireo:test"
#define TEST_DEFAULT_URI  "test:///default"

typedef struct TestNode TestNode;
typedef struct TestDomain TestDomain;

/* One driver: set by init, cleared by fini. */
typedef struct {
    const struct vireo_host *host;
    vireo_core *core;
    GMutex lock;
    TestNode *shared;    /* behind test:///default */
    GHashTable *private; /* names of the spaces in use by private nodes */
    GPtrArray *consoles; /* that are open */
} TestDriver;
extern TestDriver *test;

#define FAIL(call, ...)    (test->host->fail((call), __VA_ARGS__))
#define NEW(call, type, n) ((type *)test->host->alloc((call), sizeof(type) * (n)))
#define DUP(call, text)    (test->host->strdup((call), (text)))

/* harm.c: what a driver must not do, on demand. */
typedef enum {
    TEST_HARM_NONE,
    TEST_HARM_SEGFAULT,
    TEST_HARM_ABORT,
    TEST_HARM_EXIT,
    TEST_HARM_HANG,
    TEST_HARM_POINTER, /* a result of garbage */
    TEST_HARM_GARBAGE, /* garbage to the core */
    TEST_HARM_FLOOD,
    TEST_HARM_LEAK,
    TEST_HARM_CLOSE,
    TEST_HARM_SILENCE, /* failure without an error */
} TestHarm;
/* TEST_HARM_NONE: there is none of that name. */
TestHarm test_harm_parse(const char *text);
gboolean test_harm_allowed(void);
/* ret: the operation's result, about to be returned; NULL: none. May not return. */
void test_harm_do(TestHarm harm, const char *op, void *ret);
/* In init, as test.conf says. */
int test_harm_init(void);

/* behave.c: being slow and failing on demand. */
typedef struct TestRules TestRules;
/* From the query of a URI; NULL without error when it holds no rule. */
TestRules *test_rules_from_uri(const char *uri, GError **error);
/* From a <metadata> element, which may be NULL. */
TestRules *test_rules_from_metadata(const char *metadata);
void test_rules_free(TestRules *rules);

/* A long piece of work that clients can watch and abort. */
typedef struct {
    int operation; /* VIREO_DOMAIN_JOB_OPERATION_... */
    int outcome;   /* VIREO_DOMAIN_JOB_BOUNDED while it runs */
    gint64 begin_us, end_us, planned_us;
    gboolean abort;
} TestJob;

/* What a running guest holds besides its definition. */
typedef struct {
    char *ram;       /* what was typed on its console since boot */
    guint boots;     /* resets and starts */
    gint64 start_us; /* 0 while it does not execute */
    guint64 cpu_ns;  /* executed before start_us */
} TestGuest;

/* A guest as it was: managed save, save file, snapshot. */
typedef struct {
    gint refs;
    GRefString *config, *live; /* either may be NULL */
    int state;                 /* VIREO_DOMAIN_... */
    gboolean memory;           /* ram, boots and cpu_ns are part of it */
    char *ram;
    guint boots, nvram;
    guint64 cpu_ns;
    GHashTable *disks; /* image path -> GBytes; NULL: no disk is part of it */
} TestSaved;

struct TestDomain {
    TestNode *node;
    char *name;
    guint8 uuid[16];
    int id; /* -1: not running */
    int state, reason;
    gboolean autostart, autostart_once;
    GRefString *config, *live; /* canonical text; one string when equal */
    const char *os_type;       /* static */
    guint vcpus;
    guint64 max_memory, memory; /* KiB */
    guint nvram;                /* writes to its variable store */
    TestGuest guest;
    TestSaved *managed_save;
    TestRules *rules;
    struct TestMoments *snapshots, *checkpoints; /* made when first needed */
    struct TestExtra *extra;                     /* likewise */
};

/* What few domains have. */
typedef struct TestExtra {
    TestJob job, last_job;
    guint frozen; /* file systems */
    gint64 clock_offset_s;
    char *user_password;  /* "user:password" as set last; never logged */
    GString *keys;        /* key codes received */
    GHashTable *ssh_keys; /* user -> GPtrArray of keys */
    GHashTable *fds;      /* name -> number of descriptors associated */
    int memory_period;
    guint nmis;
    struct TestConsole *console;
} TestExtra;

typedef struct {
    char model[32];
    guint64 memory; /* KiB */
    int cpus, mhz, nodes, sockets, cores, threads;
} TestNodeInfo;

/* One simulated host: a table of domains and the contents of their images. */
struct TestNode {
    gint refs;
    GMutex lock;
    vireo_space *space;
    char *space_name;
    gboolean shared;
    GHashTable *by_uuid, *by_name; /* TestDomain; by_uuid owns */
    GHashTable *images;            /* path -> GBytes */
    int next_id;
    TestNodeInfo info;
};

typedef struct {
    TestNode *node;
    TestRules *rules;
    GHashTable *mine; /* uuid -> itself: domains that end with the connection */
} TestConn;

#define TEST_LOCK(conn)                                                                            \
    TestNode *node = (conn)->node;                                                                 \
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&node->lock)

/* test.c */
/* The id of an operation that this driver serves, or 0. */
guint32 test_operation(const char *name);

/* behave.c */
typedef int TestRun(TestConn *conn, vireo_call *call, const void *args, void *ret);
/* Runs an operation as the rules of the connection and of the domain (NULL: none) say. */
int test_enter(const char *op, TestRun *run, void *conn, vireo_call *call,
               const vireo_domain_ref *dom, const void *args, void *ret);
/* Waits as a rule for op says; VIREO_FAIL when it says so or the call was cancelled. */
int test_obey(const TestRules *rules, const char *op, vireo_call *call);

/* node.c */
TestNode *test_node_new(const char *space_name, gboolean shared);
TestNode *test_node_ref(TestNode *node);
void test_node_unref(TestNode *node);
/* Withdraws and frees the domains and drops a reference. NULL is fine. */
void test_node_free(TestNode *node);

/* document.c */
gboolean test_node_load_default(TestNode *node, GError **error);
gboolean test_node_load_file(TestNode *node, const char *path, GError **error);

/* definition.c: what this driver accepts. */
#define TEST_DEFINE_VALIDATE (1u << 0)
VireoDomain *test_definition_parse(const char *xml, guint flags, GError **error);
/* Records a GError as the call's error, frees it and returns VIREO_FAIL. */
int test_fail_error(vireo_call *call, GError *error);
GRefString *test_definition_text(const VireoDomain *doc);
/* Never fails for text the driver wrote itself. Caller frees. */
VireoDomain *test_definition_of(const GRefString *text);
const char *test_disk_path(const VireoDomainDisk *disk);
/* A writable disk with an image. */
gboolean test_disk_has_data(const VireoDomainDisk *disk);
/* By target or image path; NULL when there is none. */
VireoDomainDisk *test_disk_find(VireoDomain *doc, const char *name);
/* The live or else the stored definition, parsed; caller frees. */
VireoDomain *test_domain_document(const TestDomain *dom);

/* domain.c */
TestDomain *test_domain_find(TestNode *node, vireo_call *call, const vireo_domain_ref *ref);
/* Adds or changes a domain; the name and uuid rules are checked. live: as a running one. */
TestDomain *test_domain_set(TestNode *node, const VireoDomain *doc, gboolean live, GError **error);
void test_domain_free(TestDomain *dom);
/* Takes the domain out of the node and frees it. */
void test_domain_drop(TestDomain *dom);
void test_domain_publish(TestDomain *dom);
void test_domain_publish_as(TestDomain *dom, int event, int detail);
void test_domain_event(TestDomain *dom, guint event, void *msg, vireo_domain_ref *into);
vireo_domain_ref test_domain_ref(vireo_call *call, const TestDomain *dom);
gboolean test_domain_active(const TestDomain *dom);
TestExtra *test_domain_extra(TestDomain *dom);
int test_domain_need_active(const TestDomain *dom, vireo_call *call);
/* Numbers that are published, from the definition in force. */
void test_domain_refresh(TestDomain *dom);
/* Changes the stored and/or the running definition as VIREO_DOMAIN_AFFECT_* say, both or none. */
typedef int TestEdit(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque);
int test_domain_edit(TestDomain *dom, vireo_call *call, guint flags, TestEdit *edit, void *opaque);
/* The definition a query with VIREO_DOMAIN_AFFECT_* means; caller frees. NULL: failed. */
VireoDomain *test_domain_view(const TestDomain *dom, vireo_call *call, guint flags);

/* lifecycle.c */
#define TEST_START_PAUSED      (1u << 0)
#define TEST_START_RESET_NVRAM (1u << 1)
void test_domain_start(TestDomain *dom, int reason, guint flags);
/* A transient domain is gone afterwards. */
void test_domain_stop(TestDomain *dom, int reason);
void test_domain_run(TestDomain *dom, int reason);
void test_domain_pause(TestDomain *dom, int reason);
guint64 test_domain_cpu_ns(const TestDomain *dom);

/* save.c */
TestSaved *test_saved_ref(TestSaved *saved);
void test_saved_free(TestSaved *saved);
#define TEST_CAPTURE_MEMORY (1u << 0)
#define TEST_CAPTURE_DISKS  (1u << 1)
TestSaved *test_domain_capture(TestDomain *dom, guint what);
/* The memory of a capture goes back into the running guest. */
void test_domain_put_memory(TestDomain *dom, const TestSaved *saved);
int test_domain_restore(TestDomain *dom, TestSaved *saved, int state, int running_reason,
                        int paused_reason);

/* console.c */
void test_console_close(TestDomain *dom);
void test_consoles_end(void);

/* guest.c */
int test_agent_check(const TestDomain *dom, vireo_call *call);

/* snapshot.c, checkpoint.c */
void test_snapshots_free(struct TestMoments *moments);
guint test_snapshots_count(const TestDomain *dom);
guint test_checkpoints_count(const TestDomain *dom);
/* One <domainsnapshot> of a node document. */
gboolean test_snapshot_load(TestDomain *dom, const char *xml, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestRules, test_rules_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestSaved, test_saved_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestNode, test_node_free)
