package main

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var registries = noun[sandboxclient.Registry]{
	one: "registry", many: "registries", prefix: "sandbox registry",
	nameOf: func(r *sandboxclient.Registry) string { return r.Name },
	columns: []column[sandboxclient.Registry]{
		{"NAME", func(r *sandboxclient.Registry) string { return r.Name }},
		{"URL", func(r *sandboxclient.Registry) string { return r.URL }},
		{"AGE", func(r *sandboxclient.Registry) string { return age(r.CreatedAt) }},
	},
	list: func(ctx context.Context, c *sandboxclient.Client) iter.Seq2[*sandboxclient.Registry, error] {
		return c.Registries.List(ctx, nil)
	},
	get: func(ctx context.Context, c *sandboxclient.Client, name string) (*sandboxclient.Registry, error) {
		return c.Registries.Get(ctx, name)
	},
	remove: func(ctx context.Context, c *sandboxclient.Client, name string) error {
		return c.Registries.Delete(ctx, name)
	},
}

// registryID is the id of a registry that may be given by its name.
func registryID(ctx context.Context, c *sandboxclient.Client, text string) (string, error) {
	if text == "" || isID(text) {
		return text, nil
	}
	r, err := c.Registries.Get(ctx, text)
	if err != nil {
		return "", err
	}
	return r.ID, nil
}

const passwordHelp = `The password is read from standard input with --password-stdin, so that it is in
no list of processes and no history of a shell.`

// maxPassword bounds what is read as one.
const maxPassword = 64 << 10

// password reads standard input, without the end of the line.
func (a *app) password(ctx context.Context, wanted bool) (string, error) {
	if !wanted {
		return "", nil
	}
	if isTerminal(a.in) {
		return "", errors.New("--password-stdin: a terminal would show the password: pipe it in, or redirect a file")
	}
	text, err := readAtMost(a.input(ctx), maxPassword+1)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" || len(text) > maxPassword {
		return "", errors.New("--password-stdin: want a password on standard input")
	}
	return secret, nil
}

func (a *app) registryCommand() *cobra.Command {
	var p printer
	var req sandboxclient.CreateRegistry
	var stdin bool
	create := &cobra.Command{
		Use:     "create [flags] NAME URL",
		Short:   "Store the login of a registry of images",
		Long:    "Store the login of a registry of images. " + passwordHelp,
		Example: "  sandbox registry create private registry.example.com --username me --password-stdin < password",
		Args:    wantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			req.Name, req.URL = args[0], args[1]
			if req.Password, err = a.password(cmd.Context(), stdin); err != nil {
				return err
			}
			return printed(a, &p, registries, func(c *sandboxclient.Client) (*sandboxclient.Registry, error) {
				return c.Registries.Create(cmd.Context(), &req)
			})
		},
	}
	create.Flags().StringVar(&req.Username, "username", "", "user of the registry")
	create.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	p.flags(create, formName, "names")

	var change sandboxclient.RegistryUpdate
	update := &cobra.Command{
		Use:               "update [flags] NAME",
		Short:             "Change a registry's name, address or login",
		Long:              "Change a registry's name, address or login. " + passwordHelp,
		Example:           "  sandbox registry update --username other --password-stdin private < password",
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeNames(a, registries, 1),
		PreRunE:           changes,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if change.Password, err = a.password(cmd.Context(), stdin); err != nil {
				return err
			}
			return a.withClient(func(c *sandboxclient.Client) error {
				_, err := c.Registries.Update(cmd.Context(), args[0], &change)
				return err
			})
		},
	}
	update.Flags().StringVar(&change.Name, "name", "", "the new name")
	update.Flags().StringVar(&change.URL, "url", "", "the new address, with which the password has to be given again")
	update.Flags().StringVar(&change.Username, "username", "", "the new user")
	update.Flags().BoolVar(&stdin, "password-stdin", false, "read the new password from standard input")
	return nounCommand(a, registries, create, update)
}
