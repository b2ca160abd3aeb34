# SPDX-License-Identifier: LGPL-2.1-or-later
"""record-client.py URI WHAT DIR: calls of libvirt-python that virsh never makes."""
import os
import sys
import threading
import time

import libvirt
import libvirt_lxc
import libvirt_qemu

URI, WHAT, WORK = sys.argv[1:]
ON_TEST = URI.startswith("test")
DOMAIN = "test" if ON_TEST else "vm1"
libvirt.registerErrorHandler(lambda *_: None, None)


def attempt(function, *args, **kwargs):
    """Errors are as good for the recording as results."""
    try:
        result = function(*args, **kwargs)
        print("ok", getattr(function, "__name__", function))
        return result
    except (libvirt.libvirtError, LookupError, OverflowError, TypeError, ValueError) as error:
        print("error", getattr(function, "__name__", function), error)
        return None


def connection(conn):
    for name in ("getType", "getVersion", "getLibVersion", "getHostname", "getURI", "getInfo", "getCapabilities",
                 "getFreeMemory", "getSecurityModel", "isAlive", "isEncrypted", "isSecure", "getSysinfo",
                 "numOfDomains", "numOfDefinedDomains", "numOfNetworks", "numOfDefinedNetworks",
                 "numOfStoragePools", "numOfDefinedStoragePools", "numOfInterfaces", "numOfDefinedInterfaces",
                 "numOfSecrets", "numOfNWFilters", "listDomainsID", "listDefinedDomains", "listNetworks",
                 "listDefinedNetworks", "listStoragePools", "listDefinedStoragePools", "listInterfaces",
                 "listDefinedInterfaces", "listSecrets", "listNWFilters", "listAllDomains", "listAllNetworks",
                 "listAllStoragePools", "listAllInterfaces", "listAllNWFilters", "listAllNWFilterBindings",
                 "listAllSecrets", "listAllDevices", "getMemoryParameters", "getCPUMap", "getStoragePoolCapabilities",
                 "getSEVInfo", "getAllDomainStats", "getDomainCapabilities"):
        attempt(getattr(conn, name))
    attempt(conn.getMaxVcpus, "qemu")
    attempt(conn.getCPUStats, -1)
    attempt(conn.getMemoryStats, -1)
    attempt(conn.getCellsFreeMemory, 0, 2)
    attempt(conn.getFreePages, [4, 2048], 0, 1)
    attempt(conn.getCPUModelNames, "x86_64")
    attempt(conn.numOfDevices, None)
    attempt(conn.listDevices, None)
    attempt(conn.lookupByID, 1)
    attempt(conn.lookupByUUIDString, "11111111-2222-4333-8444-555555555555")
    attempt(conn.networkLookupByName, "default")
    attempt(conn.networkLookupByUUIDString, "11111111-2222-4333-8444-555555555555")
    attempt(conn.storagePoolLookupByName, "none")
    attempt(conn.storagePoolLookupByUUIDString, "11111111-2222-4333-8444-555555555555")
    attempt(conn.storagePoolLookupByTargetPath, "/none")
    attempt(conn.storageVolLookupByKey, "none")
    attempt(conn.nodeDeviceLookupByName, "none")
    attempt(conn.nodeDeviceLookupSCSIHostByWWN, "20000000c9831b4b", "10000000c9831b4b")
    attempt(conn.interfaceLookupByMACString, "52:54:00:01:02:03")
    attempt(conn.secretLookupByUsage, libvirt.VIR_SECRET_USAGE_TYPE_CEPH, "none")
    attempt(conn.nwfilterLookupByName, "clean-traffic")
    attempt(conn.baselineCPU, ["<cpu><arch>x86_64</arch><model>qemu64</model></cpu>"])
    attempt(conn.compareCPU, "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>")
    attempt(conn.domainXMLFromNative, "qemu-argv", "none")
    attempt(conn.setMemoryParameters, {"shm_pages_to_scan": 100}) if ON_TEST else None
    attempt(conn.setIdentity, {libvirt.VIR_CONNECT_IDENTITY_USER_NAME: "someone"})


