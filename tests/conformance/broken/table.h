/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table, with whatever was replaced before. */
#ifndef INIT
#define INIT sound_init
#endif
#ifndef FINI
#define FINI sound_fini
#endif
#ifndef OPEN
#define OPEN sound_open
#endif
#ifndef DEFINE
#define DEFINE sound_define
#endif
#ifndef UNDEFINE
#define UNDEFINE sound_undefine
#endif
#ifndef UNDEFINE_NATIVE
#define UNDEFINE_NATIVE 0
#endif
#ifndef CREATE
#define CREATE sound_create
#endif
#ifndef DESTROY
#define DESTROY sound_destroy
#endif
#ifndef GET_XML
#define GET_XML sound_xml
#endif
#ifndef INFO_ROW
#ifndef INFO
#define INFO sound_info
#endif
#define INFO_ROW(X) X(domain_get_info, INFO, 0, 0, 0, 0)
#endif
#ifndef REBOOT
#define REBOOT sound_reboot
#endif
#ifndef MORE_ROWS
#define MORE_ROWS(X)
#endif

#define OPS(X)                                                                                                       \
    X(conn_open, OPEN, 0, 0, 0, 0)                                                                                   \
    X(conn_close, sound_close, 0, 0, 0, 0)                                                                           \
    X(domain_define_xml_flags, DEFINE, 0, 0, 0, 0)                                                                   \
    X(domain_undefine_flags, UNDEFINE, UNDEFINE_NATIVE, VIREO_DOMAIN_UNDEFINE_NVRAM | VIREO_DOMAIN_UNDEFINE_TPM, 0, 0) \
    X(domain_create_with_flags, CREATE, 0, 0, 0, 0)                                                                  \
    X(domain_destroy_flags, DESTROY, VIREO_DOMAIN_DESTROY_GRACEFUL, 0, 0, 0)                                         \
    X(domain_get_xml_desc, GET_XML, 0, VIREO_DOMAIN_XML_INACTIVE, 0, 0)                                              \
    INFO_ROW(X)                                                                                                      \
    X(domain_reboot, REBOOT, 0, 0, 0, 0)                                                                             \
    MORE_ROWS(X)

VIREO_DRIVER(broken, "1", "broken", VIREO_PARALLEL, OPS, INIT, FINI)
