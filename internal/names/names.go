// Package names holds every name and port that two places of the platform share: what one side creates or listens on and
// the other side asks for. A name that stood in two places could drift apart, and would only fail at boot.
//
// Files that cannot import a constant (scripts and units of a machine) are held to these names by tests in
// internal/machine/parts; policies are rendered from them.
package names
