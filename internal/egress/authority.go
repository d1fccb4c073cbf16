package egress

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

const (
	authorityFor    = 10 * 365 * 24 * time.Hour
	certificateFor  = 48 * time.Hour
	certificateLeft = 24 * time.Hour // less, and a new one is made
	clockSkew       = time.Hour
	maxCertificates = 1024
)

// authority makes the certificates under which the proxy ends TLS. Its key
// stays in memory; it is made when it is first needed.
type authority struct {
	mu    sync.Mutex
	cert  *x509.Certificate
	pem   []byte
	key   *ecdsa.PrivateKey
	leaf  *ecdsa.PrivateKey // of all certificates
	known map[string]*tls.Certificate
}

// init is called with mu held.
func (a *authority) init() error {
	if a.cert != nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Local sandbox server proxy"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityFor),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	a.cert, a.key, a.leaf = cert, key, leaf
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.known = make(map[string]*tls.Certificate)
	return nil
}

// certificatePEM is the authority's own certificate.
func (a *authority) certificatePEM() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.init(); err != nil {
		return nil, fmt.Errorf("make a certificate authority: %w", err)
	}
	return a.pem, nil
}

// certificate returns a certificate for a host.
func (a *authority) certificate(e endpoint) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.init(); err != nil {
		return nil, err
	}
	now := time.Now()
	if c := a.known[e.name]; c != nil && now.Add(certificateLeft).Before(c.Leaf.NotAfter) {
		return c, nil
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(certificateFor),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if e.addr.IsValid() {
		template.IPAddresses = []net.IP{e.addr.AsSlice()}
	} else {
		template.DNSNames = []string{e.name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.leaf.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if len(a.known) >= maxCertificates {
		clear(a.known)
	}
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.leaf, Leaf: leaf}
	a.known[e.name] = c
	return c, nil
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}
