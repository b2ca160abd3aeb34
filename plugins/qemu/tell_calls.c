/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each call twice: carried out, and told. */
#include "ops.h"
#include "tell.h"

int qemu_domain_snapshot_create_xml(void *handle, vireo_call *call,
                                    const vireo_domain_snapshot_create_xml_args *args,
                                    vireo_domain_snapshot_create_xml_ret *ret)
{
    return qemu_snapshot_create(qemu_conn(handle), call, args, ret, NULL);
}

int qemu_vireo_plan_snapshot_create(void *handle, vireo_call *call,
                                    const vireo_domain_snapshot_create_xml_args *args, vireo_plan *ret)
{
    return qemu_snapshot_create(qemu_conn(handle), call, args, NULL, ret);
}

int qemu_domain_snapshot_delete(void *handle, vireo_call *call,
                                const vireo_domain_snapshot_delete_args *args)
{
    return qemu_snapshot_delete(qemu_conn(handle), call, args, NULL);
}

int qemu_vireo_plan_snapshot_delete(void *handle, vireo_call *call,
                                    const vireo_domain_snapshot_delete_args *args, vireo_plan *ret)
{
    return qemu_snapshot_delete(qemu_conn(handle), call, args, ret);
}

int qemu_domain_revert_to_snapshot(void *handle, vireo_call *call,
                                   const vireo_domain_revert_to_snapshot_args *args)
{
    return qemu_snapshot_revert(qemu_conn(handle), call, args, NULL);
}

int qemu_vireo_plan_snapshot_revert(void *handle, vireo_call *call,
                                    const vireo_domain_revert_to_snapshot_args *args, vireo_plan *ret)
{
    return qemu_snapshot_revert(qemu_conn(handle), call, args, ret);
}

int qemu_domain_undefine_flags(void *handle, vireo_call *call,
                               const vireo_domain_undefine_flags_args *args)
{
    return qemu_undefine(qemu_conn(handle), call, args, NULL);
}

int qemu_vireo_plan_undefine(void *handle, vireo_call *call,
                             const vireo_domain_undefine_flags_args *args, vireo_plan *ret)
{
    return qemu_undefine(qemu_conn(handle), call, args, ret);
}
