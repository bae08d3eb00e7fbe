package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/images"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record/keys"
	"github.com/lambdad/lambdad/internal/runtimeapi/client"
	"github.com/lambdad/lambdad/internal/store/pebble"
)

// storage is everything that a node keeps in its data folder.
type storage struct {
	store     *pebble.Store
	artifacts *artifact.Store
	images    *images.Store
	catalog   *runtimes.Catalog
	clients   client.Set
	keys      *keys.Ring
}

// openStorage opens the folder, making it if it is new. What was opened is closed
// again when a part fails.
func openStorage(c Config, log *slog.Logger) (_ *storage, err error) {
	// The folder holds secrets and code; the folders of code below it are opened to
	// sandboxes by mounts, which do not pass through here.
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	s := &storage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.store, err = pebble.Open(filepath.Join(c.Data, "store"), pebble.Options{Log: log}); err != nil {
		if errors.Is(err, pebble.ErrInUse) {
			err = fmt.Errorf("is another lambdad using it? %w", err)
		}
		return nil, fmt.Errorf("open the store in %s: %w", c.Data, err)
	}
	if s.artifacts, err = artifact.Open(filepath.Join(c.Data, "artifacts"), artifact.Options{}); err != nil {
		return nil, err
	}
	if s.images, err = images.Open(filepath.Join(c.Data, "images"), images.Options{Folder: c.ImageFolder}); err != nil {
		return nil, err
	}
	if s.catalog, err = openCatalog(c); err != nil {
		return nil, err
	}
	if s.clients, err = client.Install(filepath.Join(c.Data, "clients")); err != nil {
		return nil, err
	}
	if s.keys, err = keys.Open(KeyFolder(c)); err != nil {
		return nil, err
	}
	return s, nil
}

// KeyFolder is where the keys are that encrypt functions' variables; `lambdad key` needs it, too.
func KeyFolder(c Config) string {
	if c.KMSKeyFolder != "" {
		return c.KMSKeyFolder
	}
	return filepath.Join(c.Data, "keys")
}

// Close closes what is open, the store last.
func (s *storage) Close() error {
	var errs []error
	if s.catalog != nil {
		errs = append(errs, s.catalog.Close())
	}
	if s.artifacts != nil {
		errs = append(errs, s.artifacts.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// openCatalog opens the runtimes of a data folder; doctor and `lambdad runtime` need
// nothing else of it.
func openCatalog(c Config) (*runtimes.Catalog, error) {
	return runtimes.Open(runtimes.Options{Dir: RuntimesDir(c), Nearest: c.Runtimes == "nearest"})
}

// RuntimesDir is where added runtimes live.
func RuntimesDir(c Config) string { return filepath.Join(c.Data, "runtimes") }

func (s *storage) runtimeSource(region aws.Region, log *slog.Logger) runtimeSource {
	return runtimeSource{catalog: s.catalog, clients: s.clients, region: region, log: log}
}
