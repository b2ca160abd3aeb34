/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The types the rooms of this driver share. Locks, in the order in which they may be taken:
 *   domain->job    one modify operation at a time; held over QMP and disk I/O
 *   space->lock    the tables of domains; short
 *   domain->lock   the fields of a domain; short, never held over QMP or disk I/O */

#include <glib.h>
#include <vireo/driver.h>

#include "kit/loop.h"
#include "kit/model.h"
#include "kit/qmp.h"

typedef struct QemuDriver QemuDriver;
typedef struct QemuSpace QemuSpace;
typedef struct QemuDomain QemuDomain;
typedef struct QemuDef QemuDef;
typedef struct QemuEmulator QemuEmulator;
typedef struct QemuTree QemuTree;
typedef struct QemuCheckpoints QemuCheckpoints;
typedef struct QemuBackup QemuBackup;
typedef struct QemuBackupFigures QemuBackupFigures;
typedef struct QemuCoalescer QemuCoalescer;
typedef struct QemuSeen QemuSeen;
typedef struct QemuKeptFiles QemuKeptFiles;

typedef struct {
    char *user, *group;    /* whom QEMU runs as when the daemon is privileged; NULL: choose */
    gboolean sandbox;
    char *vnc_listen;
    int vnc_port_min, vnc_port_max;
    gboolean set_ownership;
    char *emulator_dirs;   /* where qemu-system-* are looked for, ':' between */
    char *firmware_dirs;   /* the same of descriptions of firmware */
    int start_timeout_s;
    char *overlay_dir;     /* new images of disks that are no files; NULL: none is made */
    char *backup_tls_dir;  /* certificates of the server of pull backups; NULL: none */
    int merge_jobs;        /* domains whose images are merged at once; 0: one per processor */
    int chain_limit;       /* images based on each other, beyond which no snapshot adds one */
    int delete_looks_at;   /* things, before a delete answers; the rest is looked at in the background */
    int shorten_above;     /* a longer chain is shortened even where that copies data twice */
} QemuConfig;

struct QemuDriver {
    const struct vireo_host *host;
    vireo_core *core;
    VireoLoop *loop; /* monitors */
    QemuConfig config;
    gboolean privileged;
    uid_t uid; /* of QEMU processes; (uid_t)-1: none could be chosen, reason in no_user */
    gid_t gid;
    char *no_user;
    gint next_id;
    GMutex lock;
    GHashTable *spaces;    /* canonical URI -> QemuSpace */
    GHashTable *emulators; /* path -> QemuEmulator */
    GPtrArray *old_emulators; /* of binaries that were replaced */
    GMutex images_lock;
    GHashTable *images; /* identity -> QemuImageOwner: see images.c */
    VireoModelPathSet *honoured;
    GMutex terminals_lock;
    GCond terminals_gone; /* one of them */
    GPtrArray *terminals; /* consoles and channels with a client: see terminal.c */
    QemuCoalescer *coalescer;
    QemuSeen *seen; /* what images said */
    GPtrArray *rests; /* of snapshots an earlier daemon began: see snapshot_live.c; lock held */
    gint stopping;
};

struct QemuSpace {
    QemuDriver *driver;
    char *uri;  /* canonical: qemu:///system */
    char *key;  /* of saved state: letters and digits */
    char *config_dir, *snapshot_dir, *checkpoint_dir, *save_dir, *nvram_dir, *run_dir, *log_dir;
    vireo_space *published;
    GMutex lock;
    GHashTable *by_uuid, *by_name; /* QemuDomain; by_uuid holds the references */
};

/* A definition; never changes once it is shared. */
struct QemuDef {
    gint refs;
    VireoDomain *doc;
};
QemuDef *qemu_def_new(VireoDomain *doc); /* takes doc */
QemuDef *qemu_def_ref(QemuDef *def);
void qemu_def_unref(QemuDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuDef, qemu_def_unref)

/* Images that are being merged in the background: see coalesce.h. */
typedef struct {
    char *image; /* that grows; NULL: nothing is done */
    guint64 total, before; /* bytes to copy; what the image held at first */
    gint64 since;
    gboolean stop; /* a client's wish */
} QemuMerge;

/* The guest's memory on its way to a file: see saving.h. */
typedef struct {
    gboolean active, stop; /* it is written now; a client's wish */
    gboolean watched, stuck; /* the memory is watched for writes; and nobody but QEMU can end that */
    gboolean over, failed; /* figures are of the last one */
    int operation;
    gint64 since, elapsed_us;
    gint64 stopped_at, pause_us; /* by QEMU's clock */
    guint64 total, done, left;
} QemuSaving;

struct QemuDomain {
    gint refs;
    QemuSpace *space;
    guint8 uuid[16];
    char uuid_text[37];
    GMutex job; /* taken by qemu_domain_take_job */
    GMutex agent;     /* one talk with the agent in the guest at a time */
    GMutex save_lock; /* orders saving and dropping of the live state; held over disk I/O */
    char *found_status; /* run state QEMU was found in after a restart of the daemon */

