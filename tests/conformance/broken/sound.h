/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver with which nothing is wrong, made of libc alone: domains in memory, each kept by
 * host->state_save. A broken driver beside this one replaces what it breaks and includes "table.h".
 */
#pragma once

#include <vireo/driver.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOUND __attribute__((unused)) static

typedef struct Domain {
    struct Domain *next;
    char name[64], xml[4096];
    uint8_t uuid[16];
    int id; /* -1 while off */
} Domain;

static const struct vireo_host *host;
static vireo_core *core;
static vireo_space *space;
static Domain *domains;
static int last_id;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- domains; with the lock held ---- */

SOUND void publish(const Domain *domain)
{
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_DOMAIN,
        .name = domain->name,
        .id = domain->id,
        .state = domain->id == -1 ? VIREO_DOMAIN_SHUTOFF : VIREO_DOMAIN_RUNNING,
        .flags = VIREO_OBJECT_PERSISTENT,
        .vcpus = 1,
        .event = -1,
    };

    memcpy(object.uuid, domain->uuid, 16);
    host->publish(space, &object);
}

SOUND Domain *find(const vireo_domain_ref *ref)
{
    for (Domain *domain = domains; domain; domain = domain->next)
        if (memcmp(domain->uuid, ref->uuid, 16) == 0)
            return domain;
    return NULL;
}

SOUND int no_domain(vireo_call *call, const vireo_domain_ref *ref)
{
    return host->fail(call, VIREO_ERR_NO_DOMAIN, "no domain with matching name '%s'", ref->name);
}

SOUND int read_tag(const char *xml, const char *tag, char *value, size_t size)
{
    const char *from = strstr(xml, tag), *to;

    from = from ? from + strlen(tag) : NULL;
    to = from ? strchr(from, '<') : NULL;
    if (!to || to == from || (size_t)(to - from) >= size)
        return 0;
    memcpy(value, from, (size_t)(to - from));
    value[to - from] = 0;
    return 1;
}

SOUND int read_domain(const char *xml, Domain *domain)
{
    char uuid[64];
    const char *at = uuid;

    if (strncmp(xml, "<domain", 7) != 0 || !strstr(xml, "</domain>") || strlen(xml) >= sizeof domain->xml ||
        !read_tag(xml, "<name>", domain->name, sizeof domain->name) || !read_tag(xml, "<uuid>", uuid, sizeof uuid))
        return 0;
    strcpy(domain->xml, xml);
    domain->id = -1;
    for (int i = 0; i < 16; i++, at += 2) {
        unsigned byte;

        at += *at == '-';
        if (sscanf(at, "%2x", &byte) != 1)
            return 0;
        domain->uuid[i] = (uint8_t)byte;
    }
    return 1;
}

SOUND void key_of(const Domain *domain, char key[80])
{
    snprintf(key, 80, "domains/%s", domain->name);
}

SOUND int save(const Domain *domain)
{
    char key[80];

    key_of(domain, key);
    return host->state_save(core, key, domain->xml, strlen(domain->xml));
}

SOUND void add(const Domain *given)
{
    Domain *domain = malloc(sizeof *domain);

    *domain = *given;
    domain->next = domains;
    domains = domain;
}

/* ---- operations ---- */

SOUND int sound_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    (void)self;
    if (!strstr(args->uri, ":///default"))
        return host->fail(call, VIREO_ERR_INVALID_ARG, "the only path is /default");
    ret->conn = &domains;
    ret->space = space;
    return VIREO_OK;
}

SOUND int sound_close(void *conn, vireo_call *call)
{
    (void)conn;
    (void)call;
    return VIREO_OK;
}

SOUND int sound_define(void *conn, vireo_call *call, const vireo_domain_define_xml_flags_args *args,
                       vireo_domain_define_xml_flags_ret *ret)
{
    Domain fresh = { 0 }, *known;
    int saved;

    (void)conn;
    if (!read_domain(args->xml, &fresh))
        return host->fail(call, VIREO_ERR_XML_ERROR, "a <domain> with <name> and <uuid> is needed");
    pthread_mutex_lock(&lock);
    memcpy(ret->dom.uuid, fresh.uuid, 16);
    known = find(&ret->dom);
    saved = save(&fresh);
    if (saved == 0 && !known) {
        add(&fresh);
        publish(&fresh);
    }
    pthread_mutex_unlock(&lock);
    if (saved != 0)
        return host->fail(call, VIREO_ERR_SYSTEM_ERROR, "cannot keep the definition");
    ret->dom.name = host->strdup(call, fresh.name);
    ret->dom.id = -1;
    return VIREO_OK;
}

