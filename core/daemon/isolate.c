/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/isolate.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "far/client.h"
#include "util/error.h"

#define END_MS          1500 /* for a process whose channel has ended to end as well */
#define STOP_MS         8000 /* the same when it was asked to */
#define BACKOFF_MAX     60   /* seconds */
#define HEALTHY_SECONDS 60   /* after which it has a clean record again */
#define GROUPS_MAX      64
#define PASSWD_MAX      16384
#define CHANNEL_FD      3
#define LIFE_TICKS      4    /* missed ones before a process is given up: one may be due to this process itself */

struct VireoIsolate {
    VireoIsolateConfig config;
    VireoModule *module;
    VireoModuleInfo *info; /* of the module when it was started first */
    vireo_core *core;
    VireoFarClient *client;
    GThread *thread;
    GMutex lock; /* what follows */
    GCond news;
    struct vireo_child child; /* pid 0: none */
    gint64 since, ready_at;
    guint starts, failures;
    guint delay;             /* seconds until the next start */
    gboolean ready, settled; /* settled: the first start has come out well or not */
    gboolean lost, late, mute, stopping, added;
    gboolean refused; /* the driver itself said no */
    char *words;      /* why it does not serve */
};

/* ---- the process ---- */

static gboolean find_user(const char *name, struct vireo_spawn *spec, gid_t *groups, GError **error)
{
    struct passwd user, *found = NULL;
    char buffer[PASSWD_MAX];
    int n = GROUPS_MAX;

    if (getpwnam_r(name, &user, buffer, sizeof buffer, &found) != 0 || !found) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_CONFIG_UNSUPPORTED, "there is no user '%s'",
                    name);
        return FALSE;
    }
    spec->flags |= VIREO_SPAWN_SET_USER;
    spec->uid = user.pw_uid;
    spec->gid = user.pw_gid;
    if (getgrouplist(name, user.pw_gid, groups, &n) < 0)
        n = 0;
    spec->groups = groups;
    spec->n_groups = (guint32)n;
    return TRUE;
}

/* Its directories are made by this process, and must be the driver's. */
static void hand_over_dirs(VireoIsolate *isolate, const struct vireo_spawn *spec)
{
    for (int which = VIREO_DIR_CONFIG; which <= VIREO_DIR_CACHE; which++) {
        const char *dir = vireo_host_services.dir(isolate->core, which);

        if (lchown(dir, spec->uid, spec->gid) != 0)
            g_warning("%s cannot be given to user '%s': %s", dir, isolate->config.settings->user,
                      g_strerror(errno));
    }
}

static GPtrArray *command_line(const VireoIsolate *isolate)
{
    const VireoIsolateConfig *config = &isolate->config;
    const char *const pairs[][2] = {
        {"--driver", isolate->info->path},  {"--name", isolate->info->name},
        {"--config", config->dirs->config}, {"--state", config->dirs->state},
        {"--run", config->dirs->run},       {"--log", config->dirs->log},
        {"--cache", config->dirs->cache},
    };
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(argv, g_strdup(config->program));
    for (guint i = 0; i < G_N_ELEMENTS(pairs); i++)
        g_ptr_array_add(argv, g_strconcat(pairs[i][0], "=", pairs[i][1], NULL));
    g_ptr_array_add(argv, g_strdup_printf("--workers=%u", config->workers));
    if (config->settings->memory_max)
        g_ptr_array_add(argv, g_strdup_printf("--memory-max=%u", config->settings->memory_max));
    if (config->settings->no_new_privs)
        g_ptr_array_add(argv, g_strdup("--no-new-privs"));
    if (config->settings->deny && *config->settings->deny)
        g_ptr_array_add(argv, g_strconcat("--deny=", config->settings->deny, NULL));
    if (config->verbose)
        g_ptr_array_add(argv, g_strdup("--verbose"));
    g_ptr_array_add(argv, NULL);
    return argv;
}

static gboolean spawn(VireoIsolate *isolate, int channel, GError **error)
{
    g_autoptr(GPtrArray) argv = command_line(isolate);
    struct vireo_fd_map map = {channel, CHANNEL_FD};
    gid_t groups[GROUPS_MAX];
    struct vireo_child child;
    struct vireo_spawn spec = {
        .size = sizeof spec,
        .flags = VIREO_SPAWN_DETACH,
        .argv = (const char *const *)argv->pdata,
        .env = (const char *const *)environ,
        .in = -1,
        .out = STDERR_FILENO,
        .err = STDERR_FILENO,
        .fds = &map,
        .n_fds = 1,
    };

    if (isolate->config.settings->user) {
        if (!find_user(isolate->config.settings->user, &spec, groups, error))
            return FALSE;
        hand_over_dirs(isolate, &spec);
    }
    if (vireo_host_services.spawn(isolate->core, &spec, &child) != 0) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "%s cannot be started: %s",
                    isolate->config.program, g_strerror(errno));
        return FALSE;
    }
    g_mutex_lock(&isolate->lock);
    isolate->child = child;
    isolate->since = g_get_real_time() / G_USEC_PER_SEC;
    isolate->starts++;
    isolate->lost = isolate->late = isolate->mute = isolate->ready = FALSE;
    g_mutex_unlock(&isolate->lock);
    return TRUE;
}

