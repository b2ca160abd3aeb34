/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Images that a server has. Everywhere in this driver an image is known by its path; the path of such a one is
 * its location: a URI in the one form QEMU and its tools take as a file name and tell it by, too
 * (nbd://host:10809/export, nbd+unix:///export?socket=/path, iscsi://host:3260/iqn/lun, https://host:443/path,
 * ssh://user@host:22/path, rbd:pool/image). */
#include "driver.h"
#include "qcow2.h"

/* Whether a path is a location, or anything else that is not in a directory of this host. */
gboolean qemu_is_remote(const char *path);
/* The location that some text means: a header's idea of a backing file (URIs, json:, nbd:host:port), or what QEMU
 * says it has opened; of a local file its path. format: what the text says is in it, may be NULL. NULL: not one
 * that is served. Caller frees. */
char *qemu_remote_canonical(const char *text, VireoDomainStorageFormat *format);
/* The location a definition means; NULL with error: it is not served, and why. Caller frees. */
char *qemu_remote_location(const VireoDomainDiskSource *source, const char *dev, GError **error);
/* The same as a definition says it; source is empty. */
void qemu_remote_source(const char *location, VireoDomainDiskSource *source);
/* What QEMU opens, without a node's name. */
JsonObject *qemu_remote_options(const char *location);
/* Whether a node of that driver is one of those. */
gboolean qemu_is_remote_driver(const char *driver);
/* Nothing can be written there, whoever asks. */
gboolean qemu_remote_is_readonly(const char *location);

/* Whether anybody takes connections there. */
gboolean qemu_remote_reach(const char *location, GError **error);

/* Whose user asks servers; before anything below is called. */
void qemu_remote_init(QemuDriver *driver);
/* The guest this thread works for, which is asked first; NULL: none. It must outlive that. */
void qemu_remote_ask_first(QemuDomain *dom);
/* What is there. A guest that has it open is asked: many a server takes one client only, and one that does not
 * answer keeps nobody waiting then. Otherwise qemu-img. bitmaps: filled with those of a qcow2 image
 * (QemuBitmap); NULL: not wanted. */
QemuImageInfo *qemu_remote_inspect(const char *location, GPtrArray *bitmaps, GError **error);
/* The length of what the server has, whatever is in it. */
gboolean qemu_remote_size(const char *location, guint64 *bytes, GError **error);
