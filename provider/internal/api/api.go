// Package api has the clients with which the resources ask one server of Consul, Nomad or Vault. They are the products'
// official clients, bound to that server: what one server says must not come from another.
package api

import "time"

// RequestTimeout bounds one request: a machine that drops packets must not hold up the look at the others.
const RequestTimeout = 5 * time.Second
