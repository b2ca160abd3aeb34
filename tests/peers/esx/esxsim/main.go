// SPDX-License-Identifier: LGPL-2.1-or-later
// esxsim: vcsim from Debian's golang-github-vmware-govmomi-dev, plus a
// response filter that makes the wire format match a real ESX/vCenter:
// every child of an ArrayOf* value carries xsi:type.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"path"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const xsi = "http://www.w3.org/2001/XMLSchema-instance"

func fix(in []byte) []byte {
	d := xml.NewDecoder(bytes.NewReader(in))
	var out bytes.Buffer
	last := int64(0)
	var stack []bool // is this open element an ArrayOf* ?
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return in
		}
		switch e := t.(type) {
		case xml.StartElement:
			typ := ""
			for _, a := range e.Attr {
				if a.Name.Space == xsi && a.Name.Local == "type" {
					typ = a.Value
				}
			}
			if len(stack) > 0 && stack[len(stack)-1] && typ == "" {
				n := e.Name.Local
				if n[0] >= 'a' && n[0] <= 'z' {
					n = "xsd:" + n
				}
				off := d.InputOffset() - 1
				if in[off-1] == '/' {
					off--
				}
				out.Write(in[last:off])
				fmt.Fprintf(&out, ` xsi:type="%s"`, n)
				last = off
			}
			stack = append(stack, strings.HasPrefix(typ, "ArrayOf"))
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		}
	}
	out.Write(in[last:])
	return out.Bytes()
}

// autostart: HostAutoStartManager, not implemented by the simulator
type autostart struct {
	mo.HostAutoStartManager
}

func (a *autostart) ReconfigureAutostart(req *types.ReconfigureAutostart) soap.HasFault {
	if d := req.Spec.Defaults; d != nil {
		a.Config.Defaults = d
	}
	for _, p := range req.Spec.PowerInfo {
		n := a.Config.PowerInfo[:0]
		for _, q := range a.Config.PowerInfo {
			if q.Key != p.Key {
				n = append(n, q)
			}
		}
		a.Config.PowerInfo = append(n, p)
	}
	simulator.Map.Update(a, []types.PropertyChange{{Name: "config", Val: a.Config}})
	return &methods.ReconfigureAutostartBody{Res: &types.ReconfigureAutostartResponse{}}
}

// disks: VirtualDiskManager with the two methods that the simulator lacks
type disks struct {
	mo.VirtualDiskManager
	inner *simulator.VirtualDiskManager
}

func (d *disks) MO() mo.VirtualDiskManager { return d.VirtualDiskManager }

func (d *disks) MoveVirtualDiskTask(c *simulator.Context, r *types.MoveVirtualDisk_Task) soap.HasFault {
	return d.inner.MoveVirtualDiskTask(c, r)
}

func (d *disks) CreateVirtualDiskTask(c *simulator.Context, r *types.CreateVirtualDisk_Task) soap.HasFault {
	return d.inner.CreateVirtualDiskTask(c, r)
}

func (d *disks) DeleteVirtualDiskTask(c *simulator.Context, r *types.DeleteVirtualDisk_Task) soap.HasFault {
	return d.inner.DeleteVirtualDiskTask(c, r)
}

func (d *disks) CopyVirtualDiskTask(c *simulator.Context, r *types.CopyVirtualDisk_Task) soap.HasFault {
	return d.inner.CopyVirtualDiskTask(c, r)
}

func (d *disks) QueryVirtualDiskUuid(c *simulator.Context, r *types.QueryVirtualDiskUuid) soap.HasFault {
	return d.inner.QueryVirtualDiskUuid(c, r)
}

func (d *disks) SetVirtualDiskUuid(c *simulator.Context, r *types.SetVirtualDiskUuid) soap.HasFault {
	return d.inner.SetVirtualDiskUuid(c, r)
}

// contents of the disk "[store] path"
func flat(name string) string {
	i := strings.Index(name, "] ")
	for _, o := range simulator.Map.All("Datastore") {
		if ds := o.(*simulator.Datastore); i > 0 && ds.Name == name[1:i] {
			return path.Join(ds.Info.GetDatastoreInfo().Url, strings.TrimSuffix(name[i+2:], ".vmdk")+"-flat.vmdk")
		}
	}
	return ""
}

