/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between the two halves of the decoder: soap-decode.c makes a tree of one member of the answer at
 * a time, soap-unpack.c makes it a struct. */
#include <libxml/parser.h>

#include "kit/soap-private.h"

#define SOAP_DEPTH_MAX 100
/* The ret struct, and with `each` a struct in it whose lists are given out. */
#define SOAP_OPEN_MAX 2

typedef struct SoapAttribute SoapAttribute;
struct SoapAttribute {
    const char *name, *value;
    SoapAttribute *next;
};

typedef struct SoapNode SoapNode;
struct SoapNode {
    const char *name;
    const char *type; /* xsi:type without prefix */
    const char *text;
    gboolean nil;
    SoapAttribute *attributes;
    SoapNode *parent, *first, *last, *next;
};

struct VireoSoapDecoder {
    const VireoSoapService *service;
    const VireoSoapOperation *operation;
    VireoArena *arena;
    VireoSoapEach each;
    void *opaque;
    xmlParserCtxt *parser;
    GError *error, *fault;    /* a fault is read to its end, so that the connection can be kept */
    gsize memory, max_memory; /* bytes of structs and nodes */
    guint depth, skip;        /* skip: the depth above which nothing is looked at; 0: none */
    guint body;               /* elements seen in the body */
    gboolean in_body, in_fault;
    struct {
        VireoSoapObject *object;
        const VireoSoapType *type;
        guint depth;
    } open[SOAP_OPEN_MAX];
    guint n_open;
    VireoArena *nodes; /* of the tree that is being made */
    gsize nodes_memory;
    SoapNode *node;
    GString *text[SOAP_DEPTH_MAX + 1];
    gpointer ret;
};

/* Ends the decoding, unless it has ended already. */
void soap_fail(VireoSoapDecoder *decoder, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Zeroed memory that is counted; never NULL, the limit ends the decoding later. */
gpointer soap_take(VireoSoapDecoder *decoder, VireoArena *arena, gsize size);
const char *soap_take_text(VireoSoapDecoder *decoder, VireoArena *arena, const char *text,
                           gsize len);
const char *soap_copy_text(VireoSoapDecoder *decoder, VireoArena *arena, const char *text);
/* said: the xsi:type, or NULL */
VireoSoapObject *soap_object_new(VireoSoapDecoder *decoder, VireoArena *arena,
                                 const VireoSoapType *type, const char *said);
/* An element into the slot of a member or of an item. */
gboolean soap_slot_into(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapField *field,
                        const SoapNode *node, gpointer slot);
/* An element into the member of object that has its name, if there is one. */
gboolean soap_member_into(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapType *type,
                          gpointer object, const SoapNode *node);
/* The name of a member that must be there and is not, or NULL; an absent text becomes "". */
const char *soap_missing_member(const VireoSoapType *type, gpointer object);
void soap_take_fault(VireoSoapDecoder *decoder, const SoapNode *node);
