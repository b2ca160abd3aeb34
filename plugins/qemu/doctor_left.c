/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was left behind, and what others have to do with our images. */
#include "doctor.h"

#include <sys/stat.h>

static char *size_of(const char *path)
{
    struct stat st;

    return g_format_size_full(stat(path, &st) == 0 ? (guint64)st.st_blocks * 512 : 0, G_FORMAT_SIZE_IEC_UNITS);
}

/* ---- points that no snapshot is in ---------------------------------------------------- */

static void left_point(QemuDoctor *doctor, const QemuGraph *graph, const char *path)
{
    gboolean repair = doctor->whole && !qemu_graph_is_shared(graph, path);

    qemu_doctor_find(doctor, "left-point", VIREO_DOCTOR_WARNING, path, NULL,
                     g_strdup_printf("%s holds internal snapshot '%s' of a revert that was cut short: what the disk "
                                     "held before it", path, QEMU_UNDO_TAG),
                     g_strdup_printf("copy it out if it is wanted (qemu-img convert -l %s), then remove it",
                                     QEMU_UNDO_TAG),
                     repair);
    if (repair)
        g_ptr_array_add(doctor->points, g_strdup(path));
}

/* Its snapshot was deleted, and it goes in the background. */
static gboolean is_noted(const QemuDoctor *doctor, const char *path, const char *tag)
{
    g_autofree char *note = qemu_point_note(path, tag);

    return g_hash_table_contains(doctor->files->points, note);
}

/* QEMU has forgotten it, and could not write that down. */
static gboolean waits(QemuDoctor *doctor, const char *path, const char *tag)
{
    g_autofree char *note = qemu_point_note(path, tag);

    if (!qemu_lost_waits(doctor->dom, note))
        return FALSE;
    qemu_doctor_find(doctor, "waiting-point", VIREO_DOCTOR_NOTE, path, tag,
                     g_strdup_printf("%s still holds internal snapshot '%s', which was deleted: QEMU could not write "
                                     "that down", path, tag),
                     g_strdup("nothing need be done: it goes when the guest is off, and its space comes back then; see "
                              "that there is room"),
                     FALSE);
    return TRUE;
}

static void look_at_points(QemuDoctor *doctor, const QemuGraph *graph, const QemuLooked *looked)
{
    for (guint i = 0; i < looked->info->snapshots->len; i++) {
        const QemuImageSnapshot *point = looked->info->snapshots->pdata[i];

        if (g_str_equal(point->name, QEMU_UNDO_TAG))
            left_point(doctor, graph, looked->path);
        else if (!qemu_graph_holds(graph, looked->path, point->name) && !waits(doctor, looked->path, point->name) &&
                 !is_noted(doctor, looked->path, point->name))
            qemu_doctor_find(doctor, "unknown-point", VIREO_DOCTOR_NOTE, looked->path, NULL,
                             g_strdup_printf("%s holds internal snapshot '%s', which no snapshot of the domain is",
                                             looked->path, point->name),
                             g_strdup_printf("make it known (snapshot-create --redefine, name '%s'), or remove it: "
                                             "qemu-img snapshot -d %s %s, while the domain is off",
                                             point->name, point->name, looked->path),
                             FALSE);
    }
}

/* ---- files of ours that nothing needs -------------------------------------------------- */

/* Without a <domain> a snapshot does not say which images it needs. */
static gboolean all_are_known(QemuDoctor *doctor)
{
    g_autoptr(GPtrArray) snaps = qemu_tree_all(doctor->dom->tree);

    for (guint i = 0; i < snaps->len; i++)
        if (!((QemuSnap *)snaps->pdata[i])->doc->domain)
            return FALSE;
    return doctor->whole;
}

static gboolean is_lost(const QemuDoctor *doctor, const QemuGraph *graph, const char *path)
{
    const QemuLooked *looked = g_hash_table_lookup(doctor->images, path);

    return qemu_graph_has(graph, path) && !qemu_graph_holds(graph, path, NULL) &&
           !qemu_graph_children(graph, path) && !qemu_graph_is_shared(graph, path) &&
           !(looked && looked->info && looked->info->snapshots->len);
}

