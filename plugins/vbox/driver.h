/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the vbox driver share. */
#include <vireo/driver.h>

#include "kit/feed.h"
#include "kit/machines.h"
#include "kit/model.h"
#include "kit/password.h"
#include "kit/shared.h"
#include "kit/soap.h"
#include "web.h"

typedef struct VboxDriver VboxDriver;
typedef struct VboxServer VboxServer;

struct VboxDriver {
    const struct vireo_host *host;
    vireo_core *core;
    VireoShares *servers;
    VireoModelPathSet *honoured, *honoured_network, *honoured_volume;
};

/* ---- uri.c: where to, and how -------------------------------------------------------- */

typedef struct {
    gboolean https, transport_given, no_verify;
    gboolean named; /* one of the settings */
    char *host;     /* without brackets */
    guint port;
    char *user, *path, *proxy, *ca_file;
    char *text; /* canonical: the same for all that mean the same */
} VboxUri;

/* A URI as a client gives it, or NAME of the driver's settings in place of a host. */
VboxUri *vbox_uri_parse(VboxDriver *driver, const char *text, GError **error);
/* The password for it, "" for nobody in particular; free with vireo_password_free(). The user comes into the URI. */
char *vbox_uri_password(VboxDriver *driver, VboxUri *uri, GError **error);
/* Whether somebody who may only look may have the daemon give a password away like this. */
gboolean vbox_uri_is_safe(const VboxUri *uri, GError **error);
void vbox_uri_free(VboxUri *uri);

/* ---- inventory.c: the machines of a server, and what is published of them ------------ */

typedef struct {
    char *ref;
    char *id;   /* its UUID, by which the server is asked for it */
    char *name; /* unique among those of the machine */
    char *description;
    int parent;     /* index; -1: the root */
    gint64 created; /* seconds since 1970 */
    gboolean online, current;
} VboxSnapshot;

typedef struct {
    char *ref;
    char *name; /* unique */
    guint8 uuid[16];
    char key[37]; /* the same as text */
    int id;
    VwMachineState state;
    int reason; /* of what that means here */
    guint vcpus;
    guint64 memory; /* KiB */
    gboolean autostart;
    GPtrArray *snapshots; /* VboxSnapshot, parents before their children */
} VboxMachine;

struct VboxServer {
    VireoShared shared; /* its secret is the password */
    VboxDriver *driver;
    VboxUri *uri;
    vireo_space *space;
    VireoSoap *soap;
    char *version;           /* "7.2.22_Debian"; never changes */
    VireoMachines *machines; /* VboxMachine. An expected reason is that of being off, when somebody here turns it off */
    int last_id;             /* of a machine */
    GMutex lock;             /* of what follows */
    char *web;               /* the object that stands for the session; all others are in it */
    GHashTable *networks;    /* name -> what network.c knows of it */
    guint64 networks_seen;
    VireoFeeds *transfers;
    GThread *watcher;
    GCancellable *stop;
};

/* ---- server.c ------------------------------------------------------------------------ */

/* The server of that URI, shared by all who mean it. Takes uri. Blocks. */
VboxServer *vbox_server_open(VboxDriver *driver, VboxUri *uri, const VireoHttpWait *wait, GError **error);
VireoShares *vbox_servers_new(VboxDriver *driver);
/* Another session in place of that one, unless somebody has made it already. */
gboolean vbox_server_renew(VboxServer *server, const char *ended, const VireoHttpWait *wait, GError **error);

/* ---- talk.c: a sequence of calls ------------------------------------------------------- */

/* Once a call has failed the following do nothing: their answers are of zeros and empty strings, and whoever began the
 * talk looks at error in the end. */
typedef struct {
    VboxServer *server;
    VireoHttpWait wait;
    VireoArena *arena;
    const char *web;  /* the session's object */
    GPtrArray *taken; /* references to give back in the end */
    GError *error;
} VboxTalk;

void vbox_talk_begin(VboxTalk *talk, VboxServer *server, const VireoHttpWait *wait);
/* Its error becomes the caller's; FALSE: there is one. */
gboolean vbox_talk_end(VboxTalk *talk, GError **error);
/* Ends it, and is the status of the call. */
int vbox_talk_finish(VboxTalk *talk, vireo_call *call);
/* The struct of the answer; never NULL. */
gpointer vbox_talk_call(VboxTalk *talk, const VireoSoapOperation *operation, gconstpointer args);
/* An object of which nobody else knows, as what a call has made: given back when the talk ends. Returns it. */
const char *vbox_talk_take(VboxTalk *talk, const char *ref);
void vbox_talk_refuse(VboxTalk *talk, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);

