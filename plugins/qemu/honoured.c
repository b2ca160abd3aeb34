/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a domain document this driver acts on. Anything else is refused when it is defined. */
#include "driver.h"

static const char *const paths[] = {
    "domain.type", "domain.id", "domain.name", "domain.uuid", "domain.title", "domain.description",
    "domain.metadata", "domain.memory", "domain.currentMemory", "domain.vcpu",
    "domain.vcpu.placement", "domain.vcpu.current", "domain.os.type", "domain.os.type.arch", "domain.os.type.machine",
    "domain.os.firmware", "domain.os.firmware.feature.*", "domain.os.loader", "domain.os.loader.*",
    "domain.os.nvram", "domain.os.nvram.template", "domain.os.nvram.templateFormat", "domain.os.nvram.format",
    "domain.os.nvram.type", "domain.os.nvram.source.file", "domain.features.smm.state",
    "domain.os.kernel", "domain.os.initrd",
    "domain.os.cmdline", "domain.os.boot.*", "domain.os.bootmenu.*", "domain.features.acpi",
    "domain.features.apic", "domain.features.pae", "domain.features.vmport.*", "domain.cpu.*",
    "domain.clock.offset", "domain.clock.timer.*", "domain.on_poweroff", "domain.on_reboot",
    "domain.on_crash", "domain.pm.*", "domain.resource.*", "domain.devices.emulator",
    /* disks */
    "domain.devices.disk.type", "domain.devices.disk.device", "domain.devices.disk.snapshot",
    "domain.devices.disk.driver.name", "domain.devices.disk.driver.type",
    "domain.devices.disk.driver.cache", "domain.devices.disk.driver.io",
    "domain.devices.disk.driver.discard", "domain.devices.disk.driver.detect_zeroes",
    "domain.devices.disk.driver.error_policy", "domain.devices.disk.driver.rerror_policy",
    "domain.devices.disk.source.file", "domain.devices.disk.source.dev",
    "domain.devices.disk.source.protocol", "domain.devices.disk.source.name",
    "domain.devices.disk.source.query", "domain.devices.disk.source.tls",
    "domain.devices.disk.source.host.*", "domain.devices.disk.source.config.file",
    "domain.devices.disk.source.identity.username", "domain.devices.disk.source.index",
    "domain.devices.disk.backingStore.*",
    "domain.devices.disk.target.*", "domain.devices.disk.readonly",
    "domain.devices.disk.shareable", "domain.devices.disk.serial", "domain.devices.disk.boot.order",
    "domain.devices.disk.alias.*", "domain.devices.disk.address.*",
    /* controllers */
    "domain.devices.controller.type", "domain.devices.controller.index",
    "domain.devices.controller.model", "domain.devices.controller.model.name",
    "domain.devices.controller.ports",
    "domain.devices.controller.master.*", "domain.devices.controller.target.*",
    "domain.devices.controller.alias.*", "domain.devices.controller.address.*",
    /* interfaces */
    "domain.devices.interface.type", "domain.devices.interface.mac.*",
    "domain.devices.interface.source.bridge", "domain.devices.interface.target.dev",
    "domain.devices.interface.model.*", "domain.devices.interface.boot.order",
    "domain.devices.interface.alias.*", "domain.devices.interface.address.*",
    "domain.devices.interface.link.*",
    /* character devices */
    "domain.devices.serial.*", "domain.devices.console.*", "domain.devices.channel.*",
    /* display and the rest */
    "domain.devices.input.type", "domain.devices.input.bus", "domain.devices.input.alias.*",
    "domain.devices.input.address.*", "domain.devices.graphics.type",
    "domain.devices.graphics.port", "domain.devices.graphics.autoport",
    "domain.devices.graphics.listen.*", "domain.devices.graphics.keymap",
    "domain.devices.graphics.passwd", "domain.devices.graphics.sharePolicy",
    "domain.devices.graphics.websocket", "domain.devices.video.model.*",
    "domain.devices.video.alias.*", "domain.devices.video.address.*",
    "domain.devices.audio.id", "domain.devices.audio.type",
    "domain.devices.watchdog.*", "domain.devices.memballoon.model",
    "domain.devices.memballoon.stats.*", "domain.devices.memballoon.alias.*",
    "domain.devices.memballoon.address.*", "domain.devices.rng.model",
    "domain.devices.rng.backend.*", "domain.devices.rng.alias.*", "domain.devices.rng.address.*",
    "domain.devices.panic.*", "domain.devices.tpm.model", "domain.devices.tpm.backend.type",
    "domain.devices.tpm.backend.version", "domain.devices.tpm.backend.persistent_state",
    "domain.devices.tpm.alias.*", "domain.seclabel.*", NULL
};

VireoModelPathSet *qemu_honoured_paths(GError **error)
{
    return vireo_model_path_set_new(&vireo_domain_type, paths, error);
}
