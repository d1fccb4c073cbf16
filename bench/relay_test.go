package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// parcel is what arrives later.
type parcel struct {
	at   time.Time
	data []byte
}

// serveRelay passes connections on, with a delay in each direction and no
// bound on the speed.
func serveRelay() error {
	delay, err := time.ParseDuration(os.Getenv("RELAY_DELAY"))
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(context.Background(), "tcp", os.Getenv("RELAY_TO"))
			if err != nil {
				_ = near.Close()
				continue
			}
			go delayed(far, near, delay)
			go delayed(near, far, delay)
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// delayed copies. What is under way is bounded by memory only.
func delayed(to, from net.Conn, delay time.Duration) {
	parcels := make(chan parcel, 1<<16)
	go func() {
		defer to.Close()
		for p := range parcels {
			time.Sleep(time.Until(p.at))
			if _, err := to.Write(p.data); err != nil {
				break
			}
		}
		for range parcels { // what is not wanted any more
		}
	}()
	defer close(parcels)
	for {
		buf := make([]byte, 64<<10)
		n, err := from.Read(buf)
		if n > 0 {
			parcels <- parcel{time.Now().Add(delay), buf[:n]}
		}
		if err != nil {
			return
		}
	}
}
