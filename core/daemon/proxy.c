/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/proxy.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "far/client.h"
#include "router/offer.h"
#include "util/error.h"

#define ANSWER_SECONDS 30  /* for a daemon to say that it takes calls */
#define PAUSE_MS       100 /* before it is asked again; doubled each time */
#define PAUSE_MOST_MS  5000
#define HEALTH_SECONDS 60 /* after which a failure is the first one again */

/* What a daemon said its driver has. Read without a lock; it stays as long as the proxy. */
typedef struct {
    VireoNote *note;
    VireoNoteTable *table;
} Manifest;

typedef struct {
    VireoProxies *all;
    char *name, *path;
    VireoFarClient *client;
    GThread *thread; /* connects */
    GPtrArray *manifests;
    Manifest *manifest; /* the last one; atomic; NULL: it has not been asked yet */
    /* under the lock of all */
    gboolean told; /* where it is, by the settings */
    gboolean wanted, attached, ready;
    guint n_tries;    /* that have ended, one way or the other */
    guint n_failures; /* in a row */
    gint64 not_before, ready_since;
    gint pid;
    char *reason; /* why it does not serve; NULL: it does, or has not been asked */
} Proxy;

struct VireoProxies {
    VireoRouter *router;
    char *dir;
    GMutex lock;
    GCond news;
    GHashTable *by_name; /* Proxy: all that have been seen; they stay */
    gboolean ended;
};

/* ---- what it has ---- */

static void manifest_free(gpointer data)
{
    Manifest *manifest = data;

    vireo_note_table_free(manifest->table);
    vireo_note_unref(manifest->note);
    g_free(manifest);
}

static const struct vireo_op *row_of(gconstpointer opaque, guint32 id)
{
    const Manifest *manifest = g_atomic_pointer_get(&((Proxy *)opaque)->manifest);
    VireoOffer offer = vireo_note_table_offer(manifest->table);

    return offer.row(offer.table, id);
}

static Manifest *manifest_new(const VireoFarHello *hello)
{
    Manifest *manifest = g_new0(Manifest, 1);
    g_autofree VireoNoteOp *ops = g_new0(VireoNoteOp, hello->rows.len + 1);

    for (guint i = 0; i < hello->rows.len; i++) {
        const VireoFarRow *row = &hello->rows.val[i];

        ops[i] = (VireoNoteOp){row->id, row->native, row->trivial, row->active, row->inactive};
    }
    manifest->note =
        vireo_note_new(hello->name, hello->version, hello->schemes, hello->threads, hello->rows.len, ops);
    manifest->table = vireo_note_table_new(manifest->note);
    return manifest;
}

static gboolean same_row(const VireoNoteOp *a, const VireoNoteOp *b)
{
    return a->id == b->id && a->native == b->native && a->trivial == b->trivial && a->active == b->active &&
           a->inactive == b->inactive;
}

static gboolean same_note(const VireoNote *a, const VireoNote *b)
{
    gboolean same = a->n_ops == b->n_ops && a->threads == b->threads && strcmp(a->schemes, b->schemes) == 0 &&
                    strcmp(a->version, b->version) == 0;

    for (guint i = 0; same && i < a->n_ops; i++)
        same = same_row(&a->ops[i], &b->ops[i]);
    return same;
}

/* ---- the channel's life ---- */

static char *trouble_of(gconstpointer opaque)
{
    const Proxy *proxy = opaque;
    char *reason;

    g_mutex_lock(&proxy->all->lock);
    reason = g_strdup(proxy->attached ? NULL : proxy->reason);
    g_mutex_unlock(&proxy->all->lock);
    return reason;
}

/* The router gets a driver that it does not know yet, or that is not what it was. */
static void make_known(Proxy *proxy, Manifest *manifest)
{
    const Manifest *before = proxy->manifest;

    if (before && same_note(before->note, manifest->note)) {
        manifest_free(manifest);
        return;
    }
    g_ptr_array_add(proxy->manifests, manifest);
    g_atomic_pointer_set(&proxy->manifest, manifest);
    vireo_router_add_far(proxy->all->router, proxy->name, manifest->note->schemes, manifest->note->threads, row_of,
                         trouble_of, proxy, vireo_far_client_call, proxy->client);
}

