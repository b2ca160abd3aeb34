/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checkpoints: which disks have a bitmap since when. */
#include "ops.h"

#include <libxml/parser.h>
#include <string.h>
#include <time.h>

#include "moment.h"

#define CHECKPOINTS VIREO_CLASS_DOMAIN_CHECKPOINT

static void disk_free(gpointer data)
{
    TestCheckpointDisk *disk = data;

    g_free(disk->name);
    g_free(disk->bitmap_name);
    g_free(disk);
}

static TestMoment *moment_new(void)
{
    TestMoment *moment = g_new0(TestMoment, 1);

    moment->disks = g_ptr_array_new_with_free_func(disk_free);
    moment->state = VIREO_DOMAIN_SHUTOFF;
    return moment;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static char *text_in(xmlNode *element)
{
    xmlChar *content = xmlNodeGetContent(element);
    char *text = g_strdup((const char *)content);

    xmlFree(content);
    return text;
}

static char *attribute(xmlNode *element, const char *name)
{
    xmlChar *value = xmlGetNoNsProp(element, BAD_CAST name);
    char *text = g_strdup((const char *)value);

    xmlFree(value);
    return text;
}

static gboolean is_named(const xmlNode *at, const char *name)
{
    return at->type == XML_ELEMENT_NODE && strcmp((const char *)at->name, name) == 0;
}

static int read_disks(TestMoment *moment, xmlNode *disks, vireo_call *call)
{
    for (xmlNode *at = disks->children; at; at = at->next) {
        g_autofree char *kind = NULL;
        TestCheckpointDisk *disk;

        if (!is_named(at, "disk"))
            continue;
        disk = g_new0(TestCheckpointDisk, 1);
        g_ptr_array_add(moment->disks, disk);
        disk->name = attribute(at, "name");
        disk->bitmap_name = attribute(at, "bitmap");
        kind = attribute(at, "checkpoint");
        disk->bitmap = !kind || strcmp(kind, "bitmap") == 0;
        if (!disk->name)
            return FAIL(call, VIREO_ERR_XML_ERROR, "a <disk> of the checkpoint has no name");
        if (!disk->bitmap && strcmp(kind, "no") != 0)
            return FAIL(call, VIREO_ERR_CONFIG_UNSUPPORTED, "checkpoint='%s' does not exist", kind);
    }
    return VIREO_OK;
}

static int read_domain(TestMoment *moment, xmlNode *element, vireo_call *call)
{
    xmlBuffer *buffer = xmlBufferCreate();
    GError *error = NULL;
    g_autoptr(VireoDomain) doc = NULL;

    xmlNodeDump(buffer, element->doc, element, 0, 0);
    doc = test_definition_parse((const char *)xmlBufferContent(buffer), 0, &error);
    xmlBufferFree(buffer);
    if (!doc)
        return test_fail_error(call, error);
    moment->domain = test_definition_text(doc);
    return VIREO_OK;
}

static int read_element(TestMoment *moment, xmlNode *at, vireo_call *call)
{
    if (is_named(at, "name") && !moment->name)
        moment->name = text_in(at);
    else if (is_named(at, "description") && !moment->description)
        moment->description = text_in(at);
    else if (is_named(at, "creationTime")) {
        g_autofree char *text = text_in(at);

        moment->creation = g_ascii_strtoll(text, NULL, 10);
    } else if (is_named(at, "parent")) {
        for (xmlNode *child = at->children; child; child = child->next)
            if (is_named(child, "name") && !moment->parent)
                moment->parent = text_in(child);
    } else if (is_named(at, "disks"))
        return read_disks(moment, at, call);
    else if (is_named(at, "domain") && !moment->domain)
        return read_domain(moment, at, call);
    return VIREO_OK;
}

static TestMoment *moment_read(const char *xml, vireo_call *call)
{
    g_autoptr(TestMoment) moment = moment_new();
    xmlDoc *doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    int status = VIREO_OK;

    if (!root || xmlGetIntSubset(doc) || !is_named(root, "domaincheckpoint")) {
        xmlFreeDoc(doc);
        FAIL(call, VIREO_ERR_XML_ERROR, "expected a well-formed <domaincheckpoint> document");
        return NULL;
    }
    for (xmlNode *at = root->children; at && status == VIREO_OK; at = at->next)
        if (at->type == XML_ELEMENT_NODE)
            status = read_element(moment, at, call);
    xmlFreeDoc(doc);
    return status == VIREO_OK ? g_steal_pointer(&moment) : NULL;
}

/* ---- creating ---------------------------------------------------------------------------------
 */

static TestCheckpointDisk *entry_of(const TestMoment *moment, const VireoDomainDisk *disk)
{
    for (guint i = 0; i < moment->disks->len; i++) {
        TestCheckpointDisk *entry = moment->disks->pdata[i];

        if (strcmp(entry->name, disk->target->dev) == 0 ||
            g_strcmp0(entry->name, test_disk_path(disk)) == 0)
            return entry;
    }
    return NULL;
}

static int settle_disks(TestMoment *moment, VireoDomain *doc, vireo_call *call)
{
    gboolean listed = moment->disks->len > 0, any = FALSE;

    for (guint i = 0; i < moment->disks->len; i++) {
        TestCheckpointDisk *entry = moment->disks->pdata[i];

        if (!test_disk_find(doc, entry->name))
            return FAIL(call, VIREO_ERR_CONFIG_UNSUPPORTED, "the domain has no disk '%s'",
                        entry->name);
    }
    for (guint i = 0; doc->devices && i < doc->devices->disks.n; i++) {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];
        TestCheckpointDisk *entry = entry_of(moment, disk);

        if (!entry) {
            entry = g_new0(TestCheckpointDisk, 1);
            entry->bitmap = !listed && test_disk_has_data(disk);
            g_ptr_array_add(moment->disks, entry);
        }
        g_free(entry->name);
        entry->name = g_strdup(disk->target->dev);
        if (entry->bitmap && !entry->bitmap_name)
            entry->bitmap_name = g_strdup(moment->name);
        any = any || entry->bitmap;
    }
    return any ? VIREO_OK
               : FAIL(call, VIREO_ERR_CONFIG_UNSUPPORTED,
                      "a checkpoint needs a disk, and no disk is "
                      "selected");
}

