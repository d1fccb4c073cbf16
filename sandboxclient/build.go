package sandboxclient

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// BuildOptions says how [Snapshots.Build] builds an image. A nil pointer is
// the zero value.
type BuildOptions struct {
	// Dockerfile is the path of the Dockerfile within the context, with
	// slashes; empty is "Dockerfile".
	Dockerfile string
	// Args are the build arguments. They are no place for secrets: images keep
	// them, and all that runs in the builder sees them.
	Args map[string]string
	// Target is the stage to build; empty is the last.
	Target string
	// Log takes what the build writes, as it comes and in its order, from one
	// goroutine; nil discards it. A writer that fails ends the build.
	Log io.Writer
	// Builder says what sandbox builds: it needs Docker, and BuildKit as
	// buildctl or as a part of Docker. Its zero value is the server's default.
	// Build sees to the name, the waiting and the deletion where they are left
	// out; the disk is as large as that of the snapshot.
	Builder CreateSandbox
	// Wait bounds the wait for the snapshot. A build never returns before it.
	Wait *WaitOptions
}

// BuildError reports an image that could not be built. It matches
// [ErrProvision]; what it wraps is the [ExitError] of the step that failed.
type BuildError struct {
	// Step is what failed: "prepare", "unpack" or "build".
	Step string
	// Log is the end of what the step wrote, 32 KiB at most.
	Log string

	cause error
}

// Error names the step, its exit code and the last line that it wrote.
func (e *BuildError) Error() string {
	msg := fmt.Sprintf("build snapshot: %s: %v", e.Step, e.cause)
	lines := strings.Split(strings.TrimSpace(e.Log), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); !strings.HasSuffix(msg, last) {
		msg += ": " + last
	}
	return msg
}

// Is reports whether target is [ErrProvision].
func (e *BuildError) Is(target error) bool { return target == ErrProvision }

// Unwrap returns the error of the step.
func (e *BuildError) Unwrap() error { return e.cause }

// Build makes a snapshot of a Dockerfile: it makes a sandbox, sends it the
// directory contextDir as it stands, has BuildKit build there, captures the
// image, waits until the snapshot is ready, and deletes the sandbox, also when
// ctx ends, which alone bounds a build. Nothing of the context is held in
// memory. What .dockerignore names is not sent, nor are .git, sockets, pipes
// and devices; symbolic links are sent as they are.
//
// In req, Name and FSCapacityBytes are required, and what belongs to running
// sandboxes has no place: Checkpoint, DockerImage, IncludeMemory and Include.
// opts may be nil.
//
// Errors: [ErrInvalid], a [BuildError], and those of [Client.Create],
// [Sandbox.Upload], [Cmd.Start], [Process.Wait], [Sandbox.Capture] and
// [Snapshots.Wait]. If only the deletion failed, the snapshot is returned with
// its error.
func (s *Snapshots) Build(ctx context.Context, contextDir string, req *CaptureSnapshot, opts *BuildOptions) (snapshot *Snapshot, err error) {
	b := build{req: pointed(req), opts: pointed(opts)}
	if err := b.check(); err != nil {
		return nil, err
	}
	if b.context, err = openBuildContext(opBuild, contextDir, b.opts.Dockerfile); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.context.close()) }()
	err = s.c.Use(ctx, b.builder(ctx), func(ctx context.Context, sb *Sandbox) error {
		snapshot, err = b.run(ctx, sb)
		return err
	})
	return snapshot, err
}

const opBuild = "build snapshot"

// build is one build.
type build struct {
	req     CaptureSnapshot
	opts    BuildOptions
	context *buildContext
}

func (b *build) check() error {
	ck := checks{op: opBuild}
	ck.snapshot(b.req.Name, b.req.Tag, b.req.Description, b.req.RunConfig)
	if b.req.FSCapacityBytes <= 0 {
		ck.fail("disk", "is %d bytes, and has to be given", b.req.FSCapacityBytes)
	}
	if b.req.Checkpoint != "" || b.req.DockerImage != "" || b.req.IncludeMemory || len(b.req.Include) > 0 {
		ck.fail("request", "holds what only a capture has: Checkpoint, DockerImage, IncludeMemory or Include")
	}
	for name, value := range b.opts.Args {
		if name == "" || strings.ContainsAny(name, "= \x00") || strings.ContainsRune(value, 0) {
			ck.fail("build argument", "has the name %q, or holds a zero byte", name)
		}
	}
	if strings.ContainsRune(b.opts.Target, 0) {
		ck.fail("target", "holds a zero byte")
	}
	return ck.err
}

