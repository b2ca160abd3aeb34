/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kit/soap.h"

#define SOAP_NS "http://schemas.xmlsoap.org/soap/envelope/"
#define XSI_NS  "http://www.w3.org/2001/XMLSchema-instance"
#define XSD_NS  "http://www.w3.org/2001/XMLSchema"

/* soap-value.c */
const VireoSoapType *soap_find_type(const VireoSoapService *service, const char *name);
const VireoSoapEnum *soap_find_enum(const VireoSoapService *service, const char *name);
gboolean soap_is_a(const VireoSoapType *type, const VireoSoapType *base);
gsize soap_kind_size(VireoSoapKind kind);
/* The field with that name and place (0, ATTRIBUTE or TEXT) of the type or one it extends. */
const VireoSoapField *soap_find_field(const VireoSoapType *type, const char *name, guint place);
/* The name of a simple type of XML Schema, and whose kind it is. */
const char *soap_kind_name(VireoSoapKind kind);
gboolean soap_kind_named(const char *name, VireoSoapKind *kind);
/* The type of the items of "ArrayOfThing", which is also how they are called: "Thing", and "string" of
 * "ArrayOfString". NULL when it is no such type. Caller frees. */
char *soap_array_item(const char *type);

typedef struct {
    guint n;
    gpointer items;
} SoapList;

#define SOAP_AT(object, offset) ((gpointer)((char *)(object) + (offset)))

/* soap-fault.c: an error that carries a fault; the arena is taken. */
GError *soap_fault_error(VireoSoapFault *fault, VireoArena *arena);

/* soap-tape.c: conversations in a file. */
typedef struct SoapTape SoapTape;
SoapTape *soap_tape_new(const VireoSoapService *service, const char *path, gboolean replay, GError **error);
void soap_tape_free(SoapTape *tape);
gboolean soap_tape_record(SoapTape *tape, const char *operation, const char *request, guint status,
                          const char *answer, gsize len, GError **error);
/* The next answer to this request; caller frees. */
char *soap_tape_answer(SoapTape *tape, const char *operation, const char *request, GError **error);
