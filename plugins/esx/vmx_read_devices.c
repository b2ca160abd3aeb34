/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces, ports, folders, screen: out of a VMX file. */
#include <stdlib.h>
#include <string.h>

#include "vmx_devices.h"

/* ---- interfaces ------------------------------------------------------------------------- */

static void read_mac(const EsxVmx *vmx, const char *place, VireoDomainInterface *card)
{
    gboolean fixed = g_strcmp0(esx_vmx_get(vmx, "%s.addressType", place), "static") == 0;
    const char *address = esx_vmx_get(vmx, fixed ? "%s.address" : "%s.generatedAddress", place);

    if (!address)
        return;
    card->mac = g_new0(VireoDomainInterfaceMac, 1);
    card->mac->address = g_ascii_strdown(address, -1);
    card->mac->type = g_strdup(fixed ? "static" : "generated");
    if (!esx_vmx_is(vmx, TRUE, "%s.checkMACAddress", place))
        card->mac->check = VIREO_TRISTATE_NO;
}

static gboolean read_switch(const EsxVmx *vmx, const char *place, VireoDomainInterfaceSource *source, GError **error)
{
    g_autofree char *key = g_strconcat(place, ".dvs.switchId", NULL);
    const char *id = esx_vmx_get(vmx, "%s", key);

    if (!esx_read_uuid(id, source->switchid))
        return esx_vmx_refuse(error, key, id, "16 pairs of hexadecimal digits");
    source->has_switchid = TRUE;
    source->portid = g_strdup(esx_vmx_get(vmx, "%s.dvs.portId", place));
    source->portgroupid = g_strdup(esx_vmx_get(vmx, "%s.dvs.portgroupId", place));
    source->connectionid = g_strdup(esx_vmx_get(vmx, "%s.dvs.connectionId", place));
    return TRUE;
}

static gboolean set_kind(const EsxVmx *vmx, const char *place, VireoDomainInterface *card, GError **error)
{
    const char *kind = esx_vmx_get(vmx, "%s.connectionType", place);
    const char *target = esx_vmx_get(vmx, "%s.vnet", place);
    g_autofree char *key = NULL;

    if (g_strcmp0(kind, "nat") == 0) {
        card->type = VIREO_DOMAIN_INTERFACE_TYPE_USER;
        return TRUE;
    }
    card->source = g_new0(VireoDomainInterfaceSource, 1);
    card->type = VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE;
    if (esx_vmx_get(vmx, "%s.dvs.switchId", place)) {
        card->type = VIREO_DOMAIN_INTERFACE_TYPE_VDS;
        return read_switch(vmx, place, card->source, error);
    }
    if (kind && g_strcmp0(kind, "bridged") != 0 && g_strcmp0(kind, "custom") != 0 && g_strcmp0(kind, "hostonly") != 0) {
        key = g_strconcat(place, ".connectionType", NULL);
        return esx_vmx_refuse(error, key, kind, "bridged, nat, hostonly or custom");
    }
    card->source->bridge = g_strdup(esx_vmx_get(vmx, "%s.networkName", place) ?: "");
    if (target && g_strcmp0(kind, "custom") == 0) {
        card->target = g_new0(VireoDomainInterfaceTarget, 1);
        card->target->dev = g_strdup(target);
    }
    return TRUE;
}

static gboolean read_card(const EsxVmx *vmx, const char *place, VireoDomainDevices *devices, GError **error)
{
    const char *model = esx_vmx_get(vmx, "%s.virtualDev", place);
    gboolean second = g_strcmp0(model, "vmxnet") == 0 && g_strcmp0(esx_vmx_get(vmx, "%s.features", place), "15") == 0;
    VireoDomainInterface *card = g_new0(VireoDomainInterface, 1);

    vireo_list_append(&devices->interfaces, card);
    card->model = g_strdup(second ? "vmxnet2" : model);
    read_mac(vmx, place, card);
    return set_kind(vmx, place, card, error);
}

/* ---- ports -------------------------------------------------------------------------------- */

