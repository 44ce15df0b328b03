// Command thumbnails is a service to copy: a worker with one job type.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"kafkabridge"
)

// Images is the payload of a job.
type Images struct {
	Images []string `json:"images"`
}

// Validate is called before the handler.
func (i Images) Validate() error {
	if len(i.Images) == 0 {
		return errors.New("images is empty")
	}
	return nil
}

// Made is the result of a job.
type Made struct {
	Made int `json:"made"`
}

func thumbnail(ctx context.Context, job *kafkabridge.Job[Images]) (Made, error) {
	total := len(job.Payload.Images)
	for done, image := range job.Payload.Images {
		if err := scale(ctx, image); err != nil {
			return Made{}, err
		}
		job.Message(image)
		job.Progress(float64(done+1), float64(total), "images")
	}
	return Made{Made: total}, nil
}

// scale stands for the work. It ends when the context does: the job was cancelled, for example.
func scale(ctx context.Context, image string) error {
	if image == "missing.png" {
		return &kafkabridge.Error{Type: "image_missing", Message: "there is no " + image, Retryable: false}
	}
	select {
	case <-time.After(100 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	settings, err := kafkabridge.SettingsFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	worker, err := kafkabridge.New(settings)
	if err != nil {
		log.Fatal(err)
	}
	kafkabridge.Handle(worker, "images.thumbnail", thumbnail)
	if err := worker.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
