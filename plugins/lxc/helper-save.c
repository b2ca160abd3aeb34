/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container with its memory: to files, and back. CRIU does that, and liblxc runs it. */
#include "helper.h"

#include <fcntl.h>
#include <limits.h>
#include <lxc/lxccontainer.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What CRIU and the monitor it leaves behind say is not for who reads our answer. */
static int to_nobody(void)
{
    int answer = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10), nobody = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (nobody >= 0) {
        dup2(nobody, STDOUT_FILENO);
        close(nobody);
    }
    return answer;
}

static void to_reader(int answer)
{
    dup2(answer, STDOUT_FILENO);
    close(answer);
}

/* Errors that tell of another one, or that CRIU goes on after. */
static int tells_nothing(const char *error)
{
    return strstr(error, "exited, status=") || strstr(error, "Can't setup RLIMIT_NOFILE for self");
}

/* CRIU's first error is the cause: "(00.1234) Error (criu/net.c:123): REASON". */
static int fail_of_criu(const char *images, const char *log, const char *what)
{
    char path[PATH_MAX], line[2048], reason[2048] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", images, log);
    file = fopen(path, "re");
    while (file && !*reason && fgets(line, sizeof line, file)) {
        const char *at = strstr(line, "Error (");

        if ((at = at ? strstr(at, "): ") : NULL) && !tells_nothing(at))
            snprintf(reason, sizeof reason, "%s", at + 3);
    }
    if (file)
        fclose(file);
    reason[strcspn(reason, "\n")] = '\0';
    if (!*reason)
        return -1;
    printf("%s: criu says: %s\n", what, reason);
    return 1;
}

static int migrate(struct lxc_container *c, unsigned command, char *images)
{
    struct migrate_opts opts = { .directory = images, .verbose = true };
    int answer = to_nobody(), status;

    status = c->migrate(c, command, &opts, sizeof opts);
    to_reader(answer);
    return status;
}

int helper_checkpoint(struct lxc_container *c, char *images)
{
    return migrate(c, MIGRATE_DUMP, images) == 0 ? 0 : fail_of_criu(images, "dump.log", "the container is not saved");
}

int helper_restore(struct lxc_container *c, char *images)
{
    return migrate(c, MIGRATE_RESTORE, images) == 0 ? 0
                                                    : fail_of_criu(images, "restore.log", "the container is not restored");
}
