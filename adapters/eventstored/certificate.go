package eventstored

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// certificateYears is how long a certificate from MakeCertificate is valid.
	certificateYears = 10
	// certificateMargin is the minimum remaining validity for a certificate to be kept.
	certificateMargin = 30 * 24 * time.Hour
)

// MakeCertificate returns the files of a certificate and its key in dir, for clients that connect to addr, host:port.
// It creates them if they are missing, expire soon, or are not valid for addr. The certificate is self-signed: a client
// that trusts it passes its file as tlsCAFile. It is also valid for this machine's name and its loopback addresses.
func MakeCertificate(dir, addr string, now time.Time) (cert, key string, err error) {
	cert, key = filepath.Join(dir, "port.crt"), filepath.Join(dir, "port.key")
	names := namesOf(addr)
	if pair, err := tls.LoadX509KeyPair(cert, key); err == nil && holdsFor(pair.Leaf, names, now) {
		return cert, key, nil
	}
	if err := writeCertificate(cert, key, names, now); err != nil {
		return "", "", fmt.Errorf("make a certificate for the event store's address: %w", err)
	}
	return cert, key, nil
}

// namesOf returns the names and addresses that clients can use to connect to addr.
func namesOf(addr string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, host)
	}
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && host != "" && !ip.IsUnspecified() && !slices.Contains(names, host) {
		names = append(names, host)
	}
	return names
}

func holdsFor(cert *x509.Certificate, names []string, now time.Time) bool {
	fails := func(name string) bool { return cert.VerifyHostname(name) != nil }
	return cert != nil && !slices.ContainsFunc(names, fails) && now.Add(certificateMargin).Before(cert.NotAfter) && !now.Before(cert.NotBefore)
}

func writeCertificate(certPath, keyPath string, names []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Waypost event store"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(certificateYears, 0, 0), // clocks differ
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(certPath), 0o700); err != nil {
		return err
	}
	// An existing file keeps its mode, so both are removed first. If only one of the pair is written, the next call
	// creates both again.
	for _, f := range []struct {
		path, kind string
		der        []byte
	}{{keyPath, "PRIVATE KEY", private}, {certPath, "CERTIFICATE", cert}} {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(f.path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			return err
		}
	}
	return nil
}
