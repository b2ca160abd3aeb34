/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/check/fill.h"

#include <string.h>

#define TEXT "vireo-driver-check"

static const guint8 nobody[16] = { 0x76, 0x69, 0x72, 0x65, 0x6f, 0xee, 0x4e, 0x0b,
                                   0x8d, 0x0e, 0xe5, 0x4e, 0x07, 0xe8, 0x15, 0x75 };

gboolean check_is_about_domain(const VireoOp *op)
{
    return op->object == VIREO_CLASS_DOMAIN || op->object == VIREO_CLASS_DOMAIN_SNAPSHOT ||
           op->object == VIREO_CLASS_DOMAIN_CHECKPOINT;
}

static void fill_struct(vireo_call *call, const VireoWireType *type, char *at)
{
    for (guint i = 0; type && i < type->n_fields; i++) {
        const VireoWireField *field = &type->fields[i];
        char *member = at + field->offset;

        if (field->form != VIREO_WIRE_ONE)
            continue;
        if (field->kind == VIREO_WIRE_STRING)
            *(char **)(void *)member = strcpy(check_call_alloc(call, sizeof TEXT), TEXT);
        else if (field->kind == VIREO_WIRE_UUID)
            memcpy(member, nobody, sizeof nobody);
        else if (field->kind == VIREO_WIRE_STRUCT && !field->type->tags)
            fill_struct(call, field->type, member);
    }
}

static void set_domain(Session *session, vireo_call *call, const VireoOp *op, const char *name)
{
    const VireoWireField *renamed = vireo_wire_field(op->args, "new_name");
    char *at = (char *)check_call_args(call) + op->object_offset;
    vireo_domain_ref *dom = (void *)at;

    if (op->object == VIREO_CLASS_DOMAIN_SNAPSHOT || op->object == VIREO_CLASS_DOMAIN_CHECKPOINT)
        dom = &((vireo_domain_snapshot_ref *)(void *)at)->dom;
    session_domain(session, name, dom);
    /* Under another name it would be lost for the calls that follow. */
    if (renamed && renamed->kind == VIREO_WIRE_STRING)
        *(char **)(void *)((char *)check_call_args(call) + renamed->offset) = dom->name;
}

void check_fill_domain(Session *session, vireo_call *call, const VireoOp *op, const char *name)
{
    if (!op->args)
        return;
    fill_struct(call, op->args, check_call_args(call));
    if (name && check_is_about_domain(op))
        set_domain(session, call, op, name);
}

void check_fill(Session *session, vireo_call *call, const VireoOp *op, CheckAbout about)
{
    check_fill_domain(session, call, op, about == ABOUT_BOGUS ? NULL : CHECK_DOMAIN);
}
