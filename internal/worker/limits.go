package worker

import (
	"context"
	"errors"

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

// endBoost gives the environment the share that its memory stands for.
func (e *Environment) endBoost(ctx context.Context, p *process) {
	share := cpuMilliOf(e.fn)
	box, ok := p.box.(sandbox.CPULimiter)
	if !ok || share >= initCPUMilli {
		return
	}
	if err := box.LimitCPU(ctx, share); err != nil && !errors.Is(err, sandbox.ErrUnsupported) && !errors.Is(err, sandbox.ErrDestroyed) {
		e.worker.log.Warn("an environment keeps the CPU share of its INIT", "sandbox", p.box.ID(), "error", err)
	}
}
