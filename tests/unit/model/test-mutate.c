/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-mutate FILE...: damaged documents are refused with a message, or understood, stable and then
 * valid in the eyes of the schema too. */
#include "model/documents.h"

#include <string.h>

#define ROUNDS 400

static const char *const splices[] = {
    "<", ">", "'", "\"", "&", "&#0;", "&lt;", "]]>", "<!--", "<![CDATA[", "<?x", "xmlns='urn:x' ",
    "-1", "18446744073709551616", "0x", "\xc3", "\xff", "<name>", "</devices>", "<disk/>", "\n",
};

/* Keeps the document well formed and changes one attribute value. */
static char *change_value(GRand *dice, const char *xml)
{
    static const char *const values[] = {
        "", "0", "-1", "1", "4294967296", "99999999999999999999", "0x10", "yes", "off", "file",
        "network", "pci", "a b", "&lt;&amp;", "/path", "1,2-9", "&#10;",
    };
    const char *quote = strstr(xml, "='") ? "'" : "\"";
    g_auto(GStrv) parts = g_strsplit(xml, quote, -1);
    guint n = g_strv_length(parts);
    guint at = n > 2 ? (guint)g_rand_int_range(dice, 0, (gint32)(n - 1) / 2) * 2 + 1 : 0;

    g_free(parts[at]);
    parts[at] = g_strdup(values[g_rand_int_range(dice, 0, G_N_ELEMENTS(values))]);
    return g_strjoinv(quote, parts);
}

static char *damage(GRand *dice, const char *xml)
{
    const gint32 length = (gint32)strlen(xml);
    g_autoptr(GString) text = g_string_new(xml);

    for (int left = g_rand_int_range(dice, 1, 4); left > 0 && text->len > 100; left--) {
        gssize at = g_rand_int_range(dice, 0, (gint32)text->len);
        gssize some = g_rand_int_range(dice, 1, 40);

        switch (g_rand_int_range(dice, 0, 4)) {
        case 0:
            g_string_insert(text, at, splices[g_rand_int_range(dice, 0, G_N_ELEMENTS(splices))]);
            break;
        case 1:
            g_string_erase(text, at, MIN((gssize)text->len - at, some));
            break;
        case 2:
            text->str[at] = (char)g_rand_int_range(dice, 1, 256);
            break;
        default:
            g_string_insert_len(text, at, xml + g_rand_int_range(dice, 0, length - 40), some);
            break;
        }
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static gpointer must_parse(const VireoModelType *type, const char *xml)
{
    g_autoptr(GError) error = NULL;
    gpointer doc =
        vireo_model_parse(type, NULL, xml, -1, VIREO_MODEL_PARSE_VALIDATE, &error);

    if (!doc)
        g_error("%s\nin\n%s", error->message, xml);
    return doc;
}

/* TRUE when the document was understood. */
static gboolean try_one(const VireoModelType *type, const char *xml)
{
    g_autoptr(GError) error = NULL;
    gpointer doc = vireo_model_parse(type, NULL, xml, -1, 0, &error);
    gpointer again;
    g_autofree char *once = NULL;
    g_autofree char *twice = NULL;

    if (!doc) {
        g_assert_nonnull(error);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        return FALSE;
    }
    vireo_model_free(type, must_parse(type, xml));
    once = vireo_model_format(type, NULL, doc, VIREO_MODEL_FORMAT_SECURE);
    again = must_parse(type, once);
    twice = vireo_model_format(type, NULL, again, VIREO_MODEL_FORMAT_SECURE);
    g_assert_cmpstr(once, ==, twice);
    vireo_model_free(type, doc);
    vireo_model_free(type, again);
    return TRUE;
}

static const VireoModelType *type_of(const char *xml)
{
    return g_str_has_prefix(xml, "<domainsnapshot")     ? &vireo_domain_snapshot_type
           : g_str_has_prefix(xml, "<domaincheckpoint") ? &vireo_domain_checkpoint_type
           : g_str_has_prefix(xml, "<domainbackup")     ? &vireo_domain_backup_type
           : g_str_has_prefix(xml, "<network")          ? &vireo_network_type
           : g_str_has_prefix(xml, "<pool")             ? &vireo_storage_pool_type
           : g_str_has_prefix(xml, "<volume")           ? &vireo_storage_vol_type
                                                        : &vireo_domain_type;
}

int main(int argc, char **argv)
{
    g_autoptr(GRand) dice = g_rand_new_with_seed(20);
    guint understood = 0, refused = 0;

    for (int i = 1; i < argc; i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *xml = NULL;
        const VireoModelType *type;

        g_file_get_contents(argv[i], &xml, NULL, &error);
        g_assert_no_error(error);
        type = type_of(xml);
        for (int round = 0; round < ROUNDS; round++) {
            g_autofree char *mutant = round % 2 ? damage(dice, xml) : change_value(dice, xml);

            *(try_one(type, mutant) ? &understood : &refused) += 1;
        }
    }
    g_print("understood %u, refused %u\n", understood, refused);
    g_assert_cmpuint(understood, >, 0);
    g_assert_cmpuint(refused, >, 0);
    return 0;
}
