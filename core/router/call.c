/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of one call: the refusals in their order, the lane, the driver, the way back. */
#include <string.h>

#include "router/private.h"

typedef struct {
    VireoConn *conn;
    vireo_call *call;
    VireoWay way;
    VireoTarget target;
    VireoOuter outer; /* op NULL: not derived */
    VireoStrand *strand;
    gboolean strand_of_object;
    VireoCallDone done; /* the caller's */
    gpointer opaque;
} Route;

static void route_free(Route *route)
{
    if (route->strand_of_object)
        vireo_strands_release(vireo_router_strands(route->conn->router), route->conn->space, route->target.object);
    vireo_target_clear(&route->target);
    vireo_conn_unref(route->conn);
    vireo_call_unref(route->call);
    g_free(route);
}

static void fail_without_reason(Route *route, int status)
{
    vireo_call *call = route->call;

    if (status != VIREO_FAIL)
        vireo_call_fail(call, VIREO_ERR_INTERNAL_ERROR,
                        "driver '%s': %s ended with %d, which is neither success nor failure: a bug of the driver",
                        call->driver, call->op->name, status);
    else if (!call->error_code)
        vireo_call_fail(call, VIREO_ERR_INTERNAL_ERROR,
                        "driver '%s': %s failed without giving a reason, which is a bug of the driver", call->driver,
                        call->op->name);
}

/* A driver gives up when host->cancelled says so; whoever waits hears why it did. */
static void tell_timeout(Route *route)
{
    vireo_call *call = route->call;
    gboolean late = call->deadline && g_get_monotonic_time() > call->deadline;

    if (!late || g_atomic_int_get(&call->cancelled) || call->error_code != VIREO_ERR_OPERATION_ABORTED)
        return;
    call->error_code = 0;
    vireo_call_fail(call, VIREO_ERR_OPERATION_TIMEOUT, "%s was given up after its time (%s in vireod.conf)",
                    call->op->name, call->op->lane == VIREO_LANE_QUERY ? "query_timeout" : "modify_timeout");
}

/* The driver, or the core in its place, has ended the call. */
static void ended(vireo_call *call, int status, gpointer opaque)
{
    Route *route = opaque;

    if (status != VIREO_OK) {
        fail_without_reason(route, status);
        tell_timeout(route);
    } else if (!call->relayed) {
        vireo_result_trim(call);
    }
    if (route->outer.op)
        vireo_derive_leave(call, &route->outer, status == VIREO_OK);
    if (route->strand)
        vireo_strand_done(route->strand);
    route->done(call, status == VIREO_OK ? VIREO_OK : VIREO_FAIL, route->opaque);
    route_free(route);
}

static void refuse(Route *route)
{
    route->strand = NULL;
    vireo_call_finish(route->call, VIREO_FAIL);
}

/* On a worker, or where the call was handed over when that may block or the driver is elsewhere. */
static void run(gpointer opaque)
{
    Route *route = opaque;
    vireo_call *call = route->call;
    int status;

    if (vireo_call_is_cancelled(call)) {
        vireo_call_fail(call, call->cancelled ? VIREO_ERR_OPERATION_ABORTED : VIREO_ERR_OPERATION_TIMEOUT,
                        "%s could not begin in time", call->op->name);
        vireo_call_finish(call, VIREO_FAIL);
        return;
    }
    vireo_call_ref(call);
    status = vireo_backend_ask(route->conn->backend, route->way.row, route->conn->handle, call);
    if (status != VIREO_PENDING)
        vireo_call_finish(call, status);
    vireo_call_unref(call);
}

/* What the call must wait behind, by the driver's thread model and the operation's lane. */
static VireoStrand *strand_for(Route *route)
{
    const VireoBackend *backend = route->conn->backend;
    VireoLane lane = route->call->op->lane;
    gboolean one_by_one = lane == VIREO_LANE_MODIFY || (lane == VIREO_LANE_QUERY && backend->threads == VIREO_PER_OBJECT);

    if (backend->threads == VIREO_SERIAL)
        return backend->strand;
    if (backend->threads == VIREO_PER_CONN)
        return route->conn->strand;
    if (!one_by_one || !route->target.object)
        return NULL;
    route->strand_of_object = TRUE;
    return vireo_strands_acquire(vireo_router_strands(route->conn->router), route->conn->space, route->target.object);
}

