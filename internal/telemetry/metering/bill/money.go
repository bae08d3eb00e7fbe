package bill

import (
	"encoding/json"
	"math/big"
)

// moneyDigits is how many digits after the point are printed; sums are of exact
// amounts, never of printed ones.
const moneyDigits = 10

// Money is an exact amount in the price table's currency.
type Money struct{ rat big.Rat }

func (m *Money) add(r *big.Rat) { m.rat.Add(&m.rat, r) }

func (m *Money) addProduct(a, b *big.Rat) { m.add(new(big.Rat).Mul(a, b)) }

// String rounds to ten digits after the point, halves away from zero.
func (m Money) String() string { return m.rat.FloatString(moneyDigits) }

// Short rounds to so many digits after the point.
func (m Money) Short(digits int) string { return m.rat.FloatString(digits) }

// MarshalJSON writes decimal text, as prices are read.
func (m Money) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }
