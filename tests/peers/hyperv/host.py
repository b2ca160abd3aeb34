# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host with virtual machines, as far as WMI shows it: instances, methods, and jobs that take their time."""
import random
import re
import urllib.request
import uuid
import xml.etree.ElementTree as ElementTree
from base64 import b64encode

from wmi import V2, Datetime, Instance, Interval, Query, Ref, make_path, path_class, path_key

HOST = "HV1"
RASD = ("CIM_ResourceAllocationSettingData", "CIM_SettingData")
SERVICE_KEYS = ("CreationClassName", "Name", "SystemCreationClassName", "SystemName")
MSVM_COMPUTER = """Caption CommunicationStatus CreationClassName Description DetailedStatus ElementName EnabledDefault
EnabledState EnhancedSessionModeState FailedOverReplicationType HealthState HwThreadsPerCoreRealized InstallDate InstanceID
LastApplicationConsistentReplicationTime LastReplicationTime LastReplicationType LastSuccessfulBackupTime
ManagementVtlImageFileName ManagementVtlImageVersion Name NameFormat NumberOfNumaNodes OnTimeInMilliseconds OperatingStatus
OperationalStatus OtherEnabledState PrimaryOwnerContact PrimaryOwnerName PrimaryStatus ProcessID ReplicationHealth
ReplicationMode ReplicationState RequestedState ResetCapability Status StatusDescriptions TimeOfLastConfigurationChange
TimeOfLastStateChange TransitioningToState""".split()
RUNNING, OFF, SAVED, PAUSED = 2, 3, 6, 9
NO_DATE = Datetime("1601-01-01T00:00:00Z")


class Fault(Exception):
    """subcode is an element of a namespace: w:InvalidSelectors."""

    def __init__(self, subcode, text, code=0, provider=None):
        super().__init__(text)
        self.subcode, self.text, self.code, self.provider = subcode, text, code, provider


def guid():
    return str(uuid.uuid4()).upper()


def computer(**values):
    filled = {**dict.fromkeys(MSVM_COMPUTER), **values}
    return Instance("Msvm_ComputerSystem", ("CreationClassName", "Name"), parents=("CIM_ComputerSystem",), **filled)


def settings(name, owner, kind, **values):
    base = dict(AutomaticStartupAction=2, BootOrder=[3, 2, 0, 1], Caption="Virtual Machine Settings", CreationTime=Datetime("2026-01-02T03:04:05.000006Z"),
                Description="Active settings", ElementName=name, IsSaved=False, Notes=[], Parent=None,
                SecureBootEnabled=False, UserSnapshotType=2,
                VirtualSystemIdentifier=owner, VirtualSystemSubType="Microsoft:Hyper-V:SubType:1",
                VirtualSystemType=f"Microsoft:Hyper-V:{kind}", ConfigurationDataRoot="C:\\vms")
    return Instance("Msvm_VirtualSystemSettingData", ("InstanceID",), parents=("CIM_VirtualSystemSettingData",),
                    **{**base, **values})


def resource(klass, **values):
    base = dict(Address=None, AddressOnParent=None, AllocationUnits=None, Caption=None, Connection=None, Description=None,
                ElementName=None, HostResource=[], Limit=None, Parent=None, Reservation=None, ResourceSubType=None,
                VirtualQuantity=None, Weight=None)
    if "Ethernet" in klass and "Allocation" not in klass:
        base["StaticMacAddress"] = False
    if klass == "Msvm_MemorySettingData":
        base["DynamicMemoryEnabled"] = False
    return Instance(klass, ("InstanceID",), parents=RASD, **{**base, **values})


CLASSES = {5: "Msvm_ResourceAllocationSettingData", 6: "Msvm_ResourceAllocationSettingData",
           14: "Msvm_ResourceAllocationSettingData", 16: "Msvm_ResourceAllocationSettingData",
           17: "Msvm_ResourceAllocationSettingData", 31: "Msvm_StorageAllocationSettingData",
           33: "Msvm_EthernetPortAllocationSettingData", 10: "Msvm_SyntheticEthernetPortSettingData"}


