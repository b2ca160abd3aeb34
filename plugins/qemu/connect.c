/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections, and what they tell about the hypervisor. */
#include "ops.h"

#include <unistd.h>

#include "kit/node.h"
#include "livestate.h"
#include "probe.h"
#include "process.h"

/* The session and embedded spaces are the daemon's own user's: nobody else may have files written
 * or programs started in them. */
static gboolean owner_calls(QemuDriver *driver, vireo_call *call)
{
    const char *uid = driver->host->identity(call, "unix-user-id");

    return !uid || g_ascii_strtoull(uid, NULL, 10) == geteuid();
}

/* A guest that ends with its connection, unless it has ended or been started anew before. */
typedef struct {
    QemuDomain *dom;
    guint generation;
} QemuMine;

static guint generation_of(QemuDomain *dom)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&dom->lock);

    return dom->id == -1 ? 0 : dom->generation;
}

static void end_mine(gpointer data)
{
    QemuMine *mine = data;

    if (generation_of(mine->dom) == mine->generation)
        qemu_process_kill(mine->dom, VIREO_DOMAIN_SHUTOFF_DESTROYED);
    qemu_domain_unref(mine->dom);
    g_free(mine);
}

void qemu_conn_own(QemuConn *conn, QemuDomain *dom)
{
    guint generation = generation_of(dom);
    QemuMine *mine;

    if (!generation)
        return;
    g_mutex_lock(&dom->lock);
    dom->autodestroy = dom->generation == generation;
    g_mutex_unlock(&dom->lock);
    qemu_live_keep(dom);
    mine = g_new(QemuMine, 1);
    *mine = (QemuMine){ qemu_domain_ref(dom), generation };
    g_mutex_lock(&conn->lock);
    for (guint i = conn->mine->len; i-- > 0;) {
        QemuMine *other = conn->mine->pdata[i];

        if (generation_of(other->dom) != other->generation)
            g_ptr_array_remove_index_fast(conn->mine, i);
    }
    g_ptr_array_add(conn->mine, mine);
    g_mutex_unlock(&conn->lock);
}

int qemu_conn_open(void *handle, vireo_call *call, const vireo_conn_open_args *args,
                   vireo_conn_open_ret *ret)
{
    QemuDriver *driver = handle;
    g_autoptr(GError) error = NULL;
    const char *uri = args->uri ? args->uri : "qemu:///system";

    if (!g_str_has_prefix(uri, "qemu:///system") && !owner_calls(driver, call))
        return driver->host->fail(call, VIREO_ERR_OPERATION_DENIED,
                                  "%s belongs to the user this daemon runs as (uid %u)", uri,
                                  (unsigned)geteuid());
    QemuSpace *space = qemu_space_open(driver, uri, &error);
    if (!space)
        return qemu_fail(driver, call, error);
    QemuConn *conn = g_new0(QemuConn, 1);
    conn->driver = driver;
    conn->space = space;
    conn->readonly = args->readonly != 0;
    g_mutex_init(&conn->lock);
    conn->mine = g_ptr_array_new_with_free_func(end_mine);
    ret->conn = conn;
    ret->space = space->published;
    ret->uri = driver->host->strdup(call, space->uri);
    return VIREO_OK;
}

int qemu_conn_close(void *handle, vireo_call *call)
{
    QemuConn *conn = handle;

    g_ptr_array_unref(conn->mine);
    g_mutex_clear(&conn->lock);
    g_free(conn);
    return VIREO_OK;
}

int qemu_connect_get_type(void *handle, vireo_call *call, vireo_connect_get_type_ret *ret)
{
    ret->type = qemu_conn(handle)->driver->host->strdup(call, "QEMU");
    return VIREO_OK;
}

int qemu_connect_get_version(void *handle, vireo_call *call, vireo_connect_get_version_ret *ret)
{
    QemuDriver *driver = qemu_conn(handle)->driver;
    g_autoptr(GError) error = NULL;
    QemuEmulator *emulator = qemu_emulator_for_arch(driver, qemu_host_arch(), &error);

    if (!emulator)
        return qemu_fail(driver, call, error);
    ret->hv_ver = emulator->version;
    return VIREO_OK;
}

int qemu_connect_get_max_vcpus(void *handle, vireo_call *call,
                               const vireo_connect_get_max_vcpus_args *args,
                               vireo_connect_get_max_vcpus_ret *ret)
{
    QemuDriver *driver = qemu_conn(handle)->driver;
    g_autoptr(GError) error = NULL;
    QemuEmulator *emulator = qemu_emulator_for_arch(driver, qemu_host_arch(), &error);

    if (!emulator)
        return qemu_fail(driver, call, error);
    if (args->type && g_strcmp0(args->type, "qemu") && g_strcmp0(args->type, "kvm"))
        return driver->host->fail(call, VIREO_ERR_INVALID_ARG, "unknown domain type '%s'",
                                  args->type);
    const QemuMachine *machine = qemu_emulator_machine(emulator, NULL);
    ret->max_vcpus = machine ? machine->cpus_max : 1;
    return VIREO_OK;
}

int qemu_connect_get_cpu_model_names(void *handle, vireo_call *call,
                                     const vireo_connect_get_cpu_model_names_args *args,
                                     vireo_connect_get_cpu_model_names_ret *ret)
{
    QemuDriver *driver = qemu_conn(handle)->driver;
    g_autoptr(GError) error = NULL;
    QemuEmulator *emulator = qemu_emulator_for_arch(driver, args->arch, &error);

    if (!emulator)
        return qemu_fail(driver, call, error);
    ret->ret = (gint32)emulator->cpus->len;
    ret->models.len = emulator->cpus->len;
    ret->models.val = driver->host->alloc(call, sizeof(char *) * (emulator->cpus->len + 1));
    for (guint i = 0; i < emulator->cpus->len; i++)
        ret->models.val[i] =
            driver->host->strdup(call, ((QemuCpu *)emulator->cpus->pdata[i])->name);
    return VIREO_OK;
}

int qemu_connect_get_sysinfo(void *handle, vireo_call *call,
                             const vireo_connect_get_sysinfo_args *args,
                             vireo_connect_get_sysinfo_ret *ret)
{
    QemuDriver *driver = qemu_conn(handle)->driver;
    g_autofree char *text = vireo_node_sysinfo();

    if (!text)
        return driver->host->fail(call, VIREO_ERR_NO_SUPPORT,
                                  "the firmware of this host publishes no information");
    ret->sysinfo = driver->host->strdup(call, text);
    return VIREO_OK;
}
