package insights

import (
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// function is one that makes a value of others, of least to most arguments.
type function struct {
	least, most int
	apply       func(arguments []value) value
}

// textMax bounds the texts that functions make: a longer one is no value. An event is at most a quarter of it.
const textMax = 1 << 20

// many is most for functions of any number of arguments.
const many = 1 << 10

// functions by their names in small letters. Source: User Guide, "Functions" of the query syntax. A text's length and places
// are counted in characters.
var functions = map[string]function{
	"abs":      numeric(math.Abs),
	"ceil":     numeric(math.Ceil),
	"floor":    numeric(math.Floor),
	"log":      numeric(math.Log),
	"sqrt":     numeric(math.Sqrt),
	"greatest": {1, many, func(a []value) value { return best(a, 1) }},
	"least":    {1, many, func(a []value) value { return best(a, -1) }},

	"ispresent": {1, 1, func(a []value) value { return truthOf(a[0].kind != absent) }},
	"isempty":   {1, 1, func(a []value) value { return truthOf(a[0].String() == "") }},
	"isblank":   {1, 1, func(a []value) value { return truthOf(strings.TrimSpace(a[0].String()) == "") }},
	"coalesce": {1, many, func(a []value) value {
		for _, v := range a {
			if v.kind != absent {
				return v
			}
		}
		return value{}
	}},
	"concat": {1, many, func(a []value) value {
		var b strings.Builder
		for _, v := range a {
			if b.WriteString(v.String()); b.Len() > textMax {
				return value{}
			}
		}
		return textOf(b.String())
	}},
	"ltrim":   trimmed(strings.TrimLeft),
	"rtrim":   trimmed(strings.TrimRight),
	"trim":    trimmed(strings.Trim),
	"strlen":  textual(1, 1, func(a []value) value { return numberOf(float64(len([]rune(a[0].String())))) }),
	"toupper": textual(1, 1, func(a []value) value { return textOf(strings.ToUpper(a[0].String())) }),
	"tolower": textual(1, 1, func(a []value) value { return textOf(strings.ToLower(a[0].String())) }),
	"substr":  textual(2, 3, substr),
	"replace": textual(3, 3, func(a []value) value {
		in, old, fresh := a[0].String(), a[1].String(), a[2].String()
		if old == "" {
			return textOf(in)
		}
		if len(in)+strings.Count(in, old)*len(fresh) > textMax {
			return value{}
		}
		return textOf(strings.ReplaceAll(in, old, fresh))
	}),
	"strcontains": textual(2, 2, func(a []value) value { return truthOf(strings.Contains(a[0].String(), a[1].String())) }),

	"frommillis": {1, 1, func(a []value) value {
		f, ok := a[0].numeric()
		if !ok {
			return value{}
		}
		return momentOf(int64(f))
	}},
	"tomillis": {1, 1, func(a []value) value {
		f, ok := a[0].numeric()
		if !ok {
			return value{}
		}
		return numberOf(f)
	}},

	"isvalidip":      address(func(netip.Addr) bool { return true }),
	"isvalidipv4":    address(netip.Addr.Is4),
	"isvalidipv6":    address(netip.Addr.Is6),
	"isipinsubnet":   subnet(func(netip.Addr) bool { return true }),
	"isipv4insubnet": subnet(netip.Addr.Is4),
	"isipv6insubnet": subnet(netip.Addr.Is6),
}

func numeric(do func(float64) float64) function {
	return function{1, 1, func(a []value) value {
		f, ok := a[0].numeric()
		if !ok {
			return value{}
		}
		return finite(do(f))
	}}
}

// textual has no value where its first argument has none.
func textual(least, most int, do func([]value) value) function {
	return function{least, most, func(a []value) value {
		if a[0].kind == absent {
			return value{}
		}
		return do(a)
	}}
}

func trimmed(do func(s, cutset string) string) function {
	return textual(1, 2, func(a []value) value {
		cut := " \t\n\r\v\f"
		if len(a) == 2 {
			cut = a[1].String()
		}
		return textOf(do(a[0].String(), cut))
	})
}

func substr(a []value) value {
	runes := []rune(a[0].String())
	from, ok := a[1].numeric()
	length, isLength := float64(len(runes)), true
	if len(a) == 3 {
		length, isLength = a[2].numeric()
	}
	if !ok || !isLength {
		return value{}
	}
	start := int(min(max(from, 0), float64(len(runes))))
	end := start + int(min(max(length, 0), float64(len(runes)-start)))
	return textOf(string(runes[start:end]))
}

func best(a []value, sign int) value {
	out := value{}
	for _, v := range a {
		if _, ok := v.numeric(); ok && (out.kind == absent || compare(v, out)*sign > 0) {
			out = v
		}
	}
	return out
}

func address(is func(netip.Addr) bool) function {
	return function{1, 1, func(a []value) value {
		ip, err := netip.ParseAddr(a[0].String())
		return truthOf(err == nil && is(ip))
	}}
}

func subnet(is func(netip.Addr) bool) function {
	return function{2, 2, func(a []value) value {
		ip, err := netip.ParseAddr(a[0].String())
		prefix, errPrefix := netip.ParsePrefix(a[1].String())
		return truthOf(err == nil && errPrefix == nil && is(ip) && prefix.Contains(ip))
	}}
}

// call parses a function's arguments; its name has been read.
func (p *parser) call(name token) expression {
	lower := strings.ToLower(name.text)
	switch lower {
	case "bin":
		p.next()
		period := p.period()
		p.expect(")")
		return func(r *row) value { return floorTo(r.get("@timestamp"), period) }
	case "datefloor", "dateceil":
		p.next()
		at := p.expression()
		p.expect(",")
		period := p.period()
		p.expect(")")
		return func(r *row) value {
			v := floorTo(at(r), period)
			if f, ok := at(r).numeric(); ok && lower == "dateceil" && v.num < f {
				return floorTo(momentOf(period.after(int64(v.num))), period)
			}
			return v
		}
	}
	if collect, ok := collectors[lower]; ok {
		return p.aggregate(name, collect)
	}
	f, ok := functions[lower]
	if !ok {
		p.fail(name, "unknown function %s", name.text)
	}
	p.next()
	var arguments []expression
	for !p.is(")") {
		if len(arguments) > 0 {
			p.expect(",")
		}
		arguments = append(arguments, p.expression())
	}
	p.next()
	if len(arguments) < f.least || len(arguments) > f.most {
		p.fail(name, "wrong number of arguments for %s: %d", name.text, len(arguments))
	}
	return func(r *row) value {
		values := make([]value, len(arguments))
		for i, e := range arguments {
			values[i] = e(r)
		}
		return f.apply(values)
	}
}

// period is a stretch of time: of a fixed length, or of calendar months.
type period struct {
	millis int64
	months int
}

var units = map[string]period{
	"ms": {millis: 1}, "s": {millis: 1000}, "m": {millis: 60_000}, "h": {millis: 3_600_000}, "d": {millis: 86_400_000}, "w": {millis: 7 * 86_400_000},
	"mo": {months: 1}, "q": {months: 3}, "y": {months: 12},
}

// longUnits are the other names of units. Source: User Guide, "Time periods".
var longUnits = regexp.MustCompile(`^(?:(?P<ms>msec|millisecond)|(?P<s>sec|second)|(?P<m>min|minute)|(?P<h>hr|hour)|(?P<d>day)|(?P<w>week)|(?P<mo>mon|month)|(?P<q>qtr|quarter)|(?P<y>yr|year))s?$`)

// periodMax keeps a period's length within what times can have.
const periodMax = 100_000

func (p *parser) period() period {
	t := p.token
	digits := strings.TrimRight(t.text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := strings.ToLower(t.text[len(digits):])
	switch t.kind {
	case tokenNumber:
		p.next()
		if p.token.kind != tokenName {
			p.unexpected(p.token)
		}
		unit = strings.ToLower(p.token.text)
	case tokenPeriod:
	default:
		p.unexpected(t)
	}
	if m := longUnits.FindStringSubmatch(unit); m != nil {
		for i, name := range longUnits.SubexpNames() {
			if i > 0 && m[i] != "" {
				unit = name
			}
		}
	}
	n, err := strconv.Atoi(digits)
	one, ok := units[unit]
	if err != nil || !ok || n < 1 || n > periodMax {
		p.fail(t, "invalid time period %s", t.text)
	}
	p.next()
	return period{one.millis * int64(n), one.months * n}
}

// floorTo rounds a time down to the period's beginning, in UTC.
func floorTo(v value, p period) value {
	f, ok := v.numeric()
	if !ok || math.Abs(f) > maxMillis {
		return value{}
	}
	at := int64(f)
	if p.months == 0 {
		return momentOf(at - ((at%p.millis)+p.millis)%p.millis)
	}
	t := time.UnixMilli(at).UTC()
	months := t.Year()*12 + int(t.Month()) - 1
	months -= ((months % p.months) + p.months) % p.months
	return momentOf(time.Date(months/12, time.Month(months%12+1), 1, 0, 0, 0, 0, time.UTC).UnixMilli())
}

// maxMillis is the year 10,000 or so.
const maxMillis = 253_402_300_800_000

// after is a time in the period behind the one that begins at from.
func (p period) after(from int64) int64 {
	if p.months == 0 {
		return from + p.millis
	}
	return time.UnixMilli(from).UTC().AddDate(0, p.months, 0).UnixMilli()
}