func changeFlat(name string, change func(string, int64) error) types.BaseMethodFault {
	file := flat(name)
	st, err := os.Stat(file)
	if err == nil {
		err = change(file, st.Size())
	}
	if err != nil {
		return &types.FileNotFound{FileFault: types.FileFault{File: name}}
	}
	return nil
}

var capacities sync.Map // KiB of grown disks, by the file of their contents

func (d *disks) ExtendVirtualDiskTask(r *types.ExtendVirtualDisk_Task) soap.HasFault {
	t := simulator.CreateTask(d, "extendVirtualDisk", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, changeFlat(r.Name, func(file string, size int64) error {
			capacities.Store(file, r.NewCapacityKb)
			return os.Truncate(file, r.NewCapacityKb<<10)
		})
	})
	return &methods.ExtendVirtualDisk_TaskBody{Res: &types.ExtendVirtualDisk_TaskResponse{Returnval: t.Run()}}
}

func (d *disks) ZeroFillVirtualDiskTask(r *types.ZeroFillVirtualDisk_Task) soap.HasFault {
	t := simulator.CreateTask(d, "zeroFillVirtualDisk", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, changeFlat(r.Name, func(file string, size int64) error {
			if err := os.Truncate(file, 0); err != nil {
				return err
			}
			return os.Truncate(file, size)
		})
	})
	return &methods.ZeroFillVirtualDisk_TaskBody{Res: &types.ZeroFillVirtualDisk_TaskResponse{Returnval: t.Run()}}
}

// screen: what a machine that runs shows, an image that is made of its reference
func screen(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie("vmware_soap_session"); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	vm, ok := simulator.Map.Get(types.ManagedObjectReference{Type: "VirtualMachine", Value: r.URL.Query().Get("id")}).(*simulator.VirtualMachine)
	if !ok || vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	fmt.Fprintf(w, "\x89PNG\r\n\x1a\n%s", vm.Self.Value)
}

// browser: the simulator's HostDatastoreBrowser treats an absent matchPattern as
// "no file", writes folderPath as "[ds]/dir" and leaves the VmDisk fields unset
type browser struct {
	mo.HostDatastoreBrowser // the simulator wants the mo type embedded directly
	inner                   *simulator.HostDatastoreBrowser
}

func fixTask(ref types.ManagedObjectReference) {
	t, ok := simulator.Map.Get(ref).(*simulator.Task)
	if !ok || t.Info.Result == nil {
		return
	}
	one := func(r *types.HostDatastoreBrowserSearchResults) {
		r.FolderPath = strings.Replace(r.FolderPath, "]/", "] ", 1)
		for i, f := range r.File {
			fi := f.GetFileInfo()
			if fi.FileSize == 0 {
				fi.FileSize = 1 // the wire drops a zero
			}
			if d, ok := r.File[i].(*types.VmDiskFileInfo); ok {
				d.CapacityKb, d.HardwareVersion = 65536, 13
				if grown, ok := capacities.Load(flat(strings.TrimSuffix(r.FolderPath, "/") + "/" + d.Path)); ok {
					d.CapacityKb = grown.(int64)
				}
				d.ControllerType = "VirtualLsiLogicController"
			}
		}
	}
	switch r := t.Info.Result.(type) {
	case types.HostDatastoreBrowserSearchResults:
		one(&r)
		t.Info.Result = r
	case types.ArrayOfHostDatastoreBrowserSearchResults:
		for i := range r.HostDatastoreBrowserSearchResults {
			one(&r.HostDatastoreBrowserSearchResults[i])
		}
		t.Info.Result = r
	}
}

func spec(s *types.HostDatastoreBrowserSearchSpec) *types.HostDatastoreBrowserSearchSpec {
	if s == nil {
		s = new(types.HostDatastoreBrowserSearchSpec)
	}
	if len(s.MatchPattern) == 0 {
		s.MatchPattern = []string{"*"}
	}
	return s
}

func (b *browser) SearchDatastoreTask(s *types.SearchDatastore_Task) soap.HasFault {
	s.SearchSpec = spec(s.SearchSpec)
	r := b.inner.SearchDatastoreTask(s)
	fixTask(r.(*methods.SearchDatastore_TaskBody).Res.Returnval)
	return r
}

