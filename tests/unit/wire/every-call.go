// SPDX-License-Identifier: LGPL-2.1-or-later

// every-call SOCKET: calls every procedure that the pure Go client knows, with made-up arguments, on
// the test driver, where nothing it asks for can hurt.
package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/digitalocean/go-libvirt"
)

// Not procedures, or not survivable by the connection.
var skipped = map[string]bool{
	"Connect": true, "ConnectToURI": true, "Disconnect": true, "Disconnected": true, "IsConnected": true,
	"Domains": true, "DomainState": true, "SubscribeQEMUEvents": true, "SubscribeEvents": true,
	"LifecycleEvents": true, "Run": true, "Secrets": true, "StoragePool": true, "StoragePools": true,
	"Undefine": true, "Destroy": true, "XML": true, "DefineXML": true, "Version": true, "Shutdown": true,
	"Reboot": true, "Reset": true, "SetBlockIOTune": true, "GetBlockIOTune": true, "Route": true,
	"Capabilities": true, "NetworkUpdateCompat": true, "ConnectOpen": true, "ConnectClose": true,
	"NodeSuspendForDuration": true,
	// these wait for descriptors that the client cannot send, or for a stream that never ends
	"DomainOpenConsole": true, "DomainOpenChannel": true,
}

func fill(v reflect.Value, depth int) {
	if v.Type() == reflect.TypeOf(libvirt.TypedParamValue{}) {
		v.Set(reflect.ValueOf(*libvirt.NewTypedParamValueString("text")))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("name")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Array:
		for i := 0; i < v.Len(); i++ {
			fill(v.Index(i), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Struct:
		for i := 0; i < v.NumField(); i++ {
			if v.Field(i).CanSet() {
				fill(v.Field(i), depth+1)
			}
		}
	}
}

func open(path string) *libvirt.Libvirt {
	conn, err := net.DialTimeout("unix", path, 2*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	client := libvirt.New(conn)
	if err := client.ConnectToURI(libvirt.TestDefault); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return client
}

func call(client *libvirt.Libvirt, method reflect.Method) {
	function := method.Func
	args := []reflect.Value{reflect.ValueOf(client)}
	for i := 1; i < function.Type().NumIn(); i++ {
		kind := function.Type().In(i)
		switch kind.String() {
		case "io.Reader":
			args = append(args, reflect.ValueOf(bytes.NewReader([]byte("stream data"))))
			continue
		case "io.Writer":
			args = append(args, reflect.ValueOf(&bytes.Buffer{}))
			continue
		}
		value := reflect.New(kind).Elem()
		fill(value, 0)
		args = append(args, value)
	}
	results := function.Call(args)
	fmt.Println(method.Name, results[len(results)-1])
}

// Not every reply can be read by this client: each call has a process of its own to fail in.
func callAlone(name string) {
	child := exec.Command(os.Args[0], os.Args[1], name)
	child.Stdout = os.Stdout
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	timer := time.AfterFunc(2*time.Second, func() { child.Process.Kill() })
	if err := child.Wait(); err != nil {
		fmt.Println("lost", name, err)
	}
	timer.Stop()
}

func main() {
	kind := reflect.TypeOf(&libvirt.Libvirt{})
	if len(os.Args) == 3 {
		client := open(os.Args[1])
		method, _ := kind.MethodByName(os.Args[2])
		call(client, method)
		client.Disconnect()
		return
	}
	names := []string{}
	for i := 0; i < kind.NumMethod(); i++ {
		name := kind.Method(i).Name
		event := strings.Contains(name, "Event") && !strings.HasPrefix(name, "Connect")
		if !skipped[name] && !event && !strings.HasPrefix(name, "Auth") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		callAlone(name)
	}
}
