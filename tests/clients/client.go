// SPDX-License-Identifier: LGPL-2.1-or-later

// client SOCKET XML IMAGE: drives the daemon with a client that shares no code with libvirt's: its own
// framing, its own encoder. Prints one line per check, "ok ..." or "FAIL ...".
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/digitalocean/go-libvirt"
)

var failed bool

func check(good bool, what string, details ...interface{}) {
	if good {
		fmt.Println("ok", what)
		return
	}
	failed = true
	fmt.Println(append([]interface{}{"FAIL", what}, details...)...)
}

func works(err error, what string) {
	check(err == nil, what, err)
}

func connect(path string) *libvirt.Libvirt {
	conn, err := net.DialTimeout("unix", path, 5*time.Second)
	if err != nil {
		fmt.Println("FAIL dial", err)
		os.Exit(1)
	}
	client := libvirt.New(conn)
	if err := client.Connect(); err != nil {
		fmt.Println("FAIL connect", err)
		os.Exit(1)
	}
	return client
}

func host(client *libvirt.Libvirt) {
	version, err := client.ConnectGetVersion()
	check(err == nil && version > 7000000, "version", version, err)
	kind, err := client.ConnectGetType()
	check(err == nil && kind == "QEMU", "type", kind, err)
	name, err := client.ConnectGetHostname()
	check(err == nil && name != "", "hostname", err)
	caps, err := client.Capabilities()
	check(err == nil && strings.Contains(string(caps), "<capabilities>"), "capabilities", err)
	model, memory, cpus, _, _, _, _, _, err := client.NodeGetInfo()
	check(err == nil && cpus > 0 && memory > 0, "node info", err)
	text := ""
	for _, letter := range model {
		if letter != 0 {
			text += string(rune(letter))
		}
	}
	check(text == "x86_64", "node model is an array of characters", text)
	uri, err := client.ConnectGetUri()
	check(err == nil && uri == "qemu:///system", "uri", uri, err)
	_, err = client.DomainLookupByName("nope")
	check(libvirt.IsNotFound(err), "unknown domain is not found", err)
}

func life(client *libvirt.Libvirt, xml string) {
	events := map[int32]int{}
	var lock sync.Mutex
	ctx, cancel := context.WithCancel(context.Background())
	channel, err := client.LifecycleEvents(ctx)
	works(err, "listen to events")
	finished := make(chan bool)
	go func() {
		for event := range channel {
			lock.Lock()
			events[event.Event]++
			lock.Unlock()
		}
		finished <- true
	}()

	domain, err := client.DomainDefineXML(xml)
	works(err, "define")
	check(domain.Name == "go" && domain.ID == -1, "defined domain", domain)
	again, err := client.DomainLookupByUUID(domain.UUID)
	check(err == nil && again.Name == "go", "lookup by uuid", err)
	state, _, err := client.DomainGetState(domain, 0)
	check(err == nil && state == int32(libvirt.DomainShutoff), "state off", state, err)
	domains, count, err := client.ConnectListAllDomains(1, 0)
	check(err == nil && count == 1 && len(domains) == 1, "list", count, err)
	_, count, err = client.ConnectListAllDomains(0, 0)
	check(err == nil && count == 1, "count only", count, err)
	names, err := client.ConnectListDefinedDomains(10)
	check(err == nil && len(names) == 1 && names[0] == "go", "old list", names, err)
	text, err := client.DomainGetXMLDesc(domain, 0)
	check(err == nil && strings.Contains(text, "<name>go</name>"), "xml", err)

	snapshot, err := client.DomainSnapshotCreateXML(domain, "<domainsnapshot><name>s1</name></domainsnapshot>", 0)
	check(err == nil && snapshot.Name == "s1" && snapshot.Dom.Name == "go", "snapshot", err)
	snapshots, _, err := client.DomainListAllSnapshots(domain, 1, 0)
	check(err == nil && len(snapshots) == 1, "snapshot list", err)
	current, err := client.DomainSnapshotCurrent(domain, 0)
	check(err == nil && current.Name == "s1", "current snapshot", err)
	works(client.DomainRevertToSnapshot(snapshot, 0), "revert")
	works(client.DomainSnapshotDelete(snapshot, 0), "delete snapshot")

	works(client.DomainCreate(domain), "start")
	state, _, err = client.DomainGetState(domain, 0)
	check(err == nil && state == int32(libvirt.DomainRunning), "state running", state, err)
	infoState, maximum, _, cpus, _, err := client.DomainGetInfo(domain)
	check(err == nil && infoState == 1 && maximum == 16384 && cpus == 1, "info", infoState, maximum, cpus, err)
	records, err := client.ConnectGetAllDomainStats([]libvirt.Domain{domain}, 0, 0)
	check(err == nil && len(records) == 1 && len(records[0].Params) > 5, "typed parameters", err)
	works(client.DomainSuspend(domain), "suspend")
	works(client.DomainResume(domain), "resume")
	works(client.DomainDestroy(domain), "destroy")
	works(client.DomainUndefine(domain), "undefine")
	_, _, err = client.DomainGetState(domain, 0)
	check(libvirt.IsNotFound(err), "gone", err)

	time.Sleep(300 * time.Millisecond)
	cancel()
	select {
	case <-finished:
	case <-time.After(5 * time.Second):
	}
	lock.Lock()
	defer lock.Unlock()
	for number, name := range []string{"defined", "undefined", "started", "suspended", "resumed", "stopped"} {
		check(events[int32(number)] > 0, "event "+name)
	}
}

func many(client *libvirt.Libvirt, xml string) {
	domain, err := client.DomainDefineXML(xml)
	works(err, "define")
	var group sync.WaitGroup
	var lock sync.Mutex
	wrong := 0
	for i := 0; i < 16; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 100; j++ {
				found, err := client.DomainLookupByName("go")
				if err != nil || found.UUID != domain.UUID {
					lock.Lock()
					wrong++
					lock.Unlock()
				}
			}
		}()
	}
	group.Wait()
	check(wrong == 0, "1600 calls of 16 goroutines over one connection", wrong)
	works(client.DomainUndefine(domain), "undefine")
}

func main() {
	xml, err := os.ReadFile(os.Args[2])
	works(err, "read xml")
	client := connect(os.Args[1])
	host(client)
	life(client, string(xml))
	// This client stands still when an event comes that it has given up, but not yet told the daemon so.
	works(client.Disconnect(), "disconnect")
	client = connect(os.Args[1])
	many(client, string(xml))
	works(client.Disconnect(), "disconnect again")
	if failed {
		os.Exit(1)
	}
}
