/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manifest of a driver module, read from its ELF note. No code of the module runs, nothing is
 * mapped: the few bytes needed are read with pread, so that a file that shrinks meanwhile is an
 * error and not a SIGBUS. Every offset and count is checked; a hostile file gives an error.
 */
#pragma once

#include <glib.h>

#define VIREO_NOTE_ERROR (vireo_note_error_quark())

typedef enum {
    VIREO_NOTE_ERROR_IO,      /* the file cannot be read */
    VIREO_NOTE_ERROR_NOT_ELF, /* not an ELF shared object, or one that is cut off */
    VIREO_NOTE_ERROR_NO_NOTE, /* a shared object, but not a driver */
    VIREO_NOTE_ERROR_BROKEN,  /* a driver's note that contradicts itself */
} VireoNoteError;

typedef struct {
    guint32 id;
    guint64 native, trivial, active, inactive;
} VireoNoteOp;

/* Immutable and reference counted; free of locks. */
typedef struct {
    char *name;       /* lower case letters, digits, '_' and '-' */
    char *version;    /* printable ASCII */
    char *schemes;    /* URI schemes, one blank between two */
    guint abi_major;  /* the ABI the module was built for ... */
    guint abi_target; /* ... and the oldest minor it runs on */
    guint threads;    /* enum vireo_threads; may be a value of a newer minor */
    guint bits;       /* 32 or 64 */
    guint machine;    /* e_machine */
    gboolean native;  /* class, byte order and machine are those of this program */
    guint n_ops;
    VireoNoteOp *ops; /* in the module's order */
} VireoNote;

GQuark vireo_note_error_quark(void);

/* Reads the note of an open file, of any class and byte order. The file position is neither used
 * nor moved. NULL with VIREO_NOTE_ERROR. */
VireoNote *vireo_note_read(int fd, GError **error);
/* The same for the bytes of a file. */
VireoNote *vireo_note_parse(const void *data, gsize size, GError **error);

/* What a driver says that is in no file here: its strings and rows are copied. It has no ABI numbers. */
VireoNote *vireo_note_new(const char *name, const char *version, const char *schemes, guint threads, guint n_ops,
                          const VireoNoteOp *ops);
VireoNote *vireo_note_ref(VireoNote *note);
void vireo_note_unref(VireoNote *note); /* NULL allowed */

/* "serial", "per-connection", "per-object", "parallel"; "unknown" otherwise. */
const char *vireo_note_threads_name(guint threads);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoNote, vireo_note_unref)
