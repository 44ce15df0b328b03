package kafkabridge

import "testing"

func TestCredentialsComeFromTheEnvironment(t *testing.T) {
	for name, each := range map[string]struct {
		environ environ
		options int
	}{
		"nothing":       {environ{}, 0},
		"TLS":           {environ{"KAFKA_BRIDGE_KAFKA_SECURITY_PROTOCOL": "ssl"}, 1},
		"TLS and SCRAM": {environ{"KAFKA_BRIDGE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_BRIDGE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}, 2},
		"PLAIN":         {environ{"KAFKA_BRIDGE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_BRIDGE_KAFKA_SASL_MECHANISMS": "PLAIN"}, 1},
	} {
		if options, err := securityFrom(each.environ.get); err != nil || len(options) != each.options {
			t.Errorf("%s: %d options, %v", name, len(options), err)
		}
	}
}

func TestWrongCredentialsSayWhatToDo(t *testing.T) {
	for variable, value := range map[string]string{
		"KAFKA_BRIDGE_KAFKA_SECURITY_PROTOCOL": "TLS",
		"KAFKA_BRIDGE_KAFKA_SASL_MECHANISM":    "GSSAPI",
		"KAFKA_BRIDGE_KAFKA_SSL_CA_LOCATION":   "/no/such/file",
	} {
		environ := environ{"KAFKA_BRIDGE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", variable: value}
		_, err := securityFrom(environ.get)
		wantText(t, err, variable)
	}
}