    GMutex lock;
    GCond changed; /* jobs of QEMU, device removals, the end of the process */
    char *name;
    QemuDef *config; /* the stored definition; of a transient domain NULL */
    QemuDef *live;   /* what runs */
    gboolean autostart, managed_save, gone;
    gboolean reviving;    /* transient, and started anew: outlives its process */
    gboolean autodestroy; /* what runs ends with the connection that started it */
    int id;          /* -1: not running */
    int state, reason;
    guint64 balloon_kib;

    /* The process; valid while id != -1. */
    pid_t pid;
    guint64 start_time;
    int pidfd;
    uint64_t watch;
    VireoQmp *qmp;
    guint generation;         /* one more with every process */
    int end_reason;           /* shutoff reason to report when the process ends; 0: unknown */
    int stop_reason;            /* paused reason of the next STOP event; 0: unknown */
    gboolean early_off;         /* the guest went off before it was announced */
    gboolean ending;            /* tidying up after a process; no new one may start */
    gboolean bury;              /* a transient one whose process has ended: see qemu_process_bury */
    gboolean reset_on_shutdown; /* an ACPI reboot is under way */
    gboolean quiet_states;    /* a job stops and continues the guest: publish nothing meanwhile */
    GArray *vcpu_tids;        /* gint */
    GHashTable *jobs;         /* QEMU job id -> status text */
    GHashTable *block_jobs;   /* disk target -> QemuBlockJob: see blockjob.h */
    GHashTable *failed_jobs;  /* disk target -> how its last block job failed, in words */
    QemuBackup *backup;       /* NULL: none runs; see backup.h */
    QemuBackupFigures *backup_done; /* of the last one; NULL: there was none */
    GHashTable *chains;       /* disk target -> GPtrArray of QemuImage, as last looked at */
    GHashTable *removed;      /* device ids QEMU reported as gone */
    GHashTable *stuck;        /* internal snapshots that QEMU cannot take out of images: see qemu_lost_waits */
    GQueue ports;             /* reports of channels that nobody has looked at: see channel.c */
    char *log_path;
    guint64 log_start;          /* length of the log when the process began */

    guint waiting;   /* who waits for the job */
    gboolean yields; /* whoever has the job gives way to them */
    gboolean shared; /* and lets those in who only note: see qemu_domain_share_job */
    GThread *guest;  /* the one who is in; NULL: nobody */
    gboolean news;   /* there was one: what is done is to be planned anew */
    struct QemuNodes *nodes; /* the job's: see engine.h */
    QemuKeptFiles *files; /* the job's: see engine_known.c */
    gint64 looked; /* the job's: when all its images were last looked at; monotonic */
    gboolean unfinished; /* the job's: an operation on snapshots could not be written down to its end */
    QemuMerge merge;
    QemuSaving saving;

    QemuCheckpoints *checkpoints;
    QemuTree *tree; /* snapshots; only touched with job held, or before anybody knows the domain */
};

/* The connection handle given to the core. */
typedef struct {
    QemuDriver *driver;
    QemuSpace *space;
    gboolean readonly;
    GMutex lock;
    GPtrArray *mine; /* QemuMine: guests that end with the connection */
} QemuConn;

/* The guest that was just started ends with the connection. */
void qemu_conn_own(QemuConn *conn, QemuDomain *dom);

/* ---- errors -------------------------------------------------------------------- */

/* Sets an error whose code is a wire error number (VIREO_ERR_...). */
void qemu_error(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The same for a call that is refused: the message names the object, its state and the rule that is in the way;
 * instead: the nearest call that would be taken, or what makes this one so. */
void qemu_refuse(GError **error, int code, const char *instead, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* Reports error on the call; returns VIREO_FAIL. */
int qemu_fail(QemuDriver *driver, vireo_call *call, const GError *error);

/* ---- spaces (space.c) ---------------------------------------------------------- */

QemuSpace *qemu_space_open(QemuDriver *driver, const char *uri, GError **error);
void qemu_space_free(gpointer space);

/* ---- domains (domain.c) -------------------------------------------------------- */

QemuDomain *qemu_domain_new(QemuSpace *space, const guint8 uuid[16], const char *name);
QemuDomain *qemu_domain_ref(QemuDomain *dom);
void qemu_domain_unref(QemuDomain *dom);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuDomain, qemu_domain_unref)

/* By uuid; fails the call with NO_DOMAIN when there is none. */
QemuDomain *qemu_domain_find(QemuConn *conn, vireo_call *call, const vireo_domain_ref *ref);
/* The same and takes its job lock; end with qemu_domain_end. */
QemuDomain *qemu_domain_begin(QemuConn *conn, vireo_call *call, const vireo_domain_ref *ref);
/* The same for a call that only writes down what is given up, and lets go of snapshots: it goes on beside who works in the
 * background, where that shares the job, instead of waiting until it gives way. Such a guest (qemu_domain_is_guest) sends QEMU
 * nothing and changes no image. */
QemuDomain *qemu_domain_begin_noting(QemuConn *conn, vireo_call *call, const vireo_domain_ref *ref);
gboolean qemu_domain_is_guest(QemuDomain *dom);
void qemu_domain_end(QemuDomain *dom);
/* Waits for the job lock; who works in the background gives way. */
void qemu_domain_take_job(QemuDomain *dom);
void qemu_domain_give_job(QemuDomain *dom);
/* Whether the holder of the job, who works in the background, is to give way now. */
gboolean qemu_domain_must_yield(QemuDomain *dom);
/* The same; with dom->lock held. */
gboolean qemu_domain_is_wanted(const QemuDomain *dom);
/* While the holder, who works in the background, waits for QEMU, a program or a disk, and until it says so, it uses neither the
 * snapshots nor what is noted of images, and guests may change both. FALSE with error: it is to give way instead. Nothing is
 * shared by others. */
gboolean qemu_domain_share_job(QemuDomain *dom, GError **error);
/* Waits for the guest that is in. */
void qemu_domain_unshare_job(QemuDomain *dom);
typedef QemuDomain QemuDomainJob;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuDomainJob, qemu_domain_end)