/* FALSE with the reason when there is no process to be had. */
static gboolean launch(VireoIsolate *isolate, GError **error)
{
    int ends[2];
    gboolean started;

    if (!vireo_far_socketpair(ends)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "no channel: %s",
                    g_strerror(errno));
        return FALSE;
    }
    started = spawn(isolate, ends[1], error);
    close(ends[1]);
    if (started)
        vireo_far_client_attach(isolate->client, ends[0]);
    else
        close(ends[0]);
    return started;
}

/* Waits for the process, and ends it when it takes too long. FALSE: it had to be. */
static gboolean reap(VireoIsolate *isolate, int ms, siginfo_t *how)
{
    struct pollfd wait = {isolate->child.pidfd, POLLIN, 0};
    gboolean willing = poll(&wait, 1, ms) > 0;

    if (!willing)
        kill(isolate->child.pid, SIGKILL);
    memset(how, 0, sizeof *how);
    while (waitid(P_PID, (id_t)isolate->child.pid, how, WEXITED) != 0 && errno == EINTR)
        continue;
    g_mutex_lock(&isolate->lock);
    close(isolate->child.pidfd);
    isolate->child.pid = 0;
    g_mutex_unlock(&isolate->lock);
    return willing;
}

/* ---- its end ---- */

static char *describe_end(const siginfo_t *how)
{
    if (how->si_code == CLD_KILLED || how->si_code == CLD_DUMPED)
        return g_strdup_printf("its process ended by signal %d (SIG%s)", how->si_status,
                               sigabbrev_np(how->si_status) ? sigabbrev_np(how->si_status) : "?");
    return g_strdup_printf("its process ended with status %d", how->si_status);
}

/* With the lock held: a driver that was healthy for a while has a clean record. */
static void set_delay(VireoIsolate *isolate)
{
    gint64 served = isolate->ready ? g_get_monotonic_time() - isolate->ready_at : 0;

    isolate->failures = served > HEALTHY_SECONDS * G_USEC_PER_SEC ? 1 : isolate->failures + 1;
    isolate->delay = MIN(1u << MIN(isolate->failures - 1, 6), BACKOFF_MAX);
}

/* Takes the driver out of service; what callers are told. */
static char *quarantine(VireoIsolate *isolate, const char *why, const char *during)
{
    char *words;

    g_mutex_lock(&isolate->lock);
    set_delay(isolate);
    words = g_strdup_printf("%s%s%s; starts again in %u s", why, during ? " " : "",
                            during ? during : "", isolate->delay);
    g_mutex_unlock(&isolate->lock);
    vireo_module_quarantine(isolate->module, words);
    return words;
}

/* There is no process any more. */
static void settle_lost(VireoIsolate *isolate, const char *words, gboolean refused)
{
    g_mutex_lock(&isolate->lock);
    g_free(isolate->words);
    isolate->words = g_strdup(words);
    isolate->refused = refused;
    isolate->lost = isolate->settled = TRUE;
    isolate->ready = FALSE;
    g_cond_broadcast(&isolate->news);
    g_mutex_unlock(&isolate->lock);
}

static char *why_lost(VireoIsolate *isolate, const VireoFarLoss *loss, const siginfo_t *how,
                      gboolean willing)
{
    if (isolate->late)
        return g_strdup_printf("init has not returned after %u s, so its process was ended",
                               isolate->config.settings->init_timeout);
    if (isolate->mute)
        return g_strdup_printf("it has not answered for %u s, so its process was ended",
                               isolate->config.settings->alive_timeout);
    if (loss->violation)
        return g_strdup_printf("its process was cut off: it %s", loss->violation);
    if (loss->goodbye)
        return g_strdup(loss->goodbye);
    return willing ? describe_end(how)
                   : g_strdup("its process closed the channel and did not end, so it was ended");
}

/* The driver itself said no before it ever served: one in this process would not be asked again
 * either. */