class Host:
    """Every method is called with the lock of the server held."""

    def __init__(self, seed=1, japanese=False, job_polls=2):
        self.random = random.Random(seed)
        self.japanese, self.job_polls = japanese, job_polls
        self.instances, self.jobs, self.pressed, self.effects = [], {}, [], []
        self.fail_next = {}  # method -> error code of its job
        self.peers, self.moves = {}, []  # name of another host -> port of its control
        self.pid = 1000
        name = dict(CreationClassName="Msvm_ComputerSystem", SystemCreationClassName="Msvm_ComputerSystem", SystemName=HOST)
        self.add(computer(Caption="ホスト コンピューター システム" if japanese else "Hosting Computer System",
                          CreationClassName="Msvm_ComputerSystem", ElementName=HOST, EnabledState=RUNNING, Name=HOST,
                          Description="Microsoft Hosting Computer System"))
        for klass, what in (("Msvm_VirtualSystemManagementService", "vmms"), ("Msvm_VirtualSystemSnapshotService", "vssnap"),
                            ("Msvm_ImageManagementService", "ims"), ("Msvm_SecurityService", "security"), ("Msvm_VirtualSystemMigrationService", "vsmig"),
                            ("Msvm_VirtualEthernetSwitchManagementService", "nvspwmi")):
            self.add(Instance(klass, SERVICE_KEYS, **{**name, "CreationClassName": klass, "Name": what}))
        self.add(Instance("Msvm_VirtualSystemManagementServiceSettingData", ("InstanceID",), InstanceID="Microsoft:" + HOST,
                          DefaultVirtualHardDiskPath="C:\\vms\\disks", DefaultExternalDataRoot="C:\\vms"))
        self.add(Instance("Msvm_VirtualSystemMigrationCapabilities", ("InstanceID",), InstanceID="x"))
        cim2 = dict(space="root/cimv2")
        self.add(Instance("Win32_ComputerSystem", ("Name",), **cim2, Name=HOST, DNSHostName="hv1", Domain="example.com",
                          PartOfDomain=True, NumberOfProcessors=1,
                          NumberOfLogicalProcessors=8, TotalPhysicalMemory=34359738368))
        self.add(Instance("Win32_OperatingSystem", ("CreationClassName",), **cim2, CreationClassName="Win32_OperatingSystem",
                          Version="10.0.20348", FreePhysicalMemory=8388608, Caption="Microsoft Windows Server 2022"))
        self.add(Instance("Win32_ComputerSystemProduct", ("UUID",), **cim2, UUID="4C4C4544-0042-3510-8052-B4C04F4A4E31"))
        self.add(Instance("Win32_Processor", ("DeviceID",), **cim2, DeviceID="CPU0", Name="Intel(R) Xeon(R) Gold 6226R  CPU",
                          MaxClockSpeed=2900, NumberOfCores=4, NumberOfLogicalProcessors=8, AddressWidth=64))
        self.add(resource("Msvm_ProcessorSettingData", InstanceID="Microsoft:Definition\\b637f346\\Maximum", ResourceType=3,
                          VirtualQuantity=64, Limit=100000, Weight=10000, Reservation=100000))
        for disk in ("C:\\vms\\disks\\one.vhdx", "C:\\vms\\disks\\two.vhd", "C:\\vms\\disks\\setup.iso"):
            self.add_file(disk, 4194304)
        self.add(Instance("Win32_LogicalDisk", ("DeviceID",), **cim2, DeviceID="C:", Size=1 << 40, FreeSpace=1 << 38))
        for number in 0, 1:
            self.add(Instance("Msvm_DiskDrive", ("CreationClassName", "DeviceID", "SystemCreationClassName", "SystemName"),
                              CreationClassName="Msvm_DiskDrive", SystemCreationClassName="Msvm_ComputerSystem",
                              SystemName=HOST, DeviceID=f"Microsoft:353B3BE8-310C-4CF4-839E-4E1B14616136\\{number}",
                              DriveNumber=number, ElementName=f"Disk {number}"))
        self.switch("Default Switch", "C08CB7B8-9B3C-408E-8E30-5E16A3AEB444")

    # ---- instances ----

    def add(self, instance):
        self.instances.append(instance)
        return instance

    def all(self, klass, space=V2):
        return [one for one in self.instances if one.space == space and one.is_a(klass)]

    def select(self, space, text):
        query = Query(text)
        found = [one for one in self.all(query.klass, space) if query.test(one)]
        if space == V2 and query.klass.lower() == "msvm_affectedjobelement":
            found = [one for one in self.affected() if query.test(one)]
        self.random.shuffle(found)  # no order is promised [3P]
        return [one.render() if query.names is None else one.render_fragment(query.names) for one in found]

    def get(self, ref):
        for one in self.all(ref.klass, ref.space):
            if one.klass == ref.klass and all(str(one[key]).lower() == str(value).lower() for key, value in ref.keys.items()):
                return one
        raise Fault("a:DestinationUnreachable", "The WS-Management service cannot process the request. The service cannot find "
                    "the resource identified by the resource URI and selectors.", 2150858752)

    def by_id(self, instance_id):
        for one in self.instances:
            if one["InstanceID"] == instance_id:
                return one
        return None

    def resources(self, config):
        return [one for one in self.all("CIM_ResourceAllocationSettingData")
                if one["InstanceID"].startswith(config["InstanceID"] + "\\")]

    def machine(self, name):
        for one in self.all("Msvm_ComputerSystem"):
            if name in (one["ElementName"], one["Name"]) and one["Name"] != HOST:
                return one
        raise KeyError(name)

    def config(self, machine):
        return self.by_id("Microsoft:" + machine["Name"])

    def snapshots(self, machine):
        return [one for one in self.all("Msvm_VirtualSystemSettingData")
                if one["VirtualSystemIdentifier"] == machine["Name"] and ":Snapshot:" in one["VirtualSystemType"]]

    # ---- what is there at first ----

    def add_file(self, path, size):
        drive, rest = path.split("\\", 1)
        folder = "\\" + rest.rsplit("\\", 1)[0] + "\\" if "\\" in rest else "\\"
        name = path.rsplit("\\", 1)[1]
        return self.add(Instance("CIM_DataFile", ("Name",), space="root/cimv2", Name=path, Drive=drive, Path=folder, FileSize=size,
                                 FileName=name.rsplit(".", 1)[0], Extension=name.rsplit(".", 1)[1],
                                 MaxInternalSize=1073741824, Type=3))

    def switch(self, name, ident=None):
        return self.add(Instance("Msvm_VirtualEthernetSwitch", ("CreationClassName", "Name"), EnabledState=2,
                                 CreationClassName="Msvm_VirtualEthernetSwitch", Name=ident or guid(), ElementName=name,
                                 Caption="Virtual Switch"))

    def make(self, name, memory=512, cpus=1, generation=1, devices=True, ident=None):
        ident = ident or guid()
        machine = self.add(computer(
            Caption="仮想マシン" if self.japanese else "Virtual Machine", CreationClassName="Msvm_ComputerSystem",
            Description="Microsoft Virtual Machine", ElementName=name, EnabledDefault=2, EnabledState=OFF, HealthState=5,
            InstallDate=Datetime("2025-12-17T09:55:22.702341Z"), LastReplicationTime=NO_DATE, Name=ident,
            NumberOfNumaNodes=1, OnTimeInMilliseconds=0, OperationalStatus=[2], RequestedState=12, ResetCapability=1,
            Status="OK", StatusDescriptions=["正常稼働中" if self.japanese else "Operating normally"]))
        config = self.add(settings(name, ident, "System:Realized", InstanceID="Microsoft:" + ident,
                                   VirtualSystemSubType=f"Microsoft:Hyper-V:SubType:{generation}"))
        base = "Microsoft:" + ident
        self.add(resource("Msvm_MemorySettingData", InstanceID=base + "\\4764334d-e001-4176-82ee-5594ec9b530e", ResourceType=4,
                          AllocationUnits="byte * 2^20", VirtualQuantity=memory, Limit=1048576, Reservation=memory, Weight=5000))
        self.add(resource("Msvm_ProcessorSettingData", InstanceID=base + "\\b637f346-6a0e-4dec-af52-bd70cb80a21d\\0",
                          ResourceType=3, VirtualQuantity=cpus, Limit=100000, Reservation=0, Weight=100))
        if devices and generation == 1:
            for number in "01":
                self.add(resource("Msvm_ResourceAllocationSettingData", ResourceType=5, Address=number,
                                  InstanceID=f"{base}\\83F8638B-8DCA-4152-9EDA-2CA8B33039B4\\{number}",
                                  ResourceSubType="Microsoft:Hyper-V:Emulated IDE Controller"))
        for number in "01":
            self.add(resource("Msvm_SerialPortSettingData", ResourceType=21, ElementName=f"COM {int(number) + 1}",
                              InstanceID=f"{base}\\8E3A359F-559A-4B6A-98A9-1690A6100ED7\\{number}", Connection=[""],
                              ResourceSubType="Microsoft:Hyper-V:Serial Port"))
        if generation == 2:
            self.add(Instance("Msvm_SecuritySettingData", ("InstanceID",), InstanceID=base + "\\a1b5-security\\0", TpmEnabled=False,
                              EncryptStateAndVmMigrationTraffic=False, ShieldingRequested=False))
        owner = dict(SystemCreationClassName="Msvm_ComputerSystem", SystemName=ident)
        for klass in ("Msvm_ShutdownComponent", "Msvm_Keyboard", "Msvm_VideoHead"):
            more = dict(CurrentHorizontalResolution=64, CurrentVerticalResolution=48) if klass.endswith("Head") else {}
            self.add(Instance(klass, ("CreationClassName", "DeviceID", "SystemCreationClassName", "SystemName"), **owner,
                              CreationClassName=klass, DeviceID=f"Microsoft:{ident}\\{klass}", **more))
        self.add(Instance("Win32_PerfRawData_HvStats_HyperVHypervisorVirtualProcessor", ("Name",), space="root/cimv2",
                          Name=f"{name}:Hv VP 0", PercentTotalRunTime=12345678))
        return machine

    def guest_speaks(self, machine, name, addresses, subnets, **more):
        """Its integration services tell."""
        owner = machine["Name"]
        told = [Instance("Msvm_KvpExchangeDataItem", (), Name=key, Data=value, Source=2).embed()
                for key, value in {"FullyQualifiedDomainName": name, **more}.items()]
        self.add(Instance("Msvm_KvpExchangeComponent", ("DeviceID",), SystemName=owner, DeviceID="k",
                          GuestIntrinsicExchangeItems=told))
        for one in self.resources(self.config(machine)):
            if one["ResourceType"] == 10:
                card = one["InstanceID"].split("\\", 1)[1]
                self.add(Instance("Msvm_GuestNetworkAdapterConfiguration", ("InstanceID",), IPAddresses=addresses, Subnets=subnets,
                                  InstanceID=f"Microsoft:GuestNetwork\\{owner}\\{card}", DHCPEnabled=True))

    def guest_works(self, machine):
        """It reads, writes, sends and receives: each number is another one. Counters are called as [3P] says."""
        for one in self.resources(self.config(machine)):
            if one["ResourceType"] == 31:
                self.add(Instance("Win32_PerfRawData_Counters_HyperVVirtualStorageDevice", ("Name",), space="root/cimv2",
                                  Name="--?-" + one["HostResource"][0].replace("\\", "-"), SystemName=machine["Name"],
                                  ErrorCount=1, FlushCount=2, QueueLength=3, ReadBytesPersec=10 << 32, WriteBytesPersec=4096,
                                  ReadOperationsPerSec=11, WriteOperationsPerSec=12))
            if one["ResourceType"] == 10:
                owner, card = one["InstanceID"].split(":")[1].split("\\")[:2]
                self.add(Instance("Win32_PerfRawData_NvspNicStats_HyperVVirtualNetworkAdapter", ("Name",), space="root/cimv2",
                                  Name=f"{machine['ElementName']}_Network Adapter_{owner}--{card}", SystemName=machine["Name"],
                                  BytesReceivedPersec=20 << 32, BytesSentPersec=21, BytesPersec=(20 << 32) + 21,
                                  PacketsReceivedPersec=22, PacketsSentPersec=23, DroppedPacketsIncomingPersec=24,
                                  DroppedPacketsOutgoingPersec=25))

    def forget(self, machine):
        ident = machine["Name"]
        self.instances = [one for one in self.instances
                          if one is not machine and one["SystemName"] != ident and one["VirtualSystemIdentifier"] != ident
                          and not str(one["InstanceID"]).startswith((f"Microsoft:{ident}", f"Microsoft:GuestNetwork\\{ident}"))
                          and one["Name"] != machine["ElementName"] + ":Hv VP 0"]

    # ---- events ----

    def photograph(self):
        """What machines and settings look like now."""
        return {one.ref().render(): (one.render(), Instance(one.klass, one.keys, parents=one.parents, **one.values))
                for klass in ("Msvm_ComputerSystem", "Msvm_VirtualSystemSettingData") for one in self.all(klass)}

    def happened(self, query, before):
        """As WMI finds out what has happened: it looks from time to time. [DOC]"""
        now, found = self.photograph(), []
        for key in {**before, **now}:
            old, new = before.get(key), now.get(key)
            kind = "Creation" if not old else "Deletion" if not new else "Modification" if old[0] != new[0] else None
            if kind:
                values = {"PreviousInstance": old[1]} if kind == "Modification" else {}
                event = Instance(f"__Instance{kind}Event", (), parents=("__InstanceOperationEvent",), **values,
                                 TargetInstance=(new or old)[1], SECURITY_DESCRIPTOR=None, TIME_CREATED=133000000000000000)
                if event.is_a(query.klass) and query.test(event):
                    found.append(event.render())
        return now, found

    # ---- jobs ----

    def job(self, what, work, klass="Msvm_ConcreteJob"):
        """4096, and the work is done when it has been looked at some times. [REC]"""
        ident = guid()
        job = self.add(Instance(klass, ("InstanceID",), InstanceID=ident, JobState=3, PercentComplete=0, ErrorCode=0, ErrorDescription=None,
                                Caption=what, JobStatus="実行中" if self.japanese else "Running",
                                ElapsedTime=Interval("P0DT0H0M1.00417S"), TimeBeforeRemoval=Interval("P0DT0H5M0S")))
        self.jobs[ident] = [self.job_polls, work, what, []]
        if self.job_polls == 0:
            self.look_at(job)
        return {"Job": job.ref(), "ReturnValue": 4096}

    def look_at(self, job):
        state = self.jobs.get(job["InstanceID"])
        if not state or job["JobState"] >= 7:
            return
        state[0] -= 1
        if state[0] > 0:
            job["JobState"], job["PercentComplete"] = 4, 50
            return
        code = self.fail_next.pop(state[2], 0)
        if code:
            job["JobState"], job["ErrorCode"] = 10, code
            job["ErrorDescription"] = f"'{state[2]}' failed because it was told to."
            return
        try:
            state[3] = state[1]() or []
        except Fault as fault:
            job["JobState"], job["ErrorCode"], job["ErrorDescription"] = 10, fault.code, fault.text
            return
        job["JobState"], job["PercentComplete"] = 7, 100

    def affected(self):
        """There when the job has ended, with what it has made. [REC]"""
        return [Instance("Msvm_AffectedJobElement", ("AffectedElement", "AffectingElement"), AffectedElement=ref,
                         AffectingElement=self.by_id(ident).ref(), ElementEffects=[5])
                for ident, state in self.jobs.items() if self.by_id(ident) for ref in state[3]]

    # ---- methods ----

    def invoke(self, ref, method, args):
        target = self.get(ref)
        function = getattr(self, f"{target.klass}_{method}", None)
        if not function:
            raise Fault("a:ActionNotSupported", f"The action {method} is not supported by the service.", 2150858776)
        if not method.startswith("Get"):
            self.effects.append(method)
        result = function(target, args)
        return {"ReturnValue": result} if isinstance(result, int) else result

    def Msvm_ComputerSystem_RequestStateChange(self, machine, args):
        wanted, state = int(args["RequestedState"][0]), machine["EnabledState"]
        allowed = {2: (OFF, SAVED, PAUSED), 3: (RUNNING, PAUSED, SAVED), 6: (RUNNING, PAUSED), 9: (RUNNING,),
                   10: (RUNNING,), 11: (RUNNING, PAUSED)}
        if wanted not in allowed:
            return 32773
        if state not in allowed[wanted]:
            return 32775
        return self.job("RequestStateChange", lambda: self.set_state(machine, 2 if wanted > 9 else wanted))

    def set_state(self, machine, state):
        machine["EnabledState"] = state
        self.pid += 4
        machine["ProcessID"] = (machine["ProcessID"] or self.pid) if state in (RUNNING, PAUSED) else None  # nil when off [REC]

    def Msvm_ShutdownComponent_InitiateShutdown(self, part, args):
        if args["Force"][0] not in ("true", "false") or not args["Reason"][0]:
            return 32773
        machine = self.machine(part["SystemName"])
        if machine["EnabledState"] != RUNNING:
            return 32775
        self.set_state(machine, OFF)
        return 0

    def Msvm_Keyboard_PressKey(self, part, args):
        self.pressed.append(("down", int(args["keyCode"][0])))
        return 0

    def Msvm_Keyboard_ReleaseKey(self, part, args):
        self.pressed.append(("up", int(args["keyCode"][0])))
        return 0

    VSMS = "Msvm_VirtualSystemManagementService_"

    def vsms_define(self, args):
        values = read_embedded(args["SystemSettings"][0], "Msvm_VirtualSystemSettingData")
        sub = values.pop("VirtualSystemSubType", "Microsoft:Hyper-V:SubType:1")

        def work():
            machine = self.make(values["ElementName"], generation=int(sub[-1]))
            if self.apply(self.config(machine), values):
                raise Fault("w:InternalError", "wrong settings", 32773)
            return [machine.ref()]
        return self.job("DefineSystem", work)

    def vsms_destroy(self, args):
        machine = self.get(args["AffectedSystem"][0])
        if machine["EnabledState"] not in (OFF, SAVED):
            return 32775
        return self.job("DestroySystem", lambda: self.forget(machine))

    def apply(self, instance, values):
        for name, value in values.items():
            if name not in instance.values:
                raise Fault("w:InternalError", f"no property {name}", 2150859010, "WMI Provider")
            now = instance[name]
            if isinstance(now, bool) and value not in ("true", "false", "TRUE", "FALSE"):
                raise Fault("w:InternalError", f"{name} is a boolean", 2150859010, "WMI Provider")
            if isinstance(now, list) != isinstance(value, list) and name != "BootOrder":
                return 32773  # a scalar for an array [3P]
            instance[name] = (value.lower() == "true" if isinstance(now, bool) else
                              int(value) if isinstance(now, int) else value)
        return 0

    def vsms_modify_system(self, args):
        values = read_embedded(args["SystemSettings"][0], "Msvm_VirtualSystemSettingData")
        config = self.by_id(values.pop("InstanceID", ""))
        if not config:
            return 32773

        def work():
            if self.apply(config, values):
                raise Fault("w:InternalError", "wrong settings", 32773)
            if ":System:" in config["VirtualSystemType"]:
                self.machine(config["VirtualSystemIdentifier"])["ElementName"] = config["ElementName"]
        return self.job("ModifySystemSettings", work)

    def vsms_modify_resource(self, args):
        for text in args["ResourceSettings"]:
            values = read_embedded(text)
            one = self.by_id(values.pop("InstanceID", ""))
            if not one:
                return 32773
            if one.klass in ("Msvm_MemorySettingData", "Msvm_ProcessorSettingData"):
                machine = self.machine(one["InstanceID"].split("\\")[0].split(":")[1])
                if machine["EnabledState"] not in (OFF,) and "Processor" in one.klass:
                    return 32775
                if int(values.get("VirtualQuantity", 2)) % 2 and "Memory" in one.klass:
                    return 32773  # whole MiB, and even [LV]
            if (value := self.apply(one, values)):
                return value
        return self.job("ModifyResourceSettings", lambda: None)

    protected = True  # machines have key protectors

    def Msvm_SecurityService_ModifySecuritySettings(self, service, args):
        """[DOC]; without a key protector it fails [3P]."""
        values = read_embedded(args["SecuritySettingData"][0], "Msvm_SecuritySettingData")
        one = self.by_id(values.pop("InstanceID", ""))
        if not one or set(values) - set(one.values):
            return 4
        if not self.protected and values.get("TpmEnabled") == "true":
            return 32768
        return self.apply(one, values)

    def vsms_add_resource(self, args):
        config, made = self.get(args["AffectedConfiguration"][0]), []
        for text in args["ResourceSettings"]:
            values = read_embedded(text)
            kind = int(values.get("ResourceType", 0))
            if kind not in CLASSES:
                return 32773
            if "Parent" in values and (not self.by_id(path_key(values["Parent"]))
                                       or self.by_id(path_key(values["Parent"])).klass != path_class(values["Parent"])):
                return 32773  # no object path, or of nothing [3P]
            if "HostResource" in values and not isinstance(values["HostResource"], list):
                return 32773  # [3P]
            if kind == 17 and "Physical" in values["ResourceSubType"] and not self.drive(values["HostResource"][0]):
                return 32773  # no object path, or of nothing
            if kind in (16, 17) and any(one["Parent"] and path_key(one["Parent"]) == path_key(values["Parent"])
                                        and one["AddressOnParent"] == values["AddressOnParent"]
                                        for one in self.resources(config)):
                return 32774
            if kind == 31 and "CD" not in values["ResourceSubType"] and not self.file(values["HostResource"][0]):
                return 32777
            values["ResourceType"] = kind
            values["InstanceID"] = f"{config['InstanceID']}\\{guid()}\\0"
            if kind == 10 and not values.get("Address"):
                values["Address"] = f"00155D{self.random.randrange(1 << 24):06X}"
            if "StaticMacAddress" in values:
                values["StaticMacAddress"] = values["StaticMacAddress"].lower() == "true"
            made.append(resource(CLASSES[kind], **values))

        def work():
            self.instances.extend(made)
            return [one.ref() for one in made]
        return self.job("AddResourceSettings", work)

    def drive(self, path):
        keys = dict(re.findall(r'(\w+)="((?:\\.|[^"\\])*)"', path))
        return any(path_class(path) == "Msvm_DiskDrive" and
                   {key: one[key].replace("\\", "\\\\") for key in one.keys} == keys for one in self.all("Msvm_DiskDrive"))

    def vsms_remove_resource(self, args):
        gone = [self.get(ref) for ref in args["ResourceSettings"]]
        for one in gone:
            if any(other["Parent"] and path_key(other["Parent"]) == one["InstanceID"] and other not in gone
                   for other in self.all("CIM_ResourceAllocationSettingData")):
                raise Fault("w:InternalError", "Generic failure", 2147749889, "WMI Provider")  # children first [3P]
        return self.job("RemoveResourceSettings", lambda: self.remove(gone))

    def remove(self, gone):
        self.instances = [one for one in self.instances if one not in gone]

    def vsms_summary(self, args):
        wanted = {int(number) for number in args["RequestedInformation"]}
        found = []
        for machine in self.all("Msvm_ComputerSystem"):
            if machine["Name"] == HOST:
                continue
            config = self.config(machine)
            running = machine["EnabledState"] == RUNNING
            values = dict.fromkeys("AllocatedGPU AsynchronousTasks CreationTime ElementName EnabledState GuestOperatingSystem "
                                   "HealthState Heartbeat InstanceID MemoryAvailable MemoryUsage Name Notes NumberOfProcessors "
                                   "OperationalStatus ProcessorLoad Snapshots UpTime".split())
            values["Name"], values["ElementName"] = machine["Name"], machine["ElementName"]
            if 4 in wanted:
                values["NumberOfProcessors"] = next(one["VirtualQuantity"] for one in self.resources(config) if one["ResourceType"] == 3)
            if 100 in wanted:
                values["EnabledState"] = machine["EnabledState"]
            if 101 in wanted:
                values["ProcessorLoad"] = 7 if running else None
            if 103 in wanted:
                values["MemoryUsage"] = next(one["VirtualQuantity"] for one in self.resources(config) if one["ResourceType"] == 4) if running else None
            if 105 in wanted:
                values["UpTime"] = 60000 if running else 0
            if 107 in wanted:
                values["Snapshots"] = self.snapshots(machine)
            found.append(Instance("Msvm_SummaryInformation", ("InstanceID",), **values))
        return {"ReturnValue": 0, "SummaryInformation": found}

    def vsms_thumbnail(self, args):
        config = self.get(args["TargetSystem"][0])
        width, height = int(args["WidthPixels"][0]), int(args["HeightPixels"][0])
        if self.machine(config["VirtualSystemIdentifier"])["EnabledState"] != RUNNING:
            return 32775
        return {"ReturnValue": 0, "ImageData": b64encode(b"\x00\xf8" * (width * height)).decode()}  # red, RGB565 [LV]

    # ---- snapshots ----

    def Msvm_VirtualSystemSnapshotService_CreateSnapshot(self, service, args):
        machine = self.get(args["AffectedSystem"][0])
        if args["SnapshotType"][0] not in ("2", "3"):
            return 32773

        def work():
            parent = self.current(machine)
            config, ident = self.config(machine), guid()
            snap = self.add(settings(f"{machine['ElementName']} - (now)", machine["Name"], "Snapshot:Realized",
                                     InstanceID="Microsoft:" + ident, IsSaved=machine["EnabledState"] == RUNNING,
                                     Parent=make_path("Msvm_VirtualSystemSettingData", parent["InstanceID"]) if parent else None))
            for one in self.resources(config):
                self.add(Instance(one.klass, one.keys, parents=one.parents, **{
                    **one.values, "InstanceID": one["InstanceID"].replace(config["InstanceID"], snap["InstanceID"], 1)}))
            self.set_current(machine, snap)
            return [snap.ref()]
        return self.job("CreateSnapshot", work)  # its ResultingSnapshot is empty [REC]

    def current(self, machine):
        for one in self.all("Msvm_MostCurrentSnapshotInBranch"):
            if one["Antecedent"].keys["Name"] == machine["Name"]:
                return self.by_id(one["Dependent"].keys["InstanceID"])
        return None

    def set_current(self, machine, snap):
        self.instances = [one for one in self.instances if one.klass != "Msvm_MostCurrentSnapshotInBranch"
                          or one["Antecedent"].keys["Name"] != machine["Name"]]
        if snap:
            self.add(Instance("Msvm_MostCurrentSnapshotInBranch", ("Antecedent", "Dependent"), Antecedent=machine.ref(),
                              Dependent=snap.ref()))

    def parent(self, snap):
        return self.by_id(path_key(snap["Parent"])) if snap["Parent"] else None

    def Msvm_VirtualSystemSnapshotService_ApplySnapshot(self, service, args):
        snap = self.get(args["Snapshot"][0])
        machine = self.machine(snap["VirtualSystemIdentifier"])
        if machine["EnabledState"] not in (OFF, SAVED):
            return 32775

        def work():
            config = self.config(machine)
            self.remove(self.resources(config))
            for one in self.resources(snap):
                self.add(Instance(one.klass, one.keys, parents=one.parents, **{
                    **one.values, "InstanceID": one["InstanceID"].replace(snap["InstanceID"], config["InstanceID"], 1)}))
            self.set_state(machine, SAVED if snap["IsSaved"] else OFF)
            self.set_current(machine, snap)
        return self.job("ApplySnapshot", work)

    def drop(self, machine, snap):
        above = self.parent(snap)
        for other in self.snapshots(machine):
            if self.parent(other) is snap:
                other["Parent"] = snap["Parent"]
        if self.current(machine) is snap:
            self.set_current(machine, above)
        self.remove([snap, *self.resources(snap)])

    def Msvm_VirtualSystemSnapshotService_DestroySnapshot(self, service, args):
        snap = self.get(args["AffectedSnapshot"][0])
        return self.job("DestroySnapshot", lambda: self.drop(self.machine(snap["VirtualSystemIdentifier"]), snap))

    def Msvm_VirtualSystemSnapshotService_DestroySnapshotTree(self, service, args):
        snap = self.get(args["SnapshotSettingData"][0])
        machine = self.machine(snap["VirtualSystemIdentifier"])

        def tree(top):
            for other in [one for one in self.snapshots(machine) if self.parent(one) is top]:
                tree(other)
            self.drop(machine, top)
        return self.job("DestroySnapshotTree", lambda: tree(snap))

    # ---- migration ----

    def Msvm_VirtualSystemMigrationService_CheckVirtualSystemIsMigratable(self, service, args):
        return self.moving("CheckVirtualSystemIsMigratable", args, lambda machine, to: None)

    def Msvm_VirtualSystemMigrationService_MigrateVirtualSystemToHost(self, service, args):
        return self.moving("MigrateVirtualSystemToHost", args, self.move)

    def moving(self, method, args, work):
        machine, to = self.get(args["ComputerSystem"][0]), args["DestinationHost"][0]
        how = read_embedded(args["MigrationSettingData"][0], "Msvm_VirtualSystemMigrationSettingData")
        if how["MigrationType"] not in ("32768", "32771") or how["TransportType"] != "5":
            return 32773

        def run():
            if to not in self.peers:
                raise Fault("w:InternalError", f"the host '{to}' was not found", 32777)
            work(machine, to)
        self.moves.append((method, to, how["MigrationType"]))
        return self.job(method, run, "Msvm_MigrationJob")

    def move(self, machine, to):
        amount = {one["ResourceType"]: one["VirtualQuantity"] for one in self.resources(self.config(machine))}
        text = (f"host.set_state(host.make({machine['ElementName']!r}, {amount[4]}, {amount[3]}, ident={machine['Name']!r}), "
                f"{machine['EnabledState']})")
        urllib.request.urlopen(f"http://127.0.0.1:{self.peers[to]}/", text.encode(), timeout=20).close()
        self.forget(machine)

    # ---- disks ----

    def file(self, path):
        for one in self.all("CIM_DataFile", "root/cimv2"):
            if one["Name"].lower() == path.lower():
                return one
        return None

    def Msvm_ImageManagementService_CreateVirtualHardDisk(self, service, args):
        values = read_embedded(args["VirtualDiskSettingData"][0], "Msvm_VirtualHardDiskSettingData")
        if self.file(values["Path"]) or values["Type"] not in ("2", "3") or values["Format"] not in ("2", "3"):
            return 32773

        def work():
            one = self.add_file(values["Path"], int(values["MaxInternalSize"]) if values["Type"] == "2" else 4096)
            one["MaxInternalSize"], one["Type"] = int(values["MaxInternalSize"]), int(values["Type"])
        return self.job("CreateVirtualHardDisk", work, "Msvm_StorageJob")

    def Msvm_ImageManagementService_ResizeVirtualHardDisk(self, service, args):
        one = self.file(args["Path"][0])
        if not one:
            return 32777

        def work():
            one["MaxInternalSize"] = int(args["MaxInternalSize"][0])
        return self.job("ResizeVirtualHardDisk", work, "Msvm_StorageJob")

    def Msvm_ImageManagementService_GetVirtualHardDiskSettingData(self, service, args):
        one = self.file(args["Path"][0])
        if not one or one["Extension"] == "iso":
            return 32777
        data = Instance("Msvm_VirtualHardDiskSettingData", ("InstanceID",), Path=one["Name"], Type=one["Type"],
                        Format=2 if one["Extension"] == "vhd" else 3, MaxInternalSize=one["MaxInternalSize"])
        return {"ReturnValue": 0, "SettingData": data.embed()}

    def CIM_DataFile_Delete(self, one, args):
        self.remove([one])
        return 0


