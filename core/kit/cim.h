/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Instances of CIM classes, references to them, and arguments of methods: all are names with values. Immutable once
 * they are handed out; counted. Any thread. */
typedef struct VireoCim VireoCim;

/* uri: a resource URI, or just the name of a class. */
VireoCim *vireo_cim_new(const char *uri);
VireoCim *vireo_cim_hold(const VireoCim *cim);
/* NULL is fine. */
void vireo_cim_unref(VireoCim *cim);

/* Names twice: an array. type: as in CIM-XML ("uint64", "datetime"); NULL: "string". Returns cim. */
VireoCim *vireo_cim_add(VireoCim *cim, const char *name, const char *type, const char *text);
VireoCim *vireo_cim_add_number(VireoCim *cim, const char *name, const char *type, guint64 number);
/* The same, for a property that is an array also when it has one value. */
VireoCim *vireo_cim_add_item(VireoCim *cim, const char *name, const char *type, const char *text);
/* A reference to an instance. */
VireoCim *vireo_cim_add_path(VireoCim *cim, const char *name, const VireoCim *path);
/* An instance within a text. */
VireoCim *vireo_cim_add_embedded(VireoCim *cim, const char *name, const VireoCim *instance);
/* An instance within an instance. */
VireoCim *vireo_cim_add_object(VireoCim *cim, const char *name, const VireoCim *instance);
VireoCim *vireo_cim_add_null(VireoCim *cim, const char *name);

const char *vireo_cim_uri(const VireoCim *cim);
/* The last part of the URI. */
const char *vireo_cim_class(const VireoCim *cim);
/* How many values; 0 also for null. */
guint vireo_cim_count(const VireoCim *cim, const char *name);
/* NULL: null, not there, or no text. */
const char *vireo_cim_text(const VireoCim *cim, const char *name);
const char *vireo_cim_text_at(const VireoCim *cim, const char *name, guint index);
/* As above, with "" and 0 for what is not there. */
const char *vireo_cim_string(const VireoCim *cim, const char *name);
guint64 vireo_cim_number(const VireoCim *cim, const char *name);
gboolean vireo_cim_flag(const VireoCim *cim, const char *name);
/* Microseconds since 1970 of a date, 0: none (as that of 1601). */
gint64 vireo_cim_time(const VireoCim *cim, const char *name);
/* Milliseconds of an interval. */
guint64 vireo_cim_interval(const VireoCim *cim, const char *name);
/* A reference; NULL: none. Lives as long as cim. */
const VireoCim *vireo_cim_path(const VireoCim *cim, const char *name);
const VireoCim *vireo_cim_path_at(const VireoCim *cim, const char *name, guint index);
/* An instance that is a value, however it was written; NULL: none, or one that cannot be read. */
VireoCim *vireo_cim_dup_object(const VireoCim *cim, const char *name, guint index);
/* The names, in their order; owned by cim. */
const char *vireo_cim_name_at(const VireoCim *cim, guint index);

/* All of it as one text that is the same for the same content; caller frees. */
char *vireo_cim_print(const VireoCim *cim);

/* CIM-XML (DSP0201), as it stands in texts; caller frees. */
char *vireo_cim_format(const VireoCim *cim);
/* NULL: that is none. */
VireoCim *vireo_cim_parse(const char *text);

/* WMI's spelling of a reference, \\HOST\root\virtualization\v2:Class.InstanceID="A\\B". Caller frees. */
char *vireo_cim_path_format(const char *space, const char *class, const char *key, const char *value);
/* The value of that key in it; NULL: it has none. Caller frees. */
char *vireo_cim_path_value(const char *path, const char *key);
/* The class in it; NULL: none. Caller frees. */
char *vireo_cim_path_class(const char *path);

/* A text as a WQL literal, with its quotes; caller frees. */
char *vireo_wql_quote(const char *text);
/* Text for XML; characters XML cannot carry are written as '?'. */
void vireo_cim_escape(GString *into, const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoCim, vireo_cim_unref)

G_END_DECLS
