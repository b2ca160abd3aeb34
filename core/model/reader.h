/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libxml/tree.h>

/* Reads text that may come from anybody into a tree: bounded size, depth and attributes, no network, no
 * document type declaration and so no entities. Text is UTF-8, whatever it says about itself. @label names the document in messages and stays referenced as
 * the `_private` of the tree. Free with xmlFreeDoc(). */
xmlDoc *vireo_model_read(const char *xml, gssize length, const char *label, GError **error);
