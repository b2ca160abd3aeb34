/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An error that has a fault in it, counted, since errors are copied. */
#include "kit/soap-private.h"

typedef struct {
    VireoSoapFault fault;
    VireoArena *arena; /* everything the fault points to */
} Held;

typedef struct {
    Held *held;
} VireoSoapErrorPrivate;

static void held_clear(gpointer held)
{
    vireo_arena_free(((Held *)held)->arena);
}

static void vireo_soap_error_private_init(VireoSoapErrorPrivate *private)
{
    private->held = NULL;
}

static void vireo_soap_error_private_copy(const VireoSoapErrorPrivate *from, VireoSoapErrorPrivate *to)
{
    to->held = from->held ? g_atomic_rc_box_acquire(from->held) : NULL;
}

static void vireo_soap_error_private_clear(VireoSoapErrorPrivate *private)
{
    if (private->held)
        g_atomic_rc_box_release_full(private->held, held_clear);
}

G_DEFINE_EXTENDED_ERROR(VireoSoapError, vireo_soap_error)

GError *soap_fault_error(VireoSoapFault *fault, VireoArena *arena)
{
    const char *text = *fault->text ? fault->text : "the server gave no reason";
    GError *error = *fault->type ? g_error_new(VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_FAULT, "%s (%s)", text, fault->type)
                                 : g_error_new_literal(VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_FAULT, text);
    Held *held = g_atomic_rc_box_new0(Held);

    held->fault = *fault;
    held->arena = arena;
    vireo_soap_error_get_private(error)->held = held;
    return error;
}

const VireoSoapFault *vireo_soap_fault(const GError *error)
{
    if (!g_error_matches(error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_FAULT))
        return NULL;
    Held *held = vireo_soap_error_get_private(error)->held;
    return held ? &held->fault : NULL;
}

gboolean vireo_soap_is_fault(const GError *error, const char *type)
{
    const VireoSoapFault *fault = vireo_soap_fault(error);

    return fault && g_str_equal(fault->type, type);
}
