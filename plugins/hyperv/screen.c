/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest shows, and its keyboard. */
#include "ops.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- the screen ------------------------------------------------------------------------ */

/* Base64, or a number for each byte: hosts do either. */
static GByteArray *image_bytes(const VireoCim *answer)
{
    guint n = vireo_cim_count(answer, "ImageData");
    GByteArray *bytes = g_byte_array_new();

    if (n == 1) {
        gsize len;
        g_autofree guchar *data = g_base64_decode(vireo_cim_string(answer, "ImageData"), &len);

        return g_byte_array_append(bytes, data, (guint)len);
    }
    for (guint i = 0; i < n; i++) {
        guint8 byte = (guint8)g_ascii_strtoull(vireo_cim_text_at(answer, "ImageData", i), NULL, 10);

        g_byte_array_append(bytes, &byte, 1);
    }
    return bytes;
}

/* RGB565, little-endian, as a file; -1 and errno. */
static int image_file(const GByteArray *bytes, guint width, guint height)
{
    g_autoptr(GString) image = g_string_new(NULL);
    int fd = memfd_create("screenshot", MFD_CLOEXEC);

    g_string_append_printf(image, "P6\n%u %u\n255\n", width, height);
    for (guint i = 0; i < width * height; i++) {
        guint pixel = bytes->data[2 * i] | bytes->data[2 * i + 1] << 8;

        g_string_append_c(image, (char)((pixel >> 11 & 0x1f) * 255 / 31));
        g_string_append_c(image, (char)((pixel >> 5 & 0x3f) * 255 / 63));
        g_string_append_c(image, (char)((pixel & 0x1f) * 255 / 31));
    }
    for (gsize done = 0; fd >= 0 && done < image->len;) {
        gssize n = write(fd, image->str + done, image->len - done);

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

static int take_screenshot(HypervTalk *talk, const HypervMachine *machine)
{
    g_autofree char *id = g_strconcat("Microsoft:", machine->guid, NULL);
    const VireoCim *head = hyperv_query_one(talk, HYPERV_SPACE, "screen of this machine",
                                            "select * from Msvm_VideoHead where SystemName='%s'", machine->guid);
    guint width = (guint)vireo_cim_number(head, "CurrentHorizontalResolution");
    guint height = (guint)vireo_cim_number(head, "CurrentVerticalResolution");
    VireoCim *args = vireo_cim_new("");

    if (!talk->error && (!width || !height || width > 8192 || height > 8192))
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' shows nothing", machine->name);
    vireo_cim_add_number(args, "HeightPixels", "uint16", height);
    vireo_cim_add_path(args, "TargetSystem", hyperv_at(talk, "Msvm_VirtualSystemSettingData", id));
    vireo_cim_add_number(args, "WidthPixels", "uint16", width);
    const VireoCim *answer =
        hyperv_invoke(talk, hyperv_service(talk, HYPERV_VSMS), "GetVirtualSystemThumbnailImage", args);
    g_autoptr(GByteArray) bytes = image_bytes(answer);
    if (!talk->error && bytes->len < 2 * width * height)
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_FAILED, "the image has %u bytes, not those of %ux%u", bytes->len,
                           width, height);
    if (talk->error)
        return -1;
    int fd = image_file(bytes, width, height);
    if (fd < 0)
        hyperv_talk_refuse(talk, VIREO_ERR_SYSTEM_ERROR, "cannot keep the image: %s", g_strerror(errno));
    return fd;
}

int hyperv_domain_screenshot(void *handle, vireo_call *call, const vireo_domain_screenshot_args *args,
                             vireo_domain_screenshot_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);

    if (!machine)
        return VIREO_FAIL;
    if (!hyperv_state_is_active(machine->state))
        hyperv_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", machine->name);
    if (args->screen)
        hyperv_talk_refuse(&talk, VIREO_ERR_INVALID_ARG, "domain '%s' has no screen %u: there is one", machine->name,
                           args->screen);
    int fd = take_screenshot(&talk, machine);
    int status = hyperv_talk_finish(&talk, call);
    if (status != VIREO_OK)
        return status;
    ret->mime = conn->driver->host->strdup(call, "image/x-portable-pixmap");
    return conn->driver->host->stream(call, fd, VIREO_STREAM_FROM_FD, 0, 0);
}

