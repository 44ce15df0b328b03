/**
 * The messages of the job protocol, and their two encodings. {@code docs/protocol.md} explains
 * them.
 */
package kafkabridge.protocol;