const (
	builderPrefix  = "snapshot-builder-"
	builderTimeout = 60   // seconds to start
	builderIdle    = 3600 // seconds; a builder that lost its client ends then ...
	builderRest    = 60   // ... and is deleted
)

// builder asks for the sandbox that builds. It ends by itself, should its
// client never come to delete it.
func (b *build) builder(ctx context.Context) *CreateSandbox {
	req := b.opts.Builder
	if req.Name == "" {
		req.Name = builderPrefix + randomHex()
	}
	if req.FSCapacityBytes == 0 {
		req.FSCapacityBytes = b.req.FSCapacityBytes
	}
	if req.IdleTTLSeconds == nil {
		req.IdleTTLSeconds = new(builderIdle)
	}
	if req.DeleteAfterStopSeconds == nil {
		req.DeleteAfterStopSeconds = new(builderRest)
	}
	if _, bounded := ctx.Deadline(); !bounded && req.Timeout == 0 {
		req.Timeout = builderTimeout
	}
	req.WaitForReady = nil
	return &req
}

// randomHex is 12 hexadecimal digits.
func randomHex() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// run builds in a sandbox and captures the image.
func (b *build) run(ctx context.Context, sb *Sandbox) (*Snapshot, error) {
	dir, err := prepare(ctx, sb)
	if err != nil {
		return nil, err
	}
	if err := b.send(ctx, sb, dir+"/context.tar"); err != nil {
		return nil, err
	}
	if err := step(ctx, sb, "unpack", nil, unpackScript, dir); err != nil {
		return nil, err
	}
	tag := "snapshot-build:" + randomHex()
	args := []string{dir + "/context", tag, b.context.dockerfile, b.opts.Target}
	for _, name := range slices.Sorted(maps.Keys(b.opts.Args)) {
		args = append(args, name+"="+b.opts.Args[name])
	}
	if err := step(ctx, sb, "build", b.opts.Log, buildScript, args...); err != nil {
		return nil, err
	}
	req, wait := b.req, pointed(b.opts.Wait)
	req.DockerImage, wait.NoWait = tag, false
	return sb.Capture(ctx, &req, &wait)
}

// prepare makes a directory for the context and returns its path.
func prepare(ctx context.Context, sb *Sandbox) (string, error) {
	cmd := sb.Command("bash", "-c", prepareScript)
	cmd.Timeout = -1
	out, err := cmd.Output(ctx)
	dir := strings.TrimSpace(string(out))
	if exit, failed := err.(*ExitError); failed { //nolint:errorlint // nothing else went wrong
		return "", &BuildError{Step: "prepare", Log: exit.Stderr, cause: exit}
	}
	if err == nil && (!strings.HasPrefix(dir, "/") || strings.ContainsAny(dir, "\n\x00")) {
		err = &BuildError{Step: "prepare", Log: dir, cause: errNoDirectory}
	}
	return dir, err
}

var errNoDirectory = errors.New("the builder names no directory for the context")

// send streams the context to a file of the sandbox.
func (b *build) send(ctx context.Context, sb *Sandbox, file string) error {
	r, w := io.Pipe()
	archived := make(chan error, 1)
	go func() {
		err := b.context.archive(ctx, w)
		_ = w.CloseWithError(err)
		archived <- err
	}()
	err := sb.Upload(ctx, file, r)
	_ = r.CloseWithError(errUploadOver)
	if cause := <-archived; cause != nil && !errors.Is(cause, errUploadOver) {
		return cause // which is why the upload failed
	}
	return err
}

var errUploadOver = errors.New("the upload is over")

// step runs a script of the build, whose output goes to log, which may be nil.
func step(ctx context.Context, sb *Sandbox, name string, log io.Writer, script string, args ...string) error {
	out := &stepLog{log: log}
	cmd := sb.Command("bash", append([]string{"-c", script, name}, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.Timeout = out, out, -1
	err := cmd.Run(ctx)
	if v := out.panicked.Load(); v != nil {
		panic(*v) // in the goroutine of the caller, so that the builder is deleted
	}
	if exit, failed := err.(*ExitError); failed { //nolint:errorlint // nothing else went wrong
		return &BuildError{Step: name, Log: out.String(), cause: exit}
	}
	return err
}
