package kafkabridge

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// securityFrom returns the options for the variables KAFKA_BRIDGE_KAFKA_…, which have the names of
// librdkafka's properties.
func securityFrom(getenv func(string) string) ([]kgo.Opt, error) {
	property := func(name string) string { return getenv("KAFKA_BRIDGE_KAFKA_" + name) }
	protocol := strings.ToUpper(property("SECURITY_PROTOCOL"))
	var options []kgo.Opt
	switch protocol {
	case "", "PLAINTEXT", "SASL_PLAINTEXT":
	case "SSL", "SASL_SSL":
		config, err := tlsFrom(property)
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(config))
	default:
		return nil, fmt.Errorf("KAFKA_BRIDGE_KAFKA_SECURITY_PROTOCOL=%q: set PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", protocol)
	}
	if !strings.HasPrefix(protocol, "SASL_") {
		return options, nil
	}
	mechanism, err := mechanismFrom(property)
	if err != nil {
		return nil, err
	}
	return append(options, kgo.SASL(mechanism)), nil
}

func tlsFrom(property func(string) string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := property("SSL_CA_LOCATION"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_BRIDGE_KAFKA_SSL_CA_LOCATION: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("KAFKA_BRIDGE_KAFKA_SSL_CA_LOCATION=%s has no certificate in PEM form", file)
		}
	}
	if file := property("SSL_CERTIFICATE_LOCATION"); file != "" {
		pair, err := tls.LoadX509KeyPair(file, property("SSL_KEY_LOCATION"))
		if err != nil {
			return nil, fmt.Errorf("KAFKA_BRIDGE_KAFKA_SSL_CERTIFICATE_LOCATION and …_SSL_KEY_LOCATION: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func mechanismFrom(property func(string) string) (sasl.Mechanism, error) {
	user, password := property("SASL_USERNAME"), property("SASL_PASSWORD")
	name := property("SASL_MECHANISM")
	if name == "" {
		name = property("SASL_MECHANISMS") // librdkafka knows both
	}
	switch strings.ToUpper(name) {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("KAFKA_BRIDGE_KAFKA_SASL_MECHANISM=%q: set PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, or "+
		"pass another mechanism in Settings.Kafka", name)
}
