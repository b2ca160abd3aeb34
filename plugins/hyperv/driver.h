/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the hyperv driver share. */
#include <vireo/driver.h>

#include "kit/machines.h"
#include "kit/model.h"
#include "kit/password.h"
#include "kit/shared.h"
#include "kit/wsman.h"

#define HYPERV_SPACE "root/virtualization/v2"
#define HYPERV_CIMV2 "root/cimv2"

typedef struct HypervDriver HypervDriver;
typedef struct HypervServer HypervServer;
typedef struct HypervListener HypervListener;

struct HypervDriver {
    const struct vireo_host *host;
    vireo_core *core;
    VireoShares *servers;
    VireoModelPathSet *honoured, *honoured_volume;
    guint poll_ms;
    gboolean subscribe;
};

/* ---- uri.c: where to, and how -------------------------------------------------------- */

typedef struct {
    gboolean https, transport_given, no_verify;
    VireoWsmanAuth auth;
    gboolean auth_given;
    gboolean named; /* one of the settings */
    char *host;     /* without brackets */
    guint port;
    char *user, *path, *proxy, *ca_file;
    char *text; /* canonical: the same for all that mean the same */
} HypervUri;

/* A URI as a client gives it, or NAME of the driver's settings in place of a host. */
HypervUri *hyperv_uri_parse(HypervDriver *driver, const char *text, GError **error);
/* The password for it, "" for Kerberos; free with vireo_password_free(). The user comes into the URI. */
char *hyperv_uri_password(HypervDriver *driver, HypervUri *uri, GError **error);
/* Whether somebody who may only look may have the daemon give a password away like this. */
gboolean hyperv_uri_is_safe(const HypervUri *uri, GError **error);
void hyperv_uri_free(HypervUri *uri);

/* ---- inventory.c: the machines of a server, and what is published of them ------------ */

typedef struct {
    char *id;   /* InstanceID, by which the server is asked for it */
    char *name; /* unique among those of the machine */
    char *description;
    char *parent;   /* id; NULL: a root */
    gint64 created; /* seconds since 1970 */
    gboolean online, current;
} HypervSnapshot;

typedef struct {
    char *name; /* unique */
    char *guid; /* as the server spells it */
    guint8 uuid[16];
    int id;
    guint state; /* EnabledState */
    int reason;
    guint vcpus;
    guint64 memory; /* KiB */
    gboolean autostart;
    GPtrArray *snapshots; /* HypervSnapshot, parents before their children */
} HypervMachine;

struct HypervServer {
    VireoShared shared; /* its secret is the password */
    HypervDriver *driver;
    HypervUri *uri;
    vireo_space *space;
    VireoWsman *wsman;
    VireoMachines *machines; /* HypervMachine. An expected reason is that of being off, when somebody here turns it off */
    GMutex lock;             /* of what follows */
    GHashTable *networks;    /* guid -> name */
    GThread *watcher; /* whose alone the next two are */
    char *digest;            /* of the last summary */
    guint64 digest_readings; /* how many readings there were when it held */
    GCancellable *stop;
    HypervListener *listener;
};

/* ---- server.c ------------------------------------------------------------------------ */

/* The server of that URI, shared by all who mean it. Takes uri. Blocks. */
HypervServer *hyperv_server_open(HypervDriver *driver, HypervUri *uri, const VireoHttpWait *wait, GError **error);
VireoShares *hyperv_servers_new(HypervDriver *driver);

/* ---- talk.c: a sequence of requests ---------------------------------------------------- */

/* Once a request has failed the following do nothing: their answers are empty, and whoever began the talk looks at error
 * in the end. What they answer belongs to the talk. */
typedef struct {
    HypervServer *server;
    VireoHttpWait wait;
    vireo_call *call; /* whose progress is told; may be NULL */
    GPtrArray *owned, *lists;
    GError *error;
} HypervTalk;