def domain(conn):
    dom = conn.lookupByName(DOMAIN)
    for name in ("info", "state", "maxMemory", "maxVcpus", "vcpus", "vcpusFlags", "OSType", "isActive",
                 "isPersistent", "isUpdated", "jobInfo", "jobStats", "controlInfo", "diskErrors", "autostart",
                 "schedulerType", "schedulerParameters", "memoryParameters", "blkioParameters", "numaParameters",
                 "memoryStats", "vcpuPinInfo", "emulatorPinInfo", "ioThreadInfo", "securityLabel",
                 "securityLabelList", "snapshotNum", "snapshotListNames", "hasCurrentSnapshot", "snapshotCurrent",
                 "listAllSnapshots", "listAllCheckpoints", "hasManagedSaveImage", "getTime", "fsInfo", "hostname",
                 "guestVcpus", "perfEvents", "messages", "launchSecurityInfo", "migrateGetMaxSpeed",
                 "migrateGetCompressionCache", "migrateGetMaxDowntime", "backupGetXMLDesc", "abortJob"):
        attempt(getattr(dom, name))
    attempt(dom.getCPUStats, True)
    attempt(dom.getCPUStats, False)
    attempt(dom.blockInfo, "vda")
    attempt(dom.blockStats, "vda")
    attempt(dom.blockStatsFlags, "vda")
    attempt(dom.blockPeek, "vda", 0, 64)
    attempt(dom.memoryPeek, 0, 64, libvirt.VIR_MEMORY_PHYSICAL)
    attempt(dom.blockIoTune, "vda")
    attempt(dom.setBlockIoTune, "vda", {"total_bytes_sec": 1000000, "group_name": "g"})
    attempt(dom.blockJobInfo, "vda")
    attempt(dom.interfaceStats, "52:54:00:01:02:03")
    attempt(dom.interfaceAddresses, 0)
    attempt(dom.interfaceParameters, "52:54:00:01:02:03")
    attempt(dom.setInterfaceParameters, "52:54:00:01:02:03", {"inbound.average": 1000})
    attempt(dom.metadata, libvirt.VIR_DOMAIN_METADATA_TITLE, None)
    attempt(dom.setMetadata, libvirt.VIR_DOMAIN_METADATA_TITLE, "t", None, None)
    attempt(dom.guestInfo, 0)
    attempt(dom.sendKey, libvirt.VIR_KEYCODE_SET_LINUX, 10, [30, 31], 2, 0)
    attempt(dom.sendProcessSignal, 1, 15)
    attempt(dom.setSchedulerParameters, {"weight" if ON_TEST else "cpu_shares": 50})
    attempt(dom.setMemoryParameters, {"hard_limit": 1000000})
    attempt(dom.setBlkioParameters, {"weight": 500})
    attempt(dom.setNumaParameters, {"numa_nodeset": "0"})
    attempt(dom.setPerfEvents, {"cmt": False})
    attempt(dom.setVcpu, "0", 1)
    attempt(dom.setGuestVcpus, "0", 1)
    attempt(dom.setIOThreadParams, 1, {"poll_max_ns": 1000})
    attempt(dom.setUserPassword, "u", "p")
    attempt(dom.authorizedSSHKeysGet, "u")
    attempt(dom.authorizedSSHKeysSet, "u", ["ssh-rsa AAAA"])
    attempt(dom.setTime, {"seconds": 1000000000, "nseconds": 5})
    attempt(dom.fsFreeze, ["/"])
    attempt(dom.fsThaw, ["/"])
    attempt(dom.fSTrim, None, 0)
    attempt(dom.pMSuspendForDuration, 0, 0)
    attempt(dom.pMWakeup)
    attempt(dom.migrateSetMaxSpeed, 100)
    attempt(dom.migrateSetMaxDowntime, 100)
    attempt(dom.migrateStartPostCopy)
    attempt(dom.pinVcpu, 0, (True,))
    attempt(dom.pinEmulator, (True,))
    attempt(dom.setMemory, 32768)
    attempt(dom.setMemoryStatsPeriod, 1)
    attempt(dom.setBlockThreshold, "vda", 1000000)
    attempt(dom.setLifecycleAction, 0, 0)
    attempt(dom.agentSetResponseTimeout, 5)
    attempt(dom.startDirtyRateCalc, 1)
    attempt(dom.setLaunchSecurityState, {"sev-secret": "x", "sev-secret-header": "y"})
    attempt(dom.XMLDesc, libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE)
    attempt(conn.domainListGetStats, [dom])
    attempt(conn.domainXMLToNative, "qemu-argv", dom.XMLDesc())
    snap = attempt(dom.snapshotCreateXML, "<domainsnapshot><name>p1</name></domainsnapshot>")
    attempt(dom.snapshotCreateXML, "<domainsnapshot><name>p2</name></domainsnapshot>")
    if snap:
        for name in ("numChildren", "listChildrenNames", "listAllChildren", "getParent", "isCurrent",
                     "hasMetadata", "getXMLDesc"):
            attempt(getattr(snap, name))
        attempt(dom.revertToSnapshot, snap)
        attempt(snap.delete, libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN)
    if not ON_TEST:
        attempt(libvirt_qemu.qemuMonitorCommand, dom, '{"execute":"query-name"}', 0)
        attempt(libvirt_qemu.qemuAgentCommand, dom, '{"execute":"guest-ping"}', 1, 0)
        attempt(libvirt_qemu.qemuAttach, conn, 999999, 0)
        attempt(libvirt_lxc.lxcOpenNamespace, dom, 0)
        stream = conn.newStream(0)
        attempt(dom.openChannel, None, stream, 0)
        stream = conn.newStream(0)
        if attempt(dom.openConsole, None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE) is not None:
            attempt(stream.send, b"x")
            attempt(stream.abort)


