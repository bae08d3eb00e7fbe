//go:build !race

package artifact

const raceDetector = false
