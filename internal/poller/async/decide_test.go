package async

import (
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

func number(n int32) *int32 { return &n }

func TestDecide(t *testing.T) {
	plain := settingsOf(nil, nil)
	once := settingsOf(&record.EventInvokeConfig{MaxRetries: number(0)}, nil)
	brief := settingsOf(&record.EventInvokeConfig{MaxAgeS: number(60)}, nil)
	none := settingsOf(nil, &record.Concurrency{Reserved: 0})
	some := settingsOf(nil, &record.Concurrency{Reserved: 1})
	for name, tc := range map[string]struct {
		s                settings
		age              time.Duration
		attempts, leases int
		o                outcome
		want             step
	}{
		"first":                {plain, 0, 0, 1, untried, step{action: actInvoke}},
		"old":                  {plain, 6 * time.Hour, 0, 1, untried, step{action: actFinish, condition: eventAgeExceeded}},
		"just young enough":    {plain, 6*time.Hour - 1, 2, 1, untried, step{action: actInvoke}},
		"old by configuration": {brief, time.Minute, 1, 1, untried, step{action: actFinish, condition: eventAgeExceeded}},
		"nothing reserved":     {none, 0, 0, 1, untried, step{action: actFinish, condition: zeroReserved}},
		"something reserved":   {some, 0, 0, 1, untried, step{action: actInvoke}},
		"ran":                  {plain, 0, 3, 1, ran, step{action: actFinish, condition: succeeded}},
		"failed once":          {plain, 0, 1, 1, failed, step{action: actRetry, pause: time.Minute}},
		"failed twice":         {plain, 0, 2, 1, failed, step{action: actRetry, pause: 2 * time.Minute}},
		"failed three times":   {plain, 0, 3, 1, failed, step{action: actFinish, condition: retriesExhausted}},
		"no retries":           {once, 0, 1, 1, failed, step{action: actFinish, condition: retriesExhausted}},
		"throttled":            {plain, 0, 0, 1, postponed, step{action: actPostpone, pause: time.Second}},
		"throttled again":      {plain, 0, 0, 4, postponed, step{action: actPostpone, pause: 8 * time.Second}},
		"throttled for long":   {plain, 0, 0, 1000, postponed, step{action: actPostpone, pause: 5 * time.Minute}},
		"in a loop":            {plain, 0, 0, 1, stopped, step{action: actFinish, condition: recursion}},
		"gone":                 {plain, 0, 0, 1, gone, step{action: actDrop}},
	} {
		if got := decide(tc.s, tc.age, tc.attempts, tc.leases, tc.o); got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

func TestTwoShards(t *testing.T) {
	seen := map[[2]int]int{}
	for i := range 10_000 {
		a, b := twoOf(record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: string(rune('a'+i%26)) + time.Duration(i).String()})
		if a == b || a < 0 || b < 0 || a >= shardCount || b >= shardCount {
			t.Fatalf("shards %d and %d", a, b)
		}
		seen[[2]int{a, b}]++
	}
	if len(seen) < shardCount*(shardCount-1)*3/4 {
		t.Errorf("10,000 functions share %d pairs of %d", len(seen), shardCount*(shardCount-1))
	}
}
