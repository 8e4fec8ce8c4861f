package stack

import (
	"os"
	"slices"
	"strings"
)

// publicRange holds the machines' public addresses. No proxy has a way to them.
const publicRange = "198.18.0.0/16"

// bypassProxies keeps the machines' addresses away from a proxy that the environment names, for us and all that we run.
func bypassProxies() error {
	for _, v := range noProxy(os.Getenv) {
		if err := os.Setenv(v.name, v.value); err != nil {
			return err
		}
	}
	return nil
}

// noProxy is the exception that clients need: nothing if there is no proxy. Some clients read the upper case only, others
// the lower case.
func noProxy(getenv func(string) string) []variable {
	proxied := slices.ContainsFunc([]string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"},
		func(name string) bool { return getenv(name) != "" })
	if !proxied {
		return nil
	}
	except := getenv("NO_PROXY")
	if except == "" {
		except = getenv("no_proxy")
	}
	all := strings.FieldsFunc(except, func(r rune) bool { return r == ',' || r == ' ' })
	for _, ours := range []string{"127.0.0.1", "localhost", publicRange} {
		if !slices.Contains(all, ours) {
			all = append(all, ours)
		}
	}
	list := strings.Join(all, ",")
	return []variable{{"NO_PROXY", list}, {"no_proxy", list}}
}
