/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which paths a document uses, against the paths a driver honours. */
#include "model/table.h"

#include <string.h>

/* One step of the honoured paths; the steps form a tree that is walked beside the document. */
typedef struct {
    GHashTable *below; /* name -> Step */
    gboolean itself;   /* a path ends here */
    gboolean all;      /* a path ends here with a star */
} Step;

struct VireoModelPathSet {
    const VireoModelType *type;
    Step *root;
};

/* Where the walk is, innermost first; only spelled out for a message. */
typedef struct Frame {
    const struct Frame *above;
    const char *name;
} Frame;

typedef struct {
    const char *label;
    GError **error;
} Check;

static void step_free(gpointer data)
{
    Step *step = data;

    if (!step)
        return;
    g_hash_table_unref(step->below);
    g_free(step);
}

static Step *step_new(void)
{
    Step *step = g_new0(Step, 1);

    step->below = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, step_free);
    return step;
}

static Step *step_below(const Step *step, const char *name)
{
    return step ? g_hash_table_lookup(step->below, name) : NULL;
}

static Step *step_add(Step *step, const char *name)
{
    Step *next = step_below(step, name);

    if (!next) {
        next = step_new();
        g_hash_table_insert(step->below, g_strdup(name), next);
    }
    return next;
}

/* Whether the table has the path made of @names, all below @type. */
static gboolean names_known(const VireoModelType *type, char **names)
{
    const VireoModelField *field;

    if (!*names || strcmp(*names, "*") == 0)
        return !*names || !names[1];
    if (!names[1] && vireo_model_find_attribute(type, *names))
        return TRUE;
    field = vireo_model_find_element(type, *names);
    if (!field)
        return FALSE;
    if (field->kind == VIREO_MODEL_STRUCT)
        return names_known(field->type, names + 1);
    if (!names[1])
        return !field->attr;
    return !names[2] && ((field->attr && strcmp(names[1], field->attr) == 0) ||
                         strcmp(names[1], "*") == 0);
}

static gboolean path_set_add(VireoModelPathSet *set, const char *path, GError **error)
{
    g_auto(GStrv) names = g_strsplit(path, ".", -1);
    Step *step = set->root;

    if (!*names || strcmp(*names, set->type->element) != 0 || !names_known(set->type, names + 1)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG,
                    "honoured path '%s' is not in the table of <%s>", path, set->type->element);
        return FALSE;
    }
    for (char **name = names + 1; *name; name++) {
        if (strcmp(*name, "*") == 0) {
            step->all = TRUE;
            return TRUE;
        }
        step = step_add(step, *name);
    }
    step->itself = TRUE;
    return TRUE;
}

VireoModelPathSet *vireo_model_path_set_new(const VireoModelType *type, const char *const *honoured,
                                            GError **error)
{
    g_autoptr(VireoModelPathSet) set = g_new0(VireoModelPathSet, 1);

    set->type = type;
    set->root = step_new();
    for (; honoured && *honoured; honoured++)
        if (!path_set_add(set, *honoured, error))
            return NULL;
    return g_steal_pointer(&set);
}

void vireo_model_path_set_free(VireoModelPathSet *set)
{
    if (!set)
        return;
    step_free(set->root);
    g_free(set);
}

static void append_path(const Frame *frame, GString *path)
{
    if (frame->above) {
        append_path(frame->above, path);
        g_string_append_c(path, '.');
    }
    g_string_append(path, frame->name);
}

static gboolean refuse(const Check *check, const Frame *frame, const char *attribute, guint line)
{
    g_autoptr(GString) path = g_string_new(NULL);

    append_path(frame, path);
    if (attribute)
        g_string_append_printf(path, ".%s", attribute);
    g_set_error(check->error, VIREO_ERROR, VIREO_ERROR_CONFIG_UNSUPPORTED,
                "(%s):%u: %s: not supported by this driver", check->label, line, path->str);
    return FALSE;
}

static guint field_line(const VireoModelField *field, gconstpointer doc)
{
    guint line = field->line_offset == VIREO_MODEL_NO_OFFSET
                     ? 0
                     : *(const guint *)VIREO_MODEL_CAT(doc, field->line_offset);

    return line ? line : *(const guint *)doc;
}

static gboolean check_struct(const Check *check, const VireoModelType *type, gconstpointer doc,
                             const Step *step, const Frame *frame);

/* One struct, or each of a list. */
static gboolean check_child(const Check *check, const VireoModelField *field, gconstpointer slot,
                            const Step *step, const Frame *frame)
{
    const VireoModelList *list = slot;
    gboolean repeated = field->flags & VIREO_MODEL_LIST;
    const gconstpointer *items = repeated ? list->items : slot;
    guint n = repeated ? list->n : 1;

    if (n == 0 || !items[0] || (step && step->all))
        return TRUE;
    if (!step && !(field->flags & VIREO_MODEL_ALWAYS))
        return refuse(check, frame, NULL, *(const guint *)items[0]);
    for (guint i = 0; i < n; i++)
        if (!check_struct(check, field->type, items[i], step, frame))
            return FALSE;
    return TRUE;
}

static gboolean asks_for_something(const VireoModelField *field, gconstpointer doc)
{
    return vireo_model_field_used(field, doc) && !vireo_model_field_is_default(field, doc);
}

static gboolean check_struct(const Check *check, const VireoModelType *type, gconstpointer doc,
                             const Step *step, const Frame *above)
{
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoModelField *field = &type->fields[i];
        Frame frame = { above, field->name };
        const Step *next = field->name ? step_below(step, field->name) : step;

        if (!asks_for_something(field, doc))
            continue;
        if (field->kind == VIREO_MODEL_STRUCT) {
            if (!check_child(check, field, VIREO_MODEL_CAT(doc, field->offset), next, &frame))
                return FALSE;
            continue;
        }
        if (next && next->all)
            continue;
        if (field->attr)
            next = step_below(next, field->attr);
        if (!next || !next->itself)
            return refuse(check, field->name ? &frame : above, field->attr,
                          field_line(field, doc));
    }
    return TRUE;
}

gboolean vireo_model_path_set_check(const VireoModelPathSet *set, gconstpointer doc, GError **error)
{
    Check check = { set->type->label, error };
    Frame frame = { NULL, set->type->element };

    return set->root->all || check_struct(&check, set->type, doc, set->root, &frame);
}

gboolean vireo_model_check(const VireoModelType *type, gconstpointer doc,
                           const char *const *honoured, GError **error)
{
    g_autoptr(VireoModelPathSet) set = vireo_model_path_set_new(type, honoured, error);

    return set && vireo_model_path_set_check(set, doc, error);
}
