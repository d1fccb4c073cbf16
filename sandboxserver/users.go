package sandboxserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/langsandbox/sandbox-go/internal/image"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// isRoot reports whether a run configuration asks for root, or for nobody.
func isRoot(user string) bool {
	name, group, _ := strings.Cut(user, ":")
	return (name == "" || name == "root" || name == "0") && (group == "" || group == "root" || group == "0")
}

// checkUser refuses users where sandboxes have none but root.
func (e *engine) checkUser(user string) error {
	if isRoot(user) || e.features.IDs > 1 {
		return nil
	}
	return notSupported(fmt.Sprintf("users in its sandboxes besides root, such as %q, for which it has to be root itself or have subordinate ids: leave run_config.user out", user))
}

// errUser reports a user that a sandbox does not have.
var errUser = errors.New("run_config.user")

// userOf finds who runs a command in a sandbox, by the names that its own files
// have for ids; nil is whom the sandbox chooses.
func (e *engine) userOf(ctx context.Context, sb runtime.Sandbox, user string) (*runtime.User, error) {
	if user == "" || e.features.IDs == 0 {
		return nil, e.checkUser(user)
	}
	if err := e.checkUser(user); err != nil {
		return nil, err
	}
	asked := user
	if isRoot(user) {
		asked = "0" // whatever it is called
	}
	found, err := image.FindUser(asked, func(name string) (io.ReadCloser, error) {
		return sb.OpenFile(ctx, "/"+name, os.O_RDONLY, 0)
	})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, runtime.ErrClosed):
		return nil, err
	case err != nil && isRoot(user):
		return &runtime.User{Name: "root", Home: "/root"}, nil // also in what is no system
	case err != nil:
		return nil, fmt.Errorf("%w %q: %w", errUser, user, err)
	}
	for _, id := range append([]int{found.UID, found.GID}, found.Groups...) {
		if id >= e.features.IDs {
			return nil, fmt.Errorf("%w %q: the id %d is beyond the %d that sandboxes have", errUser, user, id, e.features.IDs)
		}
	}
	u := &runtime.User{UID: found.UID, GID: found.GID, Groups: found.Groups, Name: found.Name, Home: found.Home}
	if isRoot(user) {
		u.GID, u.Groups, u.Name = 0, nil, cmp.Or(u.Name, "root")
	}
	return u, nil
}

// asUser has a command run by somebody. What does not work is the command's
// fault, not its sandbox's.
func (e *engine) asUser(ctx context.Context, sb runtime.Sandbox, user string, cmd *runtime.Command) error {
	found, err := e.userOf(ctx, sb, user)
	if refused, ok := errors.AsType[*apiError](err); ok {
		return &apiError{status: http.StatusBadRequest, code: codeCommand, message: refused.message, cause: err}
	}
	switch {
	case errors.Is(err, errUser):
		return &apiError{status: http.StatusBadRequest, code: codeCommand, message: err.Error(), cause: err}
	case errors.Is(err, runtime.ErrClosed):
		return errGone
	}
	cmd.User = found
	return err
}