static const EsxVmxName port_types[] = { { "device", "dev" }, { "file", "file" }, { "pipe", "pipe" }, { "network", "tcp" }, { 0 } };

/* "telnet://1.2.3.4:42001?opt" */
static gboolean read_uri(const EsxVmx *vmx, const char *place, VireoDomainChardev *port, VireoDomainChardevSource *source,
                         GError **error)
{
    const char *text = esx_vmx_get(vmx, "%s.fileName", place);
    g_autoptr(GUri) uri = text ? g_uri_parse(text, G_URI_FLAGS_PARSE_RELAXED | G_URI_FLAGS_SCHEME_NORMALIZE, NULL) : NULL;
    const char *protocol = uri ? esx_vmx_name_in(esx_vmx_schemes, g_uri_get_scheme(uri)) : NULL;
    gboolean client = g_strcmp0(esx_vmx_get(vmx, "%s.network.endPoint", place), "client") == 0;
    g_autofree char *key = g_strconcat(place, ".fileName", NULL);

    if (!source || !protocol || g_uri_get_port(uri) <= 0)
        return esx_vmx_refuse(error, key, text, "SCHEME://HOST:PORT, with a scheme such as tcp, telnet, telnets or ssl");
    port->protocol = vireo_domain_chardev_protocol_from_string(protocol);
    source->mode = client ? VIREO_DOMAIN_CHARDEV_MODE_CONNECT : VIREO_DOMAIN_CHARDEV_MODE_BIND;
    source->host = g_strdup(g_uri_get_host(uri));
    source->service = g_strdup_printf("%d", g_uri_get_port(uri));
    return TRUE;
}

static VireoDomainChardev *read_port(const EsxVmx *vmx, const EsxVmxHost *host, const char *place, guint index,
                                     GError **error)
{
    const char *type = esx_vmx_get(vmx, "%s.fileType", place) ?: "device", *file = esx_vmx_get(vmx, "%s.fileName", place);
    const char *kind = esx_vmx_name_in(port_types, type);
    VireoDomainChardev *port = g_new0(VireoDomainChardev, 1);
    VireoDomainChardevSource *source = file ? g_new0(VireoDomainChardevSource, 1) : NULL;
    g_autofree char *key = g_strconcat(place, ".fileType", NULL);
    gboolean good = kind || esx_vmx_refuse(error, key, type, "device, file, pipe or network");

    if (source)
        vireo_list_append(&port->sources, source);
    port->target = g_new0(VireoDomainChardevTarget, 1);
    port->target->has_port = TRUE;
    port->target->port = index;
    port->type = vireo_domain_chardev_type_from_string(kind);
    if (port->type == VIREO_DOMAIN_CHARDEV_TYPE_TCP)
        good = read_uri(vmx, place, port, source, error);
    else if (good && file)
        source->path = port->type == VIREO_DOMAIN_CHARDEV_TYPE_FILE ? esx_vmx_file_in(host, file) : g_strdup(file);
    if (good)
        return port;
    vireo_model_free(&vireo_domain_chardev_type, port);
    return NULL;
}

static gboolean read_ports(const EsxVmx *vmx, const EsxVmxHost *host, VireoDomainDevices *devices, GError **error)
{
    for (guint i = 0; i < ESX_VMX_SERIALS + ESX_VMX_PARALLELS; i++) {
        gboolean serial = i < ESX_VMX_SERIALS;
        guint index = serial ? i : i - ESX_VMX_SERIALS;
        g_autofree char *place = g_strdup_printf(serial ? "serial%u" : "parallel%u", index);

        if (!esx_vmx_is(vmx, FALSE, "%s.present", place))
            continue;
        VireoDomainChardev *port = read_port(vmx, host, place, index, error);
        if (!port)
            return FALSE;
        if (serial)
            vireo_list_append(&devices->serials, port);
        else
            vireo_list_append(&devices->parallels, port);
    }
    return TRUE;
}

/* ---- folders and the screen --------------------------------------------------------------- */

