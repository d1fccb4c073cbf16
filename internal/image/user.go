package image

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// User is who a command of an image runs as, in ids of the image.
type User struct {
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Groups []int  `json:"groups,omitempty"` // others than GID, ascending
	Name   string `json:"name,omitempty"`   // "" when the image does not know it
	Home   string `json:"home"`             // "/" when the image does not say
}

const (
	maxID       = 1<<31 - 1
	maxUserFile = 1 << 20
	maxGroups   = 1024
)

// ResolveUser finds the user that an image names, as "user", "uid",
// "user:group" or any mix of names and ids, in the files of its layers. An
// empty one is root. Ids need not be known to the image, names do; without a
// group it is the user's own, with those that list the user.
func ResolveUser(layers []string, user string) (User, error) {
	return FindUser(user, func(name string) (io.ReadCloser, error) { return openMerged(layers, name) })
}

// FindUser is ResolveUser in files that open returns: "etc/passwd" and
// "etc/group", which need not be there. They are read as far as is reasonable.
func FindUser(user string, open func(name string) (io.ReadCloser, error)) (User, error) {
	passwd, err := userLines(open, "etc/passwd")
	if err != nil {
		return User{}, err
	}
	group, err := userLines(open, "etc/group")
	if err != nil {
		return User{}, err
	}
	return findUser(passwd, group, user)
}

func findUser(passwd, group [][]string, user string) (User, error) {
	who, groupName, hasGroup := strings.Cut(user, ":")
	u, err := lookUser(passwd, who)
	if err != nil {
		return u, err
	}
	if hasGroup && groupName != "" {
		u.GID, err = lookGroup(group, groupName)
		return u, err
	}
	for _, line := range group {
		gid, ok := parseID(field(line, 2))
		members := strings.Split(field(line, 3), ",")
		if ok && gid != u.GID && u.Name != "" && slices.Contains(members, u.Name) && len(u.Groups) < maxGroups {
			u.Groups = append(u.Groups, gid)
		}
	}
	slices.Sort(u.Groups)
	u.Groups = slices.Compact(u.Groups)
	return u, nil
}

func lookUser(passwd [][]string, who string) (User, error) {
	id, isID := parseID(who)
	if who == "" {
		id, isID = 0, true
	}
	for _, byID := range []bool{false, true} { // a name may look like an id
		for _, line := range passwd {
			uid, ok := parseID(field(line, 2))
			gid, okGroup := parseID(field(line, 3))
			if !ok || !okGroup || byID && (!isID || uid != id) || !byID && field(line, 0) != who {
				continue
			}
			home := field(line, 5)
			if !strings.HasPrefix(home, "/") {
				home = "/"
			}
			return User{UID: uid, GID: gid, Name: field(line, 0), Home: home}, nil
		}
	}
	if !isID {
		return User{}, &problem{ErrInvalidImage, fmt.Sprintf("user %q is not in its /etc/passwd", clip(who))}
	}
	if id == 0 {
		return User{Home: "/root"}, nil
	}
	return User{UID: id, Home: "/"}, nil
}

func lookGroup(group [][]string, name string) (int, error) {
	for _, line := range group {
		if gid, ok := parseID(field(line, 2)); ok && field(line, 0) == name {
			return gid, nil
		}
	}
	if gid, ok := parseID(name); ok {
		return gid, nil
	}
	return 0, &problem{ErrInvalidImage, fmt.Sprintf("group %q is not in its /etc/group", clip(name))}
}

func parseID(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n <= maxID
}

func field(line []string, i int) string {
	if i < len(line) {
		return line[i]
	}
	return ""
}

// userLines reads a file of lines with fields. There need not be one.
func userLines(open func(string) (io.ReadCloser, error), name string) (lines [][]string, err error) {
	file, err := open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in := bufio.NewScanner(io.LimitReader(file, maxUserFile))
	for in.Scan() {
		if line := in.Text(); line != "" && line[0] != '#' {
			lines = append(lines, strings.Split(line, ":"))
		}
	}
	if err := in.Err(); err != nil {
		return nil, &problem{ErrInvalidImage, "its /" + name + ": " + err.Error()}
	}
	return lines, nil
}
