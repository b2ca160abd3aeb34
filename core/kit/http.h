/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* One server over HTTP or HTTPS: a pool of kept-alive connections for any number of threads.
 *
 * Every request has a connection of its own while it lasts, so a slow one keeps nobody waiting.
 * Connections are kept for the next request; one that the server closed meanwhile is replaced
 * without anybody noticing. Cookies and TLS sessions are shared. Redirections are not followed, and
 * neither proxies nor certificates are taken from the environment.
 *
 * All functions may be called from any thread. They block; never call them on a main loop. No
 * password, cookie or user part of an URL appears in an error. */
typedef struct VireoHttp VireoHttp;

typedef enum {
    VIREO_HTTP_ERROR_CONNECT,   /* not reached: no such host, refused, proxy */
    VIREO_HTTP_ERROR_TLS,       /* reached, but not trusted */
    VIREO_HTTP_ERROR_TIMEOUT,   /* the request may still take effect */
    VIREO_HTTP_ERROR_CANCELLED, /* likewise */
    VIREO_HTTP_ERROR_CLOSED,    /* the connection ended before the answer did; likewise */
    VIREO_HTTP_ERROR_AUTH,      /* status 401 or 407 */
    VIREO_HTTP_ERROR_NOT_FOUND, /* status 404 */
    VIREO_HTTP_ERROR_STATUS,    /* any other status that is no success */
    VIREO_HTTP_ERROR_TOO_LARGE, /* an answer above max_answer */
    VIREO_HTTP_ERROR_INVALID,   /* options or arguments that make no sense */
    VIREO_HTTP_ERROR_FILE,      /* the caller's source or sink gave up without an error of its own */
} VireoHttpError;
#define VIREO_HTTP_ERROR (vireo_http_error_quark())
GQuark vireo_http_error_quark(void);
/* The number by which clients know an error of this domain. */
int vireo_http_error_number(const GError *error);

typedef enum {
    VIREO_HTTP_AUTH_NONE,
    VIREO_HTTP_AUTH_BASIC,
    VIREO_HTTP_AUTH_NEGOTIATE, /* Kerberos, with the ticket cache of the process */
} VireoHttpAuth;

/* 0 and NULL mean what is said in brackets. Everything is copied. */
typedef struct {
    const char *url;       /* http[s]://HOST[:PORT]; a user part and what follows are dropped */
    const char *ca_file;   /* PEM file of whom to trust (the system's) */
    const char *pin;       /* "sha256//BASE64" of the server's public key, trusted instead of any CA */
    gboolean insecure;     /* trust anybody */
    const char *proxy;     /* http|https|socks4|socks4a|socks5|socks5h://HOST[:PORT] (none) */
    VireoHttpAuth auth;    /* with each request */
    const char *user, *password;
    const char *user_agent;    /* ("vireo") */
    guint connect_timeout_ms;  /* (10000) */
    guint timeout_ms;          /* of a whole request that says nothing itself (60000) */
    guint stall_ms;            /* of a file transfer that does not move (60000) */
    guint idle_ms;             /* how long a connection is kept for its next use (60000) */
    guint max_connections;     /* more requests than this wait for each other (32) */
    gsize max_answer;          /* bytes, unpacked, of an answer that is not a file (64 MiB) */
    gboolean certificate;      /* the server's is kept, for vireo_http_dup_certificate() */
} VireoHttpOptions;

/* How long one request may take. A struct of zeros is fine, and so is NULL in place of one. */
typedef struct {
    gint64 timeout_ms;               /* 0: the options'; -1: none */
    int (*cancelled)(void *opaque);  /* asked about ten times a second, may be NULL */
    void *opaque;
    GCancellable *cancellable;       /* ends the request at once from any thread, may be NULL */
} VireoHttpWait;

/* NULL: VIREO_HTTP_ERROR_INVALID. Connects to nothing yet. */
VireoHttp *vireo_http_new(const VireoHttpOptions *options, GError **error);
/* Ends what is going on, with VIREO_HTTP_ERROR_CANCELLED; later requests fail the same way. */
void vireo_http_close(VireoHttp *http);
/* After the last request has returned. NULL is fine. */
void vireo_http_free(VireoHttp *http);
/* "https://host:port", owned by http. */
const char *vireo_http_server(VireoHttp *http);
/* Connections that are open or opening, and how many were opened in all. */
void vireo_http_connections(VireoHttp *http, guint *now, guint *opened);
/* The server's certificate (DER), as the connection made last has shown it, with the option of that name; caller unrefs.
 * NULL: none was shown yet. */
GBytes *vireo_http_dup_certificate(VireoHttp *http);
/* Forgets all cookies. */
void vireo_http_forget(VireoHttp *http);

/* Where the bytes of an answer go. FALSE: no more are wanted, error says why. */
typedef gboolean (*VireoHttpSink)(const void *data, gsize len, void *opaque, GError **error);
/* Where the bytes of a request come from: fills at most len. 0: the end; -1: error says why. */
typedef gssize (*VireoHttpSource)(void *data, gsize len, void *opaque, GError **error);

/* A text with its answer. */
typedef struct {
    const char *path;          /* beginning with '/', escaped */
    const char *const *headers; /* "Name: value", ended by NULL; may be NULL */
    const char *body;
    gsize len;
    gboolean safe;             /* may be sent a second time when a kept connection breaks */
    gboolean any_status;       /* no status is an error: sink gets the body of every answer */
    VireoHttpSink sink;        /* gets a success's body, and a failure's (500) */
    void *opaque;
    guint status;              /* out: 200 or 500 */
    /* out, with any_status: of the answer, NULL where it has none; caller frees */
    char *content_type, *challenge; /* challenge: behind Negotiate or Kerberos in WWW-Authenticate */
} VireoHttpPost;
gboolean vireo_http_post(VireoHttp *http, VireoHttpPost *post, const VireoHttpWait *wait, GError **error);

/* A file; any size. There is no limit on the time as long as it moves, unless wait says so. */
typedef struct {
    const char *method;        /* GET, HEAD, PUT, POST or DELETE */
    const char *path;          /* beginning with '/', escaped */
    const char *content_type;  /* of an upload ("application/octet-stream") */
    guint64 offset, length;    /* GET: a part; length 0: to the end */
    gint64 size;               /* PUT, POST: bytes to come; -1: not known */
    VireoHttpSource source;    /* PUT, POST */
    VireoHttpSink sink;        /* GET; of others it gets the answer, may be NULL */
    void *opaque;              /* for both */
    gint64 answer_size;        /* out: what the server announced, -1 when it did not */
} VireoHttpTransfer;
gboolean vireo_http_transfer(VireoHttp *http, VireoHttpTransfer *transfer, const VireoHttpWait *wait,
                             GError **error);

/* Escapes everything that is not a letter, a digit or one of -._~/ ; caller frees. */
char *vireo_http_escape(const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoHttp, vireo_http_free)

G_END_DECLS
