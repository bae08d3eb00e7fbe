// Command hello prints one line: the least that a program in a sandbox can do.
package main

import "os"

func main() { os.Stdout.WriteString("hello\n") }
