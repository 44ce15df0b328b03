// Package kafka has what a worker needs of Kafka beside a plain consumer and producer: a lease on its
// group membership, a reading of a topic up to its end, and the control topic.
package kafka
