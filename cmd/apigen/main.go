// Command apigen turns AWS's service models into Go: it pins stripped copies of
// the models under models/ and generates internal/api from them. It must never
// be imported, and generated code must never be edited by hand: change the
// model, the overrides or the generator.
package main

import (
	"flag"
	"fmt"
	"os"
)

const usage = `usage:
  apigen pin [-source DIR] [-version V] [-models DIR] service/api-version...
  apigen pin-policies [-source FILE] [-version V] [-models DIR] [-out FILE]
  apigen generate [-models DIR] [-overrides FILE] [-out DIR] [service...]
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "apigen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return fmt.Errorf("no command given")
	}
	switch args[0] {
	case "pin":
		return runPin(args[1:])
	case "pin-policies":
		return runPinPolicies(args[1:])
	case "generate":
		return runGenerate(args[1:])
	}
	fmt.Fprint(os.Stderr, usage)
	return fmt.Errorf("unknown command %q", args[0])
}

func runPin(args []string) error {
	fs := flag.NewFlagSet("pin", flag.ContinueOnError)
	source := fs.String("source", "", "botocore's data directory")
	version := fs.String("version", "", "botocore's version")
	models := fs.String("models", "models", "where the pinned models are kept")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *source == "" || *version == "" || fs.NArg() == 0 {
		return fmt.Errorf("pin needs -source, -version and at least one service/api-version")
	}
	return pin(pinOptions{Source: *source, Version: *version, Models: *models}, fs.Args())
}

func runPinPolicies(args []string) error {
	fs := flag.NewFlagSet("pin-policies", flag.ContinueOnError)
	source := fs.String("source", "", "moto's iam/aws_managed_policies.py")
	version := fs.String("version", "", "moto's version")
	models := fs.String("models", "models", "where SOURCES is kept")
	out := fs.String("out", "internal/iam/managed/policies.zip", "the archive to write")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *source == "" || *version == "" {
		return fmt.Errorf("pin-policies needs -source and -version")
	}
	return pinPolicies(policiesOptions{Source: *source, Version: *version, Models: *models, Out: *out})
}

func runGenerate(args []string) error {
	fs := flag.NewFlagSet("generate", flag.ContinueOnError)
	models := fs.String("models", "models", "where the pinned models are kept")
	overrides := fs.String("overrides", "", "the constraint overrides (default MODELS/overrides.json)")
	out := fs.String("out", "internal/api", "where the packages are written")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *overrides == "" {
		*overrides = *models + "/overrides.json"
	}
	return generate(generateOptions{Models: *models, Overrides: *overrides, Out: *out}, fs.Args())
}
