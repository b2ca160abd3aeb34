/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conversations in a file, to be answered from later. Two lines for each call:
 *
 *     > OPERATION REQUEST
 *     < STATUS ANSWER
 *
 * with the texts escaped as in C, and what the table marks as secret masked on both sides. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kit/soap-private.h"
#include "util/file.h"

#define HEAD     "# conversation of the Vireo kit 1\n"
#define MASK     "*****"
#define TAPE_MAX (256u * 1024 * 1024)
#define ALL_BYTES                                                                                  \
    "\200\201\202\203\204\205\206\207\210\211\212\213\214\215\216\217\220\221\222\223\224\225\226" \
    "\227\230\231\232\233\234\235\236\237\240\241\242\243\244\245\246\247\250\251\252\253\254\255" \
    "\256\257\260\261\262\263\264\265\266\267\270\271\272\273\274\275\276\277\300\301\302\303\304" \
    "\305\306\307\310\311\312\313\314\315\316\317\320\321\322\323\324\325\326\327\330\331\332\333" \
    "\334\335\336\337\340\341\342\343\344\345\346\347\350\351\352\353\354\355\356\357\360\361\362" \
    "\363\364\365\366\367\370\371\372\373\374\375\376\377"

struct SoapTape {
    GMutex lock;
    FILE *file;
    char *path;
    GRegex *secrets;    /* NULL: there are none */
    GHashTable *queues; /* of a replay: request -> GQueue of answers */
};

static void secrets_of(const VireoSoapType *type, GHashTable *names)
{
    for (guint i = 0; type && i < type->n_fields; i++)
        if (type->fields[i].flags & VIREO_SOAP_SECRET)
            g_hash_table_add(names, (gpointer)type->fields[i].name);
}

static GRegex *secrets_regex(const VireoSoapService *service)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < service->n_types; i++)
        secrets_of(service->types[i], names);
    for (guint i = 0; i < service->n_operations; i++) {
        secrets_of(service->operations[i]->args, names);
        secrets_of(service->operations[i]->ret, names);
    }
    if (!g_hash_table_size(names))
        return NULL;
    g_autofree gpointer *list = g_hash_table_get_keys_as_array(names, NULL);
    g_autofree char *any = g_strjoinv("|", (char **)list);
    g_autofree char *pattern = g_strdup_printf("(<(?:[\\w.-]+:)?(?:%s)(?:\\s[^>]*)?>)"
                                               "(?:[^<]|<!\\[CDATA\\[.*?\\]\\]>)*(</)", any);
    return g_regex_new(pattern, G_REGEX_OPTIMIZE | G_REGEX_DOTALL | G_REGEX_RAW, 0, NULL);
}

/* Masked, and on one line. */
static char *line_of(SoapTape *tape, const char *text, gsize len)
{
    g_autofree char *plain = g_strndup(text, len);
    g_autofree char *masked =
        tape->secrets ? g_regex_replace(tape->secrets, plain, -1, 0, "\\1" MASK "\\2", 0, NULL) : NULL;

    return g_strescape(masked ? masked : plain, ALL_BYTES);
}

static gboolean tape_error(GError **error, const char *path, const char *why)
{
    g_set_error(error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_TAPE, "%s: %s", path, why);
    return FALSE;
}

static gboolean load(SoapTape *tape, GError **error)
{
    g_autofree char *text = NULL;

    if (!vireo_file_read(tape->path, TAPE_MAX, &text, NULL, error))
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        if (!*lines[i] || *lines[i] == '#')
            continue;
        if (strncmp(lines[i], "> ", 2) != 0 || !lines[i + 1] || strncmp(lines[i + 1], "< ", 2) != 0)
            return tape_error(error, tape->path, "no recorded conversation");
        const char *answer = strchr(lines[i + 1] + 2, ' ');
        GQueue *queue = g_hash_table_lookup(tape->queues, lines[i] + 2);
        if (!queue)
            g_hash_table_insert(tape->queues, g_strdup(lines[i] + 2), queue = g_queue_new());
        g_queue_push_tail(queue, g_strcompress(answer ? answer + 1 : ""));
        i++;
    }
    return TRUE;
}

static void queue_free(gpointer queue)
{
    g_queue_free_full(queue, g_free);
}

static gboolean create(SoapTape *tape, GError **error)
{
    int fd = open(tape->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

    tape->file = fd >= 0 ? fdopen(fd, "a") : NULL;
    if (!tape->file) {
        int saved = errno;

        if (fd >= 0)
            close(fd);
        return tape_error(error, tape->path, g_strerror(saved));
    }
    if (lseek(fd, 0, SEEK_END) == 0)
        fputs(HEAD, tape->file);
    return TRUE;
}

SoapTape *soap_tape_new(const VireoSoapService *service, const char *path, gboolean replay, GError **error)
{
    SoapTape *tape = g_new0(SoapTape, 1);

    g_mutex_init(&tape->lock);
    tape->path = g_strdup(path);
    tape->secrets = secrets_regex(service);
    tape->queues = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, queue_free);
    if (replay ? load(tape, error) : create(tape, error))
        return tape;
    soap_tape_free(tape);
    return NULL;
}

void soap_tape_free(SoapTape *tape)
{
    if (!tape)
        return;
    if (tape->file)
        fclose(tape->file);
    g_clear_pointer(&tape->secrets, g_regex_unref);
    g_hash_table_unref(tape->queues);
    g_mutex_clear(&tape->lock);
    g_free(tape->path);
    g_free(tape);
}

gboolean soap_tape_record(SoapTape *tape, const char *operation, const char *request, guint status,
                          const char *answer, gsize len, GError **error)
{
    g_autofree char *asked = line_of(tape, request, strlen(request));
    g_autofree char *told = line_of(tape, answer, len);

    /* One call's two lines stay together. */
    g_mutex_lock(&tape->lock);
    gboolean written = fprintf(tape->file, "> %s %s\n< %u %s\n", operation, asked, status, told) > 0 &&
                       fflush(tape->file) == 0;
    g_mutex_unlock(&tape->lock);
    return written || tape_error(error, tape->path, "cannot be written");
}

char *soap_tape_answer(SoapTape *tape, const char *operation, const char *request, GError **error)
{
    g_autofree char *asked = line_of(tape, request, strlen(request));
    g_autofree char *key = g_strconcat(operation, " ", asked, NULL);

    g_mutex_lock(&tape->lock);
    GQueue *queue = g_hash_table_lookup(tape->queues, key);
    char *answer = queue ? g_queue_pop_head(queue) : NULL;
    g_mutex_unlock(&tape->lock);
    if (!answer)
        g_set_error(error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_TAPE, "%s has no%s answer to this %s", tape->path,
                    queue ? " further" : "", operation);
    return answer;
}
