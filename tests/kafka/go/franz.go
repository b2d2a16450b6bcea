package main

import (
	"context"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type franz struct {
	client *kgo.Client
}

// startFranz keeps the defaults: idempotent, acks from all, as many in flight as a broker remembers. Only waiting is shorter.
func startFranz(bootstrap, topic string, chosen settings) producer {
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.DefaultProduceTopic(topic),
		kgo.ClientID(chosen.clientID),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(inTurn)),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, nil)),
	}
	if chosen.requestTimeout > 0 {
		// It waits for the sum of what it allows the broker and what it allows the way.
		half := chosen.requestTimeout / 2
		options = append(options, kgo.ProduceRequestTimeout(half), kgo.RequestTimeoutOverhead(half))
	}
	client, err := kgo.NewClient(options...)
	must(err)
	return franz{client}
}

func (driven franz) send(id string, partition int32) {
	record := &kgo.Record{Value: []byte(id), Partition: partition}
	driven.client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
		if err != nil {
			failed(id, err)
			return
		}
		acked(id, record.Partition, record.Offset)
	})
}

func (driven franz) flush() {
	must(driven.client.Flush(context.Background()))
}

func (driven franz) close() {
	driven.flush()
	driven.client.Close()
}

// inTurn puts records where they say, or into each partition in its turn.
func inTurn(string) func(*kgo.Record, int) int {
	next := -1
	return func(record *kgo.Record, partitions int) int {
		if record.Partition != anyPartition {
			return int(record.Partition)
		}
		next = (next + 1) % partitions
		return next
	}
}