static void look_at_file(QemuDoctor *doctor, const QemuGraph *graph, const char *path, gboolean known)
{
    g_autofree char *size = size_of(path);

    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR) || g_hash_table_contains(doctor->files->released, path))
        return;
    const QemuLooked *looked = qemu_doctor_look(doctor, path, FALSE);
    gboolean empty = looked->info && looked->info->is_empty;
    if (g_hash_table_contains(doctor->files->kept, path) && !qemu_graph_holds(graph, path, NULL)) {
        qemu_doctor_find(doctor, "kept-present", VIREO_DOCTOR_NOTE, path, NULL,
                         g_strdup_printf("%s (%s) holds what was there before the last revert", path, size),
                         g_strdup("copy out what is wanted; the next revert gives it up"), FALSE);
        return;
    }
    if (!is_lost(doctor, graph, path))
        return;
    qemu_doctor_find(doctor, "leak", VIREO_DOCTOR_WARNING, path, NULL,
                     empty ? g_strdup_printf("%s was made by a snapshot operation, nothing needs it, and nothing was "
                                             "ever written to it", path)
                           : g_strdup_printf("%s (%s) was made by a snapshot operation and nothing needs it; what is "
                                             "in it is nowhere else", path, size),
                     g_strdup(known ? "remove it" : "remove it when everything else is in order"), known);
    if (known)
        g_ptr_array_add(doctor->leaks, g_strdup(path));
}

static void look_at_files(QemuDoctor *doctor, const QemuGraph *graph)
{
    gboolean known = all_are_known(doctor);
    g_autoptr(GPtrArray) files = qemu_graph_files(graph, QEMU_FILE_OWNED);

    for (guint i = 0; i < files->len; i++)
        look_at_file(doctor, graph, files->pdata[i], known);
}

/* ---- others ---------------------------------------------------------------------------- */

typedef struct {
    QemuDoctor *doctor;
    GHashTable *users; /* images that others have -> who; borrowed */
    GHashTable *told;
} Others;

static gboolean is_file(const char *who)
{
    return g_str_has_prefix(who, "file ");
}

/* Read-only disks of this one, and its stored definition, are held as if they were somebody else's. */
static gboolean is_ours(const char *who)
{
    return !is_file(who) && !g_str_has_prefix(who, "domain '") && !g_str_has_prefix(who, "snapshot '");
}

static void note_user(const char *who, const char *path, const char *backing, void *opaque)
{
    if (!is_file(who))
        g_hash_table_insert(((Others *)opaque)->users, (char *)path, (char *)who);
}

static void look_at_other(const char *who, const char *path, const char *backing, void *opaque)
{
    Others *others = opaque;
    GHashTable *images = others->doctor->images;
    gboolean itself = g_hash_table_contains(images, path), file = is_file(who);
    const char *ours = itself ? path : backing;

    if (!ours || is_ours(who) || !g_hash_table_contains(images, ours) ||
        (file && (itself || g_hash_table_contains(others->users, path))))
        return;
    char *text = file     ? g_strdup_printf("%s is based on %s, and belongs to nobody we know of", path, ours)
                 : itself ? g_strdup_printf("%s uses %s, too", who, ours)
                          : g_strdup_printf("%s uses %s, which is based on %s", who, path, ours);
    if (!g_hash_table_add(others->told, g_strdup(text))) {
        g_free(text);
        return;
    }
    qemu_doctor_find(others->doctor, "foreign-reference", VIREO_DOCTOR_NOTE, ours, NULL, text,
                     g_strdup("nothing need be done: while that is so the image is neither removed nor written to"),
                     FALSE);
}

static void look_at_others(QemuDoctor *doctor, const QemuGraph *graph)
{
    g_autoptr(GHashTable) users = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Others others = { doctor, users, told };

    qemu_graph_each_outside(graph, note_user, &others);
    qemu_graph_each_outside(graph, look_at_other, &others);
}

static gint by_text(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(const char *const *)a, *(const char *const *)b);
}

/* What domains that are gone left unmerged, where this one's images are. */
static void look_at_unowned(QemuDoctor *doctor)
{
    g_autoptr(GPtrArray) unowned = qemu_files_unowned(doctor->dom->space);

    for (guint i = 0; i < unowned->len; i++) {
        const QemuLeftover *file = unowned->pdata[i];
        g_autofree char *dir = g_path_get_dirname(file->path);

        if (g_hash_table_contains(doctor->dirs, dir))
            qemu_doctor_find(doctor, "unowned", VIREO_DOCTOR_NOTE, file->path, NULL,
                             g_strdup_printf("%s was left by domain '%s' (%s), which is not there any more, and no "
                                             "snapshot needs it",
                                             file->path, file->domain ? file->domain : "", file->uuid),
                             g_strdup("remove it when no image is based on it; a domain defined with that uuid on "
                                      "the same images merges it"),
                             FALSE);
    }
}

void qemu_doctor_left(QemuDoctor *doctor, const QemuGraph *graph)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, doctor->images);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        g_ptr_array_add(paths, path);
    g_ptr_array_sort(paths, by_text);
    for (guint i = 0; i < paths->len; i++) {
        const QemuLooked *looked = g_hash_table_lookup(doctor->images, paths->pdata[i]);

        if (looked->info)
            look_at_points(doctor, graph, looked);
    }
    look_at_files(doctor, graph);
    look_at_others(doctor, graph);
    look_at_unowned(doctor);
}
