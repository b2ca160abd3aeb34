/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is wrong with a domain's images and snapshots, and what can be done about it. Whatever is repaired is
 * a plan of graph/, told and carried out like any other. */
#include "doctor.h"

#include "coalesce.h"
#include "images.h"
#include "ops.h"
#include "revert.h"
#include "tell.h"

static void finding_free(gpointer opaque)
{
    QemuFinding *finding = opaque;

    g_free(finding->file);
    g_free(finding->snapshot);
    g_free(finding->text);
    g_free(finding->remedy);
    g_free(finding);
}

void qemu_doctor_find(QemuDoctor *doctor, const char *kind, int severity, const char *file,
                      const char *snapshot, char *text, char *remedy, gboolean repairable)
{
    QemuFinding *finding = g_new0(QemuFinding, 1);

    finding->kind = kind;
    finding->severity = severity;
    finding->file = g_strdup(file);
    finding->snapshot = g_strdup(snapshot);
    finding->text = text;
    finding->remedy = remedy;
    finding->repairable = repairable;
    g_ptr_array_add(doctor->findings, finding);
}

/* One look, and what follows from it. */
typedef struct {
    QemuDoctor doctor;
    QemuDef *now;
    QemuGraph *graph; /* as the plan leaves it; NULL: it could not be read */
    QemuPlan *plan;
    char *token;      /* "" when there is nothing to do */
} Examination;

static void examination_clear(Examination *this)
{
    g_ptr_array_unref(this->doctor.findings);
    g_hash_table_unref(this->doctor.images);
    g_hash_table_unref(this->doctor.dirs);
    g_ptr_array_unref(this->doctor.ghosts);
    g_ptr_array_unref(this->doctor.points);
    g_ptr_array_unref(this->doctor.leaks);
    qemu_files_free(this->doctor.files);
    qemu_def_unref(this->now);
    qemu_graph_free(this->graph);
    qemu_plan_free(this->plan);
    g_free(this->token);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Examination, examination_clear)

/* ---- looking ---------------------------------------------------------------------------- */

static void look_at_definition(QemuDoctor *doctor, const VireoDomain *doc, const char *which)
{
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];
        const char *path = qemu_disk_path(disk);

        if (!path)
            continue;
        const QemuLooked *looked =
            qemu_doctor_look(doctor, path, disk->driver->type == VIREO_DOMAIN_STORAGE_FORMAT_QCOW2);
        doctor->whole &= !looked->broken;
        if (looked->missing)
            qemu_doctor_find(doctor, "missing-image", VIREO_DOCTOR_BROKEN, path, NULL,
                             g_strdup_printf("disk '%s' of the %s is %s, which is not there", disk->target->dev,
                                             which, path),
                             g_strdup("bring the image back, or correct the definition (it names the image that the "
                                      "disk has now)"),
                             FALSE);
    }
}

static void noted(const char *key, const void *data, size_t len, void *opaque)
{
    *(gboolean *)opaque = TRUE;
}

static gboolean is_noted(QemuDomain *dom, const char *kind)
{
    QemuDriver *driver = dom->space->driver;
    g_autofree char *key = g_strdup_printf("%s/%s/%s", kind, dom->space->key, dom->uuid_text);
    gboolean found = FALSE;

    driver->host->state_each(driver->core, key, noted, &found);
    return found;
}

/* Operations write ahead; whoever has the job has finished. */
static void look_for_unfinished(QemuDoctor *doctor)
{
    QemuDomain *dom = doctor->dom;

    doctor->unfinished = is_noted(dom, "plan") || is_noted(dom, "revert") || is_noted(dom, "pull");
    if (doctor->unfinished)
        qemu_doctor_find(doctor, "unfinished", VIREO_DOCTOR_BROKEN, NULL, NULL,
                         g_strdup_printf("a snapshot operation on domain '%s' was cut short, and could neither be "
                                         "finished nor undone when the daemon started", dom->name),
                         g_strdup("try again to finish or undo it"), TRUE);
}

static void make_plan(Examination *this)
{
    QemuDoctor *doctor = &this->doctor;

    qemu_plan_forget(this->graph, this->plan, (const char *const *)doctor->ghosts->pdata,
                     doctor->ghosts->len);
    for (guint i = 0; i < doctor->points->len; i++)
        qemu_plan_drop_point(this->graph, this->plan, doctor->points->pdata[i], QEMU_UNDO_TAG);
    for (guint i = 0; i < doctor->leaks->len; i++)
        qemu_graph_mark(this->graph, doctor->leaks->pdata[i], QEMU_FILE_RELEASED);
    qemu_plan_collect(this->graph, this->plan, 0);
}

static char *token_of(const Examination *this)
{
    g_autofree char *text = qemu_plan_text(this->plan);
    g_autofree char *all = g_strdup_printf("%s/%d/%s", this->doctor.dom->uuid_text, this->doctor.unfinished, text);

    return this->plan->steps->len || this->doctor.unfinished
               ? g_compute_checksum_for_string(G_CHECKSUM_SHA256, all, -1) : g_strdup("");
}

