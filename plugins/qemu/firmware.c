/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which firmware a guest gets: what the host's packages say about theirs, and what the document asks for. */
#include "firmware.h"

#include <string.h>

#include "kit/file.h"

#define DESCRIPTION_MAX (1024 * 1024)

/* ---- descriptions ------------------------------------------------------------------------- */

static void firmware_free(gpointer opaque)
{
    QemuFirmware *firmware = opaque;

    g_free(firmware->executable);
    g_free(firmware->template);
    g_ptr_array_unref(firmware->targets);
    g_hash_table_unref(firmware->features);
    g_free(firmware);
}

static gboolean lists(JsonArray *list, const char *word)
{
    for (guint i = 0; i < vireo_json_length(list); i++)
        if (!g_strcmp0(json_array_get_string_element(list, i), word))
            return TRUE;
    return FALSE;
}

static gboolean read_file(JsonObject *object, char **path, VireoDomainLoaderFormat *format)
{
    const char *name = vireo_json_string(object, "format");

    *path = g_strdup(vireo_json_string(object, "filename"));
    *format = name ? vireo_domain_loader_format_from_string(name) : VIREO_DOMAIN_LOADER_FORMAT_RAW;
    return *path && (*format == VIREO_DOMAIN_LOADER_FORMAT_RAW || *format == VIREO_DOMAIN_LOADER_FORMAT_QCOW2);
}

static void read_targets(QemuFirmware *firmware, JsonArray *targets)
{
    for (guint i = 0; i < vireo_json_length(targets); i++) {
        JsonObject *target = vireo_json_element(targets, i);
        JsonArray *machines = vireo_json_array(target, "machines");
        const char *arch = vireo_json_string(target, "architecture");

        for (guint m = 0; arch && m < vireo_json_length(machines); m++)
            g_ptr_array_add(firmware->targets,
                            g_strdup_printf("%s %s", arch, json_array_get_string_element(machines, m)));
    }
}

/* NULL: of another kind. */
static QemuFirmware *firmware_read(JsonObject *object)
{
    JsonObject *mapping = vireo_json_object(object, "mapping");
    const char *mode = vireo_json_string(mapping, "mode");
    JsonArray *features = vireo_json_array(object, "features");

    if (!lists(vireo_json_array(object, "interface-types"), "uefi") ||
        g_strcmp0(vireo_json_string(mapping, "device"), "flash") || !g_strcmp0(mode, "combined"))
        return NULL;
    QemuFirmware *firmware = g_new0(QemuFirmware, 1);
    firmware->targets = g_ptr_array_new_with_free_func(g_free);
    firmware->features = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    firmware->stateless = !g_strcmp0(mode, "stateless");
    read_targets(firmware, vireo_json_array(object, "targets"));
    for (guint i = 0; i < vireo_json_length(features); i++)
        g_hash_table_add(firmware->features, g_strdup(json_array_get_string_element(features, i)));
    if (read_file(vireo_json_object(mapping, "executable"), &firmware->executable, &firmware->format) &&
        (firmware->stateless || read_file(vireo_json_object(mapping, "nvram-template"), &firmware->template,
                                          &firmware->template_format)))
        return firmware;
    firmware_free(firmware);
    return NULL;
}

static gint by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Name -> path; a file in an earlier directory hides those of its name in later ones. */
static GHashTable *find_files(QemuDriver *driver)
{
    g_auto(GStrv) dirs = g_strsplit(driver->config.firmware_dirs, ":", -1);
    GHashTable *files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (guint i = 0; dirs[i]; i++) {
        g_autoptr(GDir) dir = g_dir_open(dirs[i], 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir)))
            if (g_str_has_suffix(name, ".json") && !g_hash_table_contains(files, name))
                g_hash_table_insert(files, g_strdup(name), g_build_filename(dirs[i], name, NULL));
    }
    return files;
}

