package kafkabridge.protocol;

/**
 * How much of a job is done.
 *
 * @param completed how much is done
 * @param total how much there is to do, or null
 * @param unit the unit of both, such as {@code files}, or null
 */
public record Progress(double completed, Double total, String unit) {}
