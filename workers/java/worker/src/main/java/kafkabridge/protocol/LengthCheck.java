package kafkabridge.protocol;

import java.io.EOFException;
import java.io.IOException;
import org.apache.avro.AvroTypeException;
import org.apache.avro.Schema;
import org.apache.avro.io.BinaryDecoder;

/** Walks through an Avro body, and checks each length before anything of that size is allocated. */
final class LengthCheck {
  private LengthCheck() {}

  /**
   * Skip a value.
   *
   * @param most no length may be greater
   */
  static void skip(Schema schema, BinaryDecoder input, int most) throws IOException {
    switch (schema.getType()) {
      case RECORD -> {
        for (Schema.Field field : schema.getFields()) {
          skip(field.schema(), input, most);
        }
      }
      case UNION -> {
        int index = input.readIndex();
        if (index < 0 || index >= schema.getTypes().size()) {
          throw new AvroTypeException("a union has no branch " + index);
        }
        skip(schema.getTypes().get(index), input, most);
      }
      case MAP -> skipMap(schema, input, most);
      case STRING, BYTES -> skipBytes(input, most);
      case ENUM -> {
        int index = input.readEnum();
        if (index < 0 || index >= schema.getEnumSymbols().size()) {
          throw new AvroTypeException("an enum has no symbol " + index);
        }
      }
      case LONG -> input.readLong();
      case INT -> input.readInt();
      case DOUBLE -> input.readDouble();
      case BOOLEAN -> input.readBoolean();
      case NULL -> input.readNull();
      default -> throw new IllegalStateException("no schema of the protocol has " + schema);
    }
  }

  private static void skipMap(Schema schema, BinaryDecoder input, int most) throws IOException {
    for (long count = input.readLong(); count != 0; count = input.readLong()) {
      if (count < 0) {
        count = -count;
        input.readLong(); // the block's size
      }
      if (count < 0 || count > most) {
        throw new EOFException("a map claims to have " + count + " entries");
      }
      for (long entry = 0; entry < count; entry++) {
        skipBytes(input, most);
        skip(schema.getValueType(), input, most);
      }
    }
  }

  private static void skipBytes(BinaryDecoder input, int most) throws IOException {
    long length = input.readLong();
    if (length < 0 || length > most) {
      throw new EOFException("a text claims to be " + length + " bytes long");
    }
    input.skipFixed((int) length);
  }
}
