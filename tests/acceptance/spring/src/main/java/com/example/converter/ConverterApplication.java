package com.example.converter;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.kafka.listener.KafkaListenerErrorHandler;
import org.springframework.kafka.support.KafkaNull;
import org.springframework.kafka.support.converter.StringJacksonJsonMessageConverter;
import org.springframework.kafka.support.converter.RecordMessageConverter;
import org.springframework.messaging.support.MessageBuilder;

@SpringBootApplication
public class ConverterApplication {

  public static void main(String[] arguments) {
    SpringApplication.run(ConverterApplication.class, arguments);
  }

  @Bean
  RecordMessageConverter json() {
    return new StringJacksonJsonMessageConverter();
  }

  /** Answers for a listener that threw: no value, and the message in the header that marks it. */
  @Bean
  KafkaListenerErrorHandler failureReplies() {
    return (request, thrown) ->
        MessageBuilder.withPayload(KafkaNull.INSTANCE)
            .setHeader("kafka_nest-err", thrown.getCause().getMessage())
            .build();
  }
}