#define VBOX_CALL(talk, name, ...)                                                                                     \
    ((vw_##name##_ret *)vbox_talk_call(talk, &vw_##name##_operation, &(vw_##name##_args){__VA_ARGS__}))
#define VBOX_GET(talk, name, ref)  (VBOX_CALL(talk, name, ._this = (ref))->returnval)
#define VBOX_TAKE(talk, name, ref) vbox_talk_take(talk, VBOX_GET(talk, name, ref))

/* Follows it to its end, and gives it back. call: may be NULL. */
gboolean vbox_talk_follow(VboxTalk *talk, vireo_call *call, const char *progress);

/* ---- hold.c: machines while something is done with them ------------------------------ */

typedef struct {
    const char *session, *machine, *console; /* machine: what can be changed; console: "" when it is off */
} VboxHold;

/* The machine that a call means; "" when there is an error. */
const char *vbox_machine_ref(VboxTalk *talk, const guint8 uuid[16]);
/* Nobody else may do something with it meanwhile; waits some time for who does. */
gboolean vbox_hold(VboxTalk *talk, const char *machine, VboxHold *hold);
/* The same for who only looks: does not wait. */
gboolean vbox_hold_briefly(VboxTalk *talk, const char *machine, VboxHold *hold);
/* Whatever happened; error stays what it is. */
void vbox_let_go(VboxTalk *talk, VboxHold *hold);

/* ---- watch.c ------------------------------------------------------------------------- */

void vbox_watch_start(VboxServer *server);
void vbox_watch_stop(VboxServer *server);

/* ---- error.c ------------------------------------------------------------------------- */

/* What clients here call it; its text becomes that for them. */
int vbox_error_number(GError **error);
/* The error of a call; frees it and returns VIREO_FAIL. */
int vbox_fail(VboxDriver *driver, vireo_call *call, GError *error);
/* The server's result code, of a fault or of work that failed, as an error of domain VIREO_ERROR. */
void vbox_error_from_result(GError **error, guint32 result, const char *text);
/* What a fault of the server means here, in place of the fault. */
void vbox_error_translate(GError **error);
/* Of a machine that somebody else holds just now. */
#define VBOX_INVALID_OBJECT_STATE 0x80bb0007u
/* 0: it is none of the server's. */
guint32 vbox_error_result(const GError *error);

/* ---- connections, and calls on machines ------------------------------------------------ */

typedef struct {
    VboxDriver *driver;
    VboxServer *server;
} VboxConn;

/* A talk for the length of a call: what hangs then ends with it. */
void vbox_begin(VboxTalk *talk, VboxConn *conn, vireo_call *call);

/* ---- inventory.c --------------------------------------------------------------------- */

/* Reads that machine, or all, and publishes what they are now. quiet: raises no events. */
void vbox_inventory_read(VboxTalk *talk, const guint8 uuid[16]);
void vbox_inventory_read_all(VboxTalk *talk, gboolean quiet);
VireoMachines *vbox_inventory_new(VboxServer *server);
/* A reference to what is known of a machine; NULL: there is none. */
VboxMachine *vbox_machine_find(VboxServer *server, const guint8 uuid[16]);
void vbox_machine_unref(gpointer machine);
/* VIREO_DOMAIN_... */
int vbox_state_of(VwMachineState state);
gboolean vbox_state_is_active(VwMachineState state);
/* What the domain is now, for an answer. */
vireo_domain_ref vbox_machine_dom(VboxConn *conn, vireo_call *call, const vireo_domain_ref *dom);

/* power.c: starts it, from any state in which it is off. */
void vbox_machine_start(VboxTalk *talk, vireo_call *call, const guint8 uuid[16]);

/* snapshot.c: back to it, of a machine that is off. */
void vbox_snapshot_restore(VboxTalk *talk, vireo_call *call, const char *machine, const VboxSnapshot *snapshot);
/* reparent.c: the machine's present state is below the parent of that snapshot, its current one, afterwards. */
void vbox_reparent(VboxTalk *talk, vireo_call *call, const VboxMachine *machine, const VboxSnapshot *snapshot);

/* describe.c: a domain document of a machine; ref: the object to ask, its own or that of a snapshot. */
VireoDomain *vbox_describe(VboxTalk *talk, const VboxMachine *machine, const char *ref);
/* network.c: reads all host-only adapters and publishes what they are now. */
void vbox_network_read_all(VboxTalk *talk, gboolean quiet);
void vbox_network_clear(VboxServer *server);
void vbox_network_free(gpointer network);
VireoModelPathSet *vbox_network_paths(GError **error);
/* storage.c: the one pool there is. */
void vbox_storage_publish(VboxServer *server);
void vbox_storage_clear(VboxServer *server);
/* The object of a volume; "" when there is an error. */
const char *vbox_volume_medium(VboxTalk *talk, const vireo_storage_vol_ref *vol);
/* What the medium shows its user and what its file takes. */
void vbox_medium_sizes(VboxTalk *talk, const char *medium, guint64 *capacity, guint64 *allocation);
/* Tells who listens that there are other volumes. */
void vbox_storage_changed(VboxServer *server);
VireoModelPathSet *vbox_storage_paths(GError **error);
/* describe.c: VirtualBox writes a MAC address without colons, in capitals. Caller frees. */
char *vbox_spell_mac(const char *digits);
/* spec.c */
VireoModelPathSet *vbox_honoured_paths(GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VboxUri, vbox_uri_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VboxMachine, vbox_machine_unref)
