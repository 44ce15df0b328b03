import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;

/**
 * Reads golden files with Avro's own implementation and writes them again.
 *
 * <p>Arguments: the folder of the schemas, then the .avro files. Prints a line per schema (name and
 * fingerprint) and per file (name, record type, and whether the bytes written are the bytes read);
 * ends with 1 if any file differs or cannot be read.
 */
public final class GoldenFiles {
  private static final int MARKER_BYTES = 2;

  public static void main(String[] arguments) throws IOException {
    Map<Long, Schema> schemas = new HashMap<>();
    for (Path file : schemaFiles(Path.of(arguments[0]))) {
      Schema schema = new Schema.Parser().parse(file.toFile());
      long fingerprint = SchemaNormalization.parsingFingerprint64(schema);
      schemas.put(fingerprint, schema);
      System.out.printf("schema %s %016x%n", schema.getName(), fingerprint);
    }
    boolean good = true;
    for (String argument : Arrays.asList(arguments).subList(1, arguments.length)) {
      Path file = Path.of(argument);
      String result = check(Files.readAllBytes(file), schemas);
      System.out.printf("file %s %s%n", file.getFileName(), result);
      good &= result.endsWith(" same");
    }
    System.exit(good ? 0 : 1);
  }

  private static List<Path> schemaFiles(Path folder) throws IOException {
    List<Path> files = new ArrayList<>();
    try (var stream = Files.newDirectoryStream(folder, "*.avsc")) {
      stream.forEach(files::add);
    }
    return files;
  }

  private static String check(byte[] bytes, Map<Long, Schema> schemas) throws IOException {
    long fingerprint =
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(MARKER_BYTES);
    Schema schema = schemas.get(fingerprint);
    if (schema == null) {
      return String.format("- unknown fingerprint %016x", fingerprint);
    }
    ByteArrayInputStream input = new ByteArrayInputStream(bytes);
    GenericRecord message =
        new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schema).decode(input);
    ByteArrayOutputStream output = new ByteArrayOutputStream();
    new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(message, output);
    boolean same = input.available() == 0 && Arrays.equals(bytes, output.toByteArray());
    return schema.getName() + (same ? " same" : " differs");
  }
}
