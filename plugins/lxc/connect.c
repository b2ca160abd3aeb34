/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections, and what they tell about this host. */
#include "ops.h"

#include <lxc/version.h>
#include <unistd.h>

#include "kit/answer.h"
#include "kit/node.h"
#include "process.h"

/* A container that ends with its connection, unless it has ended or been started anew before. */
typedef struct {
    LxcDomain *dom;
    guint generation;
} Mine;

static void end_mine(gpointer data)
{
    Mine *mine = data;

    g_mutex_lock(&mine->dom->lock);
    gboolean same = mine->dom->id != -1 && mine->dom->generation == mine->generation;
    g_mutex_unlock(&mine->dom->lock);
    if (same)
        lxc_process_kill(mine->dom, VIREO_DOMAIN_SHUTOFF_DESTROYED, NULL);
    lxc_domain_unref(mine->dom);
    g_free(mine);
}

void lxc_conn_own(LxcConn *conn, LxcDomain *dom)
{
    Mine *mine = g_new(Mine, 1);

    g_mutex_lock(&dom->lock);
    dom->autodestroy = TRUE;
    *mine = (Mine){ lxc_domain_ref(dom), dom->generation };
    g_mutex_unlock(&dom->lock);
    lxc_live_save(dom);
    g_mutex_lock(&conn->lock);
    g_ptr_array_add(conn->mine, mine);
    g_mutex_unlock(&conn->lock);
}

/* An embedded space is the daemon's own user's: nobody else may have files written in it. */
static gboolean owner_calls(LxcDriver *driver, vireo_call *call)
{
    const char *uid = driver->host->identity(call, "unix-user-id");

    return !uid || g_ascii_strtoull(uid, NULL, 10) == geteuid();
}

int lxc_conn_open(void *handle, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    LxcDriver *driver = handle;
    g_autoptr(GError) error = NULL;
    const char *uri = args->uri ? args->uri : "lxc:///system";

    if (g_str_has_prefix(uri, "lxc:///embed") && !owner_calls(driver, call))
        return driver->host->fail(call, VIREO_ERR_OPERATION_DENIED,
                                  "%s belongs to the user this daemon runs as (uid %u)", uri, (unsigned)geteuid());
    LxcSpace *space = lxc_space_open(driver, uri, &error);
    if (!space)
        return lxc_fail(driver, call, error);
    LxcConn *conn = g_new0(LxcConn, 1);
    conn->driver = driver;
    conn->space = space;
    g_mutex_init(&conn->lock);
    conn->mine = g_ptr_array_new_with_free_func(end_mine);
    ret->conn = conn;
    ret->space = space->published;
    ret->uri = driver->host->strdup(call, space->uri);
    return VIREO_OK;
}

int lxc_conn_close(void *handle, vireo_call *call)
{
    LxcConn *conn = handle;

    g_ptr_array_unref(conn->mine);
    g_mutex_clear(&conn->lock);
    g_free(conn);
    return VIREO_OK;
}

int lxc_connect_get_type(void *handle, vireo_call *call, vireo_connect_get_type_ret *ret)
{
    ret->type = lxc_conn(handle)->driver->host->strdup(call, "LXC");
    return VIREO_OK;
}

int lxc_connect_get_version(void *handle, vireo_call *call, vireo_connect_get_version_ret *ret)
{
    ret->hv_ver = LXC_VERSION_MAJOR * 1000000 + LXC_VERSION_MINOR * 1000 + LXC_VERSION_MICRO;
    return VIREO_OK;
}

static const char *word_size(const char *arch)
{
    return g_str_has_suffix(arch, "64") ? "64" : "32";
}

int lxc_connect_get_capabilities(void *handle, vireo_call *call, vireo_connect_get_capabilities_ret *ret)
{
    LxcDriver *driver = lxc_conn(handle)->driver;
    g_autofree char *host_part = vireo_node_capabilities_host();
    g_autoptr(GString) out = g_string_new("<capabilities>\n");
    g_autoptr(GError) error = NULL;
    VireoNodeInfo info;

    if (!vireo_node_info(&info, &error))
        return lxc_fail(driver, call, error);
    g_string_append(out, host_part);
    for (guint i = 0; i < 1 + (guint)g_str_equal(info.model, "x86_64"); i++) {
        const char *arch = i ? "i686" : info.model;

        g_string_append_printf(out,
                               "  <guest>\n    <os_type>exe</os_type>\n    <arch name='%s'>\n"
                               "      <wordsize>%s</wordsize>\n      <emulator>%s</emulator>\n"
                               "      <domain type='lxc'/>\n    </arch>\n    <features>\n      <privnet/>\n"
                               "    </features>\n  </guest>\n",
                               arch, word_size(arch), driver->helper);
    }
    g_string_append(out, "</capabilities>\n");
    ret->capabilities = driver->host->strdup(call, out->str);
    return VIREO_OK;
}

int lxc_connect_get_sysinfo(void *handle, vireo_call *call, const vireo_connect_get_sysinfo_args *args,
                            vireo_connect_get_sysinfo_ret *ret)
{
    LxcDriver *driver = lxc_conn(handle)->driver;
    g_autofree char *text = vireo_node_sysinfo();

    if (!text)
        return driver->host->fail(call, VIREO_ERR_NO_SUPPORT, "the firmware of this host publishes no information");
    ret->sysinfo = driver->host->strdup(call, text);
    return VIREO_OK;
}

VIREO_ANSWER_NODE(lxc, lxc_conn(handle)->driver->host)