static gboolean on_hello(VireoFarClient *client, const VireoFarHello *hello, gpointer opaque, GError **error)
{
    Proxy *proxy = opaque;

    if (strcmp(hello->name, proxy->name) != 0) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT, "runs the driver '%s' instead", hello->name);
        return FALSE;
    }
    make_known(proxy, manifest_new(hello));
    g_mutex_lock(&proxy->all->lock);
    proxy->pid = hello->pid;
    g_mutex_unlock(&proxy->all->lock);
    return TRUE;
}

static void on_ready(VireoFarClient *client, gpointer opaque)
{
    Proxy *proxy = opaque;

    g_mutex_lock(&proxy->all->lock);
    proxy->ready = TRUE;
    proxy->ready_since = g_get_monotonic_time();
    g_clear_pointer(&proxy->reason, g_free);
    g_cond_broadcast(&proxy->all->news);
    g_message("driver '%s': served by process %d at %s", proxy->name, proxy->pid, proxy->path);
    g_mutex_unlock(&proxy->all->lock);
}

/* With the lock held: a try has ended. It is asked again only for clients that have connections. */
static void give_up(Proxy *proxy, char *reason)
{
    gint64 now = g_get_monotonic_time();
    gboolean was_well = proxy->ready && now - proxy->ready_since > HEALTH_SECONDS * G_USEC_PER_SEC;
    guint pause;

    proxy->n_failures = was_well ? 0 : MIN(proxy->n_failures + 1, 10);
    pause = proxy->n_failures ? MIN(PAUSE_MS << (proxy->n_failures - 1), PAUSE_MOST_MS) : PAUSE_MS;
    proxy->not_before = now + pause * 1000;
    proxy->wanted = vireo_far_client_n_conns(proxy->client) > 0;
    proxy->attached = proxy->ready = FALSE;
    g_free(proxy->reason);
    proxy->reason = reason;
    proxy->n_tries++;
    g_cond_broadcast(&proxy->all->news);
}

static char *on_lost(VireoFarClient *client, const VireoFarLoss *loss, gpointer opaque)
{
    Proxy *proxy = opaque;
    const char *why = loss->violation ? loss->violation : loss->goodbye ? loss->goodbye : "has gone away";
    char *reason = g_strdup_printf("its daemon at %s %s%s%s%s", proxy->path, loss->violation ? "was cut off: it " : "", why,
                                   loss->during ? " " : "", loss->during ? loss->during : "");

    g_mutex_lock(&proxy->all->lock);
    if (!proxy->all->ended)
        g_log("vireo", proxy->ready && vireo_far_client_n_conns(client) == 0 ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_WARNING,
              "driver '%s': %s", proxy->name, reason);
    give_up(proxy, g_strdup(reason));
    g_mutex_unlock(&proxy->all->lock);
    return reason;
}

static const VireoFarClientHandler handler = {on_hello, on_ready, on_lost};

/* ---- connecting ---- */

/* -1 with errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, problem;

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    problem = errno;
    close(fd);
    errno = problem;
    return -1;
}

/* With the lock held, which is given away meanwhile. */
static void try(Proxy *proxy)
{
    int fd, problem;

    g_mutex_unlock(&proxy->all->lock);
    fd = connect_to(proxy->path);
    problem = errno;
    g_mutex_lock(&proxy->all->lock);
    if (fd < 0) {
        give_up(proxy, g_strdup_printf("its daemon does not answer at %s: %s (start \"vireod --driver=%s\")",
                                       proxy->path, g_strerror(problem), proxy->name));
        return;
    }
    proxy->attached = TRUE;
    g_mutex_unlock(&proxy->all->lock);
    vireo_far_client_attach(proxy->client, fd);
    g_mutex_lock(&proxy->all->lock);
}

static gpointer keep(gpointer opaque)
{
    Proxy *proxy = opaque;
    VireoProxies *all = proxy->all;

    g_mutex_lock(&all->lock);
    while (!all->ended) {
        if (!proxy->wanted || proxy->attached)
            g_cond_wait(&all->news, &all->lock);
        else if (proxy->not_before > g_get_monotonic_time())
            g_cond_wait_until(&all->news, &all->lock, proxy->not_before);
        else
            try(proxy);
    }
    g_mutex_unlock(&all->lock);
    return NULL;
}

/* ---- one ---- */

static gboolean is_socket(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && S_ISSOCK(about.st_mode);
}

static char *default_path(const VireoProxies *proxies, const char *driver)
{
    return g_build_filename(proxies->dir, driver, NULL);
}

