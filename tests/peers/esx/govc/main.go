// SPDX-License-Identifier: LGPL-2.1-or-later
// govc with the commands that the tests use: all of them take far longer to build.
package main

import (
	"os"

	"github.com/vmware/govmomi/govc/cli"

	_ "github.com/vmware/govmomi/govc/device"
	_ "github.com/vmware/govmomi/govc/events"
	_ "github.com/vmware/govmomi/govc/object"
	_ "github.com/vmware/govmomi/govc/vm"
	_ "github.com/vmware/govmomi/govc/vm/snapshot"
)

func main() {
	os.Exit(cli.Run(os.Args[1:]))
}
