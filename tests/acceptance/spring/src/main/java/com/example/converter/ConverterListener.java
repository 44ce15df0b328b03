package com.example.converter;

import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.messaging.handler.annotation.SendTo;
import org.springframework.stereotype.Component;

/** Answers where the request's header kafka_replyTopic says. */
@Component
class ConverterListener {

  record Request(String path) {}

  record Reply(String converted, String by) {}

  @KafkaListener(topics = "spring.convert", errorHandler = "failureReplies")
  @SendTo
  Reply convert(Request request) {
    return converted(request);
  }

  /** As most listeners are: when it throws, nobody is told. */
  @KafkaListener(topics = "spring.convert.silent")
  @SendTo
  Reply convertOrBeSilent(Request request) {
    return converted(request);
  }

  private static Reply converted(Request request) {
    if (request.path().startsWith("/no/")) {
      throw new IllegalArgumentException("no such file: " + request.path());
    }
    return new Reply(request.path(), "spring");
  }
}
