#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test server writes what a real host has written, byte for byte (wire-rec)."""
import unittest
from pathlib import Path

import hypervd
from host import NO_DATE, computer
from wmi import Datetime, Instance, Ref

RECORDINGS = Path(__file__).parent / "recordings"


def ident(number):
    return f"00000000-0000-4000-8000-{number:012x}"


class WireRec(unittest.TestCase):
    maxDiff = None

    def same(self, name, action, body, number):
        """What is compared was written down as a text: no renderer of ours has seen it."""
        written = hypervd.envelope(f"{hypervd.N}/{action}Response", f"uuid:{ident(number + 1)}", body,
                                   f"uuid:{ident(number)}", "ja-JP")
        self.assertEqual(written, (RECORDINGS / name).read_text(encoding="utf-8"))

    def test_wire_rec_enumerate(self):
        self.same("recorded_computersystem_enumerate.xml", "Enumerate",
                  hypervd.enumerate_response(f"uuid:{ident(3)}"), 1)

    def test_wire_rec_host(self):
        host = computer(Caption="ホスト コンピューター システム", CreationClassName="Msvm_ComputerSystem",
                        Description="Microsoft ホスト コンピューター システム", ElementName="scrubbed-1", EnabledDefault=2,
                        EnabledState=2, HealthState=5, Name="scrubbed-1", NumberOfNumaNodes=1, OperationalStatus=[2],
                        RequestedState=12, ResetCapability=1, Status="OK", StatusDescriptions=["OK"])
        self.same("recorded_computersystem_pull_host.xml", "Pull",
                  hypervd.pull_response([host.render()], f"uuid:{ident(6)}"), 4)

    def test_wire_rec_running_machine(self):
        changed = Datetime("2026-07-29T14:10:59.467886Z")
        machine = computer(
            Caption="仮想マシン", CreationClassName="Msvm_ComputerSystem", Description="Microsoft Virtual Machine",
            ElementName="scrubbed-3", EnabledDefault=2, EnabledState=2, EnhancedSessionModeState=6, FailedOverReplicationType=0,
            HealthState=5, HwThreadsPerCoreRealized=2, InstallDate=Datetime("2025-12-17T09:55:22.702341Z"),
            LastApplicationConsistentReplicationTime=NO_DATE, LastReplicationTime=NO_DATE, LastReplicationType=0,
            Name=ident(10), NumberOfNumaNodes=1, OnTimeInMilliseconds=6138294371, OperationalStatus=[2], ProcessID=9624,
            ReplicationHealth=0, ReplicationMode=0, ReplicationState=0, RequestedState=5, ResetCapability=1, Status="OK",
            StatusDescriptions=["正常稼働中"], TimeOfLastConfigurationChange=changed, TimeOfLastStateChange=changed)
        self.same("recorded_computersystem_pull_vm_running_a.xml", "Pull",
                  hypervd.pull_response([machine.render()], f"uuid:{ident(9)}"), 7)

    def test_wire_rec_affected_job_element(self):
        row = Instance("Msvm_AffectedJobElement", ("AffectedElement",), ElementEffects=[5],
                       AffectedElement=Ref("Msvm_VirtualSystemSettingData", InstanceID="Microsoft:" + ident(0x83)),
                       AffectingElement=Ref("Msvm_ConcreteJob", InstanceID=ident(0x66)))
        self.same("recorded_affectedjobelement_pull_created.xml", "Pull", hypervd.pull_response([row.render()], ""), 0x81)


if __name__ == "__main__":
    unittest.main()