/* With the lock held. */
static Proxy *add(VireoProxies *all, const char *name, const char *path)
{
    Proxy *proxy = g_new0(Proxy, 1);

    proxy->all = all;
    proxy->name = g_strdup(name);
    proxy->path = g_strdup(path);
    proxy->manifests = g_ptr_array_new_with_free_func(manifest_free);
    g_hash_table_insert(all->by_name, proxy->name, proxy);
    return proxy;
}

/* One that has never been asked is gone with its socket. */
static gboolean is_there(const Proxy *proxy)
{
    return proxy->thread || proxy->told || is_socket(proxy->path);
}

/* With the lock held. NULL: the driver has no daemon of its own. */
static Proxy *find(VireoProxies *all, const char *name)
{
    Proxy *proxy = g_hash_table_lookup(all->by_name, name);
    g_autofree char *path = NULL;

    if (proxy)
        return is_there(proxy) ? proxy : NULL;
    if (!*name || strchr(name, '/'))
        return NULL;
    path = default_path(all, name);
    return is_socket(path) ? add(all, name, path) : NULL;
}

/* With the lock held. */
static void start(Proxy *proxy)
{
    if (proxy->thread || proxy->all->ended)
        return;
    proxy->client = vireo_far_client_new(vireo_host_core(vireo_router_host(proxy->all->router), proxy->name),
                                         &handler, proxy);
    proxy->thread = g_thread_new("proxy", keep, proxy);
}

static void proxy_free(gpointer data)
{
    Proxy *proxy = data;

    vireo_far_client_free(proxy->client);
    g_ptr_array_unref(proxy->manifests);
    g_free(proxy->reason);
    g_free(proxy->path);
    g_free(proxy->name);
    g_free(proxy);
}

static VireoModuleInfo *info_of(Proxy *proxy)
{
    Manifest *manifest = g_atomic_pointer_get(&proxy->manifest);
    VireoModuleState state = VIREO_MODULE_FOUND;
    g_autofree char *reason = NULL;

    if (proxy->ready) {
        state = VIREO_MODULE_ACTIVE;
        reason = g_strdup_printf("served by process %d at %s", proxy->pid, proxy->path);
    } else if (proxy->reason && proxy->wanted) {
        state = VIREO_MODULE_QUARANTINED;
        reason = g_strdup(proxy->reason);
    } else {
        reason = g_strdup_printf("its daemon is asked at %s when it is needed%s%s", proxy->path,
                                 proxy->reason ? "; last time " : "", proxy->reason ? proxy->reason : "");
    }
    return vireo_module_info_new(state, proxy->name, proxy->path, reason, manifest ? manifest->note : NULL,
                                 NULL);
}

/* ---- all ---- */

VireoProxies *vireo_proxies_new(VireoRouter *router, const char *dir)
{
    VireoProxies *proxies = g_new0(VireoProxies, 1);

    proxies->router = router;
    proxies->dir = g_strdup(dir);
    g_mutex_init(&proxies->lock);
    g_cond_init(&proxies->news);
    proxies->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, proxy_free);
    return proxies;
}

/* Its own thread first: nobody connects any more. */
static void stop(Proxy *proxy)
{
    if (!proxy->thread)
        return;
    g_thread_join(g_steal_pointer(&proxy->thread));
    vireo_far_client_stop(proxy->client);
}

void vireo_proxies_stop(VireoProxies *proxies)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GHashTableIter iter;
    gpointer proxy;

    g_mutex_lock(&proxies->lock);
    proxies->ended = TRUE;
    g_hash_table_iter_init(&iter, proxies->by_name);
    while (g_hash_table_iter_next(&iter, NULL, &proxy))
        g_ptr_array_add(all, proxy);
    g_cond_broadcast(&proxies->news);
    g_mutex_unlock(&proxies->lock);
    for (guint i = 0; i < all->len; i++)
        stop(all->pdata[i]);
}

void vireo_proxies_free(VireoProxies *proxies)
{
    if (!proxies)
        return;
    g_hash_table_unref(proxies->by_name);
    g_cond_clear(&proxies->news);
    g_mutex_clear(&proxies->lock);
    g_free(proxies->dir);
    g_free(proxies);
}

void vireo_proxies_set_path(VireoProxies *proxies, const char *driver, const char *path)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&proxies->lock);

    if (!g_hash_table_contains(proxies->by_name, driver))
        add(proxies, driver, path)->told = TRUE;
}