GPtrArray *qemu_firmware_all(QemuDriver *driver)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(firmware_free);
    g_autoptr(GHashTable) files = find_files(driver);
    g_autoptr(GList) keys = g_hash_table_get_keys(files);
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (GList *key = keys; key; key = key->next)
        g_ptr_array_add(names, key->data);
    g_ptr_array_sort(names, by_text);
    for (guint i = 0; i < names->len; i++) {
        const char *path = g_hash_table_lookup(files, names->pdata[i]);
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;
        gsize len = 0;

        if (!vireo_file_read(path, DESCRIPTION_MAX, &text, &len, &error) || !len) /* empty: hides others */
            continue;
        g_autoptr(JsonObject) object = vireo_json_parse(text, (gssize)len, &error);
        QemuFirmware *firmware = object ? firmware_read(object) : NULL;
        if (firmware)
            g_ptr_array_add(all, firmware);
        if (error)
            driver->host->log(driver->core, VIREO_LOG_WARNING, "firmware", "%s: %s", path, error->message);
    }
    return all;
}

gboolean qemu_firmware_suits(const QemuFirmware *firmware, const char *arch, const char *machine)
{
    g_autofree char *wanted = g_strdup_printf("%s %s", arch, machine);

    for (guint i = 0; i < firmware->targets->len; i++)
        if (g_pattern_match_simple(firmware->targets->pdata[i], wanted))
            return TRUE;
    return FALSE;
}

/* ---- choosing ------------------------------------------------------------------------------- */

static gboolean has(const QemuFirmware *firmware, const char *feature)
{
    return g_hash_table_contains(firmware->features, feature);
}

static gboolean agrees(VireoTristate wish, gboolean is)
{
    return wish == VIREO_TRISTATE_UNSET || (wish == VIREO_TRISTATE_YES) == is;
}

static VireoTristate smm_of(const VireoDomain *doc)
{
    return doc->features && doc->features->smm ? doc->features->smm->state : VIREO_TRISTATE_UNSET;
}

static gboolean fits(const QemuFirmware *firmware, const VireoDomain *doc)
{
    const VireoDomainOs *os = doc->os;
    const VireoDomainLoader *loader = os->loader;

    if (!qemu_firmware_suits(firmware, os->type->arch, os->type->machine) ||
        (has(firmware, "requires-smm") && smm_of(doc) == VIREO_TRISTATE_NO))
        return FALSE;
    for (guint i = 0; os->firmware_info && i < os->firmware_info->features.n; i++) {
        const VireoDomainFirmwareFeature *feature = os->firmware_info->features.items[i];

        if (!agrees(feature->enabled, has(firmware, feature->name)))
            return FALSE;
    }
    if (!loader)
        return !firmware->stateless;
    return (!loader->text || g_str_equal(loader->text, firmware->executable)) &&
           (loader->format == VIREO_DOMAIN_LOADER_FORMAT_UNSET || loader->format == firmware->format) &&
           agrees(loader->secure, has(firmware, "requires-smm")) &&
           (loader->stateless == VIREO_TRISTATE_YES) == firmware->stateless;
}

static void use_smm(VireoDomain *doc)
{
    if (!doc->features)
        doc->features = g_new0(VireoDomainFeatures, 1);
    if (!doc->features->smm)
        doc->features->smm = g_new0(VireoDomainSmm, 1);
    doc->features->smm->state = VIREO_TRISTATE_YES;
}

static void use_template(VireoDomain *doc, const QemuFirmware *firmware)
{
    VireoDomainOs *os = doc->os;

    if (!firmware->template)
        return;
    if (!os->nvram)
        os->nvram = g_new0(VireoDomainNvram, 1);
    if (os->nvram->template)
        return;
    os->nvram->template = g_strdup(firmware->template);
    if (firmware->template_format == VIREO_DOMAIN_LOADER_FORMAT_QCOW2)
        os->nvram->template_format = firmware->template_format;
}