static gboolean has_refused(VireoIsolate *isolate, const VireoFarLoss *loss)
{
    static const VireoModuleState states[] = {
        [0] = VIREO_MODULE_FAILED_INIT,
        [VIREO_FAR_NOT_LINKED] = VIREO_MODULE_FAILED_LINK,
        [VIREO_FAR_NOT_VALID] = VIREO_MODULE_REFUSED_ABI,
    };

    if (isolate->added || isolate->late || loss->violation || !loss->goodbye)
        return FALSE;
    vireo_module_fail(isolate->module, states[MIN(loss->stage, G_N_ELEMENTS(states) - 1)],
                      loss->goodbye);
    return TRUE;
}

/* On the client's thread. */
static char *lost(VireoFarClient *client, const VireoFarLoss *loss, gpointer opaque)
{
    VireoIsolate *isolate = opaque;
    gboolean stopping, refused, willing;
    g_autofree char *why = NULL;
    char *words;
    siginfo_t how;

    g_mutex_lock(&isolate->lock);
    stopping = isolate->stopping;
    g_mutex_unlock(&isolate->lock);
    willing = reap(isolate, stopping ? STOP_MS : END_MS, &how);
    why = why_lost(isolate, loss, &how, willing);
    if (stopping && (!willing || how.si_code != CLD_EXITED || how.si_status != 0))
        g_log("vireo", G_LOG_LEVEL_WARNING, "driver '%s': %s", isolate->info->name, why);
    refused = !stopping && has_refused(isolate, loss);
    words = stopping  ? g_strdup("the daemon is ending")
            : refused ? g_strdup(why)
                      : quarantine(isolate, why, loss->during);
    settle_lost(isolate, words, refused);
    return words;
}

/* ---- its beginning ---- */

static gboolean same_row(VireoIsolate *isolate, const VireoFarRow *row)
{
    const struct vireo_op *own = vireo_module_op(isolate->module, row->id);

    return own && own->native == row->native && own->trivial == row->trivial &&
           own->active == row->active && own->inactive == row->inactive;
}

/* It must be what its note said when the module was found. */
static gboolean hello(VireoFarClient *client, const VireoFarHello *hello, gpointer opaque,
                      GError **error)
{
    VireoIsolate *isolate = opaque;
    gboolean same =
        strcmp(hello->name, isolate->info->name) == 0 && hello->threads == isolate->info->threads;
    guint n = 0;

    for (guint i = 0; i < vireo_n_ops; i++)
        n += vireo_module_op(isolate->module, vireo_ops[i].id) != NULL;
    same = same && n == hello->rows.len;
    for (guint i = 0; i < hello->rows.len && same; i++)
        same = same_row(isolate, &hello->rows.val[i]);
    if (!same)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID,
                    "has another table than the module had when it was found (a restart of the "
                    "daemon takes the new one)");
    return same;
}

static const struct vireo_op *row_of(gconstpointer isolate, guint32 id)
{
    return vireo_module_op(((const VireoIsolate *)isolate)->module, id);
}

static char *trouble_of(gconstpointer opaque)
{
    const VireoIsolate *isolate = opaque;
    g_autoptr(VireoModuleInfo) info = NULL;

    if (vireo_module_serves(isolate->module))
        return NULL;
    info = vireo_module_info(isolate->module);
    return g_strdup_printf("%s: %s", vireo_module_state_name(info->state), info->reason);
}

static void ready(VireoFarClient *client, gpointer opaque)
{
    VireoIsolate *isolate = opaque;
    const VireoModuleInfo *info = isolate->info;
    gboolean first, again;

    g_mutex_lock(&isolate->lock);
    first = !isolate->added;
    again = isolate->settled;
    isolate->added = TRUE;
    isolate->ready = TRUE;
    isolate->ready_at = g_get_monotonic_time();
    g_mutex_unlock(&isolate->lock);
    if (first)
        vireo_router_add_far(isolate->config.router, info->name, info->schemes, info->threads,
                             row_of, trouble_of, isolate, vireo_far_client_call, isolate->client);
    if (again)
        vireo_module_resume(isolate->module);
    g_mutex_lock(&isolate->lock);
    isolate->settled = TRUE;
    g_cond_broadcast(&isolate->news);
    g_mutex_unlock(&isolate->lock);
}

static const VireoFarClientHandler handler = {hello, ready, lost};

/* ---- watching over it ---- */

/* With the lock held, for a part of the time that it may be silent. A thread of the process's channel answers, however long
 * the driver's functions take; one that is stopped, or hangs as a whole, does not. */
