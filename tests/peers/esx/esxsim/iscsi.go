// SPDX-License-Identifier: LGPL-2.1-or-later
// An iSCSI adapter with a target of one disk, and of a second one once somebody has looked: the simulator's hosts have none.
package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	target  = "iqn.2026-11.com.example:store"
	adapter = "vmhba65"
)

type storage struct {
	mo.HostStorageSystem
}

func unit(id string) (types.BaseScsiLun, types.HostScsiTopologyLun) {
	name := "naa.600000000000000" + id
	disk := &types.HostScsiDisk{
		ScsiLun: types.ScsiLun{
			HostDevice:    types.HostDevice{DeviceName: "/vmfs/devices/disks/" + name, DeviceType: "disk"},
			Key:           "key-vim.host.ScsiDisk-" + id,
			Uuid:          "0200000000600000000000000" + id,
			CanonicalName: name,
			LunType:       "disk",
		},
		Capacity:   types.HostDiskDimensionsLba{BlockSize: 512, Block: 2 << 20},
		DevicePath: "/vmfs/devices/disks/" + name,
	}
	return disk, types.HostScsiTopologyLun{Key: "key-vim.host.ScsiTopology.Lun-" + id, ScsiLun: disk.Key}
}

func (s *storage) RescanHba(r *types.RescanHba) soap.HasFault {
	if r.HbaDevice != adapter {
		return &methods.RescanHbaBody{Fault_: simulator.Fault("", &types.NotFound{})}
	}
	for _, h := range simulator.Map.All("HostSystem") {
		info := h.(*simulator.HostSystem).Config.StorageDevice
		t := &info.ScsiTopology.Adapter[len(info.ScsiTopology.Adapter)-1].Target[0]
		if len(t.Lun) == 1 {
			disk, lun := unit("b")
			info.ScsiLun = append(info.ScsiLun, disk)
			t.Lun = append(t.Lun, lun)
		}
	}
	return &methods.RescanHbaBody{Res: &types.RescanHbaResponse{}}
}

// addAdapter: before hosts are made
func addAdapter() {
	info := &esx.HostStorageDeviceInfo
	disk, lun := unit("a")
	key := "key-vim.host.InternetScsiHba-" + adapter
	info.HostBusAdapter = append(info.HostBusAdapter, &types.HostInternetScsiHba{
		HostHostBusAdapter: types.HostHostBusAdapter{Key: key, Device: adapter, Status: "online", Model: "iSCSI Software Adapter"},
		IScsiName:          "iqn.1998-01.com.vmware:host",
		ConfiguredStaticTarget: []types.HostInternetScsiHbaStaticTarget{
			{Address: "192.0.2.9", Port: 3260, IScsiName: target}},
	})
	info.ScsiLun = append(info.ScsiLun, disk)
	info.ScsiTopology.Adapter = append(info.ScsiTopology.Adapter, types.HostScsiTopologyInterface{
		Key: "key-vim.host.ScsiTopology.Interface-" + adapter, Adapter: key,
		Target: []types.HostScsiTopologyTarget{{Key: "key-vim.host.ScsiTopology.Target-" + adapter,
			Lun: []types.HostScsiTopologyLun{lun}, Transport: &types.HostInternetScsiTargetTransport{IScsiName: target}}},
	})
}

// addRescan: once they are there
func addRescan() {
	for _, h := range simulator.Map.All("HostSystem") {
		hs := h.(*simulator.HostSystem)
		if ref := hs.ConfigManager.StorageSystem; ref != nil {
			s := new(storage)
			s.Self = *ref
			simulator.Map.Put(s)
		}
	}
}
