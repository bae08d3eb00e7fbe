package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store"
)

// ProvisionedPrefix begins the key of every provisioned concurrency configuration:
//
//	lambda/provisioned/ACCOUNT/REGION/NAME/0000000001
const ProvisionedPrefix = "lambda/provisioned/"

const provisionedForm = 1

// ProvisionedState is how far a configuration has come. Source: Lambda API,
// GetProvisionedConcurrencyConfig, Status.
type ProvisionedState string

const (
	ProvisionedInProgress ProvisionedState = "IN_PROGRESS"
	ProvisionedReady      ProvisionedState = "READY"
	ProvisionedFailed     ProvisionedState = "FAILED"
)

// Provisioned is how many environments of a published version stay initialised. The control
// plane writes all of it; the invoke path writes only Status.
type Provisioned struct {
	ID           FunctionID
	Version      string
	Requested    int
	LastModified time.Time
	// Serial is new with every write of the control plane: a status is of one of them.
	Serial uint64
	Status ProvisionedStatus
	// Alias is the alias that it was configured of and moves with; "" if of the version itself. A version
	// has one configuration at most, whatever it was configured of.
	Alias string
}

// Qualifier is what it was configured of.
func (p *Provisioned) Qualifier() string {
	if p.Alias != "" {
		return p.Alias
	}
	return p.Version
}

// ProvisionedStatus is what there is of a configuration.
type ProvisionedStatus struct {
	State     ProvisionedState
	Reason    string
	Available int // environments that are initialised
}

// StoredProvisioned is a configuration with the revision that a conditional write demands.
type StoredProvisioned struct {
	*Provisioned
	Revision store.Revision
}

type storedProvisioned struct {
	Form      int              `json:"f"`
	Account   aws.AccountID    `json:"acc"`
	Region    aws.Region       `json:"reg"`
	Name      string           `json:"n"`
	Version   string           `json:"ver"`
	Requested int              `json:"req"`
	Modified  time.Time        `json:"mod"`
	Serial    uint64           `json:"ser"`
	State     ProvisionedState `json:"st"`
	Reason    string           `json:"str,omitempty"`
	Available int              `json:"av"`
	Alias     string           `json:"al,omitempty"`
}

