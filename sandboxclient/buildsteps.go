package sandboxclient

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// prepareScript makes a directory on the root disk and prints it; what is
// temporary may be kept in memory. A home that is the root is named without a
// second slash.
const prepareScript = `set -eu
home=${HOME:-/root}
mktemp -d "${home%/}/snapshot-build-XXXXXXXXXXXX"`

// unpackScript gets the directory.
const unpackScript = `exec 2>&1
set -eu
cd -- "$1"
mkdir context
tar -xpf context.tar -C context
rm -f context.tar`

// buildScript gets the context, the tag, the Dockerfile, the target and the
// build arguments. The image goes to Docker without a file in between; when the
// build fails, what Docker says of half an image is of no interest. All output
// goes one way, as two have no order.
const buildScript = `exec 2>&1
set -u
cd -- "$1" || exit
tag=$2 file=$3 target=$4
shift 4
options=()
if command -v buildctl >/dev/null; then
  for arg in "$@"; do options+=(--opt "build-arg:$arg"); done
  [ -z "$target" ] || options+=(--opt "target=$target")
  buildctl=buildctl
  if command -v buildctl-daemonless.sh >/dev/null && ! buildctl debug workers >/dev/null 2>&1; then
    buildctl=buildctl-daemonless.sh
  fi
  "$buildctl" build --progress=plain --frontend=dockerfile.v0 \
    --local context=. --local "dockerfile=$(dirname -- "$file")" --opt "filename=$(basename -- "$file")" \
    ${options[@]+"${options[@]}"} --output "type=docker,name=$tag" | docker load >../load.log 2>&1
  codes=("${PIPESTATUS[@]}")
  case ${codes[0]} in
    0 | 141) cat ../load.log ;; # 141: nobody read the image any more
    *) exit "${codes[0]}" ;;
  esac
  exit "${codes[1]}"
elif docker buildx version >/dev/null 2>&1; then
  for arg in "$@"; do options+=(--build-arg "$arg"); done
  [ -z "$target" ] || options+=(--target "$target")
  docker buildx build --progress=plain --load --tag "$tag" --file "$file" ${options[@]+"${options[@]}"} .
else
  echo 'the builder has neither buildctl nor docker buildx' >&2
  exit 127
fi`

// stepLog passes output on and keeps the end of it. A panic of the writer is
// caught, as it would end the program from a goroutine that nobody sees. The
// writer may outlive the step, if it blocks.
type stepLog struct {
	log      io.Writer
	panicked atomic.Pointer[any]

	mu  sync.Mutex
	end tail
}

var errLogPanicked = errors.New("the writer of the build log panicked")

// Write implements io.Writer.
func (l *stepLog) Write(p []byte) (n int, err error) {
	l.mu.Lock()
	l.end.write(p)
	l.mu.Unlock()
	if l.log == nil {
		return len(p), nil
	}
	defer func() {
		if v := recover(); v != nil {
			l.panicked.Store(&v)
			err = errLogPanicked
		}
	}()
	return l.log.Write(p)
}

func (l *stepLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end.String()
}
