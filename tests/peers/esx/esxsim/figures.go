// SPDX-License-Identifier: LGPL-2.1-or-later
// Figures that can be foreseen: the simulator's are made up anew for each question, and of any time. A host remembers
// samples, and tells each of them alike whenever it is asked. Here it remembers three, each of one second.
package main

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type figures struct {
	mo.PerformanceManager
}

// used: milliseconds of the second that ends then
func used(second int64) int64 {
	if second%5 == 0 {
		return -1 // the host does not know
	}
	return 100 + second%7
}

func (f *figures) QueryPerf(req *types.QueryPerf) soap.HasFault {
	body := &methods.QueryPerfBody{Res: new(types.QueryPerfResponse)}
	now := time.Now().Unix()
	for _, spec := range req.QuerySpec {
		vm, ok := simulator.Map.Get(spec.Entity).(*simulator.VirtualMachine)
		if !ok {
			return &methods.QueryPerfBody{Fault_: simulator.Fault("", &types.ManagedObjectNotFound{Obj: spec.Entity})}
		}
		m := &types.PerfEntityMetric{PerfEntityMetricBase: types.PerfEntityMetricBase{Entity: spec.Entity}}
		series := &types.PerfMetricIntSeries{PerfMetricSeries: types.PerfMetricSeries{Id: spec.MetricId[0]}}
		for s := now - 2; s <= now; s++ {
			at := time.Unix(s, 0).UTC()
			if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn && (spec.StartTime == nil || at.After(*spec.StartTime)) {
				m.SampleInfo = append(m.SampleInfo, types.PerfSampleInfo{Timestamp: at, Interval: 1})
				series.Value = append(series.Value, used(s))
			}
		}
		m.Value = []types.BasePerfMetricSeries{series}
		body.Res.Returnval = append(body.Res.Returnval, m)
	}
	return body
}
