// SPDX-License-Identifier: LGPL-2.1-or-later
// Questions of machines, which the simulator does not have: runtime.question, AnswerVM, and a start that waits for the answer.
// A machine with the annotation "asks" asks when it is started, as one that has been moved does; GET /ask?id=REFERENCE has
// one ask that runs. Tasks of the simulator end before they are answered, so such a start is held back here.
package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

type asking struct {
	sync.Mutex
	waits map[string]*start // by the machine's reference; nil: it asks for nothing that waits
	n     int
	send  func(r *http.Request, body []byte) error // to the simulator
}

type start struct {
	task    *simulator.Task
	request *http.Request
	body    []byte
}

type envelope struct {
	Body struct {
		Call struct {
			XMLName xml.Name
			This    string `xml:"_this"`
			Answer  string `xml:"answerChoice"`
			Id      string `xml:"questionId"`
		} `xml:",any"`
	}
}

var questions = asking{waits: map[string]*start{}}

func machine(value string) *simulator.VirtualMachine {
	vm, _ := simulator.Map.Get(types.ManagedObjectReference{Type: "VirtualMachine", Value: value}).(*simulator.VirtualMachine)
	return vm
}

func element(key, label string) types.BaseElementDescription {
	return &types.ElementDescription{Key: key, Description: types.Description{Label: label, Summary: label}}
}

// ask: with the lock held
func (q *asking) ask(vm *simulator.VirtualMachine, waits *start) {
	q.n++
	q.waits[vm.Self.Value] = waits
	simulator.Map.Update(vm, []types.PropertyChange{{Name: "runtime.question", Val: &types.VirtualMachineQuestionInfo{
		Id:   fmt.Sprint(q.n),
		Text: "This machine might have been moved or copied.",
		Choice: types.ChoiceOption{DefaultIndex: 2, ChoiceInfo: []types.BaseElementDescription{
			element("0", "Cancel"), element("1", "I moved it"), element("2", "I copied it")}},
	}}})
}

func finish(t *simulator.Task, fault types.BaseMethodFault) {
	changes := []types.PropertyChange{{Name: "info.state", Val: types.TaskInfoStateSuccess}}
	if fault != nil {
		changes = []types.PropertyChange{{Name: "info.state", Val: types.TaskInfoStateError},
			{Name: "info.error", Val: types.LocalizedMethodFault{Fault: fault, LocalizedMessage: "it was given up"}}}
	}
	simulator.Map.Update(t, changes)
}

// answered: with the lock held
func (q *asking) answered(vm *simulator.VirtualMachine, goes bool) {
	waits := q.waits[vm.Self.Value]
	delete(q.waits, vm.Self.Value)
	simulator.Map.Update(vm, []types.PropertyChange{{Name: "runtime.question"}})
	if waits == nil {
		return
	}
	if goes && q.send(waits.request, waits.body) == nil {
		finish(waits.task, nil)
	} else {
		finish(waits.task, &types.RequestCanceled{})
	}
}

func reply(w http.ResponseWriter, method, content string) {
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">`+
		`<e:Body><%sResponse xmlns="urn:vim25">%s</%sResponse></e:Body></e:Envelope>`, method, content, method)
}

// serve: whether the request was about a question
func (q *asking) serve(w http.ResponseWriter, r *http.Request, body []byte) bool {
	var e envelope
	if !bytes.Contains(body, []byte("AnswerVM")) && !bytes.Contains(body, []byte("PowerOnVM_Task")) &&
		!bytes.Contains(body, []byte("PowerOffVM_Task")) && !bytes.Contains(body, []byte("CancelTask")) || xml.Unmarshal(body, &e) != nil {
		return false
	}
	q.Lock()
	defer q.Unlock()
	call := e.Body.Call
	switch call.XMLName.Local {
	case "PowerOnVM_Task":
		vm := machine(call.This)
		if vm == nil || vm.Config.Annotation != "asks" {
			return false
		}
		t := simulator.CreateTask(vm, "powerOn", nil)
		simulator.Map.Update(t, []types.PropertyChange{{Name: "info.state", Val: types.TaskInfoStateRunning}})
		q.ask(vm, &start{t, r, body})
		reply(w, "PowerOnVM_Task", `<returnval type="Task">`+t.Self.Value+`</returnval>`)
	case "PowerOffVM_Task": // nobody is left to wait for the answer
		if vm := machine(call.This); vm != nil && vm.Runtime.Question != nil {
			q.answered(vm, false)
		}
		return false
	case "AnswerVM":
		vm := machine(call.This)
		if vm == nil || vm.Runtime.Question == nil || vm.Runtime.Question.Id != call.Id {
			return false
		}
		q.answered(vm, call.Answer != "0")
		reply(w, "AnswerVM", "")
	case "CancelTask":
		for value, s := range q.waits {
			if s != nil && s.task.Self.Value == call.This {
				q.answered(machine(value), false)
				reply(w, "CancelTask", "")
				return true
			}
		}
		return false
	}
	return true
}

func (q *asking) unasked(w http.ResponseWriter, r *http.Request) {
	q.Lock()
	defer q.Unlock()
	if vm := machine(r.URL.Query().Get("id")); vm != nil {
		q.ask(vm, nil)
	}
}