func (b *browser) SearchDatastoreSubFoldersTask(s *types.SearchDatastoreSubFolders_Task) soap.HasFault {
	s.SearchSpec = spec(s.SearchSpec)
	r := b.inner.SearchDatastoreSubFoldersTask(s)
	fixTask(r.(*methods.SearchDatastoreSubFolders_TaskBody).Res.Returnval)
	return r
}

// vmx: what a real host would have written for this VM
func vmx(vm *simulator.VirtualMachine) string {
	c := vm.Config
	var b strings.Builder
	w := func(k string, v interface{}) { fmt.Fprintf(&b, "%s = \"%v\"\n", k, v) }
	w(".encoding", "UTF-8")
	w("config.version", 8)
	w("virtualHW.version", strings.TrimLeft(strings.TrimPrefix(c.Version, "vmx-"), "0"))
	w("displayName", c.Name)
	w("guestOS", strings.TrimSuffix(c.GuestId, "Guest"))
	w("memsize", c.Hardware.MemoryMB)
	w("numvcpus", c.Hardware.NumCPU)
	h := strings.ReplaceAll(c.Uuid, "-", "")
	var u []string
	for i := 0; i+2 <= len(h); i += 2 {
		u = append(u, h[i:i+2])
	}
	w("uuid.bios", strings.Join(u[:8], " ")+"-"+strings.Join(u[8:], " "))
	e := 0
	for _, d := range c.Hardware.Device {
		switch d := d.(type) {
		case *types.VirtualDisk:
			w("scsi0.present", "TRUE")
			w("scsi0.virtualDev", "lsilogic")
			k := fmt.Sprintf("scsi0:%d.", *d.UnitNumber)
			w(k+"present", "TRUE")
			w(k+"deviceType", "scsi-hardDisk")
			if f, ok := d.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
				w(k+"fileName", path.Base(f.GetVirtualDeviceFileBackingInfo().FileName))
			}
		case types.BaseVirtualEthernetCard:
			n := d.GetVirtualEthernetCard()
			k := fmt.Sprintf("ethernet%d.", e)
			e++
			w(k+"present", "TRUE")
			w(k+"virtualDev", "e1000")
			w(k+"connectionType", "bridged")
			w(k+"networkName", "VM Network")
			w(k+"addressType", "vpx")
			w(k+"generatedAddress", n.MacAddress)
		}
	}
	return b.String()
}

// fillVMX writes the file behind [ds] path when the simulator left it empty
func fillVMX(file string) {
	for _, o := range simulator.Map.All("VirtualMachine") {
		vm := o.(*simulator.VirtualMachine)
		f := vm.Config.Files.VmPathName // "[ds] dir/x.vmx"
		i := strings.Index(f, "] ")
		if i < 0 || f[i+2:] != file {
			continue
		}
		for _, d := range simulator.Map.All("Datastore") {
			ds := d.(*simulator.Datastore)
			if ds.Name != f[1:i] {
				continue
			}
			p := path.Join(ds.Info.GetDatastoreInfo().Url, file)
			if st, err := os.Stat(p); err == nil && st.Size() == 0 {
				_ = os.WriteFile(p, []byte(vmx(vm)), 0600)
			}
		}
	}
}

// applyVMX: the simulator's RegisterVM_Task never reads the .vmx; do it here
func applyVMX() {
	for _, o := range simulator.Map.All("VirtualMachine") {
		vm := o.(*simulator.VirtualMachine)
		f := vm.Config.Files.VmPathName
		i := strings.Index(f, "] ")
		if i < 0 {
			continue
		}
		for _, d := range simulator.Map.All("Datastore") {
			ds := d.(*simulator.Datastore)
			if ds.Name != f[1:i] {
				continue
			}
			b, err := os.ReadFile(path.Join(ds.Info.GetDatastoreInfo().Url, f[i+2:]))
			if err != nil || len(b) == 0 || applied[vm.Self.Value] {
				continue
			}
			applied[vm.Self.Value] = true
			var c []types.PropertyChange
			set := func(v interface{}, names ...string) {
				for _, n := range names {
					c = append(c, types.PropertyChange{Name: n, Val: v})
				}
			}
			for _, l := range strings.Split(string(b), "\n") {
				kv := strings.SplitN(l, "=", 2)
				if len(kv) != 2 {
					continue
				}
				v := strings.Trim(strings.TrimSpace(kv[1]), `"`)
				n, _ := strconv.Atoi(v)
				switch strings.TrimSpace(kv[0]) {
				case "displayName":
					set(v, "name", "config.name", "summary.config.name")
				case "numvcpus":
					set(int32(n), "config.hardware.numCPU", "summary.config.numCpu")
				case "memsize":
					set(int32(n), "config.hardware.memoryMB", "summary.config.memorySizeMB")
				case "uuid.bios":
					h := strings.NewReplacer(" ", "", "-", "").Replace(v)
					if len(h) == 32 {
						set(h[:8]+"-"+h[8:12]+"-"+h[12:16]+"-"+h[16:20]+"-"+h[20:], "config.uuid", "summary.config.uuid")
					}
				}
			}
			simulator.Map.Update(vm, c)
		}
	}
}

