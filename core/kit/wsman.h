/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kit/cim.h"
#include "kit/http.h"

G_BEGIN_DECLS

/* One WS-Management service. All functions may be called from any thread; they block, and no lock is held meanwhile. */
typedef struct VireoWsman VireoWsman;

typedef enum {
    VIREO_WSMAN_BASIC,    /* user and password with each request */
    VIREO_WSMAN_KERBEROS, /* tickets of the process, user NULL or that of the ticket; over HTTP messages are encrypted */
    VIREO_WSMAN_NTLM,     /* user and password, once for each connection; over HTTP messages are encrypted */
} VireoWsmanAuth;

typedef struct {
    VireoHttpOptions http;    /* but auth, which is the next one's */
    VireoWsmanAuth auth;
    const char *host;         /* the server's name, for NTLM and for its ticket */
    guint operation_ms;       /* how long the service may take for one request (60000) */
    guint batch;              /* most instances in one answer (32000) */
    guint job_ms;             /* between two looks at a job (250) */
} VireoWsmanOptions;

typedef enum {
    VIREO_WSMAN_ERROR_FAULT,    /* the service refuses; number is its code */
    VIREO_WSMAN_ERROR_RETURNED, /* a method did; number is what it returned */
    VIREO_WSMAN_ERROR_JOB,      /* its job ended badly; number is the job's error code */
    VIREO_WSMAN_ERROR_ANSWER,   /* that was no answer to what was asked */
} VireoWsmanError;
#define VIREO_WSMAN_ERROR (vireo_wsman_error_quark())
GQuark vireo_wsman_error_quark(void);
/* 0: none, or another error. */
guint32 vireo_wsman_error_number(const GError *error);
/* Of a fault: the local name of its subcode, "InvalidSelectors"; "" for other errors. */
const char *vireo_wsman_error_subcode(const GError *error);

#define VIREO_WSMAN_WMI "http://schemas.microsoft.com/wbem/wsman/1/wmi/"

VireoWsman *vireo_wsman_new(const VireoWsmanOptions *options, GError **error);
/* Ends what is going on; later requests fail. */
void vireo_wsman_close(VireoWsman *wsman);
/* After the last request has returned. NULL is fine. */
void vireo_wsman_free(VireoWsman *wsman);
/* Requests sent so far. */
guint vireo_wsman_requests(VireoWsman *wsman);

/* What the service is: ProductVendor, ProductVersion, ProtocolVersion. */
VireoCim *vireo_wsman_identify(VireoWsman *wsman, const VireoHttpWait *wait, GError **error);
/* The instance of that path. */
VireoCim *vireo_wsman_get(VireoWsman *wsman, const VireoCim *path, const VireoHttpWait *wait, GError **error);
/* All instances that a query in the namespace ("root/cimv2") finds, in no order. */
GPtrArray *vireo_wsman_query(VireoWsman *wsman, const char *space, const char *wql, const VireoHttpWait *wait,
                             GError **error);
/* What the method answers; args may be NULL. Sent once. */
VireoCim *vireo_wsman_invoke(VireoWsman *wsman, const VireoCim *path, const char *method, const VireoCim *args,
                             const VireoHttpWait *wait, GError **error);
/* Whether what was invoked has worked: waits for the job it has started, however long that takes. progress: may be
 * NULL. job: gets the job's path, may be NULL; NULL is put there when there was none. */
typedef void (*VireoWsmanProgress)(guint percent, void *opaque);
gboolean vireo_wsman_follow(VireoWsman *wsman, const char *method, const VireoCim *answer, VireoWsmanProgress progress,
                            void *opaque, VireoCim **job, GError **error);

/* Events of a query in the namespace ("select * from __InstanceModificationEvent within 2 where ..."), which the service
 * keeps until they are pulled. NULL with a fault: it has none. One thread at a time, and unsubscribed before the wsman is
 * closed. */
typedef struct VireoWsmanEvents VireoWsmanEvents;
VireoWsmanEvents *vireo_wsman_subscribe(VireoWsman *wsman, const char *space, const char *wql, const VireoHttpWait *wait,
                                        GError **error);
/* What has happened since; waits so long for something to happen, and answers with nothing then. NULL: there will be no
 * more from this one. */
GPtrArray *vireo_wsman_events_pull(VireoWsmanEvents *events, guint timeout_ms, const VireoHttpWait *wait, GError **error);
/* NULL is fine. Takes a second at most. */
void vireo_wsman_unsubscribe(VireoWsmanEvents *events);

/* A path: the class in the namespace, and one key. Class alone: key NULL. */
VireoCim *vireo_wsman_path(const char *space, const char *class, const char *key, const char *value);

/* ---- parts of it, for tests ------------------------------------------------------------------------- */

/* What is in an answer. Free with vireo_wsman_answer_clear(). */
typedef struct {
    char *relates_to;
    char *context;   /* NULL: none, or an empty one */
    gboolean end;    /* EndOfSequence */
    GPtrArray *items; /* of an enumeration */
    VireoCim *body;   /* of anything else */
} VireoWsmanAnswer;
/* FALSE: it is none, or a fault. */
gboolean vireo_wsman_answer_read(const char *text, gsize len, VireoWsmanAnswer *answer, GError **error);
void vireo_wsman_answer_clear(VireoWsmanAnswer *answer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoWsman, vireo_wsman_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VireoWsmanAnswer, vireo_wsman_answer_clear)

G_END_DECLS
