// SPDX-License-Identifier: BSD-2-Clause

// What a Go program asks for that is compiled here: goroutines, garbage, a fault that it recovers from, a child.
package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
)

var done int

func tell(good bool, name string) {
	done++
	if !good {
		fmt.Print("not ")
	}
	fmt.Printf("ok %d - %s\n", done, name)
}

func sum() bool {
	parts := make(chan int)
	var group sync.WaitGroup
	for n := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			sum := 0
			for i := n; i < 100000; i += 4 {
				sum += len(make([]byte, 64)) / 64 * i
			}
			parts <- sum
		}()
	}
	go func() { group.Wait(); close(parts) }()
	all := 0
	for part := range parts {
		all += part
	}
	return all == 4999950000
}

func recovers() (good bool) {
	defer func() { good = recover() != nil }()
	var none *int
	*none = 1
	return
}

// One goroutine that makes no call, which the others have to take the CPU from by a signal.
func preempted() bool {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop atomic.Bool
	go func() {
		for !stop.Load() {
		}
	}()
	runtime.Gosched()
	stop.Store(true)
	return true
}

func child() bool {
	out, err := exec.Command("echo", "child").Output()
	failed := exec.Command("sh", "-c", "exit 3").Run()
	return err == nil && string(out) == "child\n" && failed != nil && failed.Error() == "exit status 3"
}

func main() {
	tell(sum(), "goroutines")
	tell(recovers(), "a fault that is recovered from")
	tell(preempted(), "a goroutine that makes no call is preempted")
	tell(child(), "a child")
	fmt.Printf("1..%d\n", done)
}