func encodeProvisioned(p *Provisioned) ([]byte, error) {
	b, err := json.Marshal(storedProvisioned{
		provisionedForm, p.ID.Account, p.ID.Region, p.ID.Name, p.Version, p.Requested, p.LastModified.UTC(), p.Serial,
		p.Status.State, p.Status.Reason, p.Status.Available, p.Alias,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the provisioned concurrency of %s: %w", p.ID.QualifiedARN(p.Version), err)
	}
	return b, nil
}

// DecodeProvisioned reads a stored configuration.
func DecodeProvisioned(b []byte) (*Provisioned, error) {
	var s storedProvisioned
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	if s.Form < 1 || s.Form > provisionedForm {
		return nil, fmt.Errorf("%w: form %d, this program reads up to %d", ErrForm, s.Form, provisionedForm)
	}
	return &Provisioned{
		FunctionID{s.Account, s.Region, s.Name}, s.Version, s.Requested, s.Modified, s.Serial,
		ProvisionedStatus{s.State, s.Reason, s.Available}, s.Alias,
	}, nil
}

func provisionedKey(id FunctionID, version string) string {
	return provisionedOf(id) + strings.Repeat("0", max(0, versionDigits-len(version))) + version
}

func provisionedOf(id FunctionID) string { return ProvisionedPrefix + idPath(id) + "/" }

// GetProvisioned returns the configuration of a version, or store.ErrNotFound.
func (t *Table) GetProvisioned(ctx context.Context, id FunctionID, version string) (StoredProvisioned, error) {
	if !IsVersionNumber(version) {
		return StoredProvisioned{}, fmt.Errorf("provisioned concurrency of version %q: %w", version, store.ErrNotFound)
	}
	r, err := t.records.Get(ctx, provisionedKey(id, version))
	if err != nil {
		return StoredProvisioned{}, fmt.Errorf("get the provisioned concurrency of %s: %w", id.QualifiedARN(version), err)
	}
	p, err := DecodeProvisioned(r.Value)
	return StoredProvisioned{p, r.Revision}, err
}

// ListProvisioned pages through the configurations of a function in the order of its
// versions, from after the given one ("" is the beginning).
func (t *Table) ListProvisioned(ctx context.Context, id FunctionID, after string, limit int) ([]StoredProvisioned, bool, error) {
	if after != "" {
		after = provisionedKey(id, after)
	}
	return t.pageProvisioned(ctx, provisionedOf(id), after, limit)
}

// EachProvisioned calls f with every configuration there is.
func (t *Table) EachProvisioned(ctx context.Context, f func(*Provisioned)) error {
	for after, more := "", true; more; {
		var page []StoredProvisioned
		var err error
		if page, more, err = t.pageProvisioned(ctx, ProvisionedPrefix, after, store.ListLimitMax); err != nil {
			return err
		}
		for _, p := range page {
			f(p.Provisioned)
			after = provisionedKey(p.ID, p.Version)
		}
		more = more && len(page) > 0
	}
	return nil
}

func (t *Table) pageProvisioned(ctx context.Context, prefix, after string, limit int) ([]StoredProvisioned, bool, error) {
	page, more, err := t.records.List(ctx, prefix, after, limit)
	if err != nil {
		return nil, false, fmt.Errorf("list %s: %w", prefix, err)
	}
	out := make([]StoredProvisioned, 0, len(page))
	for _, r := range page {
		p, err := DecodeProvisioned(r.Value)
		if err != nil {
			return nil, false, fmt.Errorf("record %s: %w", r.Key, err)
		}
		out = append(out, StoredProvisioned{p, r.Revision})
	}
	return out, more, nil
}

// PutProvisioned is the write that stores a configuration under a condition.
func PutProvisioned(p *Provisioned, cond store.Condition) (store.Write, error) {
	if p.ID.Name == "" || strings.Contains(p.ID.Name, "/") || !IsVersionNumber(p.Version) {
		return store.Write{}, fmt.Errorf("put the provisioned concurrency of %q version %q: %w", p.ID.Name, p.Version, ErrBadKey)
	}
	b, err := encodeProvisioned(p)
	if err != nil {
		return store.Write{}, err
	}
	return store.Write{Kind: store.WritePut, Key: provisionedKey(p.ID, p.Version), Value: b, If: cond}, nil
}

// DropProvisioned is the write that removes a version's configuration, if it has one.
func DropProvisioned(id FunctionID, version string) store.Write {
	return store.Write{Kind: store.WriteDelete, Key: provisionedKey(id, version), If: store.Unconditional()}
}

// ReportProvisioned writes down what there is of a configuration. A status of a configuration
// that has been replaced or removed since is dropped.
func (t *Table) ReportProvisioned(ctx context.Context, id FunctionID, version string, serial uint64, status ProvisionedStatus) error {
	for range snapshotAttemptsMax {
		stored, err := t.GetProvisioned(ctx, id, version)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if stored.Serial != serial || stored.Status == status {
			return nil
		}
		p := *stored.Provisioned
		p.Status = status
		write, err := PutProvisioned(&p, store.IfRevision(stored.Revision))
		if err != nil {
			return err
		}
		if _, err = t.Commit(ctx, write); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("report the provisioned concurrency of %s: %d attempts lost to other writers", id.QualifiedARN(version), snapshotAttemptsMax)
}

// WatchProvisioned calls changed with every configuration there is and then with every change,
// until ctx ends or the store does. Removed ones come with a nil configuration. What is
// missed while the watch starts over is told as changes.
func WatchProvisioned(ctx context.Context, records store.Records, changed func(id FunctionID, version string, p *Provisioned)) error {
	type name struct {
		id      FunctionID
		version string
	}
	known := map[name]bool{}
	for {
		from, err := records.Revision(ctx)
		if err != nil {
			return fmt.Errorf("revision: %w", err)
		}
		present := map[name]bool{}
		if err := NewTable(records).EachProvisioned(ctx, func(p *Provisioned) {
			present[name{p.ID, p.Version}] = true
			changed(p.ID, p.Version, p)
		}); err != nil {
			return err
		}
		for n := range known {
			if !present[n] {
				changed(n.id, n.version, nil)
			}
		}
		known = present
		changes, err := records.Watch(ctx, ProvisionedPrefix, from)
		if errors.Is(err, store.ErrCompacted) {
			continue
		}
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		for c := range changes {
			id, version, err := parseFunctionKey(versionPrefix + strings.TrimPrefix(c.Record.Key, ProvisionedPrefix))
			if err != nil {
				continue // no key of ours: nothing writes such a one
			}
			n := name{id, version}
			if c.Kind == store.WriteDelete {
				delete(known, n)
				changed(id, version, nil)
				continue
			}
			p, err := DecodeProvisioned(c.Record.Value)
			if err != nil {
				return fmt.Errorf("record %s: %w", c.Record.Key, err)
			}
			known[n] = true
			changed(id, version, p)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