static void listen_for_life(VireoIsolate *isolate, guint *silent)
{
    gint64 tick = (gint64)isolate->config.settings->alive_timeout * G_USEC_PER_SEC / LIFE_TICKS;
    gboolean answered;

    if (!tick) {
        g_cond_wait(&isolate->news, &isolate->lock);
        return;
    }
    if (g_cond_wait_until(&isolate->news, &isolate->lock, g_get_monotonic_time() + tick))
        return;
    g_mutex_unlock(&isolate->lock);
    answered = vireo_far_client_ping(isolate->client);
    g_mutex_lock(&isolate->lock);
    *silent = answered ? 0 : *silent + 1;
    if (*silent < LIFE_TICKS || isolate->lost || !isolate->child.pid)
        return;
    isolate->mute = TRUE;
    kill(isolate->child.pid, SIGKILL);
}

/* With the lock held. */
static void await_loss(VireoIsolate *isolate)
{
    gint64 deadline =
        g_get_monotonic_time() + (gint64)isolate->config.settings->init_timeout * G_USEC_PER_SEC;
    guint silent = 0;

    while (!isolate->lost) {
        if (isolate->late || isolate->mute) {
            g_cond_wait(&isolate->news, &isolate->lock);
        } else if (isolate->ready) {
            listen_for_life(isolate, &silent);
        } else if (!g_cond_wait_until(&isolate->news, &isolate->lock, deadline) &&
                   !isolate->ready && !isolate->lost) {
            isolate->late = TRUE;
            if (isolate->child.pid)
                kill(isolate->child.pid, SIGKILL);
        }
    }
}

/* With the lock held. FALSE: there is to be no further start. */
static gboolean await_turn(VireoIsolate *isolate)
{
    gint64 end = g_get_monotonic_time() + (gint64)isolate->delay * G_USEC_PER_SEC;

    while (!isolate->refused && !isolate->stopping &&
           g_cond_wait_until(&isolate->news, &isolate->lock, end))
        continue;
    return !isolate->refused && !isolate->stopping;
}

/* Asked to stop while there was no channel yet to be cut. */
static void cut_when_stopping(VireoIsolate *isolate)
{
    gboolean stopping;

    g_mutex_lock(&isolate->lock);
    stopping = isolate->stopping;
    g_mutex_unlock(&isolate->lock);
    if (stopping)
        vireo_far_client_cut(isolate->client);
}

static gpointer watch_over(gpointer opaque)
{
    VireoIsolate *isolate = opaque;
    gboolean on = TRUE;

    while (on) {
        g_autoptr(GError) error = NULL;

        if (!launch(isolate, &error)) {
            g_autofree char *words = quarantine(isolate, error->message, NULL);

            settle_lost(isolate, words, FALSE);
        }
        cut_when_stopping(isolate);
        g_mutex_lock(&isolate->lock);
        await_loss(isolate);
        on = await_turn(isolate);
        g_mutex_unlock(&isolate->lock);
    }
    return NULL;
}

gboolean vireo_isolate_start(VireoIsolate *isolate, GError **error)
{
    gboolean good;

    g_mutex_lock(&isolate->lock);
    isolate->thread = g_thread_new("isolate", watch_over, isolate);
    while (!isolate->settled)
        g_cond_wait(&isolate->news, &isolate->lock);
    good = isolate->ready;
    if (!good)
        g_set_error_literal(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT, isolate->words);
    g_mutex_unlock(&isolate->lock);
    return good;
}

/* ---- from beginning to end ---- */

VireoIsolate *vireo_isolate_new(VireoModule *module, const VireoIsolateConfig *config)
{
    VireoIsolate *isolate = g_new0(VireoIsolate, 1);

    isolate->config = *config;
    isolate->module = module;
    isolate->info = vireo_module_info(module);
    isolate->core = vireo_host_core(config->host, isolate->info->name);
    isolate->client = vireo_far_client_new(isolate->core, &handler, isolate);
    g_mutex_init(&isolate->lock);
    g_cond_init(&isolate->news);
    return isolate;
}

void vireo_isolate_stop(VireoIsolate *isolate)
{
    g_mutex_lock(&isolate->lock);
    isolate->stopping = TRUE;
    g_cond_broadcast(&isolate->news);
    g_mutex_unlock(&isolate->lock);
    vireo_far_client_cut(isolate->client);
}

void vireo_isolate_free(VireoIsolate *isolate)
{
    if (!isolate)
        return;
    vireo_isolate_stop(isolate);
    if (isolate->thread)
        g_thread_join(isolate->thread);
    vireo_far_client_free(isolate->client);
    vireo_module_info_unref(isolate->info);
    g_free(isolate->words);
    g_cond_clear(&isolate->news);
    g_mutex_clear(&isolate->lock);
    g_free(isolate);
}

void vireo_isolate_info(VireoIsolate *isolate, VireoIsolateInfo *info)
{
    g_mutex_lock(&isolate->lock);
    *info = (VireoIsolateInfo){isolate->child.pid, isolate->starts, isolate->since};
    g_mutex_unlock(&isolate->lock);
}
