package kafkabridge.protocol;

import org.apache.avro.generic.GenericRecord;

final class JobCommandMapping implements Mapping<JobCommand> {

  @Override
  public JobCommand fromRecord(GenericRecord record) throws UnreadableMessageException {
    Fields fields = new Fields(record);
    return new JobCommand(
        fields.filledText("correlation_id"),
        fields.symbol("command", JobCommand.Command.class),
        fields.text("reason"),
        fields.time("issued_at"),
        fields.map("attributes"));
  }

  @Override
  public GenericRecord toRecord(JobCommand command) {
    return Records.of(Schemas.JOB_COMMAND)
        .put("correlation_id", command.correlationId())
        .put("command", command.command())
        .put("reason", command.reason())
        .put("issued_at", command.issuedAt())
        .put("attributes", command.attributes())
        .record();
  }
}
