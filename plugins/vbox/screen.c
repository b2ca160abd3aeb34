/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest shows, and its keyboard. */
#include "ops.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define BREAK    0x80
#define EXTENDED 0xe0

/* A descriptor of a file with those bytes; -1 and errno. */
static int file_of(const guint8 *data, gsize len)
{
    int fd = memfd_create("screenshot", MFD_CLOEXEC);
    gsize done = 0;

    while (fd >= 0 && done < len) {
        gssize n = write(fd, data + done, len - done);

        if (n <= 0 && errno != EINTR) {
            close(fd);
            return -1;
        }
        done += n > 0 ? (gsize)n : 0;
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

static int take_screenshot(VboxTalk *talk, const VboxHold *hold, guint screen)
{
    const char *display = VBOX_TAKE(talk, i_console_get_display, hold->console);
    const vw_i_display_get_screen_resolution_ret *size =
        VBOX_CALL(talk, i_display_get_screen_resolution, ._this = display, .screen_id = screen);
    const vw_i_display_take_screen_shot_to_array_ret *image =
        VBOX_CALL(talk, i_display_take_screen_shot_to_array, ._this = display, .screen_id = screen,
                  .width = size->width, .height = size->height, .bitmap_format = VW_BITMAP_FORMAT_PNG);

    if (talk->error)
        return -1;
    gsize len;
    g_autofree guint8 *data = g_base64_decode(image->returnval, &len);
    int fd = file_of(data, len);
    if (fd < 0)
        vbox_talk_refuse(talk, VIREO_ERR_SYSTEM_ERROR, "cannot keep the image: %s", g_strerror(errno));
    return fd;
}

/* Takes hold of the machine while it runs. */
static gboolean hold_running(VboxTalk *talk, const vireo_domain_ref *dom, VboxHold *hold)
{
    const char *machine = vbox_machine_ref(talk, dom->uuid);

    if (!talk->error && !vbox_state_is_active(VBOX_GET(talk, i_machine_get_state, machine)))
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    return !talk->error && vbox_hold(talk, machine, hold);
}

int vbox_domain_screenshot(void *handle, vireo_call *call, const vireo_domain_screenshot_args *args,
                           vireo_domain_screenshot_ret *ret)
{
    VboxConn *conn = handle;
    VboxHold hold;
    VboxTalk talk;
    int fd = -1;

    vbox_begin(&talk, conn, call);
    if (hold_running(&talk, &args->dom, &hold)) {
        guint screens = VBOX_GET(&talk, i_graphics_adapter_get_monitor_count,
                                 VBOX_TAKE(&talk, i_machine_get_graphics_adapter, hold.machine));

        if (args->screen >= screens)
            vbox_talk_refuse(&talk, VIREO_ERR_INVALID_ARG, "domain '%s' has no screen %u: there are %u", args->dom.name,
                             args->screen, screens);
        fd = take_screenshot(&talk, &hold, args->screen);
        vbox_let_go(&talk, &hold);
    }
    int status = vbox_talk_finish(&talk, call);
    if (status != VIREO_OK)
        return status;
    ret->mime = conn->driver->host->strdup(call, "image/png");
    return conn->driver->host->stream(call, fd, VIREO_STREAM_FROM_FD, 0, 0);
}

/* ---- keys ------------------------------------------------------------------------------ */

/* Scan codes of the keys of Linux whose numbers are others than theirs, with 0x80 for the extended ones. */
static const struct {
    guint8 key, code;
} keys[] = {
    {96, 0x9c},  {97, 0x9d},  {98, 0xb5},  {99, 0xb7},  {100, 0xb8}, {102, 0xc7}, {103, 0xc8}, {104, 0xc9},
    {105, 0xcb}, {106, 0xcd}, {107, 0xcf}, {108, 0xd0}, {109, 0xd1}, {110, 0xd2}, {111, 0xd3}, {113, 0xa0},
    {114, 0xae}, {115, 0xb0}, {116, 0xde}, {125, 0xdb}, {126, 0xdc}, {127, 0xdd},
};

/* As above; 0: there is no such key. */
static guint scan_code(guint codeset, guint key)
{
    if (codeset == VIREO_KEYCODE_SET_QNUM)
        return key < 256 ? key : 0;
    if (codeset == VIREO_KEYCODE_SET_XT)
        return (key & 0xff00) == 0xe000 ? (key & 0x7f) | 0x80 : key < 0x80 ? key : 0;
    if (key <= 88)
        return key;
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        if (keys[i].key == key)
            return keys[i].code;
    return 0;
}

static void add_code(GArray *codes, guint code, gboolean up)
{
    gint32 prefix = EXTENDED, byte = (gint32)((code & 0x7f) | (up ? BREAK : 0));

    if (code & 0x80)
        g_array_append_val(codes, prefix);
    g_array_append_val(codes, byte);
}

static void put(VboxTalk *talk, const char *keyboard, const GArray *codes)
{
    VBOX_CALL(talk, i_keyboard_put_scancodes, ._this = keyboard, .scancodes = {codes->len, (gint32 *)codes->data});
}

int vbox_domain_inject_nmi(void *handle, vireo_call *call, const vireo_domain_inject_nmi_args *args)
{
    VboxConn *conn = handle;
    VboxHold hold;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    if (hold_running(&talk, &args->dom, &hold)) {
        const char *debugger = VBOX_TAKE(&talk, i_console_get_debugger, hold.console);

        VBOX_CALL(&talk, i_machine_debugger_inject_nmi, ._this = debugger);
        vbox_let_go(&talk, &hold);
    }
    return vbox_talk_finish(&talk, call);
}

int vbox_domain_send_key(void *handle, vireo_call *call, const vireo_domain_send_key_args *args)
{
    VboxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    g_autoptr(GArray) down = g_array_new(FALSE, FALSE, sizeof(gint32));
    g_autoptr(GArray) up = g_array_new(FALSE, FALSE, sizeof(gint32));
    VboxHold hold;
    VboxTalk talk;

    if (args->codeset != VIREO_KEYCODE_SET_LINUX && args->codeset != VIREO_KEYCODE_SET_XT &&
        args->codeset != VIREO_KEYCODE_SET_QNUM)
        return host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED, "code set %u is not served (linux, xt, qnum)",
                          args->codeset);
    for (guint i = 0; i < args->keycodes.len; i++) {
        guint code = scan_code(args->codeset, args->keycodes.val[i]);

        if (!code)
            return host->fail(call, VIREO_ERR_INVALID_ARG, "there is no key %u in that code set",
                              args->keycodes.val[i]);
        add_code(down, code, FALSE);
    }
    for (guint i = args->keycodes.len; i > 0; i--)
        add_code(up, scan_code(args->codeset, args->keycodes.val[i - 1]), TRUE);
    vbox_begin(&talk, conn, call);
    if (hold_running(&talk, &args->dom, &hold)) {
        const char *keyboard = VBOX_TAKE(&talk, i_console_get_keyboard, hold.console);

        put(&talk, keyboard, down);
        g_usleep(MIN(args->holdtime, 10000) * 1000);
        put(&talk, keyboard, up);
        vbox_let_go(&talk, &hold);
    }
    return vbox_talk_finish(&talk, call);
}
