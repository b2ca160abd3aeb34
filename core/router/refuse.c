/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is refused before a driver is asked, and in which words. */
#include <string.h>

#include "router/private.h"

/* The operation as people write it: domain-snapshot-delete. A plan is refused in the words of what it is of. */
static char *spoken(const VireoOp *op)
{
    return g_strdelimit(g_strdup(op->plans ? op->plans->name : op->name), "_", '-');
}

static char *say(int *code, int number, const char *format, ...) G_GNUC_PRINTF(3, 4);

static char *say(int *code, int number, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    *code = number;
    return text;
}

char *vireo_refuse_readonly(const VireoOp *op, guint64 flags, gconstpointer args, int *code)
{
    const VireoWireField *arg = args && op->readonly_arg ? vireo_wire_field(op->args, op->readonly_arg) : NULL;
    guint64 refused = op->readonly_flags & flags;

    if (op->readonly_refused)
        return say(code, VIREO_ERR_OPERATION_DENIED, "read only access prevents %s", op->api ? op->api : op->name);
    if (refused) {
        g_autofree char *names = vireo_op_flag_names(op, refused);

        return say(code, VIREO_ERR_OPERATION_DENIED, "read only access prevents %s with %s", op->api, names);
    }
    if (arg && *(const gint32 *)((const char *)args + arg->offset) == op->readonly_value)
        return say(code, VIREO_ERR_OPERATION_DENIED, "read only access prevents %s with this %s", op->api,
                   op->readonly_arg);
    return NULL;
}

/* What the driver has for those who want this; "": nothing. */
static const char *instead(const VireoOffer *offer, const VireoOp *op)
{
    gboolean saves = op->id == VIREO_OP_domain_save || op->id == VIREO_OP_domain_save_flags ||
                     op->id == VIREO_OP_domain_save_params;

    if (saves && offer->row(offer->table, VIREO_OP_domain_managed_save))
        return ": managedsave has the hypervisor keep what is saved";
    if (op->id == VIREO_OP_domain_open_console && offer->row(offer->table, VIREO_OP_domain_screenshot) &&
        offer->row(offer->table, VIREO_OP_domain_send_key))
        return ": screenshot and send-key are for the guest's screen and keyboard";
    return "";
}

char *vireo_refuse_unsupported(const VireoOffer *offer, const VireoOp *op, const VireoWay *way, int *code)
{
    g_autofree char *name = spoken(op);
    g_autofree char *why = way->narrowed ? vireo_narrowed_reason(way->narrowed, 0) : NULL;

    if (why)
        return say(code, VIREO_ERR_NO_SUPPORT, "driver '%s': %s is not available on this connection: %s",
                   offer->driver, name, why);
    if (op->plans && offer->row(offer->table, op->plans->id))
        return say(code, VIREO_ERR_NO_SUPPORT, "driver '%s' tells no plans of %s", offer->driver, name);
    if (op->plans)
        op = op->plans;
    return say(code, VIREO_ERR_NO_SUPPORT, "driver '%s' does not serve %s%s%s%s%s", offer->driver, name,
               op->api ? " (" : "", op->api ? op->api : "", op->api ? ")" : "", instead(offer, op));
}

guint64 vireo_core_flags(const VireoOp *op)
{
    /* A getter's note that the client understands string parameters is for the encoder. */
    for (const VireoFlag *flag = op->flags; flag && flag->name; flag++)
        if (strcmp(flag->name, "STRING_OKAY") == 0)
            return flag->bit;
    return 0;
}

char *vireo_refuse_unknown(const VireoOp *op, guint64 flags, int *code)
{
    guint64 unknown = flags & ~op->known_flags;
    g_autofree char *names = unknown ? vireo_op_flag_names(op, unknown) : NULL;
    g_autofree char *known = unknown ? vireo_op_flag_names(op, op->known_flags) : NULL;

    return unknown ? say(code, VIREO_ERR_INVALID_ARG, "%s: flag %s is not supported (supported: %s)", op->name,
                         names, known)
                   : NULL;
}

/* Why a driver without it cannot have it; "": that is the driver's own affair. */
static const char *because(const VireoOp *op, guint64 refused)
{
    gboolean redefines = op->id == VIREO_OP_domain_snapshot_create_xml &&
                         (refused & VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE);

    return redefines ? ": the hypervisor alone keeps its snapshots, and takes none that is only described" : "";
}

static char *refuse_unserved(const VireoOffer *offer, const VireoWay *way, guint64 refused, int *code)
{
    const VireoOp *op = way->op;
    guint64 lost = way->narrowed ? way->narrowed->lost & refused : 0;
    gboolean several;
    g_autofree char *name = spoken(op);
    g_autofree char *names = NULL;
    g_autofree char *more = NULL;

    if (lost == refused) {
        more = vireo_narrowed_reason(way->narrowed, lost);
    } else {
        g_autofree char *supported =
            vireo_op_flag_names(op, way->row->native | way->row->trivial | vireo_core_flags(op));

        refused &= ~lost;
        more = g_strdup_printf("(supported: %s)%s", supported, because(op, refused));
    }
    names = vireo_op_flag_names(op, refused);
    several = (refused & (refused - 1)) != 0;
    return say(code, VIREO_ERR_INVALID_ARG, "driver '%s': %s: flag%s %s %s not %s %s", offer->driver, name,
               several ? "s" : "", names, several ? "are" : "is",
               lost == refused ? "available on this connection:" : "supported", more);
}

