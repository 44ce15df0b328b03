package kafkabridge.protocol;

import org.apache.avro.generic.GenericRecord;

/** How one message type and its Avro record become each other. */
interface Mapping<T> {
  T fromRecord(GenericRecord record) throws UnreadableMessageException;

  GenericRecord toRecord(T message);
}
