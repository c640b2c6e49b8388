// Package testcert creates certificates for tests: an authority, a node's certificate for this machine that it signed, and
// an authority that signed nothing. They are valid for a day and are in the directories where EventStoreDB's own tests
// expect them.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files contains the paths of the files that Write creates.
type Files struct {
	CA, Cert, Key string
	// UntrustedCA signed none of them.
	UntrustedCA string
}

const validity = 24 * time.Hour

// Write creates the certificates in a directory: ca/ca.crt, node/node.crt, node/node.key, and untrusted-ca/ca.crt.
func Write(dir string) (Files, error) {
	f := Files{
		CA:          filepath.Join(dir, "ca", "ca.crt"),
		Cert:        filepath.Join(dir, "node", "node.crt"),
		Key:         filepath.Join(dir, "node", "node.key"),
		UntrustedCA: filepath.Join(dir, "untrusted-ca", "ca.crt"),
	}
	ca, caKey, err := authority("Test CA", f.CA)
	if err != nil {
		return Files{}, err
	}
	if _, _, err := authority("Untrusted CA", f.UntrustedCA); err != nil {
		return Files{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Files{}, err
	}
	node := template("node")
	node.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	node.DNSNames = []string{"localhost"}
	node.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	signed, err := x509.CreateCertificate(rand.Reader, node, ca, key.Public(), caKey)
	if err != nil {
		return Files{}, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Files{}, err
	}
	return f, errors.Join(writePEM(f.Cert, "CERTIFICATE", signed), writePEM(f.Key, "PRIVATE KEY", raw))
}

func authority(name, path string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	ca := template(name)
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage |= x509.KeyUsageCertSign
	signed, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParseCertificate(signed)
	if err != nil {
		return nil, nil, err
	}
	return parsed, key, writePEM(path, "CERTIFICATE", signed)
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func writePEM(path, kind string, der []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
