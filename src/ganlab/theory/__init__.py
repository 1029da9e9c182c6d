"""The paper's theory as numbers: pure functions on log-masses and maps, in float64."""
