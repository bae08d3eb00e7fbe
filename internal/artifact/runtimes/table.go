package runtimes

import (
	"slices"
	"strconv"
	"strings"
)

// Language is the family of a runtime, as AWS spells it in INIT_START.
type Language string

const (
	Python   Language = "python"
	NodeJS   Language = "nodejs"
	Java     Language = "java"
	Ruby     Language = "ruby"
	DotNet   Language = "dotnet"
	Go       Language = "go"
	Provided Language = "provided" // OS-only
)

// Phase is how far AWS has deprecated a runtime.
type Phase int

const (
	// Supported runtimes can be created and updated.
	Supported Phase = iota
	// Deprecated runtimes get no more patches; AWS still creates and updates functions.
	Deprecated
	// Refused runtimes cannot be named in a creation or an update any more.
	Refused
)

// Spec is one runtime identifier.
type Spec struct {
	Identifier string
	Language   Language
	Version    string // as far as the identifier names it: "3.13", "22", "21", "al2023"
	Phase      Phase
}

// Specs are all identifiers of AWS's service model, newest first within a language.
// Source of the phases: what AWS refused and offered in January 2026
// (TestRuntimeValidation and the enum of its errors), newer ones by the model, and
// the deprecation table of the Lambda developer guide.
func Specs() []Spec {
	return []Spec{
		{"python3.14", Python, "3.14", Supported},
		{"python3.13", Python, "3.13", Supported},
		{"python3.12", Python, "3.12", Supported},
		{"python3.11", Python, "3.11", Supported},
		{"python3.10", Python, "3.10", Supported},
		{"python3.9", Python, "3.9", Deprecated},
		{"python3.8", Python, "3.8", Deprecated},
		{"python3.7", Python, "3.7", Refused},
		{"python3.6", Python, "3.6", Refused},
		{"python2.7", Python, "2.7", Refused},
		{"nodejs24.x", NodeJS, "24", Supported},
		{"nodejs22.x", NodeJS, "22", Supported},
		{"nodejs20.x", NodeJS, "20", Deprecated},
		{"nodejs18.x", NodeJS, "18", Deprecated},
		{"nodejs16.x", NodeJS, "16", Deprecated},
		{"nodejs14.x", NodeJS, "14", Refused},
		{"nodejs12.x", NodeJS, "12", Refused},
		{"nodejs10.x", NodeJS, "10", Refused},
		{"nodejs8.10", NodeJS, "8.10", Refused},
		{"nodejs6.10", NodeJS, "6.10", Refused},
		{"nodejs4.3", NodeJS, "4.3", Refused},
		{"nodejs4.3-edge", NodeJS, "4.3", Refused},
		{"nodejs", NodeJS, "0.10", Refused},
		{"java25", Java, "25", Supported},
		{"java21", Java, "21", Supported},
		{"java17", Java, "17", Supported},
		{"java11", Java, "11", Supported},
		{"java8.al2", Java, "8", Supported},
		{"java8", Java, "8", Refused},
		{"ruby4.0", Ruby, "4.0", Supported},
		{"ruby3.4", Ruby, "3.4", Supported},
		{"ruby3.3", Ruby, "3.3", Supported},
		{"ruby3.2", Ruby, "3.2", Deprecated},
		{"ruby2.7", Ruby, "2.7", Refused},
		{"ruby2.5", Ruby, "2.5", Refused},
		{"dotnet10", DotNet, "10", Supported},
		{"dotnet8", DotNet, "8", Supported},
		{"dotnet6", DotNet, "6", Deprecated},
		{"dotnetcore3.1", DotNet, "3.1", Refused},
		{"dotnetcore2.1", DotNet, "2.1", Refused},
		{"dotnetcore2.0", DotNet, "2.0", Refused},
		{"dotnetcore1.0", DotNet, "1.0", Refused},
		{"go1.x", Go, "1", Refused},
		{"provided.al2023", Provided, "al2023", Supported},
		{"provided.al2", Provided, "al2", Supported},
		{"provided", Provided, "al1", Refused},
	}
}

// Lookup finds an identifier; it is case-sensitive, as AWS is.
func Lookup(identifier string) (Spec, bool) {
	specs := Specs()
	i := slices.IndexFunc(specs, func(s Spec) bool { return s.Identifier == identifier })
	if i < 0 {
		return Spec{}, false
	}
	return specs[i], true
}

// fits tells whether an actual version is the one that the identifier names.
func (s Spec) fits(version string) bool {
	return version == s.Version || strings.HasPrefix(version, s.Version+".")
}

// distance orders actual versions of the language by how near they are.
func (s Spec) distance(version string) int {
	d := ordinal(version, strings.Count(s.Version, ".")+1) - ordinal(s.Version, strings.Count(s.Version, ".")+1)
	if d < 0 {
		return -2*d + 1 // of two as near, the newer
	}
	return 2 * d
}

// ordinal makes one number of a version's first parts.
func ordinal(version string, parts int) int {
	numbers := strings.Split(version, ".")
	n := 0
	for i := range parts {
		n *= 1000
		if i < len(numbers) {
			part, err := strconv.Atoi(numbers[i])
			if err == nil {
				n += min(part, 999)
			}
		}
	}
	return n
}

// compareVersions orders versions of up to four numeric parts.
func compareVersions(a, b string) int { return ordinal(a, 4) - ordinal(b, 4) }