SOUND int sound_undefine(void *conn, vireo_call *call, const vireo_domain_undefine_flags_args *args)
{
    char key[80];
    int found = 0;

    (void)conn;
    pthread_mutex_lock(&lock);
    for (Domain **at = &domains; *at; at = &(*at)->next) {
        Domain *domain = *at;

        if (memcmp(domain->uuid, args->dom.uuid, 16) != 0)
            continue;
        found = 1;
        *at = domain->next;
        key_of(domain, key);
        host->state_drop(core, key);
        host->withdraw(space, VIREO_CLASS_DOMAIN, domain->name, domain->uuid);
        free(domain);
        break;
    }
    pthread_mutex_unlock(&lock);
    return found ? VIREO_OK : no_domain(call, &args->dom);
}

SOUND int sound_create(void *conn, vireo_call *call, const vireo_domain_create_with_flags_args *args,
                       vireo_domain_create_with_flags_ret *ret)
{
    Domain *domain;
    int started = 0;

    (void)conn;
    pthread_mutex_lock(&lock);
    domain = find(&args->dom);
    if (domain && domain->id == -1) {
        started = 1;
        domain->id = ++last_id;
        publish(domain);
        ret->dom.name = host->strdup(call, domain->name);
        memcpy(ret->dom.uuid, domain->uuid, 16);
        ret->dom.id = domain->id;
    }
    pthread_mutex_unlock(&lock);
    if (!domain)
        return no_domain(call, &args->dom);
    return started ? VIREO_OK : host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain is already running");
}

SOUND int sound_destroy(void *conn, vireo_call *call, const vireo_domain_destroy_flags_args *args)
{
    Domain *domain;
    int stopped = 0;

    (void)conn;
    pthread_mutex_lock(&lock);
    domain = find(&args->dom);
    if (domain && domain->id != -1) {
        stopped = 1;
        domain->id = -1;
        publish(domain);
    }
    pthread_mutex_unlock(&lock);
    if (!domain)
        return no_domain(call, &args->dom);
    return stopped ? VIREO_OK : host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain is not running");
}

SOUND int sound_xml(void *conn, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                    vireo_domain_get_xml_desc_ret *ret)
{
    Domain *domain;

    (void)conn;
    pthread_mutex_lock(&lock);
    domain = find(&args->dom);
    if (domain)
        ret->xml = host->strdup(call, domain->xml);
    pthread_mutex_unlock(&lock);
    return domain ? VIREO_OK : no_domain(call, &args->dom);
}

SOUND int sound_info(void *conn, vireo_call *call, const vireo_domain_get_info_args *args,
                     vireo_domain_get_info_ret *ret)
{
    Domain *domain;

    (void)conn;
    pthread_mutex_lock(&lock);
    domain = find(&args->dom);
    if (domain)
        ret->state = domain->id == -1 ? VIREO_DOMAIN_SHUTOFF : VIREO_DOMAIN_RUNNING;
    pthread_mutex_unlock(&lock);
    ret->nrVirtCpu = 1;
    return domain ? VIREO_OK : no_domain(call, &args->dom);
}

/* Takes a while, without holding a thread. */
SOUND void rebooted(void *call)
{
    if (host->cancelled(call))
        host->complete(call, host->fail(call, VIREO_ERR_OPERATION_ABORTED, "the reboot was given up"));
    else
        host->complete(call, VIREO_OK);
}

SOUND int reboot_by(vireo_call *call, const vireo_domain_reboot_args *args, vireo_timer_fn *finish, uint32_t time)
{
    Domain *domain;

    pthread_mutex_lock(&lock);
    domain = find(&args->dom);
    pthread_mutex_unlock(&lock);
    if (!domain)
        return no_domain(call, &args->dom);
    if (!host->timer(core, time, finish, call))
        return host->fail(call, VIREO_ERR_INTERNAL_ERROR, "there is no timer");
    return VIREO_PENDING;
}

SOUND int sound_reboot(void *conn, vireo_call *call, const vireo_domain_reboot_args *args)
{
    (void)conn;
    return reboot_by(call, args, rebooted, 30);
}

/* ---- the driver ---- */

SOUND void found(const char *key, const void *data, size_t len, void *opaque)
{
    Domain domain = { 0 };
    char xml[sizeof domain.xml];

    (void)key;
    (void)opaque;
    if (len >= sizeof xml)
        return;
    memcpy(xml, data, len);
    xml[len] = 0;
    if (read_domain(xml, &domain)) {
        add(&domain);
        publish(&domain);
    }
}

SOUND int sound_init(const struct vireo_host *given, vireo_core *given_core, void **self)
{
    host = given;
    core = given_core;
    space = host->space(core, "broken:///default");
    host->state_each(core, "domains/", found, NULL);
    *self = &domains;
    return VIREO_OK;
}

SOUND void sound_fini(void *self)
{
    (void)self;
    pthread_mutex_lock(&lock); /* of a timer whose function runs just now */
    while (domains) {
        Domain *next = domains->next;

        free(domains);
        domains = next;
    }
    pthread_mutex_unlock(&lock);
}
