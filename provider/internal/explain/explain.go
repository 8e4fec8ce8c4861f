// Package explain turns the errors of the products' API clients into what a person needs to know.
package explain

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	vault "github.com/hashicorp/vault/api"
)

// Error is err on one line. The clients' own texts have URLs and several lines.
func Error(err error) string {
	return strings.Join(strings.Fields(essence(err)), " ")
}

func essence(err error) string {
	var (
		fromVault    *vault.ResponseError
		fromConsul   consul.StatusError
		fromNomad    nomad.UnexpectedResponseError
		unknownIssue x509.UnknownAuthorityError
		request      *url.Error
	)
	switch {
	case err == nil:
		return "nothing yet"
	case errors.As(err, &fromVault):
		return fmt.Sprintf("%d %s", fromVault.StatusCode, strings.Join(fromVault.Errors, "; "))
	case errors.As(err, &fromConsul):
		return fmt.Sprintf("%d %s", fromConsul.Code, fromConsul.Body)
	case errors.As(err, &fromNomad) && fromNomad.HasStatusCode():
		return fmt.Sprintf("%d %s", fromNomad.StatusCode(), fromNomad.Body())
	case errors.As(err, &unknownIssue):
		return unknownIssue.Error() + ": caPem does not hold the authority that signed it"
	case errors.As(err, &request):
		return request.Err.Error()
	default:
		return err.Error()
	}
}

// Status is the HTTP status in an API client's error, 0 if there is none.
func Status(err error) int {
	var (
		fromVault  *vault.ResponseError
		fromConsul consul.StatusError
		fromNomad  nomad.UnexpectedResponseError
	)
	switch {
	case errors.As(err, &fromVault):
		return fromVault.StatusCode
	case errors.As(err, &fromConsul):
		return fromConsul.Code
	case errors.As(err, &fromNomad):
		return fromNomad.StatusCode()
	default:
		return 0
	}
}
