/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the esx driver share. */
#include <vireo/driver.h>

#include "kit/feed.h"
#include "kit/machines.h"
#include "kit/model.h"
#include "kit/password.h"
#include "kit/shared.h"
#include "kit/soap.h"
#include "vim.h"

typedef VimManagedObjectReference EsxRef;
typedef struct EsxDriver EsxDriver;
typedef struct EsxServer EsxServer;
typedef struct EsxFigures EsxFigures;

struct EsxDriver {
    const struct vireo_host *host;
    vireo_core *core;
    VireoShares *servers;
    VireoModelPathSet *honoured;
};

/* ---- uri.c: where to, and how -------------------------------------------------------- */

typedef struct {
    gboolean center; /* vpx: a vCenter; else a host */
    gboolean http, no_verify;
    gboolean auto_answer;
    gboolean named; /* one of the settings */
    char *host; /* without brackets */
    guint port;
    char *user, *path; /* path without slashes around it, "" for a host */
    char *proxy, *ca_file;
    char *text; /* canonical: the same for all that mean the same */
} EsxUri;

/* A URI as a client gives it, or NAME of the driver's settings in place of a host. */
EsxUri *esx_uri_parse(EsxDriver *driver, const char *text, GError **error);
/* Whether somebody who may only look may have the daemon give a password away like this. */
gboolean esx_uri_is_safe(const EsxUri *uri, GError **error);
void esx_uri_set_user(EsxUri *uri, const char *user);
void esx_uri_free(EsxUri *uri);

/* ---- auth.c -------------------------------------------------------------------------- */

/* The password for the user of uri; where that names none, the user of the file goes into it.
 * Free with vireo_password_free(). */
char *esx_auth_password(EsxDriver *driver, EsxUri *uri, GError **error);

/* ---- inventory.c: the machines of a server, and what is published of them ------------ */

typedef struct {
    EsxRef *ref; /* of the snapshot */
    char *name;  /* unique among those of the machine */
    char *description;
    int parent; /* index; -1: a root */
    gint64 created; /* seconds since 1970 */
    int state;  /* VIREO_DOMAIN_... */
    gboolean current;
} EsxSnapshot;

/* question.c: what a machine waits for. Counted, and never changed. */
typedef struct {
    char *id, *text;
    char **keys, **labels; /* of the answers */
    int suggested;         /* index; -1: none */
} EsxQuestion;

typedef struct {
    EsxRef *ref;
    char *name; /* unique */
    guint8 uuid[16];
    int id; /* the number in ref */
    VimVirtualMachinePowerState power;
    int reason; /* of the state that power means */
    EsxQuestion *question; /* NULL: none */
    guint vcpus;
    guint64 max_memory, memory; /* KiB */
    gboolean autostart;
    GPtrArray *snapshots;       /* EsxSnapshot, parents before their children */
} EsxMachine;

/* things.c: what there is besides machines. Counted, and never changed. */
typedef enum { ESX_POOLS, ESX_NETWORKS, ESX_CARDS, ESX_THINGS } EsxThings;
typedef struct {
    EsxRef *ref; /* of a datastore */
    char *name;
    char *key; /* a datastore's path on the host, a target's name, the server's name for a switch, a card's address */
    guint8 uuid[16];
    gboolean active;
    int kind; /* of a pool: VIREO_STORAGE_POOL_KIND_... */
} EsxThing;

struct EsxServer {
    VireoShared shared; /* its secret is the password */
    EsxDriver *driver;
    EsxUri *uri;
    /* of nobody but who opens and closes it */
    vireo_space *space;
    VireoSoap *soap;
    VireoArena *arena; /* of what follows; read only once the server is ready */
    VimServiceContent *content;
    EsxRef *datacenter, *vm_folder, *compute, *pool, *host;
    EsxRef *starter; /* the host's HostAutoStartManager; NULL: there is none */
    char *datacenter_path;
    VireoMachines *machines; /* EsxMachine. An expected reason is that of being off, when somebody here turns it off */
    GMutex lock; /* of what follows */
    GHashTable *gone;     /* values of references: see esx_inventory_gone */
    GPtrArray *things[ESX_THINGS]; /* of EsxThing; replaced, never changed */
    guint64 things_seen;  /* number of the reading they came from */
    VireoFeeds *transfers;
    GHashTable *autostart; /* values of references to the machines that start with the host */
    EsxFigures *figures;
    GThread *watcher;
    GCancellable *stop;
    EsxRef *collector;  /* the watcher's */
    VireoArena *watch_arena;
    char *version;
};

/* Reads those machines, or all below `view`, and publishes what they are now. */
gboolean esx_inventory_read(EsxServer *server, EsxRef *const *refs, guint n, const VireoHttpWait *wait,
                            GError **error);
