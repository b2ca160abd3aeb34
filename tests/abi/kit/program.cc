/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kit's headers are C++ as well, and link. */
#include <kit/argv.h>
#include <kit/file.h>
#include <kit/http.h>
#include <kit/json.h>
#include <kit/loop.h>
#include <kit/model.h>
#include <kit/node.h>
#include <kit/process.h>
#include <kit/qmp.h>
#include <kit/retry.h>
#include <kit/soap.h>
#include <util/uuid.h>

int main()
{
    guint8 uuid[16];
    VireoDomain *domain = vireo_domain_parse("<domain type='test'><name>vm</name></domain>", 0, nullptr);
    bool fine = domain && g_str_equal(domain->name, "vm");

    vireo_domain_free(domain);
    return fine && vireo_uuid_parse("00112233-4455-6677-8899-aabbccddeeff", uuid) && uuid[15] == 0xff ? 0 : 1;
}
