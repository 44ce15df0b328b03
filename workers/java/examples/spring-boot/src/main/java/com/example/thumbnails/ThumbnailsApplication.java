package com.example.thumbnails;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** A service that makes thumbnails for Airflow tasks. */
@SpringBootApplication
public class ThumbnailsApplication {

  public static void main(String[] arguments) {
    SpringApplication.run(ThumbnailsApplication.class, arguments);
  }
}