static void read_folders(const EsxVmx *vmx, VireoDomainDevices *devices)
{
    guint most = (guint)strtoul(esx_vmx_get(vmx, "sharedFolder.maxNum") ?: "0", NULL, 10);

    if (esx_vmx_is(vmx, TRUE, "isolation.tools.hgfs.disable"))
        return;
    for (guint i = 0; i < MIN(most, 64); i++) {
        if (!esx_vmx_is(vmx, FALSE, "sharedFolder%u.present", i) || !esx_vmx_is(vmx, FALSE, "sharedFolder%u.enabled", i))
            continue;
        VireoDomainFilesystem *folder = g_new0(VireoDomainFilesystem, 1);
        folder->type = VIREO_DOMAIN_FILESYSTEM_TYPE_MOUNT;
        folder->source = g_new0(VireoDomainFilesystemSource, 1);
        folder->source->dir = g_strdup(esx_vmx_get(vmx, "sharedFolder%u.hostPath", i));
        folder->target = g_strdup(esx_vmx_get(vmx, "sharedFolder%u.guestName", i));
        folder->readonly = !esx_vmx_is(vmx, FALSE, "sharedFolder%u.writeAccess", i);
        vireo_list_append(&devices->filesystems, folder);
    }
}

static gboolean read_vnc(const EsxVmx *vmx, VireoDomainDevices *devices, GError **error)
{
    const char *address = esx_vmx_get(vmx, "RemoteDisplay.vnc.ip");
    guint64 port;

    if (!esx_vmx_is(vmx, FALSE, "RemoteDisplay.vnc.enabled"))
        return TRUE;
    if (!esx_vmx_number(vmx, "RemoteDisplay.vnc.port", 0, 1, 65535, &port, error))
        return FALSE;
    VireoDomainGraphics *screen = g_new0(VireoDomainGraphics, 1);
    screen->type = VIREO_DOMAIN_GRAPHICS_TYPE_VNC;
    screen->has_port = TRUE;
    screen->port = port ? (gint32)port : -1;
    screen->autoport = port ? VIREO_TRISTATE_NO : VIREO_TRISTATE_YES;
    screen->keymap = g_strdup(esx_vmx_get(vmx, "RemoteDisplay.vnc.keymap"));
    screen->passwd = g_strdup(esx_vmx_get(vmx, "RemoteDisplay.vnc.password"));
    if (address) {
        VireoDomainGraphicsListen *listen = g_new0(VireoDomainGraphicsListen, 1);
        listen->type = VIREO_DOMAIN_GRAPHICS_LISTEN_TYPE_ADDRESS;
        listen->address = g_strdup(address);
        screen->listen_address = g_strdup(address);
        vireo_list_append(&screen->listens, listen);
    }
    vireo_list_append(&devices->graphics, screen);
    return TRUE;
}

static gboolean read_video(const EsxVmx *vmx, VireoDomainDevices *devices, GError **error)
{
    guint64 size;

    if (!esx_vmx_number(vmx, "svga.vramSize", 4096 * 1024, 1, G_MAXUINT32, &size, error))
        return FALSE;
    VireoDomainVideo *video = g_new0(VireoDomainVideo, 1);
    video->model = g_new0(VireoDomainVideoModelOptions, 1);
    video->model->type = VIREO_DOMAIN_VIDEO_MODEL_VMVGA;
    video->model->has_vram = TRUE;
    video->model->vram = (guint32)((size + 1023) / 1024);
    vireo_list_append(&devices->videos, video);
    return TRUE;
}

gboolean esx_vmx_read_devices(const EsxVmx *vmx, const EsxVmxHost *host, VireoDomainDevices *devices, GError **error)
{
    for (guint i = 0; i < ESX_VMX_CARDS; i++) {
        g_autofree char *place = g_strdup_printf("ethernet%u", i);

        if (esx_vmx_is(vmx, FALSE, "%s.present", place) && !read_card(vmx, place, devices, error))
            return FALSE;
    }
    read_folders(vmx, devices);
    return read_ports(vmx, host, devices, error) && read_vnc(vmx, devices, error) && read_video(vmx, devices, error);
}
