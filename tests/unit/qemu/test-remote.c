/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How headers of images name those of servers: what they are to us, or that they are not understood. */
#include "qemu/remote.h"

static const struct {
    const char *said, *is;
} names[] = {
    { "nbd:h1:10809:exportname=x", "nbd://h1:10809/x" },
    { "nbd+unix:///x?socket=/run/s", "nbd+unix:///x?socket=/run/s" },
    { "json:{\"driver\":\"nbd\",\"export\":\"x\",\"server.type\":\"inet\",\"server.host\":\"h1\",\"server.port\":\"7\"}",
      "nbd://h1:7/x" },
    { "rbd:pool/image", "rbd:pool/image" },
    { "rbd:pool/image:mon_host=m1\\:6789\\;m2\\:6790:conf=/etc/ceph.conf",
      "rbd:pool/image:mon_host=m1\\:6789\\;m2\\:6790:conf=/etc/ceph.conf" },
    { "rbd:pool/image:id=me", NULL },
    { "json:{\"driver\":\"rbd\",\"pool\":\"pool\",\"image\":\"image\"}", "rbd:pool/image" },
    { "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"rbd\",\"pool\":\"pool\",\"image\":\"image\",\"server\":"
      "[{\"host\":\"m1\",\"port\":\"6789\"},{\"host\":\"m2\",\"port\":\"6790\"}]}}",
      "rbd:pool/image:mon_host=m1\\:6789\\;m2\\:6790" },
    { "json:{\"driver\":\"rbd\",\"pool\":\"pool\",\"image\":\"image\",\"conf\":\"/etc/ceph.conf\",\"server.0.host\":\"m1\","
      "\"server.0.port\":\"6789\"}",
      "rbd:pool/image:mon_host=m1\\:6789:conf=/etc/ceph.conf" },
    { "json:{\"driver\":\"rbd\",\"pool\":\"pool\",\"image\":\"image\",\"server\":{}}", NULL },
    { "json:{\"driver\":\"rbd\",\"pool\":\"pool\",\"image\":\"image\",\"server\":[{\"host\":\"m/1\",\"port\":\"1\"}]}",
      NULL },
    { "json:{\"driver\":\"rbd\",\"pool\":\"pool\",\"image\":\"image\",\"snapshot\":\"before\"}", NULL },
    { "json:{\"driver\":\"rbd\",\"pool\":\"pool\",\"image\":\"image\",\"namespace\":\"other\"}", NULL },
    { "json:{\"driver\":\"rbd\",\"pool\":\"pool\",\"image\":\"image\",\"user\":\"me\"}", NULL },
    { "gluster://h1/volume/image", NULL },
};

static void test_names(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *found = qemu_remote_canonical(names[i].said, NULL);
        g_autofree char *again = found ? qemu_remote_canonical(found, NULL) : NULL;

        g_assert_cmpstr(found, ==, names[i].is);
        g_assert_cmpstr(again, ==, found);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemu/remote/names", test_names);
    return g_test_run();
}
