package sandboxserver

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
)

// registry is an address and the credentials for it, which come in and go
// out to that address only.
type registry struct {
	meta
	url                string
	username, password string
}

func (r registry) view() gen.Registry {
	return gen.Registry{
		ID: r.id, Name: r.name, URL: r.url, AuthType: gen.RegistryAuthDockerConfig,
		CreatedAt: r.created, UpdatedAt: r.updated, CreatedBy: localUser, UpdatedBy: localUser,
	}
}

// changed is the registry as a request wants it, checked. Empty members stay
// as they are.
func (r registry) changed(address, username, password string, auth gen.RegistryAuthType, role string) (registry, error) {
	moved := address != "" && !strings.EqualFold(registryHost(address), registryHost(r.url))
	if r.password != "" && password == "" && moved {
		return r, invalid("password is required with the url of another registry: the one that is known is not sent there", "password")
	}
	r.url = cmp.Or(address, r.url)
	r.username, r.password = cmp.Or(username, r.username), cmp.Or(password, r.password)
	switch {
	case auth == gen.RegistryAuthAWSRole || role != "":
		return r, notSupported("roles to log in to registries with: give user name and password")
	case !isRegistryAddress(r.url):
		return r, invalid("url must be the address of a registry, without credentials", "url")
	case r.username == "" && r.password != "":
		return r, invalid("username is required with a password", "username")
	case r.username != "" && r.password == "":
		return r, invalid("password is required with a user name", "password")
	}
	return r, nil
}

// isRegistryAddress takes addresses with and without scheme. Credentials in
// them would be returned.
func isRegistryAddress(address string) bool {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}

func (e *engine) createRegistry(req gen.CreateRegistry) (view gen.Registry, err error) {
	r, err := registry{}.changed(req.URL, req.Username, req.Password, req.AuthType, req.AWSRoleARN)
	if err != nil {
		return view, err
	}
	if err := checkName(req.Name); err != nil {
		return view, err
	}
	return view, e.do(func() error {
		if err := e.registries.free(req.Name); err != nil {
			return err
		}
		r.meta = e.newMeta(newID(), req.Name)
		e.registries.add(&r)
		view = r.view()
		return nil
	})
}

func (e *engine) getRegistry(name string) (view gen.Registry, err error) {
	return view, e.look(func() error {
		r, err := e.registries.get(name)
		if err == nil {
			view = r.view()
		}
		return err
	})
}

// registryPage is how many registries a page has that is asked for by cursor,
// if the request does not say.
const registryPage = 20

func (e *engine) listRegistries(p gen.ListRegistriesParams) (out gen.RegistryList, err error) {
	l := listing[*registry]{
		order: "registries", nameContains: value(p.NameContains),
		limit: value(p.Limit), offset: value(p.Offset), cursor: value(p.Cursor),
	}
	switch {
	case p.PageSize != nil:
		l.limit = *p.PageSize
	case p.Cursor != nil && p.Limit == nil:
		l.limit = registryPage
	}
	return out, e.look(func() error {
		page, err := l.pages(e.registries.all())
		items := views(page.items, func(r *registry) gen.Registry { return r.view() })
		out = gen.RegistryList{Items: items, Registries: items, Offset: page.offset, NextCursor: page.cursor}
		return err
	})
}

func (e *engine) updateRegistry(name string, req gen.RegistryUpdate) (view gen.Registry, err error) {
	return view, e.do(func() error {
		r, err := e.registries.get(name)
		if err != nil {
			return err
		}
		if err := checkName(req.Name); err != nil {
			return err
		}
		next, err := r.changed(req.URL, req.Username, req.Password, req.AuthType, req.AWSRoleARN)
		if err != nil {
			return err
		}
		if err := e.registries.rename(r, req.Name); err != nil {
			return err
		}
		next.meta = r.meta
		*r = next
		e.registries.changed(r)
		view = r.view()
		return nil
	})
}

func (e *engine) deleteRegistry(name string) error {
	return e.do(func() error {
		r, err := e.registries.get(name)
		if err != nil {
			return err
		}
		var users []string
		for _, t := range e.templates.all() {
			if t.registryID == r.id {
				users = append(users, "template "+t.name)
			}
		}
		if len(users) > 0 {
			return inUse("registry", name, users)
		}
		e.registries.remove(r)
		return nil
	})
}

// registryID resolves the registry of a template; an empty name is none. mu
// is held.
func (e *engine) registryID(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	r, err := e.registries.get(name)
	if err != nil {
		return "", invalid(fmt.Sprintf("registry %q not found", name), "registry_name")
	}
	return r.id, nil
}