for method, function in dict(DefineSystem="define", DestroySystem="destroy", ModifySystemSettings="modify_system",
                             ModifyResourceSettings="modify_resource", AddResourceSettings="add_resource",
                             RemoveResourceSettings="remove_resource", GetSummaryInformation="summary",
                             GetVirtualSystemThumbnailImage="thumbnail").items():
    setattr(Host, Host.VSMS + method,
            lambda self, service, args, function=function: getattr(self, "vsms_" + function)(args))


def read_embedded(text, klass=None):
    """CIM-XML in a text; anything else is refused as a real host does. [3P]"""
    if not isinstance(text, str) or not text.startswith("<INSTANCE "):
        raise Fault("w:SchemaValidationError", "an embedded instance is a text", 2150858817)
    root = ElementTree.fromstring(text)
    if klass and root.get("CLASSNAME") != klass:
        raise Fault("w:SchemaValidationError", f"{root.get('CLASSNAME')} is no {klass}", 2150858817)
    values = {}
    for one in root:
        found = [value.text or "" for value in one.iter("VALUE")]
        if one.get("TYPE") == "datetime" and not re.fullmatch(r"\d{8}\d{6}\.\d{6}:000", found[0]):
            raise Fault("w:InternalError", "no CIM interval", 32768)  # [3P]
        values[one.get("NAME")] = found if one.tag == "PROPERTY.ARRAY" else found[0]
    return values
