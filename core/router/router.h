/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a call to the driver that serves it, and back. The only place that refuses: drivers see none
 * of the calls, flags and objects that they did not say they take.
 *
 * Refusals come in a fixed order: decoding, authorisation (read-only), object not found, state of the
 * driver, operation not supported, flags (unknown, exclusive, required, bound to a state), typed parameters,
 * and only then what the driver itself finds wrong.
 */
#pragma once

#include <glib.h>

#include "host/call.h"
#include "host/host.h"
#include "router/offer.h"

typedef struct VireoRouter VireoRouter;
typedef struct VireoBackend VireoBackend; /* a driver as the router calls it; lives as long as the router */
typedef struct VireoConn VireoConn;       /* a connection to a driver; reference counted */

/* The host must outlive the router. */
VireoRouter *vireo_router_new(VireoHost *host);
void vireo_router_free(VireoRouter *router);
VireoHost *vireo_router_host(VireoRouter *router);

/* ---- drivers ---- */

/* Why the driver takes no calls at present (free with g_free), or NULL when it does. */
typedef char *(*VireoBackendTrouble)(gconstpointer table);

/* Adds a driver whose init has succeeded. The name must live as long as the router. */
VireoBackend *vireo_router_add(VireoRouter *router, const char *name, const char *schemes, guint threads,
                               vireo_core *core, VireoBackendRow row, VireoBackendTrouble trouble,
                               gconstpointer table);

/* Carries a call, whatever its operation, to a driver that is not in this process. handle: as its conn_open
 * returned it, or `self` for conn_open itself. Never blocks: it runs on the thread that handed the call over.
 * enum vireo_status. */
typedef int (*VireoBackendCall)(void *handle, vireo_call *call);
/* The same for a driver elsewhere; the functions in its rows are not looked at. */
VireoBackend *vireo_router_add_far(VireoRouter *router, const char *name, const char *schemes, guint threads,
                                   VireoBackendRow row, VireoBackendTrouble trouble, gconstpointer table,
                                   VireoBackendCall call, void *self);
/* Asked, on a worker, for a scheme that no driver was added for: loads and adds the module, or fails
 * with the reason. scheme NULL: any driver, for a connection without URI; returns its default URI. */
typedef char *(*VireoRouterFind)(VireoRouter *router, const char *scheme, gpointer opaque, GError **error);
/* How long a query or a change may take before its driver is told, by host->cancelled, to give up.
 * Seconds; 0, which is the default: for ever. */
void vireo_router_set_deadlines(VireoRouter *router, guint query, guint modify);
void vireo_router_set_finder(VireoRouter *router, VireoRouterFind find, gpointer opaque);

const char *vireo_backend_name(const VireoBackend *backend);
const struct vireo_op *vireo_backend_row(const VireoBackend *backend, guint32 op_id);
/* Whether the driver works on objects of a class at all. */
gboolean vireo_backend_has_class(const VireoBackend *backend, guint klass);
VireoBackend *vireo_router_backend(VireoRouter *router, const char *scheme);

/* ---- connections ---- */

/* Who connects; identity is borrowed for as long as free_identity has not run. */
typedef struct {
    gboolean readonly;
    VireoIdentityGet identity_get;
    gconstpointer identity;
} VireoConnCaller;

/* Blocks: call on a worker. uri NULL or "": the finder chooses. */
VireoConn *vireo_conn_open(VireoRouter *router, const char *uri, const VireoConnCaller *caller,
                           GError **error);
VireoConn *vireo_conn_ref(VireoConn *conn);
/* The last reference closes the connection, on a worker. */
void vireo_conn_unref(VireoConn *conn);
const char *vireo_conn_uri(const VireoConn *conn);
VireoBackend *vireo_conn_backend(const VireoConn *conn);
vireo_space *vireo_conn_space(const VireoConn *conn);
VireoRouter *vireo_conn_router(const VireoConn *conn);
gboolean vireo_conn_is_readonly(const VireoConn *conn);
const VireoOffer *vireo_conn_offer(const VireoConn *conn);
/* Why its driver takes no calls at present, in words; NULL when it does. Free with g_free. */
char *vireo_conn_trouble(const VireoConn *conn);

/* ---- calls ---- */

/* Carries out a call whose op, args, done and opaque are set; takes the caller's reference. done runs
 * exactly once: before this returns when the core itself answers or refuses, on a worker or a driver's
 * thread otherwise. In done the result is call->ret, or error_code and error_message are set. */
void vireo_router_call(VireoConn *conn, vireo_call *call);