char *vireo_proxies_path(VireoProxies *proxies, const char *driver)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&proxies->lock);
    const Proxy *proxy = find(proxies, driver);

    return proxy ? g_strdup(proxy->path) : NULL;
}

gboolean vireo_proxies_ensure(VireoProxies *proxies, const char *driver, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&proxies->lock);
    gint64 deadline = g_get_monotonic_time() + ANSWER_SECONDS * G_USEC_PER_SEC;
    Proxy *proxy = find(proxies, driver);
    guint tries;

    if (!proxy) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT, "driver '%s' has no daemon of its own", driver);
        return FALSE;
    }
    start(proxy);
    tries = proxy->n_tries;
    if (!proxy->ready) {
        proxy->wanted = TRUE;
        proxy->not_before = 0;
        g_cond_broadcast(&proxies->news);
    }
    while (!proxies->ended && !proxy->ready && proxy->n_tries == tries &&
           g_cond_wait_until(&proxies->news, &proxies->lock, deadline))
        continue;
    if (!proxy->ready)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT, "driver '%s': %s", driver,
                    proxy->n_tries != tries && proxy->reason ? proxy->reason : "its daemon has not answered in time");
    if (proxy->attached && !proxy->ready && proxy->n_tries == tries)
        vireo_far_client_cut(proxy->client);
    return proxy->ready;
}

/* Names of all that have a socket, without those that have been asked. */
static GPtrArray *not_asked(VireoProxies *proxies)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(proxies->dir, 0, NULL);
    GHashTableIter iter;
    gpointer at;
    const char *name;

    g_mutex_lock(&proxies->lock);
    while (dir && (name = g_dir_read_name(dir)))
        find(proxies, name);
    g_hash_table_iter_init(&iter, proxies->by_name);
    while (g_hash_table_iter_next(&iter, NULL, &at))
        if (is_there(at) && !((const Proxy *)at)->manifest)
            g_ptr_array_add(names, g_strdup(((const Proxy *)at)->name));
    g_mutex_unlock(&proxies->lock);
    return names;
}

static char *known_by_scheme(VireoProxies *proxies, const char *scheme)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&proxies->lock);
    GHashTableIter iter;
    gpointer at;

    g_hash_table_iter_init(&iter, proxies->by_name);
    while (g_hash_table_iter_next(&iter, NULL, &at)) {
        const Proxy *proxy = at;
        g_auto(GStrv) schemes = g_strsplit(proxy->manifest ? proxy->manifest->note->schemes : "", " ", -1);

        if (g_strv_contains((const char *const *)schemes, scheme))
            return g_strdup(proxy->name);
    }
    return NULL;
}

char *vireo_proxies_by_scheme(VireoProxies *proxies, const char *scheme)
{
    char *name = known_by_scheme(proxies, scheme);
    g_autoptr(GPtrArray) others = NULL;
    g_autofree char *path = NULL;

    if (name)
        return name;
    path = vireo_proxies_path(proxies, scheme);
    if (path) /* nearly every driver is called after its scheme */
        return g_strdup(scheme);
    others = not_asked(proxies);
    for (guint i = 0; i < others->len; i++)
        vireo_proxies_ensure(proxies, others->pdata[i], NULL);
    return known_by_scheme(proxies, scheme);
}

VireoModuleInfo *vireo_proxies_info(VireoProxies *proxies, const char *driver)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&proxies->lock);
    Proxy *proxy = find(proxies, driver);

    return proxy ? info_of(proxy) : NULL;
}

GPtrArray *vireo_proxies_list(VireoProxies *proxies)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_module_info_unref);
    g_autoptr(GPtrArray) found = not_asked(proxies);
    GHashTableIter iter;
    gpointer proxy;

    g_mutex_lock(&proxies->lock);
    g_hash_table_iter_init(&iter, proxies->by_name);
    while (g_hash_table_iter_next(&iter, NULL, &proxy))
        if (is_there(proxy))
            g_ptr_array_add(list, info_of(proxy));
    g_mutex_unlock(&proxies->lock);
    return list;
}

void vireo_proxies_look(VireoProxies *proxies)
{
    GHashTableIter iter;
    gpointer proxy;

    g_mutex_lock(&proxies->lock);
    g_hash_table_iter_init(&iter, proxies->by_name);
    while (g_hash_table_iter_next(&iter, NULL, &proxy))
        ((Proxy *)proxy)->not_before = 0;
    g_cond_broadcast(&proxies->news);
    g_mutex_unlock(&proxies->lock);
}
