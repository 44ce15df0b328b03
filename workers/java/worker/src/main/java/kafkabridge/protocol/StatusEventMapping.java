package kafkabridge.protocol;

import org.apache.avro.generic.GenericRecord;

final class StatusEventMapping implements Mapping<StatusEvent> {

  @Override
  public StatusEvent fromRecord(GenericRecord record) throws UnreadableMessageException {
    Fields fields = new Fields(record);
    return new StatusEvent(
        fields.filledText("correlation_id"),
        fields.filledText("event_id"),
        fields.integer("delivery", 1),
        fields.number("sequence", 0),
        fields.symbol("state", JobState.class),
        fields.time("occurred_at"),
        fields.text("worker_id"),
        fields.text("message"),
        progress(fields.nested("progress")),
        fields.text("external_id"),
        fields.content("result"),
        JobRequestMapping.reference(fields.nested("result_ref")),
        failure(fields.nested("error")),
        fields.map("attributes"));
  }

  private static Progress progress(Fields fields) throws UnreadableMessageException {
    return fields == null
        ? null
        : new Progress(fields.real("completed"), fields.real("total"), fields.text("unit"));
  }

  private static JobFailure failure(Fields fields) throws UnreadableMessageException {
    return fields == null
        ? null
        : new JobFailure(
            fields.filledText("type"),
            fields.text("message"),
            fields.text("details"),
            fields.bool("retryable"));
  }

  @Override
  public GenericRecord toRecord(StatusEvent event) {
    Records fields = Records.of(Schemas.STATUS_EVENT);
    Progress progress = event.progress();
    JobFailure error = event.error();
    return fields
        .put("correlation_id", event.correlationId())
        .put("event_id", event.eventId())
        .put("delivery", event.delivery())
        .put("sequence", event.sequence())
        .put("state", event.state())
        .put("occurred_at", event.occurredAt())
        .put("worker_id", event.workerId())
        .put("message", event.message())
        .put("progress", progress == null ? null : record(progress, fields.nested("progress")))
        .put("external_id", event.externalId())
        .put("result", event.result())
        .put("result_ref", event.resultRef())
        .put("error", error == null ? null : record(error, fields.nested("error")))
        .put("attributes", event.attributes())
        .record();
  }

  private static GenericRecord record(Progress progress, Records fields) {
    return fields
        .put("completed", progress.completed())
        .put("total", progress.total())
        .put("unit", progress.unit())
        .record();
  }

  private static GenericRecord record(JobFailure error, Records fields) {
    return fields
        .put("type", error.type())
        .put("message", error.message())
        .put("details", error.details())
        .put("retryable", error.retryable())
        .record();
  }
}
