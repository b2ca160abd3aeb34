/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The types the files of this driver share. Locks, in the order in which they may be taken:
 *   domain->job    one change at a time; held over the helper's runs
 *   domain->ending how a container ended; held while its monitor cleans up
 *   space->lock    the tables of domains; short
 *   domain->lock   the fields of a domain; short */

#include <glib.h>
#include <vireo/driver.h>

#include "kit/model.h"

struct VireoSnapshots;
typedef struct LxcDriver LxcDriver;
typedef struct LxcSpace LxcSpace;
typedef struct LxcDomain LxcDomain;

struct LxcDriver {
    const struct vireo_host *host;
    vireo_core *core;
    char *helper;    /* vireo-lxc-run */
    char *seccomp;   /* file; NULL: none */
    char *criu;      /* NULL: there is none */
    GMutex criu_lock; /* held over a check */
    char *criu_checked, *criu_trouble; /* which file was checked, and what was found */
    VireoModelPathSet *honoured;
    GMutex lock;
    GHashTable *spaces; /* canonical URI -> LxcSpace */
    GMutex relays_lock;
    GCond relays_gone; /* one of them */
    GPtrArray *relays; /* terminals that a client has: see console.c */
};

struct LxcSpace {
    LxcDriver *driver;
    char *uri;
    char *config_dir, *state_dir, *snapshot_dir, *save_dir, *run_dir, *log_dir;
    vireo_space *published;
    GMutex lock;
    GHashTable *by_uuid, *by_name; /* LxcDomain; by_uuid holds the references */
};

/* A definition; never changes once it is shared. */
typedef struct {
    gint refs;
    VireoDomain *doc;
} LxcDef;
LxcDef *lxc_def_new(VireoDomain *doc); /* takes doc */
LxcDef *lxc_def_ref(LxcDef *def);
void lxc_def_unref(LxcDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LxcDef, lxc_def_unref)

/* A process that is not our child. */
typedef struct {
    pid_t pid;
    guint64 start; /* with pid, which one */
    int fd;        /* -1: none */
} LxcProcess;

struct LxcDomain {
    gint refs;
    LxcSpace *space;
    guint8 uuid[16];
    char uuid_text[37]; /* also the container's name for liblxc */
    GMutex job;
    GMutex ending; /* one at a time looks how the container ended; job is not needed for it */

    GMutex lock;
    char *name;
    LxcDef *config; /* the stored definition; NULL: transient */
    LxcDef *live;   /* what runs */
    gboolean autostart, gone;
    gboolean managed_save;
    gboolean autodestroy; /* what runs ends with the connection that started it */
    int id;               /* the pid of its init; -1: not running */
    int state, reason;
    LxcProcess init, monitor; /* valid while id != -1 */
    char *cgroup;             /* in each hierarchy, "/vireo-lxc-UUID" */
    struct VireoSnapshots *snapshots;
    uint64_t watch;           /* of the init's end */
    guint generation;         /* one more with every start */
    int end_reason;           /* shutoff reason to report; 0: it ended by itself */
};

/* The connection handle given to the core. */
typedef struct {
    LxcDriver *driver;
    LxcSpace *space;
    GMutex lock;
    GPtrArray *mine; /* containers that end with the connection */
} LxcConn;
static inline LxcConn *lxc_conn(void *conn)
{
    return conn;
}
void lxc_conn_own(LxcConn *conn, LxcDomain *dom);
/* console.c: ends all streams. */
void lxc_relays_end(LxcDriver *driver);

/* ---- errors: codes are wire error numbers (VIREO_ERR_...) ------------------------------------ */

