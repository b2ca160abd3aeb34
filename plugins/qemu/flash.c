/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The variables in the memory of a QEMU whose guest stands still. A saved state brings them along and QEMU has no
 * command that changes them, so they are written through /proc. When the guest goes on QEMU writes them to the file. */
#include "firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REGION ".flash1"

static char *ask(VireoQmp *qmp, const char *line, GError **error)
{
    g_autoptr(JsonNode) answer = vireo_qmp_call(
        qmp, "human-monitor-command", vireo_json_new('s', "command-line", line, 0), NULL, error);

    return answer && JSON_NODE_HOLDS_VALUE(answer) ? json_node_dup_string(answer) : NULL;
}

/* Where the guest sees them: "0000000ffc00000-00000000ffc83fff (prio 0, romd): system.flash1". */
static gboolean find_region(VireoQmp *qmp, guint64 *start, guint64 *size, GError **error)
{
    g_autofree char *tree = ask(qmp, "info mtree", error);
    g_auto(GStrv) lines = g_strsplit(tree ? tree : "", "\n", -1);
    guint64 end;

    for (char **line = lines; *line; line++)
        if (g_str_has_suffix(g_strchomp(*line), REGION) &&
            sscanf(*line, " %" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x", start, &end) == 2) {
            *size = end - *start + 1;
            return TRUE;
        }
    return FALSE;
}

/* Where QEMU has it. */
static gboolean find_memory(VireoQmp *qmp, guint64 *at, guint64 *size, GError **error)
{
    guint64 start;

    if (!find_region(qmp, &start, size, error))
        return FALSE;
    g_autofree char *line = g_strdup_printf("gpa2hva 0x%" G_GINT64_MODIFIER "x", start);
    g_autofree char *said = ask(qmp, line, error);
    const char *is = said ? strstr(said, REGION ") is 0x") : NULL;
    *at = is ? g_ascii_strtoull(strstr(is, "0x"), NULL, 16) : 0;
    return *at != 0;
}

static gboolean write_memory(pid_t pid, guint64 at, const guint8 *data, gsize size)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/mem", (int)pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    gsize done = 0;

    while (fd >= 0 && done < size) {
        ssize_t now = pwrite(fd, data + done, size - done, (off_t)(at + done));

        if (now <= 0)
            break;
        done += (gsize)now;
    }
    int problem = errno;
    if (fd >= 0)
        close(fd);
    errno = problem;
    return done == size;
}

gboolean qemu_flash_write(QemuDomain *dom, VireoQmp *qmp, pid_t pid, GBytes *content, GError **error)
{
    gsize length;
    const guint8 *data = g_bytes_get_data(content, &length);
    g_autoptr(GError) failure = NULL;
    guint64 at, size;
    const char *why = "QEMU does not say where they are";

    if (find_memory(qmp, &at, &size, &failure)) {
        if (length == size && write_memory(pid, at, data, length))
            return TRUE;
        why = length == size ? g_strerror(errno) : "the template is of another size";
    }
    qemu_error(error, VIREO_ERR_OPERATION_FAILED,
               "flag RESET_NVRAM cannot take effect: the variables in the saved state of domain '%s' cannot be "
               "replaced: %s", dom->name, failure ? failure->message : why);
    return FALSE;
}
