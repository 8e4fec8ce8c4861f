// Package nomad exports types, functions, subpackages for provisioning nomad resources.
package nomad
