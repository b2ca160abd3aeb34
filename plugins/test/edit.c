/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changing definitions: which of the two a call means, all or nothing. */
#include "ops.h"

#define IMPACT (VIREO_DOMAIN_AFFECT_LIVE | VIREO_DOMAIN_AFFECT_CONFIG)

/* CURRENT is the running definition of a running domain, the stored one otherwise. */
static guint meant(const TestDomain *dom, guint flags)
{
    if (flags & IMPACT)
        return flags & IMPACT;
    return test_domain_active(dom) ? VIREO_DOMAIN_AFFECT_LIVE : VIREO_DOMAIN_AFFECT_CONFIG;
}

static int check(const TestDomain *dom, vireo_call *call, guint impact)
{
    if ((impact & VIREO_DOMAIN_AFFECT_LIVE) && test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if ((impact & VIREO_DOMAIN_AFFECT_CONFIG) && !dom->config)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID,
                    "domain '%s' is transient and has no stored definition", dom->name);
    return VIREO_OK;
}

VireoDomain *test_domain_view(const TestDomain *dom, vireo_call *call, guint flags)
{
    guint impact = meant(dom, flags);

    if (check(dom, call, impact) != VIREO_OK)
        return NULL;
    return test_definition_of(impact & VIREO_DOMAIN_AFFECT_LIVE ? dom->live : dom->config);
}

static int edited(const GRefString *text, vireo_call *call, TestEdit *edit, gboolean live,
                  void *opaque, GRefString **result)
{
    g_autoptr(VireoDomain) doc = test_definition_of(text);

    if (edit(call, doc, live, opaque) != VIREO_OK)
        return VIREO_FAIL;
    *result = test_definition_text(doc);
    return VIREO_OK;
}

static void take(GRefString **slot, GRefString *text)
{
    if (!text)
        return;
    g_ref_string_release(*slot);
    *slot = text;
}

int test_domain_edit(TestDomain *dom, vireo_call *call, guint flags, TestEdit *edit, void *opaque)
{
    guint impact = meant(dom, flags);
    GRefString *live = NULL, *config = NULL;

    if (check(dom, call, impact) != VIREO_OK)
        return VIREO_FAIL;
    if ((impact & VIREO_DOMAIN_AFFECT_LIVE) &&
        edited(dom->live, call, edit, TRUE, opaque, &live) != VIREO_OK)
        return VIREO_FAIL;
    if ((impact & VIREO_DOMAIN_AFFECT_CONFIG) &&
        edited(dom->config, call, edit, FALSE, opaque, &config) != VIREO_OK) {
        g_clear_pointer(&live, g_ref_string_release);
        return VIREO_FAIL;
    }
    take(&dom->live, live);
    take(&dom->config, config);
    test_domain_refresh(dom);
    test_domain_publish(dom);
    return VIREO_OK;
}
