package node

import "testing"

func TestAutomaticMemory(t *testing.T) {
	for _, tc := range []struct {
		machineMiB, want int
		templatesMiB     int64
	}{
		{512, 256, 25},
		{1024, 512, 51},
		{2048, 1024, 102},
		{4096, 3072, 307},
		{8192, 6553, 655},
		{24105, 19284, 1024},
		{1 << 20, 838860, 1024},
	} {
		got := automaticMiB(tc.machineMiB)
		if templates := templatesBytes(got) >> 20; got != tc.want || templates != tc.templatesMiB {
			t.Errorf("of %d MiB: %d and %d for templates, want %d and %d", tc.machineMiB, got, templates, tc.want, tc.templatesMiB)
		}
	}
}
