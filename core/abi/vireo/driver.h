/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vireo/driver.h: the one header a driver module includes.
 *
 * A driver is a shared object with one exported function, written by VIREO_DRIVER(): a table of the
 * operations it serves, each with the flags it acts on, and the same table as an ELF note that is
 * read without running the module. The generated <vireo/ops.h> holds the operations, their argument
 * and result structs (the wire's own), flags and constants.
 *
 * Rules that hold everywhere:
 *  - Threads: operations run on the core's worker threads, as VIREO_DRIVER's thread model allows.
 *    Watch and timer functions run on the driver's own I/O thread, one at a time. Host functions may
 *    be called from any thread and never call back into the driver before they return.
 *  - Memory: what an operation is given lives until it returns (or host->complete). What it hands out
 *    comes from host->alloc and is freed by the core. Strings given to the host are copied.
 *  - Descriptors: given ones are borrowed; duplicate to keep. Handed-over ones belong to the core.
 *  - Errors: return host->fail(call, code, ...). Codes are enum vireo_error_number.
 *  - Structs with a `size`: set it to sizeof. A daemon leaves out what it does not know at their end, and
 *    takes what the module did not know for zero. `reserved` members are zero.
 *  - Flags: an operation sees only the flags its row calls native. It checks none.
 *  - No fork, signal handler, setenv, chdir or umask: host->spawn starts processes.
 */
#ifndef VIREO_DRIVER_H
#define VIREO_DRIVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <vireo/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIREO_ABI_MAJOR 1 /* changes only when an old module must not load */
#define VIREO_ABI_MINOR 1 /* one more whenever something is added */
#ifndef VIREO_ABI_TARGET  /* the oldest core minor this module must run on */
#define VIREO_ABI_TARGET VIREO_ABI_MINOR
#endif

#if defined(__GNUC__)
#define VIREO_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define VIREO_PRINTF(f, a)
#endif

typedef struct vireo_core vireo_core;   /* the core's side of one loaded driver */
typedef struct vireo_space vireo_space; /* a set of published objects: what one URI shows */

enum vireo_status {
    VIREO_FAIL = -1,  /* host->fail was called */
    VIREO_OK = 0,     /* the result struct is filled in */
    VIREO_PENDING = 1 /* host->complete follows, once, from any thread */
};

/* How many operations of the driver may run at once. The core enforces it. */
enum vireo_threads {
    VIREO_SERIAL,     /* one in the whole driver */
    VIREO_PER_CONN,   /* one per connection */
    VIREO_PER_OBJECT, /* one per object, beside which one of the control lane (destroy, reset, abort) may
                       * run; operations without an object are free */
    VIREO_PARALLEL    /* any; `modify` operations on one object still follow each other */
};

enum vireo_class {
    VIREO_CLASS_NONE,
    VIREO_CLASS_DOMAIN,
    VIREO_CLASS_DOMAIN_SNAPSHOT,
    VIREO_CLASS_DOMAIN_CHECKPOINT,
    VIREO_CLASS_NETWORK,
    VIREO_CLASS_NETWORK_PORT,
    VIREO_CLASS_INTERFACE,
    VIREO_CLASS_STORAGE_POOL,
    VIREO_CLASS_STORAGE_VOL,
    VIREO_CLASS_NODE_DEVICE,
    VIREO_CLASS_SECRET,
    VIREO_CLASS_NWFILTER,
    VIREO_CLASS_NWFILTER_BINDING,
    VIREO_CLASS_ADMIN_SERVER,
    VIREO_CLASS_ADMIN_CLIENT
};

/* ---- operations: typed slots ------------------------------------------------------------------ */

#define VIREO__ENUM(id, op) VIREO_OP_##op = id,
#define VIREO__SLOT(id, op) vireo_##op##_fn *op;
enum vireo_op_id { VIREO_OP_LIST(VIREO__ENUM) VIREO_OP_END = 0 };
union vireo_fn {
    void (*any)(void);
    VIREO_OP_LIST(VIREO__SLOT)
};

/* One row of the table; its stride is vireo_driver.op_size. Every flag outside native and trivial is
 * refused by the core before the driver is called. */
struct vireo_op {
    uint32_t id, reserved;
    uint64_t native;   /* flags the driver acts on */
    uint64_t trivial;  /* flags accepted and stripped: the driver's ordinary behaviour satisfies them */
    uint64_t active;   /* native flags that need a running object */
    uint64_t inactive; /* native flags that need an object that is not running */
    union vireo_fn fn;
};

/* ---- what a driver hands to the host ---------------------------------------------------------- */

enum vireo_object_flags {
    VIREO_OBJECT_PERSISTENT = 1 << 0,   /* has a stored definition */
    VIREO_OBJECT_AUTOSTART = 1 << 1,
    VIREO_OBJECT_UPDATED = 1 << 2,      /* stored definition differs from the running one */
    VIREO_OBJECT_MANAGED_SAVE = 1 << 3, /* has a managed save image */
    VIREO_OBJECT_ACTIVE = 1 << 4,       /* for classes without a state; domains use id != -1 */
    VIREO_OBJECT_QUIET = 1 << 5         /* raise no event for this change (first publishing at start) */
};

/* One object as the core shows it. Lookups, lists, filters, counts, states and lifecycle events are
 * answered from what was published last. */
struct vireo_object {
    uint32_t size;
    uint32_t klass;          /* enum vireo_class */
    const char *name;        /* unique in its class and space */
    uint8_t uuid[16];        /* identity: another name with the same uuid is a rename */
    int32_t id;              /* domains: id while active, -1 otherwise */
    int32_t state, reason;   /* domains: VIREO_DOMAIN_RUNNING ..., and the reason of that state */
    uint32_t flags;          /* enum vireo_object_flags */
    uint32_t vcpus;
    int32_t kind;            /* secrets: usage type; storage pools and node devices: the flags of their lists'
                                filter that hold for it (VIREO_CONNECT_LIST_STORAGE_POOLS_DIR ...), 0: not told */
    uint64_t max_memory_kib, memory_kib;
    const char *os_type;     /* domains: "hvm", "exe", ...; may be NULL */
    const char *key;         /* interfaces: MAC; secrets: usage id; volumes: key; may be NULL */
    int32_t event, detail;   /* lifecycle event to raise instead of the one the core derives; event -1: derive */
};

enum vireo_tree_flags {
    VIREO_TREE_CURRENT = 1 << 0,
    VIREO_TREE_METADATA = 1 << 1, /* the driver keeps metadata that an undefine would lose */
    VIREO_TREE_INTERNAL = 1 << 2,
    VIREO_TREE_EXTERNAL = 1 << 3,
    VIREO_TREE_DISK_ONLY = 1 << 4
};

/* One snapshot or checkpoint of a domain's tree. In an array, size is the same in all: the stride. */
struct vireo_tree_node {
    uint32_t size;
    uint32_t flags;         /* enum vireo_tree_flags */
    const char *name;
    const char *parent;     /* NULL for a root */
    int64_t creation_time;  /* seconds since the epoch */
    int32_t state;          /* VIREO_DOMAIN_RUNNING ... of the guest when it was taken */
    int32_t reserved;
};

enum vireo_dir { VIREO_DIR_CONFIG, VIREO_DIR_STATE, VIREO_DIR_RUN, VIREO_DIR_LOG, VIREO_DIR_CACHE };
enum vireo_log { VIREO_LOG_DEBUG, VIREO_LOG_INFO, VIREO_LOG_WARNING, VIREO_LOG_ERROR };
enum vireo_watch { VIREO_WATCH_IN = 1, VIREO_WATCH_OUT = 2, VIREO_WATCH_HANGUP = 4, VIREO_WATCH_ERROR = 8 };
enum vireo_stream_how {
    VIREO_STREAM_FROM_FD = 1, /* what is read from the fd goes to the client */
    VIREO_STREAM_TO_FD = 2,   /* what the client sends is written to the fd */
    VIREO_STREAM_SPARSE = 4,  /* holes of a regular file cross as holes */
    VIREO_STREAM_CONFIRM = 8  /* ABI 1.1: both sides say how it ended: enum vireo_stream_say */
};

/* ABI 1.1. With VIREO_STREAM_CONFIRM, which goes with one of the two directions, fd is one end of a
 * socketpair(AF_UNIX, SOCK_SEQPACKET), and each message on it begins with one of these bytes. Who closes the socket
 * without DONE or FAILED has given up. A client that has sent everything is answered when the driver has said DONE
 * or FAILED; one that is sent something is told that it ended early unless the driver says DONE. */
enum vireo_stream_say {
    VIREO_STREAM_SAY_DATA = 1,  /* bytes follow, at most 64 KiB */
    VIREO_STREAM_SAY_HOLE = 2,  /* a hole's length follows, a uint64_t of this machine; only with SPARSE */
    VIREO_STREAM_SAY_DONE = 3,  /* that was all, and all is well */
    VIREO_STREAM_SAY_FAILED = 4 /* of the driver only: enum vireo_error_number, a uint32_t, and words */
};

/* A descriptor of the caller and the number it has in the child. Never grows. */
struct vireo_fd_map { int parent, child; };

enum vireo_spawn_flags {
    VIREO_SPAWN_DETACH = 1 << 0,   /* own session; survives the daemon */
    VIREO_SPAWN_SET_USER = 1 << 1, /* run as uid and gid, with no other group */
    VIREO_SPAWN_NO_NEW_PRIVS = 1 << 2
};

struct vireo_spawn {
    uint32_t size;
    uint32_t flags;             /* enum vireo_spawn_flags */
    const char *const *argv;    /* argv[0] is an absolute path */
    const char *const *env;     /* "NAME=value"; NULL: PATH, HOME=/ and LANG=C only */
    int in, out, err;           /* -1: /dev/null */
    uint32_t n_fds;
    const struct vireo_fd_map *fds;
    uid_t uid;
    gid_t gid;
    const uint32_t *groups;     /* further groups, with SET_USER */
    uint32_t n_groups, reserved;
    const char *cwd;            /* NULL: / */
};

/* Filled in by the core; never grows, but what is reserved may get a meaning. */
struct vireo_child {
    pid_t pid;
    int pidfd;             /* the driver's: readable once the child has exited; reap with waitid(P_PIDFD) */
    uint64_t start_time;   /* clock ticks since boot, as in /proc/PID/stat: pid and this identify it */
    uint64_t reserved[2];
};

typedef void vireo_watch_fn(int fd, int events, void *opaque);
typedef void vireo_timer_fn(void *opaque);
typedef void vireo_state_fn(const char *key, const void *data, size_t len, void *opaque);

/* ---- what the host offers --------------------------------------------------------------------- */

/* Append only. A member beyond `size` does not exist: test with VIREO_HOST_HAS. */
struct vireo_host {
    uint32_t size;
    uint16_t abi_major, abi_minor;

    /* Writes to the daemon's log. prio: enum vireo_log. Never log a secret. */
    void (*log)(vireo_core *, int prio, const char *where, const char *fmt, ...) VIREO_PRINTF(4, 5);
    /* Records the error of a call; returns VIREO_FAIL. code: enum vireo_error_number. */
    int (*fail)(vireo_call *, int code, const char *fmt, ...) VIREO_PRINTF(3, 4);
    /* Zeroed memory that lives until the reply is out. Never NULL. */
    void *(*alloc)(vireo_call *, size_t);
    char *(*strdup)(vireo_call *, const char *);

    /* Directories of this driver, created with mode 0700 (LOG 0711); which: enum vireo_dir. */
    const char *(*dir)(vireo_core *, int which);
    /* A value of the driver's own file <config>/<name>.conf, or NULL. */
    const char *(*config)(vireo_core *, const char *group, const char *key);

    /* Who calls: "unix-user-id", "unix-group-id", "process-id", "user-name"...; NULL when unknown. */
    const char *(*identity)(vireo_call *, const char *what);
    /* Nonzero once the client has gone, aborted the call, or its deadline has passed. */
    int (*cancelled)(vireo_call *);
    /* Ends a call that returned VIREO_PENDING. */
    void (*complete)(vireo_call *, int status);
    /* Progress of a long call: units are the driver's; total 0 when unknown. */
    void (*progress)(vireo_call *, uint64_t done, uint64_t total, const char *what);

    /* The space of that name, made on first use and never freed; name is the canonical URI. */
    vireo_space *(*space)(vireo_core *, const char *name);
    /* Adds or replaces an object (by uuid; by name for classes without one). Idempotent and cheap. */
    void (*publish)(vireo_space *, const struct vireo_object *);
    /* Removes an object. A persistent domain is reported as undefined. */
    void (*withdraw)(vireo_space *, uint32_t klass, const char *name, const uint8_t uuid[16]);
    /* Replaces a domain's whole tree of snapshots (VIREO_CLASS_DOMAIN_SNAPSHOT) or checkpoints. */
    void (*publish_tree)(vireo_space *, uint32_t klass, const uint8_t domain_uuid[16], uint32_t n,
                         const struct vireo_tree_node *nodes);
    /* Raises any other event. event: enum vireo_event_id of the form without callback id where there
     * are two; msg: its generated message struct. */
    void (*event)(vireo_space *, uint32_t event, const void *msg);

    /* Durable state of the driver: replaced atomically, on disk when the function returns 0; -1 and
     * errno otherwise. Keys: letters, digits, '.', '_', '-' and '/' as separator. */
    int (*state_save)(vireo_core *, const char *key, const void *data, size_t len);
    int (*state_drop)(vireo_core *, const char *key);
    void (*state_each)(vireo_core *, const char *prefix, vireo_state_fn *, void *opaque);

    /* Calls fn on the driver's I/O thread while fd has events (enum vireo_watch). 0 on failure. */
    uint64_t (*watch)(vireo_core *, int fd, int events, vireo_watch_fn *, void *opaque);
    /* After this returns fn does not run any more, unless it is the caller. */
    void (*unwatch)(vireo_core *, uint64_t id);
    /* Calls fn once on the I/O thread after so many milliseconds; unwatch cancels it. */
    uint64_t (*timer)(vireo_core *, uint32_t milliseconds, vireo_timer_fn *, void *opaque);
    /* Calls fn once on a worker thread, where it may block. */
    void (*defer)(vireo_core *, vireo_timer_fn *, void *opaque);

    /* Starts a process. 0, or -1 with errno (also when the program cannot be executed; EINVAL for a
     * flag this daemon does not know). */
    int (*spawn)(vireo_core *, const struct vireo_spawn *, struct vireo_child *);

    /* Joins the client's stream of this call with fd, which becomes the core's. offset and length are
     * for regular files; length 0: to the end. how: enum vireo_stream_how. */
    int (*stream)(vireo_call *, int fd, int how, uint64_t offset, uint64_t length);
    /* Descriptors that came with the call (borrowed). */
    const int *(*fds)(vireo_call *, uint32_t *n);
    /* Sends fd with the reply; it becomes the core's. */
    void (*reply_fd)(vireo_call *, int fd);

    /* ABI 1.1. Adds one node to a domain's tree, or replaces the one of that name, which keeps its children: what
     * publish_tree does with all, in O(log n). A parent that is not there makes it a root; one that is below it is
     * refused, with a line in the log. CURRENT makes it the current one instead of the one before; the current
     * one without CURRENT leaves the tree without. */
    void (*publish_node)(vireo_space *, uint32_t klass, const uint8_t domain_uuid[16],
                         const struct vireo_tree_node *);
    /* ABI 1.1. Removes one node, when it is there. Its children get its parent. */
    void (*withdraw_node)(vireo_space *, uint32_t klass, const uint8_t domain_uuid[16], const char *name);
};
#define VIREO_HOST_HAS(h, m) ((h)->size >= offsetof(struct vireo_host, m) + sizeof((h)->m))

struct vireo_driver {
    uint32_t size;
    uint16_t abi_major, abi_target;
    const char *name, *version;
    const char *schemes; /* URI schemes served, separated by spaces */
    uint32_t threads;    /* enum vireo_threads */
    uint32_t op_size, n_ops, reserved;
    const struct vireo_op *ops;
    /* Runs once, on a worker. Reattaches what runs and publishes it. VIREO_FAIL after host->log
     * of the reason. */
    int (*init)(const struct vireo_host *, vireo_core *, void **self);
    /* After this no thread of the driver exists. Guests keep running. */
    void (*fini)(void *self);
};

/* ---- the static manifest: an ELF note, no relocations, no code to run -------------------------- */

#define VIREO_NOTE_OWNER "vireo"
#define VIREO_NOTE_DRIVER 0x56520001u
#define VIREO_NOTE_SECTION ".note.vireo.driver"
struct vireo_note_op {
    uint32_t id, native[2], trivial[2], active[2], inactive[2];
};
struct vireo_note_head {
    uint32_t head_size, op_size, n_ops;
    uint16_t abi_major, abi_target;
    uint32_t threads;
    char name[32], version[32], schemes[64];
};

#define VIREO__64(m) { (uint32_t)((m) & 0xffffffffu), (uint32_t)((uint64_t)(m) >> 32) }
#define VIREO__COUNT(op, f, nat, tri, act, ina) + 1
#define VIREO__NOTE(op, f, nat, tri, act, ina) \
    { VIREO_OP_##op, VIREO__64(nat), VIREO__64(tri), VIREO__64(act), VIREO__64(ina) },
#ifdef __cplusplus
#define VIREO__ASSERT static_assert
#else
#define VIREO__ASSERT _Static_assert
#endif
#define VIREO__CHECK(op, f, nat, tri, act, ina)                                                    \
    VIREO__ASSERT(((nat) & (tri)) == 0, #op ": a flag is native or trivial, not both");            \
    VIREO__ASSERT(((uint64_t)((nat) | (tri)) & ~VIREO_FLAGS_##op) == 0, #op ": unknown flag");     \
    VIREO__ASSERT((((act) | (ina)) & ~(uint64_t)(nat)) == 0, #op ": state rule on a flag that is not native");

#define VIREO__ENTRY(op, f, nat, tri, act, ina) \
    { VIREO_OP_##op, 0, (nat), (tri), (act), (ina), VIREO__FN(op, f) },
#ifdef __cplusplus
} /* extern "C" */
/* C++17 has no designated initialisers; one small function per operation fills the typed member. */
#define VIREO__FN(op, f) ([]() { union vireo_fn u {}; u.op = (f); return u; }())
#define VIREO__EXTERN extern "C"
#else
#define VIREO__FN(op, f) { .op = (f) }
#define VIREO__EXTERN
#endif

/*
 * Writes the note, the table and the entry point of a module.
 *   drv      the driver's name, an identifier
 *   ver      its version, a string
 *   uris     its URI schemes, separated by spaces, a string
 *   model    enum vireo_threads
 *   OPS      a macro OPS(X) that lists X(op, function, native, trivial, active, inactive)
 */
#define VIREO_DRIVER(drv, ver, uris, model, OPS, init_fn, fini_fn)                                 \
    OPS(VIREO__CHECK)                                                                              \
    __attribute__((used, section(VIREO_NOTE_SECTION), aligned(4))) static const struct {           \
        uint32_t namesz, descsz, type;                                                             \
        char owner[(sizeof VIREO_NOTE_OWNER + 3) & ~3u];                                           \
        struct vireo_note_head head;                                                               \
        struct vireo_note_op ops[0 OPS(VIREO__COUNT)];                                             \
    } vireo__note = {                                                                              \
        sizeof VIREO_NOTE_OWNER,                                                                   \
        sizeof(struct vireo_note_head) + sizeof(struct vireo_note_op) * (0 OPS(VIREO__COUNT)),     \
        VIREO_NOTE_DRIVER,                                                                         \
        VIREO_NOTE_OWNER,                                                                          \
        { sizeof(struct vireo_note_head), sizeof(struct vireo_note_op), 0 OPS(VIREO__COUNT),       \
          VIREO_ABI_MAJOR, VIREO_ABI_TARGET, (model), #drv, ver, uris },                           \
        { OPS(VIREO__NOTE) } };                                                                    \
    static const struct vireo_op vireo__ops[] = { OPS(VIREO__ENTRY) };                             \
    static const struct vireo_driver vireo__driver = {                                             \
        sizeof(struct vireo_driver), VIREO_ABI_MAJOR, VIREO_ABI_TARGET, #drv, ver, uris, (model),  \
        sizeof(struct vireo_op), 0 OPS(VIREO__COUNT), 0, vireo__ops, (init_fn), (fini_fn) };       \
    VIREO__EXTERN __attribute__((visibility("default")))                                           \
    const struct vireo_driver *vireo_driver_entry_1(void);                                         \
    const struct vireo_driver *vireo_driver_entry_1(void)                                          \
    {                                                                                              \
        return &vireo__driver;                                                                     \
    }

#endif
