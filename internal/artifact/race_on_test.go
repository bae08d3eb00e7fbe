//go:build race

package artifact

// raceDetector makes work on large archives tens of times slower.
const raceDetector = true
