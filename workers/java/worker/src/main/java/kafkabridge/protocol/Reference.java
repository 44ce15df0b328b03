package kafkabridge.protocol;

/**
 * The claim check for bytes that are stored elsewhere.
 *
 * @param uri the address of the bytes
 * @param sha256 their SHA-256, 64 hexadecimal digits
 * @param size their number
 */
public record Reference(String uri, String sha256, long size) {}
