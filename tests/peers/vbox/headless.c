/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts a machine of VirtualBox without its kernel module: every instruction is interpreted. */
#include <dlfcn.h>
#include <stdio.h>

#define FOLDER "/usr/lib/virtualbox/"
/* Without support of the kernel when there is none; and what that is to mean. */
#define TRY_DRIVER       0x20000u
#define DRIVERLESS       (1u << 20)
#define INTERPRETER_GOOD (1u << 21)

typedef int InitFunc(int argc, char ***argv, unsigned flags);
typedef int MainFunc(int argc, char **argv, char **envp);

static void *find(const char *library, const char *symbol)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
    void *found = handle ? dlsym(handle, symbol) : NULL;

    if (!found)
        fprintf(stderr, "%s\n", dlerror());
    return found;
}

int main(int argc, char **argv, char **envp)
{
    InitFunc *init = (InitFunc *)find(FOLDER "VBoxRT.so", "RTR3InitExe");
    int status = init ? init(argc, &argv, TRY_DRIVER | DRIVERLESS | INTERPRETER_GOOD) : -1;

    if (status < 0) {
        fprintf(stderr, "VirtualBox does not start without its module: %d\n", status);
        return 1;
    }
    MainFunc *trusted = (MainFunc *)find(FOLDER "VBoxHeadless.so", "TrustedMain");
    return trusted ? trusted(argc, argv, envp) : 1;
}
