/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the installed QEMU can do: asked once per binary over QMP, then kept on disk. */
#include "probe.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kit/file.h"
#include "kit/process.h"

/* Part of the identity: what this module asks and keeps. */
#define PROBE_FORMAT "2"
#define CACHE_MAX (16u * 1024 * 1024)

static const struct {
    const char *arch, *binary;
} arch_binaries[] = {
    { "x86_64", "qemu-system-x86_64" }, { "i686", "qemu-system-i386" },
    { "aarch64", "qemu-system-aarch64" }, { "armv7l", "qemu-system-arm" },
    { "ppc64le", "qemu-system-ppc64" }, { "riscv64", "qemu-system-riscv64" },
    { "s390x", "qemu-system-s390x" },
};

const char *qemu_host_arch(void)
{
    static char arch[65];
    static gsize once;

    if (g_once_init_enter(&once)) {
        struct utsname name;

        uname(&name);
        g_strlcpy(arch, name.machine, sizeof arch);
        g_once_init_leave(&once, 1);
    }
    return arch;
}

static void machine_free(gpointer opaque)
{
    QemuMachine *machine = opaque;

    g_free(machine->name);
    g_free(machine->alias);
    g_free(machine);
}

static void cpu_free(gpointer opaque)
{
    QemuCpu *cpu = opaque;

    g_free(cpu->name);
    g_free(cpu);
}

static QemuEmulator *emulator_new(const char *path, const char *identity)
{
    QemuEmulator *emulator = g_new0(QemuEmulator, 1);

    emulator->path = g_strdup(path);
    emulator->identity = g_strdup(identity);
    emulator->machines = g_ptr_array_new_with_free_func(machine_free);
    emulator->cpus = g_ptr_array_new_with_free_func(cpu_free);
    emulator->types = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    emulator->kvm_works = -1;
    g_mutex_init(&emulator->kvm_lock);
    return emulator;
}

void qemu_emulator_free(gpointer opaque)
{
    QemuEmulator *emulator = opaque;

    if (!emulator)
        return;
    g_free(emulator->path);
    g_free(emulator->arch);
    g_free(emulator->identity);
    g_free(emulator->kvm_reason);
    g_ptr_array_unref(emulator->machines);
    g_ptr_array_unref(emulator->cpus);
    g_hash_table_unref(emulator->types);
    g_mutex_clear(&emulator->kvm_lock);
    g_free(emulator);
}

/* ---- from JSON: the same members whether QEMU said them or the cache ------------ */

static void take_machines(QemuEmulator *emulator, JsonArray *list)
{
    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *from = vireo_json_element(list, i);
        const char *name = vireo_json_string(from, "name");

        if (!name || g_str_equal(name, "none"))
            continue;
        QemuMachine *machine = g_new0(QemuMachine, 1);
        machine->name = g_strdup(name);
        machine->alias = g_strdup(vireo_json_string(from, "alias"));
        machine->cpus_max = (int)vireo_json_int(from, "cpu-max", 1);
        machine->is_default = vireo_json_bool(from, "is-default");
        machine->deprecated = vireo_json_bool(from, "deprecated");
        g_ptr_array_add(emulator->machines, machine);
    }
}

static void take_cpus(QemuEmulator *emulator, JsonArray *list)
{
    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *from = vireo_json_element(list, i);
        const char *name = vireo_json_string(from, "name");
        JsonArray *missing = vireo_json_array(from, "unavailable-features");

        if (!name)
            continue;
        QemuCpu *cpu = g_new0(QemuCpu, 1);
        cpu->name = g_strdup(name);
        cpu->usable = missing && vireo_json_length(missing) == 0;
        g_ptr_array_add(emulator->cpus, cpu);
    }
}

static void take_types(QemuEmulator *emulator, JsonArray *list)
{
    for (guint i = 0; i < vireo_json_length(list); i++) {
        const char *name = vireo_json_string(vireo_json_element(list, i), "name");

        if (name)
            g_hash_table_add(emulator->types, g_strdup(name));
    }
}

static const char *canonical_arch(const char *target)
{
    if (!g_strcmp0(target, "i386"))
        return "i686";
    if (!g_strcmp0(target, "arm"))
        return "armv7l";
    return target;
}

