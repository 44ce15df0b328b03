package kafkabridge.protocol;

import java.util.Locale;
import org.apache.avro.generic.GenericRecord;

final class JobRequestMapping implements Mapping<JobRequest> {

  @Override
  public JobRequest fromRecord(GenericRecord record) throws UnreadableMessageException {
    Fields fields = new Fields(record);
    return new JobRequest(
        fields.filledText("correlation_id"),
        fields.integer("attempt", 1),
        fields.filledText("job_type"),
        fields.content("payload"),
        reference(fields.nested("payload_ref")),
        fields.filledText("response_topic"),
        fields.time("created_at"),
        fields.time("expires_at"),
        fields.time("deadline"),
        fields.integer("heartbeat_interval_ms", 0),
        task(fields.nested("task")),
        fields.map("attributes"));
  }

  static Reference reference(Fields fields) throws UnreadableMessageException {
    if (fields == null) {
      return null;
    }
    String digest = fields.text("sha256");
    if (!digest.toLowerCase(Locale.ROOT).matches("[0-9a-f]{64}")) {
      throw new UnreadableMessageException("sha256 must have 64 hexadecimal digits");
    }
    return new Reference(fields.filledText("uri"), digest, fields.number("size", 0));
  }

  private static Task task(Fields fields) throws UnreadableMessageException {
    if (fields == null) {
      return null;
    }
    return new Task(
        fields.text("source"),
        fields.text("dag_id"),
        fields.text("run_id"),
        fields.text("task_id"),
        fields.integer("map_index", Integer.MIN_VALUE),
        fields.integer("try_number", Integer.MIN_VALUE),
        fields.text("url"));
  }

  @Override
  public GenericRecord toRecord(JobRequest request) {
    Records fields = Records.of(Schemas.JOB_REQUEST);
    Task task = request.task();
    return fields
        .put("correlation_id", request.correlationId())
        .put("attempt", request.attempt())
        .put("job_type", request.jobType())
        .put("payload", request.payload())
        .put("payload_ref", request.payloadRef())
        .put("response_topic", request.responseTopic())
        .put("created_at", request.createdAt())
        .put("expires_at", request.expiresAt())
        .put("deadline", request.deadline())
        .put("heartbeat_interval_ms", request.heartbeatIntervalMs())
        .put("task", task == null ? null : record(task, fields.nested("task")))
        .put("attributes", request.attributes())
        .record();
  }

  private static GenericRecord record(Task task, Records fields) {
    return fields
        .put("source", task.source())
        .put("dag_id", task.dagId())
        .put("run_id", task.runId())
        .put("task_id", task.taskId())
        .put("map_index", task.mapIndex())
        .put("try_number", task.tryNumber())
        .put("url", task.url())
        .record();
  }
}