var applied = map[string]bool{}

func main() {
	listen := flag.String("l", "127.0.0.1:8989", "listen address (loopback); port 0: any")
	isESX := flag.Bool("esx", false, "standalone ESX")
	vm := flag.Int("vm", 2, "VMs per pool")
	user := flag.String("username", "root", "")
	pass := flag.String("password", "pw", "")
	enrich := flag.Bool("enrich", false, "fill what a real host has and the simulator lacks")
	slow := flag.String("method-delay", "", "Method:ms[,Method:ms]")
	raw := flag.Bool("raw", false, "no xsi:type filter")
	trace := flag.String("trace", "", "trace file (filtered wire)")
	flag.Parse()

	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	esx.HostSystem.Summary.Config.Port = int32(l.Addr().(*net.TCPAddr).Port)

	if *enrich {
		esx.HostSystem.Capability = &types.HostCapability{VmotionSupported: true, MaxSupportedVcpus: 128, ScreenshotSupported: false}
		addAdapter()
	}
	model := simulator.VPX()
	if *isESX {
		model = simulator.ESX()
	}
	model.Machine = *vm
	if *slow != "" {
		model.DelayConfig.MethodDelay = map[string]int{}
		for _, p := range strings.Split(*slow, ",") {
			if kv := strings.SplitN(p, ":", 2); len(kv) == 2 {
				model.DelayConfig.MethodDelay[kv[0]], _ = strconv.Atoi(kv[1])
			}
		}
	}
	if err = model.Create(); err != nil {
		log.Fatal(err)
	}
	if *enrich {
		for _, d := range simulator.Map.All("Datastore") {
			ds := d.(*simulator.Datastore)
			for _, h := range simulator.Map.All("HostSystem") {
				hs, has := h.(*simulator.HostSystem), false
				for i := range ds.Host {
					has = has || ds.Host[i].Key == hs.Self
				}
				if !has && len(ds.Host) > 0 {
					m := ds.Host[0]
					m.Key = hs.Self
					ds.Host = append(ds.Host, m)
				}
			}
			for i := range ds.Host {
				ds.Host[i].MountInfo.Path = "/vmfs/volumes/" + ds.Name
			}
		}
		done := map[string]bool{}
		for _, h := range simulator.Map.All("HostSystem") {
			hs := h.(*simulator.HostSystem)
			if ns, ok := simulator.Map.Get(*hs.ConfigManager.NetworkSystem).(*simulator.HostNetworkSystem); ok {
				ns.NetworkInfo = hs.Config.Network // one switch list, not two
			}
		}
		for _, d := range simulator.Map.All("Datastore") {
			ref := d.(*simulator.Datastore).Browser
			if b, ok := simulator.Map.Get(ref).(*simulator.HostDatastoreBrowser); ok && !done[ref.Value] {
				done[ref.Value] = true
				simulator.Map.Put(&browser{b.HostDatastoreBrowser, b})
			}
		}
		d := simulator.Map.VirtualDiskManager().(*simulator.VirtualDiskManager)
		simulator.Map.Put(&disks{d.VirtualDiskManager, d})
		for _, o := range simulator.Map.All("VirtualMachine") {
			applied[o.Reference().Value] = true
		}
		perf := vpx.ServiceContent.PerfManager
		if *isESX {
			perf = esx.ServiceContent.PerfManager
		}
		simulator.Map.Put(&figures{simulator.Map.Get(*perf).(*simulator.PerformanceManager).PerformanceManager})
		addRescan()
		a := new(autostart)
		a.Self = types.ManagedObjectReference{Type: "HostAutoStartManager", Value: "ha-autostart-mgr"}
		a.Config.Defaults = &types.AutoStartDefaults{Enabled: types.NewBool(false)}
		simulator.Map.Put(a)
	}
	model.Service.RegisterEndpoints = true
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(*user, *pass)}
	s := model.Service.NewServer()
	inner := &url.URL{Scheme: s.URL.Scheme, Host: s.URL.Host}

	var tf io.Writer = io.Discard
	if *trace != "" {
		f, err := os.Create(*trace)
		if err != nil {
			log.Fatal(err)
		}
		tf = f
	}
	questions.send = func(r *http.Request, body []byte) error {
		again, err := http.NewRequest("POST", inner.String()+"/sdk", bytes.NewReader(body))
		if err != nil {
			return err
		}
		again.Header = r.Header.Clone()
		answer, err := http.DefaultClient.Do(again)
		if err == nil {
			answer.Body.Close()
		}
		return err
	}
	rp := httputil.NewSingleHostReverseProxy(inner)
	rp.ModifyResponse = func(r *http.Response) error {
		if !strings.HasPrefix(r.Request.URL.Path, "/sdk") {
			fmt.Fprintf(tf, "HTTP %s %s -> %d\n", r.Request.Method, r.Request.URL, r.StatusCode)
			return nil
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body.Close()
		if *enrich && bytes.Contains(b, []byte("<RegisterVM_TaskResponse")) {
			applyVMX()
		}
		if len(bytes.TrimSpace(b)) == 0 && *enrich && r.StatusCode == 200 { // RefreshDatastore: nil 'Res' in 0.24.2
			b = []byte(`<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><RefreshDatastoreResponse xmlns="urn:vim25"/></soapenv:Body></soapenv:Envelope>`)
		}
		if !*raw {
			b = fix(b)
		}
		fmt.Fprintf(tf, "RSP %d %s\n", r.StatusCode, b)
		r.Body = io.NopCloser(bytes.NewReader(b))
		r.ContentLength = int64(len(b))
		r.Header.Set("Content-Length", strconv.Itoa(len(b)))
		return nil
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/sdk") {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(tf, "REQ %s\n", b)
			r.Body = io.NopCloser(bytes.NewReader(b))
			if *enrich && questions.serve(w, r, b) {
				return
			}
		}
		if *enrich && r.URL.Path == "/ask" {
			questions.unasked(w, r)
			return
		}
		if *enrich && r.URL.Path == "/screen" {
			screen(w, r)
			return
		}
		if *enrich && r.Method == "GET" && strings.HasSuffix(r.URL.Path, ".vmx") {
			fillVMX(strings.TrimPrefix(r.URL.Path, "/folder/"))
		}
		if *enrich && r.Method == "PUT" && strings.HasSuffix(r.URL.Path, ".vmx") {
			// RegisterVM_Task of 0.24.2 insists on <dir>.nvram and vmware.log beside the .vmx
			f := strings.TrimPrefix(r.URL.Path, "/folder/")
			for _, d := range simulator.Map.All("Datastore") {
				ds := d.(*simulator.Datastore)
				if ds.Name == r.URL.Query().Get("dsName") {
					dir := path.Join(ds.Info.GetDatastoreInfo().Url, path.Dir(f))
					_ = os.MkdirAll(dir, 0700)
					for _, n := range []string{path.Dir(f) + ".nvram", "vmware.log"} {
						if fh, err := os.OpenFile(path.Join(dir, n), os.O_CREATE|os.O_WRONLY, 0600); err == nil {
							fh.Close()
						}
					}
				}
			}
		}
		rp.ServeHTTP(w, r)
	})
	ts := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}, TLS: &tls.Config{}}
	ts.StartTLS() // httptest's self-signed cert for 127.0.0.1 / example.com
	fmt.Printf("export GOVC_URL=https://%s:%s@%s/sdk GOVC_SIM_PID=%d\n", *user, *pass, l.Addr(), os.Getpid())
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	<-c
	model.Remove()
}