/* What a list of all machines says; others are gone. quiet: raises no events. */
void esx_inventory_set_all(EsxServer *server, guint64 number, VimObjectContent *const *objects, guint n,
                           gboolean quiet);
/* Those of the references start with the host; takes them. */
void esx_inventory_set_autostart(EsxServer *server, GHashTable *values);
/* We have removed it: what was asked before that does not bring it back, until the server says that it left. */
void esx_inventory_gone(EsxServer *server, const char *value);
void esx_inventory_left(EsxServer *server, const char *value);
VireoMachines *esx_inventory_new(EsxServer *server);
/* The paths to ask for. */
extern const char *const esx_inventory_paths[];
extern const guint esx_inventory_n_paths;
void esx_snapshot_free(gpointer snapshot);

/* ---- things.c ------------------------------------------------------------------------ */

/* Reads and publishes them: two requests. quiet: raises no events. */
gboolean esx_things_read(EsxServer *server, gboolean quiet, const VireoHttpWait *wait, GError **error);
/* lun.c: the targets that a host's adapters are set to; host: with its property config.storageDevice.hostBusAdapter. */
typedef void (*EsxTargetFound)(const VimHostInternetScsiHba *adapter, const VimHostInternetScsiHbaStaticTarget *target,
                               void *opaque);
void esx_targets_each(const VimObjectContent *host, EsxTargetFound found, void *opaque);
/* Whether a pool is such a target, and no datastore. */
gboolean esx_thing_is_target(const EsxThing *pool);
/* References to all of a kind. */
GPtrArray *esx_thing_all(EsxServer *server, EsxThings kind);
/* What kind of datastore that is, of its property "info": VIREO_STORAGE_POOL_KIND_... */
int esx_pool_kind(const VireoSoapValue *info);
/* A reference; NULL: there is none. */
EsxThing *esx_thing_find(EsxServer *server, EsxThings kind, const char *name);
EsxThing *esx_thing_with_key(EsxServer *server, EsxThings kind, const char *key);
void esx_thing_unref(EsxThing *thing);
/* All leave the space. */
void esx_things_clear(EsxServer *server);
void esx_things_free(EsxServer *server);

/* ---- autostart.c ----------------------------------------------------------------------- */

/* Looks for the host's manager, and what it says. */
gboolean esx_autostart_find(EsxServer *server, const VireoHttpWait *wait, GError **error);
/* Reads and publishes which machines start with the host. */
gboolean esx_autostart_read(EsxServer *server, const VireoHttpWait *wait, GError **error);

/* ---- cpu.c ----------------------------------------------------------------------------- */

EsxFigures *esx_figures_new(void);
void esx_figures_free(EsxFigures *figures);
/* Asks what those machines have used since they were asked about last. */
gboolean esx_cpu_read(EsxServer *server, EsxRef *const *machines, guint n, const VireoHttpWait *wait, GError **error);
/* Nanoseconds, as far as they have been asked for. */
guint64 esx_cpu_time(const EsxServer *server, const EsxRef *machine);
/* The next start counts from 0. */
void esx_cpu_forget(EsxServer *server, const EsxRef *machine);

/* ---- question.c ------------------------------------------------------------------------ */

/* NULL: it waits for nothing. */
EsxQuestion *esx_question_of(const VimObjectContent *machine);
EsxQuestion *esx_question_ref(EsxQuestion *question);
void esx_question_unref(EsxQuestion *question);
/* With its answers. Caller frees. */
char *esx_question_words(const EsxQuestion *question);
/* Gives the answer that the server suggests. */
gboolean esx_question_answer(EsxServer *server, const EsxRef *machine, const EsxQuestion *question,
                             const VireoHttpWait *wait, GError **error);

/* ---- server.c ------------------------------------------------------------------------ */

/* The server of that URI, shared by all who mean it. Takes uri. Blocks. */
EsxServer *esx_server_open(EsxDriver *driver, EsxUri *uri, const VireoHttpWait *wait, GError **error);
VireoShares *esx_servers_new(EsxDriver *driver);

/* ---- property.c ---------------------------------------------------------------------- */

EsxRef *esx_ref_copy(const EsxRef *ref);
void esx_ref_free(gpointer ref);
EsxRef *esx_ref_in(VireoArena *arena, const EsxRef *ref);

/* Properties of objects of one type. NULL: failed. Objects that are gone are left out. */
VimRetrievePropertiesRet *esx_properties(EsxServer *server, const char *type, EsxRef *const *refs, guint n,
                                         const char *const *paths, guint n_paths, const VireoHttpWait *wait,
                                         VireoArena *arena, GError **error);
/* The same of one object, which must be there. */
VimObjectContent *esx_properties_of(EsxServer *server, const EsxRef *ref, const char *const *paths, guint n_paths,
                                    const VireoHttpWait *wait, VireoArena *arena, GError **error);
