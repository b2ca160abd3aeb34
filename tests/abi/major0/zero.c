/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A module of the ABI in abi0.h. NAME: its name and scheme; MINOR: what it was built for. */
#include <string.h>

#include "abi0.h"

#define STRING(text) #text
#define WORD(text)   STRING(text)

static const struct zero_host *host;
static vireo_space *shown;

static int zero_start(const struct zero_host *given, vireo_core *core, void **self)
{
    const struct zero_object guest = { WORD(NAME) "-guest", WORD(NAME), 1 };

    host = given;
    shown = host->space(core, WORD(NAME) ":///system");
    host->show(shown, &guest);
    *self = &shown;
    return 0;
}

static void zero_stop(void *self)
{
    (void)self;
}

static int zero_open(void *self, vireo_call *call, const char *uri, void **conn, vireo_space **space)
{
    if (strcmp(uri, WORD(NAME) ":///system") != 0)
        return host->error(call, "the only URI is " WORD(NAME) ":///system");
    *conn = self;
    *space = *(vireo_space **)self;
    return 0;
}

static int zero_close(void *conn, vireo_call *call)
{
    (void)conn;
    (void)call;
    return 0;
}

static int zero_xml(void *conn, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                    vireo_domain_get_xml_desc_ret *ret)
{
    (void)conn;
    (void)args;
    ret->xml = host->copy(call, "<domain type='test'><name>" WORD(NAME) "-guest</name></domain>");
    return 0;
}

static const struct zero_op ops[] = {
    { (void (*)(void))zero_open, VIREO_OP_conn_open, 0, 0 },
    { (void (*)(void))zero_close, VIREO_OP_conn_close, 0, 0 },
    { (void (*)(void))zero_xml, VIREO_OP_domain_get_xml_desc, 0, VIREO_DOMAIN_XML_SECURE },
};

static const struct zero_driver driver = {
    WORD(NAME), "0.9", WORD(NAME), MINOR, VIREO_SERIAL, 3, ops, zero_start, zero_stop,
};

__attribute__((used, section(VIREO_NOTE_SECTION), aligned(4))) static const struct {
    uint32_t namesz, descsz, type;
    char owner[8];
    struct vireo_note_head head;
    struct vireo_note_op ops[3];
} note = {
    sizeof VIREO_NOTE_OWNER,
    sizeof(struct vireo_note_head) + 3 * sizeof(struct vireo_note_op),
    VIREO_NOTE_DRIVER,
    VIREO_NOTE_OWNER,
    { sizeof(struct vireo_note_head), sizeof(struct vireo_note_op), 3, 0, MINOR, VIREO_SERIAL, WORD(NAME), "0.9",
      WORD(NAME) },
    { { .id = VIREO_OP_conn_open },
      { .id = VIREO_OP_conn_close },
      { .id = VIREO_OP_domain_get_xml_desc, .trivial = { VIREO_DOMAIN_XML_SECURE, 0 } } },
};

__attribute__((visibility("default"))) const struct zero_driver *vireo_driver_entry_0(void)
{
    return &driver;
}