static void use_firmware(VireoDomain *doc, const QemuFirmware *firmware)
{
    VireoDomainOs *os = doc->os;

    if (!os->loader)
        os->loader = g_new0(VireoDomainLoader, 1);
    os->loader->type = VIREO_DOMAIN_LOADER_TYPE_PFLASH;
    os->loader->readonly = VIREO_TRISTATE_YES;
    if (!os->loader->text)
        os->loader->text = g_strdup(firmware->executable);
    if (firmware->format == VIREO_DOMAIN_LOADER_FORMAT_QCOW2)
        os->loader->format = firmware->format;
    if (has(firmware, "requires-smm"))
        os->loader->secure = VIREO_TRISTATE_YES;
    use_template(doc, firmware);
}

static gboolean choose(QemuSpace *space, VireoDomain *doc, GError **error)
{
    g_autoptr(GPtrArray) all = qemu_firmware_all(space->driver);

    for (guint i = 0; i < all->len; i++)
        if (fits(all->pdata[i], doc)) {
            use_firmware(doc, all->pdata[i]);
            return TRUE;
        }
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
               all->len ? "none of the UEFI firmware described in %s is for machine type '%s' and has what "
                          "<os> asks for"
                        : "there is no UEFI firmware described in %s (package ovmf) for machine type '%s'",
               space->driver->config.firmware_dirs, doc->os->type->machine);
    return FALSE;
}

/* Firmware that the document names itself: its package may know a template. */
static void find_template(QemuSpace *space, VireoDomain *doc)
{
    g_autoptr(GPtrArray) all = qemu_firmware_all(space->driver);

    for (guint i = 0; i < all->len; i++) {
        const QemuFirmware *firmware = all->pdata[i];

        if (g_str_equal(firmware->executable, doc->os->loader->text)) {
            use_template(doc, firmware);
            return;
        }
    }
}

static gboolean check_loader(const VireoDomain *doc, GError **error)
{
    const VireoDomainLoader *loader = doc->os->loader;

    if (loader->readonly == VIREO_TRISTATE_NO) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "a loader in flash is read-only here; variables are kept in a file of their own (<nvram>)");
        return FALSE;
    }
    if (loader->secure == VIREO_TRISTATE_YES && (!qemu_doc_is_q35(doc) || smm_of(doc) == VIREO_TRISTATE_NO)) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "a secure loader needs machine type q35 with <smm state='on'/>");
        return FALSE;
    }
    return TRUE;
}

gboolean qemu_firmware_complete(QemuSpace *space, VireoDomain *doc, GError **error)
{
    VireoDomainOs *os = doc->os;
    gboolean efi = os->firmware == VIREO_DOMAIN_OS_FIRMWARE_EFI;
    gboolean flash = os->loader && os->loader->type == VIREO_DOMAIN_LOADER_TYPE_PFLASH;

    if (!efi && (os->firmware_info || (os->loader && !os->loader->text))) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "<%s> says which firmware is chosen: it needs "
                   "<os firmware='efi'>", os->firmware_info ? "firmware" : "loader");
        return FALSE;
    }
    if (!efi && !flash) {
        if (!os->nvram && (!os->loader || os->loader->secure != VIREO_TRISTATE_YES))
            return TRUE;
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "only firmware in flash keeps variables or is secure: "
                   "<os firmware='efi'> or <loader type='pflash'>");
        return FALSE;
    }
    if (efi && os->loader && os->loader->type == VIREO_DOMAIN_LOADER_TYPE_ROM) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "<os firmware='efi'> needs a loader of type 'pflash'");
        return FALSE;
    }
    if (efi && !choose(space, doc, error))
        return FALSE;
    if (!check_loader(doc, error))
        return FALSE;
    os->loader->readonly = VIREO_TRISTATE_YES;
    if (!efi && os->loader->stateless != VIREO_TRISTATE_YES)
        find_template(space, doc);
    if (os->loader->secure == VIREO_TRISTATE_YES)
        use_smm(doc);
    return qemu_nvram_complete(space, doc, error);
}
