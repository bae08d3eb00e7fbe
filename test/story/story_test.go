// Package story tells what users see when functions run, fail, meet their limits and
// outlive crashes, through a whole lambdad and the AWS SDK for Go.
package story

import (
	"os"
	"testing"

	"github.com/lambdad/lambdad/test/house"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m)) }