const VireoSoapValue *esx_property(const VimObjectContent *object, const char *path);
EsxRef *esx_property_ref(const VimObjectContent *object, const char *path);

/* ---- datastore.c: those the host can see; NULL: failed ----------------------------------- */

/* host: with its property "datastore". */
VimRetrievePropertiesRet *esx_datastore_properties(EsxServer *server, const VimObjectContent *host,
                                                   const char *const *paths, guint n_paths, const VireoHttpWait *wait,
                                                   VireoArena *arena, GError **error);
/* VimDatastoreSummary of each. */
GPtrArray *esx_datastores(EsxServer *server, const VireoHttpWait *wait, VireoArena *arena, GError **error);

/* ---- place.c: the datacenter and host a URI means ------------------------------------- */

gboolean esx_place_find(EsxServer *server, const VireoHttpWait *wait, GError **error);

/* ---- watch.c ------------------------------------------------------------------------- */

/* Asks the server to tell what changes, and publishes what there is. */
gboolean esx_watch_begin(EsxServer *server, gboolean quiet, const VireoHttpWait *wait, GError **error);
void esx_watch_start(EsxServer *server);
void esx_watch_stop(EsxServer *server);

/* ---- error.c ------------------------------------------------------------------------- */

/* The error of a call; frees it and returns VIREO_FAIL. */
int esx_fail(EsxDriver *driver, vireo_call *call, GError *error);
/* Its number for clients; *text: its words, caller frees. */
int esx_error_number(const GError *error, char **text);
/* Why a task failed, or a fault, as an error of domain VIREO_ERROR. */
void esx_error_from_fault(GError **error, const char *type, const char *text, const VireoSoapValue *detail);

/* ---- connections, and calls on machines ------------------------------------------------ */

typedef struct {
    EsxDriver *driver;
    EsxServer *server;
} EsxConn;

/* For the length of a call: ends with it. */
VireoHttpWait esx_wait(vireo_call *call);
/* A copy of the machine's reference in the call's memory; NULL: failed. */
EsxRef *esx_machine_ref(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom);
/* What the domain is now, for an answer. */
vireo_domain_ref esx_machine_dom(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom);

/* power.c: the machine, when it is now in one of those states (a mask of 1 << power); NULL: failed. */
EsxRef *esx_machine_need(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom, guint states);

/* question.c: the call's status. */
int esx_machine_answer(EsxConn *conn, vireo_call *call, EsxMachine *machine);

int esx_machine_suspend(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom);
int esx_machine_power_on(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom, guint states);

/* guest.c: properties of the machine; NULL: failed. */
VimObjectContent *esx_machine_properties(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom,
                                         const char *const *paths, guint n, VireoArena *arena);

/* resources.c: the call's status. */
int esx_machine_reconfigure(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom,
                            VimVirtualMachineConfigSpec *spec);

/* task.c: an operation on a machine that answers with a task: waits for that, reads the machine anew, and returns the
 * call's status. */
int esx_task_run(EsxConn *conn, vireo_call *call, EsxRef *machine, const VireoSoapOperation *operation,
                 gconstpointer args);
/* The waiting alone. */
gboolean esx_task_end(EsxConn *conn, vireo_call *call, const EsxRef *task, GError **error);
/* Its result, in arena; NULL: failed. */
const VireoSoapValue *esx_task_value(EsxConn *conn, vireo_call *call, const EsxRef *task, VireoArena *arena,
                                     GError **error);
/* The object a task has made; NULL: failed. */
EsxRef *esx_task_result(EsxConn *conn, vireo_call *call, const EsxRef *task, VireoArena *arena, GError **error);

/* describe.c: a domain document of a machine; object: its properties esx_describe_paths. */
VireoDomain *esx_describe(EsxServer *server, const EsxMachine *machine, const VimObjectContent *object);
/* The name of a disk's target; NULL: it is no disk. Caller frees. */
char *esx_describe_target(const VimVirtualHardware *hardware, VimVirtualDevice *device);
extern const char *const esx_describe_paths[];
extern const guint esx_describe_n_paths;
/* A reference to what is known of a machine, given back with esx_machine_free(); NULL: there is none. */
EsxMachine *esx_machine_find(EsxServer *server, const guint8 uuid[16]);
/* A reference to what that machine waits for; NULL: nothing. */
EsxQuestion *esx_machine_question(EsxServer *server, const EsxRef *machine);
void esx_machine_free(gpointer machine);
/* VIREO_DOMAIN_... */
int esx_machine_state(const EsxMachine *machine);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EsxUri, esx_uri_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EsxThing, esx_thing_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EsxQuestion, esx_question_unref)
