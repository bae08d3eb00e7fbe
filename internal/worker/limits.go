package worker

import (
	"errors"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
)

const (
	// memoryMiBPerCore: a function with 1,769 MiB has one vCPU, others in proportion.
	// Source: Lambda developer guide, "Configure Lambda function memory".
	memoryMiBPerCore = 1769
	// initCPUMilli is what INIT has at least, whatever the memory. Source: Lambda
	// operator guide, "Optimizing static initialization": INIT runs with the host's boost.
	initCPUMilli = 1000
	// boostGrace is how long INIT's share is left to the environment: with that of a small function the
	// kernel would stop it for most of a period in the middle of a first invoke that takes 2 ms, because
	// what it runs on comes into its memory just then.
	boostGrace = 50 * time.Millisecond
)

// limitsOf are the limits that a function's sandbox starts with: those of INIT,
// if the share can be lowered afterwards.
func limitsOf(fn *record.Function, box sandbox.Sandbox, strict bool) sandbox.Limits {
	cpu := cpuMilliOf(fn)
	if _, adjustable := box.(sandbox.CPULimiter); adjustable {
		cpu = max(initCPUMilli, cpu)
	}
	return sandbox.Limits{MemoryMiB: fn.MemoryMiB, CPUMilli: cpu, TmpMiB: fn.TmpMiB, Strict: strict}
}

// cpuMilliOf is a function's own share of processor time.
func cpuMilliOf(fn *record.Function) int { return max(1, fn.MemoryMiB*1000/memoryMiBPerCore) }

// endBoost gives the environment the share that its memory stands for, when boostGrace is over.
func (e *Environment) endBoost(p *process) {
	share := cpuMilliOf(e.fn)
	box, ok := p.box.(sandbox.CPULimiter)
	if !ok || share >= initCPUMilli {
		return
	}
	p.boost.Store(time.AfterFunc(boostGrace, func() {
		if err := box.LimitCPU(p.ctx, share); err != nil && p.ctx.Err() == nil && !errors.Is(err, sandbox.ErrUnsupported) && !errors.Is(err, sandbox.ErrDestroyed) {
			e.worker.log.Warn("an environment keeps the CPU share of its INIT", "sandbox", p.box.ID(), "error", err)
		}
	}))
}