/* ---- keys ------------------------------------------------------------------------------ */

/* Windows' virtual key codes of Linux's keys 1 to 127; 0: it has none. */
static const guint8 keys[128] = {
    0,    0x1b, '1',  '2',  '3',  '4',  '5',  '6',  '7',  '8',  '9',  '0',  0xbd, 0xbb, 0x08, 0x09,
    'Q',  'W',  'E',  'R',  'T',  'Y',  'U',  'I',  'O',  'P',  0xdb, 0xdd, 0x0d, 0xa2, 'A',  'S',
    'D',  'F',  'G',  'H',  'J',  'K',  'L',  0xba, 0xde, 0xc0, 0xa0, 0xdc, 'Z',  'X',  'C',  'V',
    'B',  'N',  'M',  0xbc, 0xbe, 0xbf, 0xa1, 0x6a, 0xa4, 0x20, 0x14, 0x70, 0x71, 0x72, 0x73, 0x74,
    0x75, 0x76, 0x77, 0x78, 0x79, 0x90, 0x91, 0x67, 0x68, 0x69, 0x6d, 0x64, 0x65, 0x66, 0x6b, 0x61,
    0x62, 0x63, 0x60, 0x6e, 0,    0,    0xe2, 0x7a, 0x7b, 0,    0,    0,    0,    0,    0,    0,
    0x0d, 0xa3, 0x6f, 0x2c, 0xa5, 0,    0x24, 0x26, 0x21, 0x25, 0x27, 0x23, 0x28, 0x22, 0x2d, 0x2e,
    0,    0xad, 0xae, 0xaf, 0,    0,    0,    0x13, 0,    0,    0,    0,    0,    0x5b, 0x5c, 0x5d,
};

static guint virtual_key(guint codeset, guint key)
{
    if (codeset == VIREO_KEYCODE_SET_WIN32)
        return key < 256 ? key : 0;
    return key < G_N_ELEMENTS(keys) ? keys[key] : 0;
}

static void press(HypervTalk *talk, const VireoCim *keyboard, const char *method, guint key)
{
    hyperv_invoke(talk, keyboard, method, vireo_cim_add_number(vireo_cim_new(""), "keyCode", "uint32", key));
}

int hyperv_domain_send_key(void *handle, vireo_call *call, const vireo_domain_send_key_args *args)
{
    static const char *const properties[] = {"CreationClassName", "DeviceID", "SystemCreationClassName", "SystemName",
                                             NULL};
    HypervConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    guint n = args->keycodes.len;
    HypervTalk talk;

    if (args->codeset != VIREO_KEYCODE_SET_LINUX && args->codeset != VIREO_KEYCODE_SET_WIN32)
        return host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED, "code set %u is not served (linux, win32)",
                          args->codeset);
    for (guint i = 0; i < n; i++)
        if (!virtual_key(args->codeset, args->keycodes.val[i]))
            return host->fail(call, VIREO_ERR_INVALID_ARG, "there is no key %u in that code set", args->keycodes.val[i]);
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    if (!machine)
        return VIREO_FAIL;
    if (!hyperv_state_is_active(machine->state))
        hyperv_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", machine->name);
    const VireoCim *found = hyperv_query_one(&talk, HYPERV_SPACE, "keyboard in this machine",
                                             "select * from Msvm_Keyboard where SystemName='%s'", machine->guid);
    const VireoCim *keyboard = hyperv_path_of(&talk, found, properties);
    for (guint i = 0; i < n; i++)
        press(&talk, keyboard, "PressKey", virtual_key(args->codeset, args->keycodes.val[i]));
    g_usleep(MIN(args->holdtime, 10000) * 1000);
    for (guint i = n; i > 0; i--)
        press(&talk, keyboard, "ReleaseKey", virtual_key(args->codeset, args->keycodes.val[i - 1]));
    return hyperv_talk_finish(&talk, call);
}