void lxc_error(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Reports error on the call; returns VIREO_FAIL. */
int lxc_fail(LxcDriver *driver, vireo_call *call, const GError *error);

/* ---- space.c --------------------------------------------------------------------------------- */

LxcSpace *lxc_space_open(LxcDriver *driver, const char *uri, GError **error);
void lxc_space_free(gpointer space);

/* ---- domain.c -------------------------------------------------------------------------------- */

LxcDomain *lxc_domain_new(LxcSpace *space, const guint8 uuid[16], const char *name);
LxcDomain *lxc_domain_ref(LxcDomain *dom);
void lxc_domain_unref(LxcDomain *dom);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LxcDomain, lxc_domain_unref)
LxcDomain *lxc_domain_by_uuid(LxcSpace *space, const guint8 uuid[16]);
LxcDomain *lxc_domain_by_name(LxcSpace *space, const char *name);
GPtrArray *lxc_domain_all(LxcSpace *space);
gboolean lxc_domain_register(LxcDomain *dom, GError **error);
void lxc_domain_forget(LxcDomain *dom);
/* By uuid; fails the call with NO_DOMAIN when there is none. */
LxcDomain *lxc_domain_find(LxcConn *conn, vireo_call *call, const vireo_domain_ref *ref);
/* The same, with its job; end with lxc_domain_end. */
LxcDomain *lxc_domain_begin(LxcConn *conn, vireo_call *call, const vireo_domain_ref *ref);
void lxc_domain_end(LxcDomain *dom);
typedef LxcDomain LxcDomainJob;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LxcDomainJob, lxc_domain_end)
/* The domain a document is about, made when there is none, with its job held. fresh: it was made. */
LxcDomain *lxc_domain_admit(LxcSpace *space, const VireoDomain *doc, gboolean *fresh, GError **error);

gboolean lxc_domain_active(LxcDomain *dom);
gboolean lxc_domain_need_active(LxcDomain *dom, GError **error);
gboolean lxc_domain_need_persistent(LxcDomain *dom, const char *why, GError **error);
/* NULL when there is none. */
LxcDef *lxc_domain_live(LxcDomain *dom);
LxcDef *lxc_domain_config(LxcDomain *dom);
/* Live while it runs, else the stored one. */
LxcDef *lxc_domain_current(LxcDomain *dom);
void lxc_domain_set_live(LxcDomain *dom, LxcDef *def); /* takes def */
/* Writes the stored definition, then shares it. */
gboolean lxc_domain_store(LxcDomain *dom, LxcDef *def, GError **error);
gboolean lxc_domain_unstore(LxcDomain *dom, GError **error);
/* Which definitions an AFFECT_* mask means now. */
gboolean lxc_domain_impact(LxcDomain *dom, guint flags, gboolean *live, gboolean *config, GError **error);
/* The definition that an AFFECT_* mask of a query means. */
LxcDef *lxc_domain_view(LxcDomain *dom, guint flags, GError **error);
/* Changes one or both definitions as flags say. The change is made to copies of both first, then to the running
 * container (which may have to say more of it in `then`), then kept. */
typedef gboolean (*LxcChange)(VireoDomain *doc, const void *opaque, GError **error);
typedef gboolean (*LxcApply)(LxcDomain *dom, const VireoDomain *now, VireoDomain *then, const void *opaque, GError **error);
gboolean lxc_domain_change(LxcDomain *dom, guint flags, LxcChange change, LxcApply apply, const void *opaque,
                           GError **error);
void lxc_domain_set_state(LxcDomain *dom, int state, int reason);
/* Tells the core what the domain looks like now. */
void lxc_domain_publish(LxcDomain *dom);
void lxc_domain_publish_quiet(LxcDomain *dom);
void lxc_domain_publish_event(LxcDomain *dom, int event, int detail);
void lxc_domain_fill_ref(LxcDomain *dom, vireo_call *call, vireo_domain_ref *ref);
/* DIR/UUID SUFFIX; caller frees. */
char *lxc_domain_path(LxcDomain *dom, const char *dir, const char *suffix);
/* Its init, with a pidfd of the caller's. FALSE: it does not run. */
gboolean lxc_domain_init(LxcDomain *dom, LxcProcess *init, GError **error);

/* ---- document.c ------------------------------------------------------------------------------ */

typedef enum {
    LXC_DEF_VALIDATE = 1 << 0,
    LXC_DEF_LIVE = 1 << 1,    /* keep what only describes a running container */
    LXC_DEF_TRUSTED = 1 << 2, /* written by ourselves */
} LxcDefFlags;
LxcDef *lxc_def_parse(LxcDriver *driver, const char *xml, guint flags, GError **error);
/* Checks what the tables of the model cannot say, and fills in what was left open. */
gboolean lxc_doc_complete(VireoDomain *doc, GError **error);
/* A MAC address for who has none. */
void lxc_doc_complete_mac(VireoDomainInterface *nic);
VireoModelPathSet *lxc_honoured_paths(GError **error);
/* The file system that is "/". */
const VireoDomainFilesystem *lxc_doc_root(const VireoDomain *doc);
gboolean lxc_doc_mapped(const VireoDomain *doc);
/* Whether it has no terminal: its only console is of type null. */
gboolean lxc_doc_silent(const VireoDomain *doc);

#define VEC_EACH(list, i) for (guint i = 0; i < (list).n; i++)
