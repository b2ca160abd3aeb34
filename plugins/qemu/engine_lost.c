/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A merge that is cut short is begun again later, but what qemu-img had taken and not entered yet is lost to the image. */
#include "engine.h"

#define IMAGE_TOOL "/usr/bin/qemu-img"

void qemu_lost_note(QemuDomain *dom, const char *image)
{
    g_autoptr(QemuFiles) more = qemu_files_new();

    g_hash_table_add(more->cut, g_strdup(image));
    qemu_files_add(dom, more, NULL);
}

static gboolean give_back(QemuDomain *dom, const char *image, GError **error)
{
    const char *argv[] = { IMAGE_TOOL, "check", "-q", "-r", "leaks", "-f", "qcow2", image, NULL };

    if (!g_file_test(image, G_FILE_TEST_EXISTS) || qemu_engine_image_tool(dom, TRUE, NULL, image, argv, error))
        return TRUE;
    g_prefix_error(error, "image %s: ", image);
    return FALSE;
}

gboolean qemu_lost_give_back(QemuDomain *dom, GError **error)
{
    if (qemu_domain_active(dom) || !g_hash_table_size(qemu_files_of(dom)->cut))
        return TRUE;
    g_autoptr(QemuFiles) files = qemu_files_load(dom);
    g_autoptr(GError) failure = NULL;
    gboolean changed = FALSE;
    GHashTableIter iter;
    gpointer image;

    g_hash_table_iter_init(&iter, files->cut);
    while (!qemu_domain_must_yield(dom) && g_hash_table_iter_next(&iter, &image, NULL)) {
        if (!give_back(dom, image, failure ? NULL : &failure))
            continue;
        g_hash_table_iter_remove(&iter);
        changed = TRUE;
    }
    if (changed)
        qemu_files_save(dom, files, failure ? NULL : &failure);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return !failure;
}