static gboolean take_facts(QemuEmulator *emulator, JsonObject *facts)
{
    const char *target = vireo_json_string(vireo_json_object(facts, "target"), "arch");

    take_machines(emulator, vireo_json_array(facts, "machines"));
    take_cpus(emulator, vireo_json_array(facts, "cpus"));
    take_types(emulator, vireo_json_array(facts, "types"));
    emulator->kvm_built_in = vireo_json_bool(vireo_json_object(facts, "kvm"), "present");
    emulator->version = (unsigned)vireo_json_int(facts, "version", 0);
    emulator->arch = g_strdup(canonical_arch(target));
    return emulator->arch && emulator->machines->len && emulator->version;
}

/* ---- asking -------------------------------------------------------------------- */

static JsonNode *batch_copy(VireoQmpBatch *batch, guint index)
{
    return json_node_copy(vireo_qmp_batch_get(batch, index));
}

static JsonObject *ask(VireoQmp *qmp, GError **error)
{
    static const struct {
        const char *member, *command;
    } questions[] = { { "machines", "query-machines" },
                      { "cpus", "query-cpu-definitions" },
                      { "types", "qom-list-types" },
                      { "kvm", "query-kvm" },
                      { "target", "query-target" } };
    g_autoptr(VireoQmpBatch) batch = vireo_qmp_batch_new(qmp);
    JsonObject *facts;

    for (guint i = 0; i < G_N_ELEMENTS(questions); i++)
        vireo_qmp_batch_add(batch, questions[i].command,
                            i == 2 ? vireo_json_new('s', "implements", "device", 'b', "abstract",
                                                    FALSE, 0)
                                   : NULL);
    if (!vireo_qmp_batch_wait(batch, NULL, error))
        return NULL;
    facts = json_object_new();
    json_object_set_int_member(facts, "version", vireo_qmp_version(qmp));
    for (guint i = 0; i < G_N_ELEMENTS(questions); i++)
        json_object_set_member(facts, questions[i].member, batch_copy(batch, i));
    return facts;
}

static JsonObject *probe_binary(QemuDriver *driver, const char *path, GError **error)
{
    const char *argv[] = { path, "-machine", "none,accel=tcg", "-nodefaults", "-no-user-config",
                           "-display", "none", "-S", "-qmp", "stdio", NULL };
    int pair[2];
    struct vireo_child child;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "socketpair: %s", g_strerror(errno));
        return NULL;
    }
    struct vireo_spawn spawn = { .size = sizeof spawn, .argv = argv, .in = pair[1],
                                 .out = pair[1], .err = -1 };
    if (driver->privileged && driver->uid != (uid_t)-1) {
        spawn.flags = VIREO_SPAWN_SET_USER | VIREO_SPAWN_NO_NEW_PRIVS;
        spawn.uid = driver->uid;
        spawn.gid = driver->gid;
    }
    int rc = driver->host->spawn(driver->core, &spawn, &child);
    close(pair[1]);
    if (rc < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot run %s: %s", path, g_strerror(errno));
        close(pair[0]);
        return NULL;
    }
    g_autoptr(VireoQmp) qmp = vireo_qmp_new(vireo_loop_context(driver->loop), pair[0], NULL, NULL);
    JsonObject *facts = ask(qmp, error);
    if (!facts)
        g_prefix_error(error, "asking %s what it can do: ", path);
    vireo_qmp_close(qmp);
    vireo_process_signal(child.pidfd, SIGKILL);
    vireo_process_wait(child.pidfd, 5000);
    close(child.pidfd);
    return facts;
}

/* ---- cache --------------------------------------------------------------------- */