static void examine(Examination *this, QemuDomain *dom, vireo_call *call)
{
    g_autoptr(QemuDef) config = qemu_domain_config(dom);
    g_autoptr(GError) error = NULL;

    this->now = qemu_domain_current(dom);
    this->plan = qemu_plan_new();
    this->doctor = (QemuDoctor){
        .dom = dom, .call = call, .doc = this->now->doc, .files = qemu_files_load(dom), .whole = TRUE,
        .findings = g_ptr_array_new_with_free_func(finding_free),
        .images = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, qemu_looked_free),
        .dirs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .ghosts = g_ptr_array_new_with_free_func(g_free),
        .points = g_ptr_array_new_with_free_func(g_free),
        .leaks = g_ptr_array_new_with_free_func(g_free),
    };
    look_for_unfinished(&this->doctor);
    look_at_definition(&this->doctor, this->now->doc, "domain");
    if (config && config->doc != this->now->doc)
        look_at_definition(&this->doctor, config->doc, "stored definition");
    qemu_doctor_snapshots(&this->doctor);
    qemu_doctor_metadata(&this->doctor);
    this->graph = qemu_engine_graph(dom, this->now->doc, NULL, &error);
    if (this->graph)
        qemu_doctor_left(&this->doctor, this->graph);
    else if (this->doctor.whole)
        qemu_doctor_find(&this->doctor, "unreadable", VIREO_DOCTOR_BROKEN, NULL, NULL, g_strdup(error->message),
                         g_strdup("until that is set right no snapshot can be taken, reverted to or deleted"), FALSE);
    /* What is to be finished comes first, and may change all the rest. */
    if (this->graph && !this->doctor.unfinished)
        make_plan(this);
    this->token = token_of(this);
}

/* ---- telling ---------------------------------------------------------------------------- */

static void fill(const Examination *this, uint32_t *len, vireo_doctor_finding **val)
{
    const struct vireo_host *host = this->doctor.dom->space->driver->host;
    vireo_call *call = this->doctor.call;
    const GPtrArray *findings = this->doctor.findings;

    *len = MIN(findings->len, VIREO_LIMIT_DOCTOR_FINDINGS_MAX);
    *val = host->alloc(call, (*len + 1) * sizeof **val);
    for (guint i = 0; i < *len; i++) {
        const QemuFinding *finding = findings->pdata[i];

        (*val)[i] = (vireo_doctor_finding){
            .kind = host->strdup(call, finding->kind),
            .severity = finding->severity,
            .file = host->strdup(call, finding->file ? finding->file : ""),
            .snapshot = host->strdup(call, finding->snapshot ? finding->snapshot : ""),
            .text = host->strdup(call, finding->text),
            .remedy = host->strdup(call, finding->remedy),
            .repairable = finding->repairable,
        };
    }
}

int qemu_vireo_domain_examine(void *handle, vireo_call *call, const vireo_vireo_domain_examine_args *args,
                              vireo_vireo_domain_examine_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_auto(Examination) this = { 0 };
    examine(&this, dom, call);
    g_autoptr(QemuTell) tell = qemu_tell_new(dom, call);
    if (this.doctor.unfinished)
        qemu_tell_step(tell, "recover", VIREO_PLAN_CHANGES, NULL, NULL, 0,
                       "finish or undo the snapshot operation that was cut short");
    qemu_tell_plan(tell, this.plan, NULL);
    qemu_tell_fill(tell, &ret->plan);
    fill(&this, &ret->findings.len, &ret->findings.val);
    ret->token = conn->driver->host->strdup(call, this.token);
    return VIREO_OK;
}

/* ---- repairing --------------------------------------------------------------------------- */

static gboolean repair(QemuDomain *dom, vireo_call *call, const char *token, GError **error)
{
    g_auto(Examination) this = { 0 };
    g_autoptr(VireoQmp) qmp = NULL;

    examine(&this, dom, call);
    if (!*this.token || !g_str_equal(this.token, token)) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID,
                   *this.token ? "what would be done about domain '%s' has changed since it was looked at: look again"
                               : "there is nothing that could be repaired about domain '%s'", dom->name);
        return FALSE;
    }
    if (!qemu_blockjobs_none(dom, NULL, error))
        return FALSE;
    if (this.doctor.unfinished) {
        qemu_revert_recover(dom);
        qemu_work_recover(dom);
        return qemu_engine_mend(dom, error);
    }
    if (qemu_domain_active(dom) && !(qmp = qemu_domain_monitor(dom, error)))
        return FALSE;
    QemuWork work = { .dom = dom, .call = call, .qmp = qmp, .plan = this.plan, .after = this.graph };
    return qemu_work_run(&work, error);
}

int qemu_vireo_domain_repair(void *handle, vireo_call *call, const vireo_vireo_domain_repair_args *args,
                             vireo_vireo_domain_repair_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    gboolean repaired = repair(dom, call, args->token, &error);
    qemu_domain_publish(dom);
    qemu_tree_publish(dom);
    if (!repaired)
        return qemu_fail(conn->driver, call, error);
    g_auto(Examination) after = { 0 };
    examine(&after, dom, call);
    fill(&after, &ret->findings.len, &ret->findings.val);
    return VIREO_OK;
}