static void hand_over(Route *route)
{
    const VireoOp *op = route->call->op;
    gboolean high = op->high_priority || op->lane == VIREO_LANE_CONTROL;

    vireo_op_set_flags(op, route->call->args, vireo_op_get_flags(op, route->call->args) & route->way.row->native);
    if (!route->call->relayed)
        route->call->deadline = vireo_router_deadline(vireo_conn_router(route->conn), op->lane);
    route->strand = strand_for(route);
    if ((route->call->may_block || route->conn->backend->call) && (!route->strand || vireo_strand_enter(route->strand)))
        run(route);
    else if (route->strand)
        vireo_strand_push(route->strand, high, run, route);
    else
        vireo_workers_push(vireo_host_workers(vireo_router_host(route->conn->router)), high, run, route);
}

/* A flag such as METADATA_ONLY on a driver that keeps no metadata: the object is there, and nothing is
 * left to do. */
static gboolean already_so(const Route *route)
{
    return (vireo_op_get_flags(route->call->op, route->call->args) & route->way.row->trivial &
            route->call->op->trivial_completes) != 0;
}

/* Ends the call when there is a reason to refuse it, which is taken. */
static gboolean refused(Route *route, int code, char *reason)
{
    g_autofree char *text = reason;

    if (!text)
        return FALSE;
    vireo_call_fail(route->call, code, "%s", text);
    refuse(route);
    return TRUE;
}

static void serve(Route *route, const VireoServeRow *row)
{
    vireo_call *call = route->call;
    int code = 0;
    char *reason = vireo_refuse_unknown(call->op, vireo_op_get_flags(call->op, call->args), &code);

    if (!refused(route, code, reason))
        vireo_call_finish(call, row->serve(route->conn, call, &route->target, row));
}

static gboolean forbidden(Route *route)
{
    const vireo_call *call = route->call;
    int code = 0;
    char *reason;

    if (!route->conn->readonly)
        return FALSE;
    reason = vireo_refuse_readonly(call->op, vireo_op_get_flags(call->op, call->args), call->args, &code);
    return refused(route, code, reason);
}

static gboolean driver_in_trouble(Route *route)
{
    g_autofree char *trouble = vireo_conn_trouble(route->conn);

    return trouble && refused(route, VIREO_ERR_OPERATION_FAILED,
                              g_strdup_printf("driver '%s': %s", route->conn->offer.driver, trouble));
}

static gboolean unsupported(Route *route)
{
    const VireoWay *way = &route->way;
    const VireoOffer *offer = &route->conn->offer;
    int code = 0;
    char *reason = way->row ? vireo_refuse_flags(offer, way, vireo_op_get_flags(route->call->op, route->call->args),
                                                 route->target.object, &code)
                            : vireo_refuse_unsupported(offer, route->call->op, way, &code);

    if (!reason)
        reason = vireo_refuse_params(route->call->op, route->call->args, &code);
    return refused(route, code, reason);
}

static void decide(Route *route)
{
    VireoConn *conn = route->conn;
    vireo_call *call = route->call;
    VireoWay *way = &route->way;

    if (forbidden(route))
        return;
    if (call->op->object != VIREO_CLASS_NONE && conn->space &&
        vireo_target_find(conn, call, &route->target) != VIREO_OK)
        return refuse(route);
    if (driver_in_trouble(route))
        return;
    vireo_way_find(&conn->offer, call->op, way);
    if (way->own)
        return serve(route, way->own);
    if (way->row && way->op != call->op)
        vireo_derive_enter(call, &route->outer);
    if (unsupported(route))
        return;
    if (already_so(route)) {
        vireo_call_finish(call, VIREO_OK);
        return;
    }
    hand_over(route);
}

void vireo_router_call(VireoConn *conn, vireo_call *call)
{
    Route *route = g_new0(Route, 1);

    route->conn = vireo_conn_ref(conn);
    route->call = call;
    route->done = call->done;
    route->opaque = call->opaque;
    call->done = ended;
    call->opaque = route;
    call->driver = conn->offer.driver;
    decide(route);
}
