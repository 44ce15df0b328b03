// Package protocol has the messages of the job protocol, version 1, and their encodings. It does no I/O.
//
// docs/protocol.md is the normative text.
package protocol
