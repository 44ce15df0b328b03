// Package kafkabridge runs the jobs that Airflow submits with kafka-bridge, in Go.
//
// It is a worker of level 3 of the job protocol (docs/protocol.md): heartbeats, progress, cancels,
// deadlines, and no finished job runs again, whichever worker crashes.
//
//	worker, err := kafkabridge.New(kafkabridge.Settings{Brokers: []string{"127.0.0.1:9092"}, Group: "thumbnailers"})
//	…
//	kafkabridge.Handle(worker, "images.thumbnail", func(ctx context.Context, job *kafkabridge.Job[Images]) (Made, error) {
//		…
//	})
//	err = worker.Run(ctx)
package kafkabridge