/* call: may be NULL. */
void hyperv_talk_begin(HypervTalk *talk, HypervServer *server, vireo_call *call, const VireoHttpWait *wait);
/* Its error becomes the caller's; FALSE: there is one. */
gboolean hyperv_talk_end(HypervTalk *talk, GError **error);
/* Ends it, and is the status of the call. */
int hyperv_talk_finish(HypervTalk *talk, vireo_call *call);
void hyperv_talk_refuse(HypervTalk *talk, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Of VireoCim; never NULL. */
const GPtrArray *hyperv_query(HypervTalk *talk, const char *space, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The only one there is, or an empty one, which is an error where what says what is missing. */
const VireoCim *hyperv_query_one(HypervTalk *talk, const char *space, const char *what, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* Calls a method, and follows its job to its end. Takes args, which may be NULL. made: gets what the job has made, of
 * that class, or what the parameter of that name says; may be NULL. Never NULL. */
const VireoCim *hyperv_invoke(HypervTalk *talk, const VireoCim *target, const char *method, VireoCim *args);
const VireoCim *hyperv_invoke_made(HypervTalk *talk, const VireoCim *target, const char *method, VireoCim *args,
                                   const char *parameter, const char *class, const VireoCim **made);
/* Whatever the talk keeps until it ends. */
const VireoCim *hyperv_own(HypervTalk *talk, VireoCim *cim);
/* Paths; owned by the talk. */
const VireoCim *hyperv_service(HypervTalk *talk, const char *class);
const VireoCim *hyperv_at(HypervTalk *talk, const char *class, const char *instance_id);
const VireoCim *hyperv_machine_path(HypervTalk *talk, const char *guid);
/* Of an instance, with those of its properties as keys. */
const VireoCim *hyperv_path_of(HypervTalk *talk, const VireoCim *instance, const char *const *keys);

#define HYPERV_VSMS "Msvm_VirtualSystemManagementService"

/* ---- watch.c ------------------------------------------------------------------------- */

void hyperv_watch_start(HypervServer *server);
void hyperv_watch_stop(HypervServer *server);

/* ---- listen.c ------------------------------------------------------------------------ */

HypervListener *hyperv_listen_start(HypervServer *server);
/* Returns when the server has said that something is new, when it is woken up to stop, or after that time: the longer one
 * while the server says what happens. TRUE: machines are not what they were. */
gboolean hyperv_listen_wait(HypervListener *listener, guint poll_ms, guint rarely_ms);
void hyperv_listen_wake(HypervListener *listener);
/* After the server was told to stop. */
void hyperv_listen_stop(HypervListener *listener);

/* ---- error.c ------------------------------------------------------------------------- */

/* The error of a call; frees it and returns VIREO_FAIL. */
int hyperv_fail(HypervDriver *driver, vireo_call *call, GError *error);

/* ---- connections, and calls on machines ------------------------------------------------ */

typedef struct {
    HypervDriver *driver;
    HypervServer *server;
    gboolean readonly;
} HypervConn;

/* For the length of a call: ends with it. */
VireoHttpWait hyperv_wait(vireo_call *call);
/* Begins a talk about a machine, as it is known; NULL: there is none, and the call has failed. */
HypervMachine *hyperv_begin(HypervTalk *talk, HypervConn *conn, vireo_call *call, const vireo_domain_ref *dom);

/* Reads that machine, or all (NULL), and publishes what they are now. quiet: raises no events. Also after a failure: it
 * may say what has changed all the same. */
void hyperv_inventory_read(HypervTalk *talk, const char *guid, gboolean quiet);
VireoMachines *hyperv_inventory_new(HypervServer *server);
/* A reference to what is known of a machine; NULL: there is none. */
HypervMachine *hyperv_machine_find(HypervServer *server, const guint8 uuid[16]);
void hyperv_machine_unref(gpointer machine);
gboolean hyperv_is_guid(const char *text);
/* Whose "Microsoft:GUID\..." is, a machine's or a snapshot's: its GUID. Caller frees. */
char *hyperv_owner_of(const char *instance_id);
/* VIREO_DOMAIN_... */
int hyperv_state_of(guint state);
gboolean hyperv_state_is_active(guint state);
/* What the domain is now, for an answer. */
vireo_domain_ref hyperv_machine_dom(HypervConn *conn, vireo_call *call, const vireo_domain_ref *dom);
/* Of a snapshot's machine, the one of that name; NULL: none. */
const HypervSnapshot *hyperv_snapshot_named(const HypervMachine *machine, const char *name);
const HypervSnapshot *hyperv_snapshot_with(const HypervMachine *machine, const char *id);

/* power.c */
void hyperv_machine_request(HypervTalk *talk, const char *guid, guint state);

/* describe.c */
VireoDomain *hyperv_describe(HypervTalk *talk, const HypervMachine *machine);
/* network.c: reads all switches and publishes what they are now. */
void hyperv_network_read_all(HypervTalk *talk);
void hyperv_network_clear(HypervServer *server);
/* volume.c: the one pool there is. */
void hyperv_volume_publish(HypervServer *server);
void hyperv_volume_clear(HypervServer *server);
VireoModelPathSet *hyperv_volume_paths(GError **error);
/* spec.c */
VireoModelPathSet *hyperv_honoured_paths(GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(HypervUri, hyperv_uri_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HypervMachine, hyperv_machine_unref)