static char *binary_identity(const char *path, GError **error)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "emulator %s: %s", path,
                   g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111)) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "emulator %s is not a program", path);
        return NULL;
    }
    return g_strdup_printf("%s:%s:%llx:%llx:%lld:%lld.%09ld:%lld.%09ld", PROBE_FORMAT, path,
                           (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
                           (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                           (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

static char *cache_path(QemuDriver *driver, const char *path)
{
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, path, -1);
    g_autofree char *name = g_strdup_printf("emulator-%.16s.json", digest);

    return g_build_filename(driver->host->dir(driver->core, VIREO_DIR_CACHE), name, NULL);
}

static JsonObject *cache_load(const char *file, const char *identity)
{
    g_autofree char *text = NULL;

    if (!vireo_file_read(file, CACHE_MAX, &text, NULL, NULL))
        return NULL;
    JsonObject *facts = vireo_json_parse(text, -1, NULL);
    if (facts && !g_strcmp0(vireo_json_string(facts, "identity"), identity))
        return facts;
    if (facts)
        json_object_unref(facts);
    return NULL;
}

static QemuEmulator *emulator_load(QemuDriver *driver, const char *path, GError **error)
{
    g_autofree char *identity = binary_identity(path, error);
    g_autofree char *file = identity ? cache_path(driver, path) : NULL;
    g_autoptr(JsonObject) facts = identity ? cache_load(file, identity) : NULL;

    if (!identity)
        return NULL;
    if (!facts) {
        facts = probe_binary(driver, path, error);
        if (!facts)
            return NULL;
        json_object_set_string_member(facts, "identity", identity);
        g_autofree char *text = vireo_json_text(facts);
        vireo_file_write(file, text, strlen(text), 0600, NULL);
    }
    QemuEmulator *emulator = emulator_new(path, identity);
    if (take_facts(emulator, facts))
        return emulator;
    qemu_emulator_free(emulator);
    vireo_file_remove(file, NULL);
    qemu_error(error, VIREO_ERR_INTERNAL_ERROR, "%s did not describe itself in full", path);
    return NULL;
}

QemuEmulator *qemu_emulator_at(QemuDriver *driver, const char *path, GError **error)
{
    g_autofree char *identity = binary_identity(path, error);

    if (!identity)
        return NULL;
    g_mutex_lock(&driver->lock);
    QemuEmulator *emulator = g_hash_table_lookup(driver->emulators, path);
    if (emulator && !g_str_equal(emulator->identity, identity))
        emulator = NULL; /* upgraded meanwhile; the old answer stays with those who hold it */
    g_mutex_unlock(&driver->lock);
    if (emulator)
        return emulator;
    emulator = emulator_load(driver, path, error);
    if (!emulator)
        return NULL;
    g_mutex_lock(&driver->lock);
    QemuEmulator *known = g_hash_table_lookup(driver->emulators, path);
    if (known && g_str_equal(known->identity, emulator->identity)) {
        qemu_emulator_free(emulator);
        emulator = known;
    } else {
        gpointer old = NULL;

        if (g_hash_table_steal_extended(driver->emulators, path, NULL, &old) && old)
            g_ptr_array_add(driver->old_emulators, old);
        g_hash_table_insert(driver->emulators, emulator->path, emulator);
    }
    g_mutex_unlock(&driver->lock);
    return emulator;
}

/* ---- lookup -------------------------------------------------------------------- */

static char *find_binary(QemuDriver *driver, const char *arch)
{
    g_auto(GStrv) dirs = g_strsplit(driver->config.emulator_dirs, ":", -1);

    for (guint i = 0; i < G_N_ELEMENTS(arch_binaries); i++) {
        if (!g_str_equal(arch_binaries[i].arch, arch))
            continue;
        for (guint d = 0; dirs[d]; d++) {
            char *path = g_build_filename(dirs[d], arch_binaries[i].binary, NULL);

            if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
                return path;
            g_free(path);
        }
    }
    return NULL;
}

char **qemu_emulator_archs(QemuDriver *driver)
{
    g_autoptr(GStrvBuilder) archs = g_strv_builder_new();
    const char *host = qemu_host_arch();

    for (int own = 1; own >= 0; own--)
        for (guint i = 0; i < G_N_ELEMENTS(arch_binaries); i++) {
            g_autofree char *path = find_binary(driver, arch_binaries[i].arch);

            if (path && g_str_equal(arch_binaries[i].arch, host) == own)
                g_strv_builder_add(archs, arch_binaries[i].arch);
        }
    return g_strv_builder_end(archs);
}

QemuEmulator *qemu_emulator_for_arch(QemuDriver *driver, const char *arch, GError **error)
{
    g_autofree char *path = find_binary(driver, arch);

    if (path)
        return qemu_emulator_at(driver, path, error);
    g_auto(GStrv) archs = qemu_emulator_archs(driver);
    g_autofree char *list = g_strjoinv(", ", archs);
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
               "no QEMU for architecture '%s' on this host (found: %s)", arch,
               *list ? list : "none at all");
    return NULL;
}

const QemuMachine *qemu_emulator_machine(QemuEmulator *emulator, const char *name)
{
    const QemuMachine *fallback = NULL;

    for (guint i = 0; i < emulator->machines->len; i++) {
        const QemuMachine *machine = emulator->machines->pdata[i];

        if (!name && machine->is_default)
            return machine;
        if (!g_strcmp0(name, machine->name) || (name && !g_strcmp0(name, machine->alias)))
            return machine;
        if (!name && !g_strcmp0(machine->alias, "virt"))
            fallback = machine;
    }
    return fallback;
}

gboolean qemu_emulator_has(QemuEmulator *emulator, const char *type)
{
    return g_hash_table_contains(emulator->types, type);
}