static char *refuse_rules(const VireoOp *op, guint64 flags, int *code)
{
    for (const VireoFlagRule *rule = op->flag_rules; rule && rule->kind; rule++) {
        gboolean both = (flags & rule->second) != 0;
        g_autofree char *first = NULL;
        g_autofree char *second = NULL;
        g_autofree char *name = NULL;

        if (!(flags & rule->first) || both != (rule->kind == VIREO_FLAGS_EXCLUSIVE))
            continue;
        first = vireo_op_flag_names(op, rule->first);
        second = vireo_op_flag_names(op, rule->second);
        name = spoken(op);
        return both ? say(code, VIREO_ERR_INVALID_ARG, "%s: flags %s and %s are mutually exclusive", name, first, second)
                    : say(code, VIREO_ERR_INVALID_ARG, "%s: flag %s requires flag %s", name, first, second);
    }
    return NULL;
}

static char *refuse_state(const VireoWay *way, guint64 flags, const VireoObject *object, int *code)
{
    gboolean active = vireo_object_is_active(object);
    guint64 bound = flags & (active ? way->row->inactive : way->row->active);
    g_autofree char *names = NULL;
    g_autofree char *name = NULL;

    if (!bound)
        return NULL;
    names = vireo_op_flag_names(way->op, bound);
    name = spoken(way->op);
    return say(code, VIREO_ERR_OPERATION_INVALID, "%s: %s has no effect while '%s' is %s, so it is refused", name,
               names, object->name, active ? "running" : "not running");
}

char *vireo_refuse_flags(const VireoOffer *offer, const VireoWay *way, guint64 flags, const VireoObject *object,
                         int *code)
{
    guint64 refused = flags & ~(way->row->native | way->row->trivial | vireo_core_flags(way->op));
    char *text;

    if (!flags)
        return NULL;
    if (refused)
        return refuse_unserved(offer, way, refused, code);
    text = refuse_rules(way->op, flags, code);
    if (!text && object)
        text = refuse_state(way, flags, object, code);
    return text;
}

/* ---- typed parameters ---- */

static const char *param_type_name(guint type)
{
    static const char *const names[] = { "nothing", "int", "unsigned int", "long long", "unsigned long long", "double",
                                         "boolean", "string" };

    return type < G_N_ELEMENTS(names) ? names[type] : "unknown";
}

static const VireoParamKey *find_key(const VireoParamKey *keys, const char *name)
{
    while (keys->name && strcmp(keys->name, name) != 0)
        keys++;
    return keys->name ? keys : NULL;
}

static char *known_keys(const VireoParamKey *keys)
{
    GString *names = g_string_new(NULL);

    for (; keys->name; keys++)
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", keys->name);
    return g_string_free(names, FALSE);
}

static char *known_types(const VireoParamKey *key)
{
    GString *names = g_string_new(NULL);

    for (guint type = 0; type < 32; type++)
        if (key->types >> type & 1)
            g_string_append_printf(names, "%s%s", names->len ? " or " : "", param_type_name(type));
    return g_string_free(names, FALSE);
}

static gboolean fits(const VireoParamKey *key, gint32 type)
{
    return type >= 0 && type < 32 && key->types >> type & 1;
}

static gboolean came_before(const vireo_typed_param *params, guint n)
{
    for (guint i = 0; i < n; i++)
        if (strcmp(params[i].field, params[n].field) == 0)
            return TRUE;
    return FALSE;
}

char *vireo_refuse_params(const VireoOp *op, gconstpointer args, int *code)
{
    const VireoWireArray *array = op->param_keys ? (gconstpointer)((const char *)args + op->params_offset) : NULL;
    const vireo_typed_param *params = array ? array->val : NULL;

    for (guint i = 0; array && i < array->len; i++) {
        const VireoParamKey *key = find_key(op->param_keys, params[i].field);
        g_autofree char *name = NULL;
        g_autofree char *known = NULL;

        if (key && fits(key, params[i].value.type) && (key->many || !came_before(params, i)))
            continue;
        name = spoken(op);
        known = key ? known_types(key) : known_keys(op->param_keys);
        if (!key)
            return say(code, VIREO_ERR_ARGUMENT_UNSUPPORTED, "%s: there is no parameter '%s' (known: %s)", name,
                       params[i].field, known);
        if (!fits(key, params[i].value.type))
            return say(code, VIREO_ERR_INVALID_ARG, "%s: parameter '%s' is of type %s, expected %s", name,
                       params[i].field, param_type_name((guint)params[i].value.type), known);
        return say(code, VIREO_ERR_INVALID_ARG, "%s: parameter '%s' is given more than once", name, params[i].field);
    }
    return NULL;
}
