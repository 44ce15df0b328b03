package kafkabridge.worker;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import kafkabridge.protocol.Checkpoint;
import kafkabridge.protocol.Content;
import kafkabridge.protocol.ErrorType;
import kafkabridge.protocol.StrictJson;
import kafkabridge.protocol.UnreadableMessageException;

/** Converts payloads to the types of handlers, and results to content. */
final class Payloads {
  private final ObjectMapper mapper;

  Payloads(ObjectMapper mapper) {
    this.mapper = mapper;
  }

  /**
   * A mapper that refuses what is certainly an error: text for a number, and a primitive that is
   * missing. Unknown fields are ignored, so that requests may grow.
   */
  static ObjectMapper defaultMapper() {
    return JsonMapper.builder()
        .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
        .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
        .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
        .disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS)
        .findAndAddModules()
        .build();
  }

  /**
   * The payload of a request as a handler's type.
   *
   * @param content null if the request has none
   * @throws JobFailedException {@code invalid_payload}
   */
  Object read(Content content, JavaType type) {
    if (type.hasRawClass(Void.class)) {
      return null;
    }
    if (type.hasRawClass(Content.class)) {
      checkJson(content);
      return content;
    }
    if (type.hasRawClass(byte[].class)) {
      checkJson(content);
      return content == null ? null : content.bytes();
    }
    if (content == null) {
      throw invalid("the job needs a payload", null);
    }
    if (!content.isJson()) {
      throw invalid("the payload must be JSON, not " + content.mediaType(), null);
    }
    JsonNode json = checkJson(content);
    if (type.hasRawClass(JsonNode.class)) {
      return json;
    }
    try {
      return mapper.readValue(mapper.treeAsTokens(json), type);
    } catch (JsonMappingException error) {
      throw invalid(path(error) + error.getOriginalMessage(), error);
    } catch (IOException error) {
      throw invalid(error.getMessage(), error);
    }
  }

  /** Bytes that are declared as JSON have to be JSON. */
  private static JsonNode checkJson(Content content) {
    if (content == null || !content.isJson()) {
      return null;
    }
    try {
      return StrictJson.read(content.bytes());
    } catch (UnreadableMessageException error) {
      throw invalid("the payload is " + error.getMessage(), error);
    }
  }

  private static String path(JsonMappingException error) {
    StringBuilder path = new StringBuilder();
    for (JsonMappingException.Reference each : error.getPath()) {
      String name = each.getFieldName();
      path.append(name == null ? "[" + each.getIndex() + "]" : "." + name);
    }
    return path.isEmpty() ? "" : path.substring(path.charAt(0) == '.' ? 1 : 0) + ": ";
  }

  private static JobFailedException invalid(String message, Throwable cause) {
    return new JobFailedException(ErrorType.INVALID_PAYLOAD, message, false, null, cause);
  }

  /**
   * The content of a result.
   *
   * @return null for null
   * @throws JobFailedException it cannot be written as JSON
   */
  Content write(Object result) {
    if (result == null) {
      return null;
    }
    if (result instanceof Content content) {
      return checked(content);
    }
    if (result instanceof byte[] bytes) {
      return new Content(bytes, Content.BYTES);
    }
    try {
      return checked(new Content(mapper.writeValueAsBytes(result), Content.JSON));
    } catch (JsonProcessingException error) {
      throw unwritable(error);
    }
  }

  /**
   * The text of a checkpoint as a handler's type.
   *
   * @param text null if there is none
   * @return null without one, if it was cleared, or if it is not JSON: other workers write it, too
   * @throws IllegalArgumentException it is JSON of another form
   */
  <T> T readCheckpoint(String text, Class<T> type) {
    if (text == null || text.equals(Checkpoint.CLEARED)) {
      return null;
    }
    JsonNode json;
    try {
      json = StrictJson.read(text.getBytes(StandardCharsets.UTF_8));
    } catch (UnreadableMessageException error) {
      return null;
    }
    try {
      return mapper.readValue(mapper.treeAsTokens(json), type);
    } catch (IOException error) {
      throw new IllegalArgumentException("the checkpoint is no " + type.getSimpleName(), error);
    }
  }

  /**
   * A checkpoint as text.
   *
   * @throws JobFailedException it cannot be written as JSON, or is too large
   */
  String writeCheckpoint(Object value) {
    byte[] bytes;
    try {
      bytes = mapper.writeValueAsBytes(value);
      StrictJson.read(bytes);
    } catch (JsonProcessingException | UnreadableMessageException error) {
      throw notSaved("not_serialisable", error.getMessage(), error);
    }
    if (bytes.length > Checkpoint.MOST_BYTES) {
      String why = "it has " + bytes.length + " bytes, and 4000 are allowed";
      throw notSaved("too_large", why, null);
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static JobFailedException notSaved(String kind, String why, Exception cause) {
    String message = "the checkpoint was not saved: " + why;
    return new JobFailedException("checkpoint_" + kind, message, false, null, cause);
  }

  private static Content checked(Content content) {
    if (content.isJson()) {
      try {
        StrictJson.read(content.bytes());
      } catch (UnreadableMessageException error) {
        throw unwritable(error);
      }
    }
    return content;
  }

  private static JobFailedException unwritable(Exception error) {
    return new JobFailedException(
        "result_not_serialisable",
        "the result cannot be written as JSON: " + error.getMessage(),
        false,
        null,
        error);
  }
}