def run_events(until):
    while time.monotonic() < until:
        libvirt.virEventRunDefaultImpl()


def tick(*_):
    pass


def with_events(seconds, work):
    """An event loop that always wakes up again, while WORK runs in another thread."""
    libvirt.virEventAddTimeout(100, tick, None)
    thread = threading.Thread(target=work)
    thread.start()
    run_events(time.monotonic() + seconds)
    thread.join()


def legacy(conn):
    seen = []
    callback = lambda *args: seen.append(args[2:-1])
    conn.domainEventRegister(callback, None)
    watched = conn.lookupByName(DOMAIN)
    ids = [conn.domainEventRegisterAny(watched, kind, callback, None) for kind in (0, 1, 2)]

    def work():
        other = libvirt.open(URI)
        dom = other.lookupByName(DOMAIN)
        dom.suspend()
        dom.resume()
        attempt(dom.reboot)
        other.close()

    with_events(1.5, work)
    for number in ids:
        conn.domainEventDeregisterAny(number)
    attempt(conn.domainEventDeregister, callback)
    print(seen)


def events(conn):
    seen = []
    callback = lambda *args: seen.append(args[1:-1])
    ids = []
    for register, kinds in ((conn.domainEventRegisterAny, range(0, 27)),
                            (conn.networkEventRegisterAny, range(0, 1)),
                            (conn.storagePoolEventRegisterAny, range(0, 2)),
                            (conn.nodeDeviceEventRegisterAny, range(0, 2)),
                            (conn.secretEventRegisterAny, range(0, 2))):
        for kind in kinds:
            attempt(lambda: ids.append((register.__name__, register(None, kind, callback, None))))

    def work():
        dom = conn.lookupByName(DOMAIN)
        for call in (dom.suspend, dom.resume, dom.destroy, dom.create):
            attempt(call)
        attempt(dom.setMetadata, libvirt.VIR_DOMAIN_METADATA_TITLE, "x", None, None)
        for net in conn.listAllNetworks():
            attempt(net.destroy)
            attempt(net.create)
        for pool in conn.listAllStoragePools():
            attempt(pool.refresh)
            attempt(pool.destroy)
            attempt(pool.create)

    with_events(2, work)
    for name, number in ids:
        attempt(getattr(conn, name.replace("Register", "Deregister")), number)
    print(len(seen))


def fds(conn):
    dom = conn.lookupByName(DOMAIN)
    fd = attempt(dom.openGraphicsFD, 0, 0)
    if fd is not None:
        os.close(fd)
    one, two = os.open("/dev/null", os.O_RDONLY), os.open("/dev/zero", os.O_RDONLY)
    attempt(dom.FDAssociate, "group", [one, two], 0)
    attempt(dom.openGraphics, 0, one, 0)
    attempt(dom.createWithFiles, [one, two], 0)
    attempt(libvirt_qemu.qemuMonitorCommandWithFiles, dom, '{"execute":"query-name"}', [one], 0)


def main():
    if WHAT in ("legacy", "events"):
        libvirt.virEventRegisterDefaultImpl()
    conn = libvirt.open(URI)
    {"connection": connection, "domain": domain, "legacy": legacy, "events": events, "fds": fds}[WHAT](conn)
    conn.close()


main()
