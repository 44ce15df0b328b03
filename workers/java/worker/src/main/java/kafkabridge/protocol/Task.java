package kafkabridge.protocol;

/**
 * The Airflow task that submitted a job, for logs and links.
 *
 * @param source the Airflow deployment
 * @param mapIndex the index of a mapped task, or -1
 * @param tryNumber Airflow's try number
 * @param url the task in Airflow's user interface, or null
 */
public record Task(
    String source,
    String dagId,
    String runId,
    String taskId,
    int mapIndex,
    int tryNumber,
    String url) {}