QemuDomain *qemu_domain_by_uuid(QemuSpace *space, const guint8 uuid[16]);
QemuDomain *qemu_domain_by_name(QemuSpace *space, const char *name);
GPtrArray *qemu_domain_all(QemuSpace *space);
/* Enters a new domain into the tables; FALSE when the name or uuid is taken by another one. */
gboolean qemu_domain_register(QemuDomain *dom, GError **error);
void qemu_domain_forget(QemuDomain *dom);

/* The definition an operation works on. config: of the stored one; NULL when there is none. */
QemuDef *qemu_domain_live(QemuDomain *dom);
QemuDef *qemu_domain_config(QemuDomain *dom);
/* Live while it runs, else the stored one. */
QemuDef *qemu_domain_current(QemuDomain *dom);
/* Replaces the definition that is shared from now on; takes def. */
void qemu_domain_set_live(QemuDomain *dom, QemuDef *def);
void qemu_domain_set_config(QemuDomain *dom, QemuDef *def);
gboolean qemu_domain_active(QemuDomain *dom);
/* The monitor of a running domain, or NULL with OPERATION_INVALID. Unref it. */
VireoQmp *qemu_domain_monitor(QemuDomain *dom, GError **error);
void qemu_domain_set_state(QemuDomain *dom, int state, int reason);
/* Tells the core what the domain looks like now. */
void qemu_domain_publish(QemuDomain *dom);
void qemu_domain_publish_quiet(QemuDomain *dom);
void qemu_domain_publish_event(QemuDomain *dom, int event, int detail);
void qemu_domain_fill_ref(QemuDomain *dom, vireo_call *call, vireo_domain_ref *ref);
char *qemu_domain_path(QemuDomain *dom, const char *dir, const char *suffix);
/* Refuses a transient domain: "domain 'NAME' is transient: WHY". */
gboolean qemu_domain_persistent(QemuDomain *dom, const char *why, GError **error);
/* Which definitions an AFFECT_* mask means now: checked against state and persistence. */
gboolean qemu_domain_impact(QemuDomain *dom, guint flags, gboolean *live, gboolean *config,
                            GError **error);
/* Refuses with BLOCK_COPY_ACTIVE while a disk (NULL: any) has a block job. */
gboolean qemu_blockjobs_none(QemuDomain *dom, const char *dev, GError **error);

/* Writes the stored definition, then shares it. */
gboolean qemu_domain_store(QemuDomain *dom, QemuDef *def, GError **error);
gboolean qemu_domain_unstore(QemuDomain *dom, GError **error);

/* ---- definitions (define.c, defaults.c, address.c) ----------------------------- */

typedef enum {
    QEMU_DEF_VALIDATE = 1 << 0,
    QEMU_DEF_LIVE = 1 << 1,    /* keep what only describes a running guest */
    QEMU_DEF_TRUSTED = 1 << 2, /* written by ourselves: no feature check */
} QemuDefFlags;
QemuDef *qemu_def_parse(QemuSpace *space, const char *xml, guint flags, GError **error);
/* Fills in everything a guest needs that the document left open. */
gboolean qemu_def_complete(QemuSpace *space, VireoDomain *doc, GError **error);
gboolean qemu_address_assign(VireoDomain *doc, GError **error);
/* Every device gets the alias by which QEMU knows it. */
void qemu_alias_assign(VireoDomain *doc);
VireoModelPathSet *qemu_honoured_paths(GError **error);
gboolean qemu_doc_is_q35(const VireoDomain *doc);
/* "vdb" is 1; -1 when the name is none. */
int qemu_disk_index(const char *dev);

/* ---- small things -------------------------------------------------------------- */

static inline QemuConn *qemu_conn(void *conn)
{
    return conn;
}
/* CPU time its process has used, nanoseconds; 0 when it does not run (info.c). */
guint64 qemu_domain_cpu_time(QemuDomain *dom);
#define VEC_EACH(list, i) for (guint i = 0; i < (list).n; i++)