static int create(TestDomain *dom, TestMoments *moments, TestMoment *moment, vireo_call *call)
{
    g_autoptr(VireoDomain) doc = NULL;
    char *name;

    if (test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    name = test_moment_new_name(moments, call, moment->name);
    if (!name)
        return VIREO_FAIL;
    g_free(moment->name);
    moment->name = name;
    doc = test_domain_document(dom);
    if (settle_disks(moment, doc, call) != VIREO_OK)
        return VIREO_FAIL;
    g_free(moment->parent);
    moment->parent = g_strdup(moments->current);
    moment->creation = (gint64)time(NULL);
    g_clear_pointer(&moment->domain, g_ref_string_release);
    moment->domain = g_ref_string_acquire(dom->live);
    return VIREO_OK;
}

static int redefine(TestDomain *dom, TestMoments *moments, TestMoment *moment, vireo_call *call)
{
    g_autoptr(VireoDomain) doc = moment->domain ? test_definition_of(moment->domain) : NULL;
    char uuid[37];

    if (!moment->name || !moment->creation)
        return FAIL(call, VIREO_ERR_XML_ERROR,
                    "a redefined checkpoint needs <name> and <creationTime>");
    if (!doc)
        return FAIL(call, VIREO_ERR_XML_ERROR, "a redefined checkpoint needs a <domain>");
    if (memcmp(doc->uuid, dom->uuid, 16) != 0) {
        vireo_model_uuid_format(dom->uuid, uuid);
        return FAIL(call, VIREO_ERR_INVALID_ARG,
                    "the definition in checkpoint '%s' must have the domain's uuid %s",
                    moment->name, uuid);
    }
    return test_moment_check_parent(moments, call, moment->name, moment->parent);
}

int test_domain_checkpoint_create_xml(TestConn *conn, vireo_call *call,
                                      const vireo_domain_checkpoint_create_xml_args *args,
                                      vireo_domain_checkpoint_create_xml_ret *ret)
{
    gboolean again = args->flags & VIREO_DOMAIN_CHECKPOINT_CREATE_REDEFINE;
    g_autoptr(TestMoment) moment = moment_read(args->xml_desc, call);
    TestMoments *moments;
    int status;

    if (!moment)
        return VIREO_FAIL;
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if ((args->flags & VIREO_DOMAIN_CHECKPOINT_CREATE_QUIESCE) &&
        test_agent_check(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    moments = test_moments_get(dom, CHECKPOINTS);
    status = again ? redefine(dom, moments, moment, call) : create(dom, moments, moment, call);
    if (status != VIREO_OK)
        return status;
    ret->checkpoint.name = DUP(call, moment->name);
    ret->checkpoint.dom = test_domain_ref(call, dom);
    test_moments_set_current(moments, moment->name);
    test_moments_put(moments, g_steal_pointer(&moment));
    test_moments_publish(dom, moments);
    return VIREO_OK;
}

/* ---- writing and deleting ---------------------------------------------------------------------
 */

static void add_element(GString *xml, const char *indent, const char *name, const char *value)
{
    g_autofree char *text = value ? g_markup_escape_text(value, -1) : NULL;

    if (text)
        g_string_append_printf(xml, "%s<%s>%s</%s>\n", indent, name, text, name);
}

static guint64 changed_bytes(TestDomain *dom, const char *target)
{
    g_autoptr(VireoDomain) doc = test_domain_document(dom);
    VireoDomainDisk *disk = test_disk_find(doc, target);
    const char *path = disk ? test_disk_path(disk) : NULL;
    GBytes *content = path ? g_hash_table_lookup(dom->node->images, path) : NULL;

    return content ? g_bytes_get_size(content) : 0;
}

static void add_disks(GString *xml, TestDomain *dom, const TestMoment *moment, gboolean size)
{
    g_string_append(xml, "  <disks>\n");
    for (guint i = 0; i < moment->disks->len; i++) {
        const TestCheckpointDisk *disk = moment->disks->pdata[i];
        g_autofree char *name = g_markup_escape_text(disk->name, -1);
        g_autofree char *bitmap =
            disk->bitmap_name ? g_markup_escape_text(disk->bitmap_name, -1) : NULL;

        g_string_append_printf(xml, "    <disk name='%s' checkpoint='%s'", name,
                               disk->bitmap ? "bitmap" : "no");
        if (disk->bitmap && bitmap)
            g_string_append_printf(xml, " bitmap='%s'", bitmap);
        if (disk->bitmap && size)
            g_string_append_printf(xml, " size='%" G_GUINT64_FORMAT "'",
                                   changed_bytes(dom, disk->name));
        g_string_append(xml, "/>\n");
    }
    g_string_append(xml, "  </disks>\n");
}

static void add_domain(GString *xml, const TestMoment *moment, guint flags)
{
    g_autoptr(VireoDomain) doc = test_definition_of(moment->domain);
    g_autofree char *text = vireo_domain_format(
        doc, flags & VIREO_DOMAIN_CHECKPOINT_XML_SECURE ? VIREO_MODEL_FORMAT_SECURE : 0);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++)
        if (**line)
            g_string_append_printf(xml, "  %s\n", *line);
}

int test_domain_checkpoint_get_xml_desc(TestConn *conn, vireo_call *call,
                                        const vireo_domain_checkpoint_get_xml_desc_args *args,
                                        vireo_domain_checkpoint_get_xml_desc_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->checkpoint.dom);
    TestMoment *moment = dom ? test_moment_of(dom, call, CHECKPOINTS, args->checkpoint.name) : NULL;
    g_autoptr(GString) xml = g_string_new("<domaincheckpoint>\n");

    if (!moment)
        return VIREO_FAIL;
    add_element(xml, "  ", "name", moment->name);
    add_element(xml, "  ", "description", moment->description);
    if (moment->parent) {
        g_string_append(xml, "  <parent>\n");
        add_element(xml, "    ", "name", moment->parent);
        g_string_append(xml, "  </parent>\n");
    }
    g_string_append_printf(xml, "  <creationTime>%" G_GINT64_FORMAT "</creationTime>\n",
                           moment->creation);
    add_disks(xml, dom, moment, args->flags & VIREO_DOMAIN_CHECKPOINT_XML_SIZE);
    if (moment->domain && !(args->flags & VIREO_DOMAIN_CHECKPOINT_XML_NO_DOMAIN))
        add_domain(xml, moment, args->flags);
    g_string_append(xml, "</domaincheckpoint>\n");
    ret->xml = DUP(call, xml->str);
    return VIREO_OK;
}

int test_domain_checkpoint_delete(TestConn *conn, vireo_call *call,
                                  const vireo_domain_checkpoint_delete_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->checkpoint.dom);
    TestMoment *moment = dom ? test_moment_of(dom, call, CHECKPOINTS, args->checkpoint.name) : NULL;

    if (!moment)
        return VIREO_FAIL;
    return test_moment_delete(dom, dom->checkpoints, moment,
                              args->flags & VIREO_DOMAIN_CHECKPOINT_DELETE_CHILDREN,
                              args->flags & VIREO_DOMAIN_CHECKPOINT_DELETE_CHILDREN_ONLY,
                              args->flags & VIREO_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY);
}
