package rotation

import (
	"time"

	"hashistack/e2e/stack"
)

// lifetimes are hashistack:lifetimes of the program.
type lifetimes struct {
	Certificate time.Duration `yaml:"certificate" json:"certificate"`
	Login       time.Duration `yaml:"login" json:"login"`
	Token       time.Duration `yaml:"token" json:"token"`
	TokenMax    time.Duration `yaml:"tokenMax" json:"tokenMax"`
	Workload    time.Duration `yaml:"workload" json:"workload"`
}

// longest is the time after which everything has been issued anew.
func (l lifetimes) longest() time.Duration {
	return max(l.Certificate, l.Login, l.Token, l.TokenMax, l.Workload)
}

// text returns the lifetimes as the configuration writes them.
func (l lifetimes) text() map[string]string {
	return map[string]string{
		"certificate": l.Certificate.String(), "login": l.Login.String(), "token": l.Token.String(),
		"tokenMax": l.TokenMax.String(), "workload": l.Workload.String(),
	}
}

// short lifetimes end while the proof watches.
var short = lifetimes{
	Certificate: time.Minute, Login: time.Minute, Token: time.Minute, TokenMax: 2 * time.Minute, Workload: time.Minute,
}

// slow lifetimes are so long that a check that runs twice a minute sees their last quarter.
var slow = lifetimes{
	Certificate: 6 * time.Minute, Login: 6 * time.Minute, Token: 6 * time.Minute, TokenMax: 12 * time.Minute, Workload: 6 * time.Minute,
}

// settings are what the proof changes in the stack's configuration from one update to the next.
type settings struct {
	lifetimes   lifetimes
	generations map[string]int
}

// raise asks for the next generation of something, by its name in hashistack:generations. The first is 1.
func (c settings) raise(names ...string) {
	for _, name := range names {
		c.generations[name] = max(1, c.generations[name]) + 1
	}
}

// write makes a copy of the repository's configuration of the stack, with these settings, and has the stack use it.
func (c settings) write(s *stack.Stack) error {
	return s.Configure(func(config map[string]any) error {
		config["hashistack:lifetimes"], config["hashistack:generations"] = c.lifetimes, c.generations
		return nil
	})
}
