/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/info.h"

static const char *const state_names[] = {
    [VIREO_MODULE_ABSENT] = "ABSENT",           [VIREO_MODULE_FOUND] = "FOUND",
    [VIREO_MODULE_REFUSED_ABI] = "REFUSED_ABI", [VIREO_MODULE_REFUSED_PERM] = "REFUSED_PERM",
    [VIREO_MODULE_MASKED] = "MASKED",           [VIREO_MODULE_LOADED] = "LOADED",
    [VIREO_MODULE_ACTIVE] = "ACTIVE",           [VIREO_MODULE_FAILED_LINK] = "FAILED_LINK",
    [VIREO_MODULE_FAILED_INIT] = "FAILED_INIT", [VIREO_MODULE_STALE] = "STALE",
    [VIREO_MODULE_QUARANTINED] = "QUARANTINED",
};

const char *vireo_module_state_name(VireoModuleState state)
{
    return (guint)state < G_N_ELEMENTS(state_names) ? state_names[state] : "UNKNOWN";
}

gboolean vireo_module_state_serves(VireoModuleState state)
{
    return state == VIREO_MODULE_ACTIVE || state == VIREO_MODULE_STALE;
}

VireoModuleInfo *vireo_module_info_new(VireoModuleState state, const char *name, const char *path,
                                       const char *reason, VireoNote *note, char **remarks)
{
    VireoModuleInfo *info = g_atomic_rc_box_new0(VireoModuleInfo);

    info->state = state;
    info->name = g_strdup(name);
    info->path = g_strdup(path);
    info->reason = g_strdup(reason ? reason : "");
    info->remarks = remarks ? g_strdupv(remarks) : g_new0(char *, 1);
    info->version = g_strdup(note ? note->version : "");
    info->schemes = g_strdup(note ? note->schemes : "");
    if (note) {
        info->note = vireo_note_ref(note);
        info->abi_major = note->abi_major;
        info->abi_target = note->abi_target;
        info->threads = note->threads;
    }
    return info;
}

VireoModuleInfo *vireo_module_info_ref(VireoModuleInfo *info)
{
    return g_atomic_rc_box_acquire(info);
}

static void clear(gpointer data)
{
    VireoModuleInfo *info = data;

    g_free(info->name);
    g_free(info->path);
    g_free(info->reason);
    g_strfreev(info->remarks);
    g_free(info->version);
    g_free(info->schemes);
    vireo_note_unref(info->note);
}

void vireo_module_info_unref(VireoModuleInfo *info)
{
    if (info)
        g_atomic_rc_box_release_full(info, clear);
}
